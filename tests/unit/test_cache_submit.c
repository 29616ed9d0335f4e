#include "test_cache_bench.h"

#include <fcntl.h>
#include <pthread.h>

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

static void *submit_main(void *closure)
{
    struct bench *bench = closure;
    struct err err = { 0 };

    return cache_submit(bench->cache, 1, &err) == 0 ? bench : NULL;
}

/* Whoever is killed while the ledger or the audit is written, or waits for it, must not lose what the service gave. */
static void the_id_is_on_disk_before_anything_else_is_written(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, ACCEPTED_STEP };
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct store_entry entry;
    struct bench bench;
    char path[64];
    pthread_t thread;
    void *done = NULL;
    int fd;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = bench_entry(&bench, "one", RULE);
    assert_int_equal(entry.row, 1);
    (void)snprintf(path, sizeof path, "%s/state/audit.jsonl", bench.dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    assert_int_equal(pthread_create(&thread, NULL, submit_main, &bench), 0);
    for (int i = 0; i < 200 && !entry.has_request; i++) {
        (void)cache_wait_changes(bench.cache, cache_changes(bench.cache), 10);
        entry = bench_reload(&bench, 1);
    }
    close(fd); /* the lock with it */
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_ptr_equal(done, &bench);
    assert_true(entry.has_request);
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_is_on_disk_before_anything_else_is_written),
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
