#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "util/clock.h"

static int64_t one_s(void)
{
    return 1;
}

static int64_t two_ms(void)
{
    return 2;
}

static void tests_can_replace_the_clocks(void **state)
{
    static const struct clock_source fixed = { .now_s = one_s, .mono_ms = two_ms };

    (void)state;
    clock_source_set(&fixed);
    assert_int_equal(clock_now_s(), 1);
    assert_int_equal(clock_mono_ms(), 2);
    assert_int_equal(clock_boot_ms(), 2);
    clock_source_set(NULL);
    assert_true(clock_now_s() > 1700000000);
}

static void what_was_noted_ahead_of_now_is_not_fresh(void **state)
{
    int64_t now_s = clock_now_s();

    (void)state;
    assert_true(clock_is_fresh(now_s - 1, 60));
    assert_false(clock_is_fresh(now_s - 60, 60));
    assert_false(clock_is_fresh(now_s + 3600, 60)); /* the clock was wrong then, and was set right */
    assert_false(clock_is_fresh(INT64_MIN, 60));
    assert_false(clock_is_fresh(INT64_MAX, 60));
}

static void the_wall_clock_is_the_system_s(void **state)
{
    int64_t before = time(NULL);

    (void)state;
    assert_in_range(clock_now_s(), before, before + 5);
}

static void monotonic_time_does_not_step_back(void **state)
{
    int64_t last = clock_mono_ms();
    int64_t last_boot = clock_boot_ms();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ms();
        int64_t boot = clock_boot_ms();

        assert_true(now >= last);
        assert_true(boot >= last_boot);
        last = now;
        last_boot = boot;
    }
}

static void instants_are_printed_in_utc(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    assert_string_equal(clock_iso(0).s, "1970-01-01T00:00:00Z");
    assert_string_equal(clock_iso(1772366400).s, "2026-03-01T12:00:00Z");
    assert_string_equal(clock_date(1772366400).s, "2026/03/01");
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

static void instants_before_1970_and_after_9999_are_printed(void **state)
{
    (void)state;
    assert_string_equal(clock_iso(-1).s, "1969-12-31T23:59:59Z");
    assert_string_equal(clock_date(253402300800).s, "10000/01/01");
}

static void an_instant_that_no_calendar_has_is_a_question_mark(void **state)
{
    (void)state;
    assert_string_equal(clock_iso(INT64_MAX).s, "?");
    assert_string_equal(clock_date(INT64_MIN).s, "?");
    assert_int_equal(clock_year(INT64_MAX), 0);
}

static void years_change_at_midnight_utc(void **state)
{
    (void)state;
    assert_int_equal(clock_year(1767225599), 2025);
    assert_int_equal(clock_year(1767225600), 2026);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tests_can_replace_the_clocks),
        cmocka_unit_test(what_was_noted_ahead_of_now_is_not_fresh),
        cmocka_unit_test(the_wall_clock_is_the_system_s),
        cmocka_unit_test(monotonic_time_does_not_step_back),
        cmocka_unit_test(instants_are_printed_in_utc),
        cmocka_unit_test(instants_before_1970_and_after_9999_are_printed),
        cmocka_unit_test(an_instant_that_no_calendar_has_is_a_question_mark),
        cmocka_unit_test(years_change_at_midnight_utc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
