#include "test_cache_bench.h"

#define RULE "rule a { condition: filesize > 3 }"
#define HUNT "POST /malquery/queries/hunt/v1"

static int submit(struct bench *bench, int64_t row)
{
    struct err err = { 0 };

    return cache_submit(bench->cache, row, &err);
}

static void an_accepted_rule_has_its_id_on_disk(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, ACCEPTED_STEP };
    struct bench bench;
    struct store_entry entry;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "a", RULE);
    assert_int_equal(submit(&bench, entry.row), 0);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(entry.state, STORE_ENTRY_SUBMITTED);
    assert_string_equal(entry.request.s, REQID);
    assert_string_equal(entry.options, "limit=1000\n");
    bench_down(&bench);
}

static void a_rule_with_a_syntax_error_never_leaves(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, ACCEPTED_STEP };
    struct bench bench;
    struct store_entry entry;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "a", "rule a { condition: }");
    assert_int_equal(submit(&bench, entry.row), -EINVAL);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(entry.state, STORE_ENTRY_REJECTED);
    assert_non_null(strstr(entry.error, "line 1"));
    assert_int_equal(script_count(bench.script, "POST"), 0);
    bench_down(&bench);
}

static void the_same_rule_is_sent_once(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, ACCEPTED_STEP };
    struct bench bench;
    struct store_entry one;
    struct store_entry two;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    one = bench_entry(&bench, "a", RULE);
    assert_int_equal(submit(&bench, one.row), 0);
    two = bench_entry(&bench, "b", RULE);
    assert_int_equal(submit(&bench, two.row), 0);
    assert_int_equal(script_count(bench.script, HUNT), 1);
    assert_string_equal(bench_reload(&bench, two.row).request.s, REQID);
    bench_down(&bench);
}

static void a_cut_answer_is_failed_and_not_sent_again(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, { .match = HUNT, .end = SCRIPT_DROP, .times = -1 } };
    struct bench bench;
    struct store_entry entry;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "a", RULE);
    assert_true(submit(&bench, entry.row) < 0);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_FAILED);
    cache_submit_queued(bench.cache);
    assert_int_equal(script_count(bench.script, HUNT), 1);
    bench_down(&bench);
}

static void what_surely_was_not_accepted_is_queued_and_sent_later(void **state)
{
    const struct script_step steps[] = { { .match = "POST /oauth2/token", .status = 503, .times = 3 },
                                         TOKEN_FOREVER,
                                         ACCEPTED_STEP };
    struct bench bench;
    struct store_entry entry;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "a", RULE);
    assert_int_equal(submit(&bench, entry.row), 0);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(entry.state, STORE_ENTRY_QUEUED);
    assert_true(entry.error[0]);
    cache_submit_queued(bench.cache);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_SUBMITTED);
    assert_int_equal(script_count(bench.script, HUNT), 1);
    bench_down(&bench);
}

static void a_used_up_quota_is_rejected_with_edquot(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = HUNT,
          .status = 429,
          .headers = JSON_TYPE,
          .body = "{\"meta\":{\"status\":\"failed\"},\"errors\":[{\"code\":429,\"message\":\"quota\"}]}" },
    };
    struct bench bench;
    struct store_entry entry;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "a", RULE);
    assert_int_equal(submit(&bench, entry.row), -EDQUOT);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_REJECTED);
    bench_down(&bench);
}

static void a_submission_of_a_dead_process_is_failed_at_the_next_start(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, ACCEPTED_STEP };
    struct bench bench;
    struct store_entry entry;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "a", RULE);
    assert_int_equal(store_entry_set_state(bench.store, entry.row, STORE_ENTRY_SUBMITTING, NULL, &err), 0);
    cache_submit_queued(bench.cache);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(entry.state, STORE_ENTRY_FAILED);
    assert_non_null(strstr(entry.error, "may have accepted"));
    assert_int_equal(script_count(bench.script, HUNT), 0);
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_accepted_rule_has_its_id_on_disk),
        cmocka_unit_test(a_rule_with_a_syntax_error_never_leaves),
        cmocka_unit_test(the_same_rule_is_sent_once),
        cmocka_unit_test(a_cut_answer_is_failed_and_not_sent_again),
        cmocka_unit_test(what_surely_was_not_accepted_is_queued_and_sent_later),
        cmocka_unit_test(a_used_up_quota_is_rejected_with_edquot),
        cmocka_unit_test(a_submission_of_a_dead_process_is_failed_at_the_next_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
