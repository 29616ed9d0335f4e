#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/http_internal.h"
#include "util/clock.h"

static int64_t fake_ms;

static int64_t fake_mono_ms(void)
{
    return fake_ms;
}

static int64_t fake_now_s(void)
{
    return fake_ms / 1000;
}

static const struct clock_source fake = { .now_s = fake_now_s, .mono_ms = fake_mono_ms };

static int use_fake_clock(void **state)
{
    (void)state;
    fake_ms = 1000000;
    clock_source_set(&fake);
    return 0;
}

static int use_real_clock(void **state)
{
    (void)state;
    clock_source_set(NULL);
    return 0;
}

static void fail_times(struct http_limit *limit, int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(http_limit_enter(limit, false, NULL), 0);
        http_limit_leave(limit, false, HTTP_END_SILENT);
    }
}

static void four_failures_leave_the_breaker_closed(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 1, 1);
    fail_times(&limit, HTTP_BREAK_AFTER - 1);
    assert_false(http_limit_is_open(&limit));
    http_limit_done(&limit);
}

static void five_failures_open_it_and_it_says_for_how_long(void **state)
{
    (void)state;
    struct http_limit limit;
    struct err err = { 0 };

    http_limit_init(&limit, 1, 1);
    fail_times(&limit, HTTP_BREAK_AFTER);
    fake_ms += 10 * 1000;
    assert_int_equal(http_limit_enter(&limit, false, &err), -ENETUNREACH);
    assert_string_equal(err.text, "service unreachable, trying again in 20 s");
    http_limit_done(&limit);
}

static void an_answer_in_between_starts_the_count_again(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 1, 1);
    fail_times(&limit, HTTP_BREAK_AFTER - 1);
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    fail_times(&limit, HTTP_BREAK_AFTER - 1);
    assert_false(http_limit_is_open(&limit));
    http_limit_done(&limit);
}

static void afterwards_one_may_try_and_others_may_not(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 2, 2);
    fail_times(&limit, HTTP_BREAK_AFTER);
    fake_ms += HTTP_BREAK_MS;
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    assert_int_equal(http_limit_enter(&limit, false, NULL), -ENETUNREACH);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    http_limit_done(&limit);
}

static void a_failed_probe_opens_it_again(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 1, 1);
    fail_times(&limit, HTTP_BREAK_AFTER);
    fake_ms += HTTP_BREAK_MS;
    fail_times(&limit, 1);
    assert_true(http_limit_is_open(&limit));
    http_limit_done(&limit);
}

static void offline_nothing_is_ever_tried(void **state)
{
    (void)state;
    struct http_limit limit;
    struct err err = { 0 };

    http_limit_init(&limit, 1, 1);
    limit.is_offline = true;
    assert_int_equal(http_limit_enter(&limit, false, &err), -ENETUNREACH);
    assert_non_null(strstr(err.text, "-o offline"));
    fake_ms += 10 * HTTP_BREAK_MS;
    assert_int_equal(http_limit_enter(&limit, true, NULL), -ENETUNREACH);
    assert_true(http_limit_is_open(&limit)); /* so nothing is repeated */
    http_limit_done(&limit);
}

static void our_own_failures_do_not_count(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 1, 1);
    for (int i = 0; i < 2 * HTTP_BREAK_AFTER; i++) {
        assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
        http_limit_leave(&limit, false, HTTP_END_OURS);
    }
    assert_false(http_limit_is_open(&limit));
    http_limit_done(&limit);
}

/* How long entering takes when so many calls are left. */
static int64_t pause_ms(const char *remaining)
{
    struct http_limit limit;
    int64_t before_ms;

    http_limit_init(&limit, 1, 1);
    http_limit_note(&limit, remaining);
    before_ms = clock_mono_ms();
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    before_ms = clock_mono_ms() - before_ms;
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    http_limit_done(&limit);
    return before_ms;
}

static void few_calls_left_slow_down(void **state)
{
    (void)state;
    assert_in_range(pause_ms("10"), HTTP_FEW_MS, HTTP_VERY_FEW_MS - 1);
}

static void very_few_calls_left_slow_down_more(void **state)
{
    (void)state;
    assert_in_range(pause_ms("5"), HTTP_VERY_FEW_MS, 10 * HTTP_VERY_FEW_MS);
}

static void enough_calls_left_do_not_slow_down(void **state)
{
    (void)state;
    assert_in_range(pause_ms("11"), 0, HTTP_FEW_MS - 1);
}

static void a_number_that_is_none_does_not_slow_down(void **state)
{
    (void)state;
    assert_in_range(pause_ms("-1"), 0, HTTP_FEW_MS - 1);
}

static void an_old_number_is_not_believed(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 1, 1);
    http_limit_note(&limit, "0");
    fake_ms += HTTP_MINUTE_MS + 1;
    http_limit_cancel(&limit, true); /* a pause would now end with ECANCELED; so would waiting for a slot */
    http_limit_cancel(&limit, false);
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    http_limit_done(&limit);
}

struct waiter {
    struct http_limit *limit;
    bool is_transfer;
    int r;
};

static void *run_enter(void *closure)
{
    struct waiter *waiter = closure;

    waiter->r = http_limit_enter(waiter->limit, waiter->is_transfer, NULL);
    return NULL;
}

static void a_full_house_waits_for_a_slot(void **state)
{
    (void)state;
    struct http_limit limit;
    struct waiter waiter = { .limit = &limit, .r = 1 };
    pthread_t thread;

    http_limit_init(&limit, 1, 1);
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_enter, &waiter), 0);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.r, 0);
    assert_int_equal(limit.exchanges, 1);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    http_limit_done(&limit);
}

static void cancel_ends_the_wait_for_a_slot(void **state)
{
    (void)state;
    struct http_limit limit;
    struct waiter waiter = { .limit = &limit, .r = 1 };
    pthread_t thread;

    http_limit_init(&limit, 1, 1);
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_enter, &waiter), 0);
    http_limit_cancel(&limit, true);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.r, -ECANCELED);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    http_limit_done(&limit);
}

static void transfers_leave_room_for_short_calls(void **state)
{
    (void)state;
    struct http_limit limit;

    http_limit_init(&limit, 2, 1);
    assert_int_equal(http_limit_enter(&limit, true, NULL), 0);
    assert_int_equal(http_limit_enter(&limit, false, NULL), 0);
    http_limit_leave(&limit, false, HTTP_END_ANSWERED);
    http_limit_leave(&limit, true, HTTP_END_ANSWERED);
    assert_int_equal(limit.exchanges + limit.transfers, 0);
    http_limit_done(&limit);
}

#define FAKE(test) cmocka_unit_test_setup_teardown(test, use_fake_clock, use_real_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(four_failures_leave_the_breaker_closed),
        FAKE(five_failures_open_it_and_it_says_for_how_long),
        FAKE(an_answer_in_between_starts_the_count_again),
        FAKE(afterwards_one_may_try_and_others_may_not),
        FAKE(a_failed_probe_opens_it_again),
        FAKE(offline_nothing_is_ever_tried),
        FAKE(our_own_failures_do_not_count),
        cmocka_unit_test(few_calls_left_slow_down),
        cmocka_unit_test(very_few_calls_left_slow_down_more),
        cmocka_unit_test(enough_calls_left_do_not_slow_down),
        cmocka_unit_test(a_number_that_is_none_does_not_slow_down),
        FAKE(an_old_number_is_not_believed),
        cmocka_unit_test(a_full_house_waits_for_a_slot),
        cmocka_unit_test(cancel_ends_the_wait_for_a_slot),
        cmocka_unit_test(transfers_leave_room_for_short_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
