#include "test_cache_bench.h"

#define QUOTAS "GET /malquery/aggregates/quotas/v1 "
#define QUOTAS_STEP(used_)                                                                                             \
    {                                                                                                                  \
        .match = QUOTAS, .status = 200, .headers = JSON_TYPE,                                                          \
        .body = "{\"meta\":{\"hunt_count\":0,\"hunt_limit\":100,\"download_count\":" used_                             \
                ",\"download_limit\":15,\"monitor_count\":0,\"monitor_limit\":0,\"days_left\":7,"                      \
                "\"refresh_time\":\"2026-12-01T00:00:00Z\"},\"errors\":[]}"                                            \
    }

static const struct caller who = { .uid = 7, .pid = 8, .program = "cat" };

static int begin(struct bench *bench, const struct digest *digest, int64_t *ret_row, struct err *err)
{
    const struct store_spend spend = {
        .cost = COST_DOWNLOADS, .n = 1, .operation = "download", .name = "", .digest = digest, .who = &who
    };

    *err = (struct err){ 0 };
    return cache_spend_begin(bench->cache, &spend, ret_row, err);
}

static void end_as(struct bench *bench, int64_t row, int outcome, bool was_sent)
{
    struct cache_spent spent = { .cost = COST_DOWNLOADS, .outcome = outcome, .was_sent = was_sent };

    cache_spend_end(bench->cache, row, &spent);
}

static int64_t left(struct bench *bench)
{
    struct budget budget;
    struct err err = { 0 };

    assert_int_equal(store_budget_get(bench->store, &budget, &err), 0);
    return budget.left[COST_DOWNLOADS];
}

static void give(struct bench *bench, int64_t n)
{
    struct err err = { 0 };

    assert_int_equal(store_budget_set(bench->store, COST_DOWNLOADS, n, false, &err), 0);
}

static void the_last_part_of_the_month_is_kept_rounded_up(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP("12") };
    struct bench bench;
    struct err err;
    int64_t row = 0;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    cache_tune(bench.cache, 10, true); /* of 15: 2 */
    bench.cache->quotas.tried_s = 0;   /* never asked */
    assert_int_equal(begin(&bench, NULL, &row, &err), 0);
    end_as(&bench, row, 0, true);
    bench.cache->quotas.tried_s = clock_now_s(); /* not asked again: ours is counted to it */
    bench.cache->quotas.asked_s = clock_now_s();
    cache_tune(bench.cache, 14, true); /* 3 */
    assert_int_equal(begin(&bench, NULL, &row, &err), -EDQUOT);
    assert_non_null(strstr(err.text, "are kept (-o reserve=14)"));
    bench_down(&bench);
}

/* What is under way may come to nothing: before it is the reason of a refusal, the service is asked once more. */
static void a_refusal_for_calls_under_way_asks_again(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP("13"), QUOTAS_STEP("13"), QUOTAS_STEP("14") };
    struct bench bench;
    struct err err;
    int64_t one = 0;
    int64_t two = 0;
    int64_t three = 0;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    bench.cache->quotas.tried_s = 0;
    assert_int_equal(begin(&bench, NULL, &one, &err), 0);
    assert_int_equal(begin(&bench, NULL, &two, &err), 0);
    end_as(&bench, one, -ENETUNREACH, false);
    assert_int_equal(begin(&bench, NULL, &three, &err), 0); /* 13, and one under way */
    end_as(&bench, two, -EREMOTEIO, true);
    assert_int_equal(begin(&bench, NULL, &one, &err), 0); /* the service has not charged `two`: still 13 */
    end_as(&bench, three, 0, true);
    assert_int_equal(begin(&bench, NULL, &two, &err), -EDQUOT); /* 14, and one under way */
    assert_non_null(strstr(err.text, "until 2026-12-01"));
    assert_int_equal(bench_events(&bench, "\"event\":\"exhausted\""), 1);
    assert_int_equal(bench_events(&bench, "\"until\":\"2026-12-01T00:00:00Z\""), 1);
    bench_down(&bench);
}

static void outcomes_are_what_the_budget_says(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER };
    static const struct {
        int outcome;
        bool was_sent;
        int64_t costs;
    } rows[] = {
        { 0, true, 1 },        { API_ABSENT, false, 0 }, { -EREMOTEIO, true, 1 }, { -ENETUNREACH, false, 0 },
        { -EDQUOT, false, 0 },
    };
    struct bench bench;
    struct err err;
    int64_t row = 0;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        give(&bench, 10);
        assert_int_equal(begin(&bench, NULL, &row, &err), 0);
        end_as(&bench, row, rows[i].outcome, rows[i].was_sent);
        assert_int_equal(left(&bench), 10 - rows[i].costs);
    }
    bench_down(&bench);
}

static size_t n_open(struct bench *bench)
{
    struct store_intent intents[8];
    struct err err = { 0 };
    size_t n = 0;

    assert_int_equal(store_spend_open(bench->store, intents, ARRAY_SIZE(intents), &n, &err), 0);
    return n;
}

/* Whose lock is free is dead; it counts, and is a try. */
static void intents_of_the_dead_are_settled_and_others_left(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER };
    const struct digest dead = { .bytes = { 1 } };
    const struct digest alive = { .bytes = { 2 } };
    struct bench bench;
    struct err err;
    int64_t row = 0;
    int fd = -1;
    int n = 0;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    give(&bench, 10);
    assert_int_equal(begin(&bench, &dead, &row, &err), 0);
    assert_int_equal(begin(&bench, &alive, &row, &err), 0);
    assert_int_equal(store_digest_lock(bench.store, &alive, NULL, &fd, &err), 0);
    cache_spend_settle_orphans(bench.cache);
    assert_int_equal(n_open(&bench), 1);
    assert_int_equal(left(&bench), 8);
    assert_int_equal(store_spend_tries(bench.store, &dead, &n, &err, &err), 0);
    assert_int_equal(n, 1);
    store_digest_unlock(fd);
    cache_spend_settle_orphans(bench.cache);
    assert_int_equal(n_open(&bench), 0);
    assert_int_equal(left(&bench), 8);
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_part_of_the_month_is_kept_rounded_up),
        cmocka_unit_test(a_refusal_for_calls_under_way_asks_again),
        cmocka_unit_test(outcomes_are_what_the_budget_says),
        cmocka_unit_test(intents_of_the_dead_are_settled_and_others_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
