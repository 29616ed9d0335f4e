#include "test_cache_bench.h"

#include <pthread.h>

enum { CALLERS = 4, CALLS = 50 };

static const struct script_step no_calls[] = { TOKEN_FOREVER };

/* A call to the service ended with `code`, 0 for success. */
static void call_ends(struct bench *bench, int code)
{
    struct err err = { 0 };
    int r = code ? err_set(&err, code, "words") : 0;

    assert_int_equal(cache_note(bench->cache, r, &err), r);
}

static void the_first_success_is_no_news(void **state)
{
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    call_ends(&bench, 0);
    call_ends(&bench, 0);
    assert_int_equal(bench_events(&bench, "\"event\""), 0);
    bench_down(&bench);
}

static void each_change_of_reach_is_told_once(void **state)
{
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    for (int i = 0; i < 3; i++)
        call_ends(&bench, ENETUNREACH);
    assert_int_equal(bench_events(&bench, "\"event\":\"offline\""), 1);
    assert_int_equal(bench_events(&bench, "\"errno\":\"ENETUNREACH\",\"reason\":\"words\""), 1);
    call_ends(&bench, EKEYREJECTED);
    call_ends(&bench, EACCES);
    assert_int_equal(bench_events(&bench, "\"event\":\"unauthorized\""), 1);
    call_ends(&bench, 0);
    call_ends(&bench, EDQUOT); /* it answered */
    assert_int_equal(bench_events(&bench, "\"event\":\"online\",\"service\":\""), 1);
    bench_down(&bench);
}

static void a_service_that_fails_can_be_reached(void **state)
{
    static const int answers[] = { EREMOTEIO, EPROTO, EAGAIN, EINVAL };
    struct cache_health health;
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        call_ends(&bench, answers[i]);
        cache_health(bench.cache, &health);
        assert_int_equal(health.reach, CACHE_ONLINE);
        assert_int_equal(health.last.code, answers[i]); /* `status` has it all the same */
    }
    bench_down(&bench);
}

static void a_cancelled_call_says_nothing_about_the_service(void **state)
{
    struct cache_health health;
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    call_ends(&bench, ENETUNREACH);
    call_ends(&bench, ECANCELED);
    cache_health(bench.cache, &health);
    assert_int_equal(health.reach, CACHE_OFFLINE);
    assert_int_equal(bench_events(&bench, "\"event\""), 1);
    bench_down(&bench);
}

/* Loses and finds the service in turns. */
static void *lose_and_find(void *arg)
{
    struct bench *bench = arg;

    for (int i = 0; i < CALLS; i++)
        call_ends(bench, i % 2 ? 0 : ENETUNREACH);
    return NULL;
}

static void changes_are_told_in_the_order_in_which_they_happened(void **state)
{
    static const char offline[] = "\"event\":\"offline\"";
    static char text[CALLS * CALLERS * KIB];
    pthread_t callers[CALLERS];
    struct bench bench;
    bool is_offline = false;
    size_t n;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    call_ends(&bench, 0);
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, lose_and_find, &bench), 0);
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    assert_int_equal(cache_events_read(bench.cache, 0, text, sizeof text - 1, &n), 0);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, "\"event\":\"o")); at++) {
        assert_true(is_offline != (strncmp(at, offline, strlen(offline)) == 0));
        is_offline = !is_offline;
    }
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_success_is_no_news),
        cmocka_unit_test(each_change_of_reach_is_told_once),
        cmocka_unit_test(a_service_that_fails_can_be_reached),
        cmocka_unit_test(a_cancelled_call_says_nothing_about_the_service),
        cmocka_unit_test(changes_are_told_in_the_order_in_which_they_happened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
