#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http_internal.h"
#include "util/clock.h"

enum { NOW_S = 1753200000, TRIES = 200 };

static const struct http_retry normal = HTTP_RETRY_DEFAULT;
static const struct http_retry quick = {
    .tries_max = 3, .backoff_ms = 1, .backoff_max_ms = 1, .asked_min_ms = 1, .asked_max_ms = 1
};

static int64_t fake_now_s(void)
{
    return NOW_S;
}

static int64_t fake_mono_ms(void)
{
    return 0;
}

static const struct clock_source fake = { .now_s = fake_now_s, .mono_ms = fake_mono_ms };

static int use_fake_clock(void **state)
{
    (void)state;
    clock_source_set(&fake);
    return 0;
}

static int use_real_clock(void **state)
{
    (void)state;
    clock_source_set(NULL);
    return 0;
}

static int64_t delay_ms(int tries, const char *retry_at, const char *retry_after)
{
    const struct http_try last = { .status = 429, .retry_at = retry_at, .retry_after = retry_after };

    return http_retry_delay_ms(&normal, tries, &last);
}

static void retry_at_is_seconds_since_the_epoch_plus_jitter(void **state)
{
    (void)state;
    char at[32];

    snprintf(at, sizeof at, "%d", NOW_S + 10);
    for (int i = 0; i < TRIES; i++)
        assert_in_range(delay_ms(1, at, ""), 11000, 15000);
}

static void a_time_that_is_over_waits_a_second(void **state)
{
    (void)state;
    assert_int_equal(delay_ms(1, "1", ""), 1000);
}

static void a_time_far_away_waits_five_minutes(void **state)
{
    (void)state;
    assert_int_equal(delay_ms(1, "1753200000000", ""), 5 * 60 * 1000); /* milliseconds, the classic mistake */
    assert_int_equal(delay_ms(1, "9223372036854775807", ""), 5 * 60 * 1000);
}

static void retry_after_is_seconds_from_now(void **state)
{
    (void)state;
    for (int i = 0; i < TRIES; i++)
        assert_in_range(delay_ms(1, "", "3"), 4000, 8000);
}

static void retry_after_may_be_a_date(void **state)
{
    (void)state;
    assert_in_range(delay_ms(1, "", "Tue, 22 Jul 2025 16:00:20 GMT"), 21000, 25000);
}

static void the_clock_that_counts_is_the_other_side_s(void **state)
{
    (void)state;
    const struct http_try far_ahead = {
        .status = 429, .retry_at = "1784736020", .retry_after = "", .date = "Wed, 22 Jul 2026 16:00:00 GMT"
    };
    const struct http_try far_behind = { .status = 429,
                                         .retry_at = "",
                                         .retry_after = "Mon, 22 Jul 2024 16:00:20 GMT",
                                         .date = "Mon, 22 Jul 2024 16:00:00 GMT" };

    assert_in_range(http_retry_delay_ms(&normal, 1, &far_ahead), 21000, 25000);
    assert_in_range(http_retry_delay_ms(&normal, 1, &far_behind), 21000, 25000);
}

static void a_date_that_is_none_is_our_own(void **state)
{
    (void)state;
    const struct http_try last = { .status = 429, .retry_at = "1753200010", .retry_after = "", .date = "noon" };

    assert_in_range(http_retry_delay_ms(&normal, 1, &last), 11000, 15000);
}

static void nonsense_means_back_off(void **state)
{
    (void)state;
    for (int i = 0; i < TRIES; i++)
        assert_in_range(delay_ms(1, "soon", "later"), 1, 500);
}

static void the_ceiling_doubles_up_to_its_limit(void **state)
{
    (void)state;
    int64_t most = 0;

    for (int i = 0; i < TRIES; i++) {
        int64_t ms = delay_ms(3, "", "");

        most = ms > most ? ms : most;
        assert_in_range(ms, 1, 2000);
        assert_in_range(delay_ms(60, "", ""), 1, 30000);
    }
    assert_true(most > 500); /* not the first ceiling: 200 tries of 4 : 1 */
}

/* What http_retry_wait() says with the quick policy. */
static int verdict(int tries, int error, int status)
{
    const struct http_config config = { .exchanges_max = 1, .transfers_max = 1 };
    const struct http_try last = { .error = error, .status = status, .retry_at = "", .retry_after = "" };
    struct http_client *client = NULL;
    int r;

    assert_int_equal(http_client_new(&config, &client, NULL), 0);
    r = http_retry_wait(client, &quick, tries, &last, NULL);
    http_client_free(client);
    return r;
}

static void failures_of_the_network_are_repeated(void **state)
{
    (void)state;
    assert_int_equal(verdict(1, ENETUNREACH, 0), 0);
    assert_int_equal(verdict(1, ETIMEDOUT, 0), 0);
    assert_int_equal(verdict(1, EREMOTEIO, 0), 0);
}

static void our_own_failures_are_not(void **state)
{
    (void)state;
    assert_int_equal(verdict(1, ENOSPC, 0), HTTP_NO_MORE);
    assert_int_equal(verdict(1, ECANCELED, 0), HTTP_NO_MORE);
    assert_int_equal(verdict(1, EFBIG, 0), HTTP_NO_MORE);
}

static void some_statuses_are_repeated(void **state)
{
    (void)state;
    static const int statuses[] = { 429, 502, 503, 504 };

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        assert_int_equal(verdict(1, 0, statuses[i]), 0);
}

static void other_statuses_are_final(void **state)
{
    (void)state;
    static const int statuses[] = { 200, 308, 400, 401, 404, 500, 501 };

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        assert_int_equal(verdict(1, 0, statuses[i]), HTTP_NO_MORE);
}

static void there_is_a_last_try(void **state)
{
    (void)state;
    assert_int_equal(verdict(2, 0, 503), 0);
    assert_int_equal(verdict(3, 0, 503), HTTP_NO_MORE);
}

static void an_open_breaker_makes_it_final(void **state)
{
    (void)state;
    const struct http_config config = { .exchanges_max = 1, .transfers_max = 1 };
    const struct http_try last = { .error = ENETUNREACH, .retry_at = "", .retry_after = "" };
    struct http_client *client = NULL;

    assert_int_equal(http_client_new(&config, &client, NULL), 0);
    for (int i = 0; i < HTTP_BREAK_AFTER; i++) {
        assert_int_equal(http_limit_enter(http_client_limit(client), false, NULL), 0);
        http_limit_leave(http_client_limit(client), false, HTTP_END_SILENT);
    }
    assert_int_equal(http_retry_wait(client, &quick, 1, &last, NULL), HTTP_NO_MORE);
    http_client_free(client);
}

static void *run_cancel(void *closure)
{
    http_cancel(closure);
    return NULL;
}

static void cancel_ends_a_wait(void **state)
{
    (void)state;
    const struct http_config config = { .exchanges_max = 1, .transfers_max = 1 };
    const struct http_try last = { .status = 429, .retry_at = "", .retry_after = "200" };
    struct http_client *client = NULL;
    pthread_t thread;

    assert_int_equal(http_client_new(&config, &client, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_cancel, client), 0);
    assert_int_equal(http_retry_wait(client, &normal, 1, &last, NULL), -ECANCELED); /* else the test times out */
    pthread_join(thread, NULL);
    http_client_free(client);
}

#define FAKE(test) cmocka_unit_test_setup_teardown(test, use_fake_clock, use_real_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(retry_at_is_seconds_since_the_epoch_plus_jitter),
        FAKE(a_time_that_is_over_waits_a_second),
        FAKE(a_time_far_away_waits_five_minutes),
        FAKE(retry_after_is_seconds_from_now),
        FAKE(retry_after_may_be_a_date),
        FAKE(the_clock_that_counts_is_the_other_side_s),
        FAKE(a_date_that_is_none_is_our_own),
        FAKE(nonsense_means_back_off),
        FAKE(the_ceiling_doubles_up_to_its_limit),
        cmocka_unit_test(failures_of_the_network_are_repeated),
        cmocka_unit_test(our_own_failures_are_not),
        cmocka_unit_test(some_statuses_are_repeated),
        cmocka_unit_test(other_statuses_are_final),
        cmocka_unit_test(there_is_a_last_try),
        cmocka_unit_test(an_open_breaker_makes_it_final),
        cmocka_unit_test(cancel_ends_a_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
