#include "test_cache_archive.h"

enum { DENIALS_ENOUGH = 5 }; /* that end a request when poll_absent_ms is 0, as on this bench */

/* A multi-download of both samples that is in progress. */
static struct request_id submit_both(struct bench *bench)
{
    struct store_entry entry;
    struct err err = { 0 };

    know(bench, one);
    know(bench, two);
    entry = LIST(bench, "case", one, two);
    assert_int_equal(cache_submit(bench->cache, entry.row, &err), 0);
    assert_int_equal(script_count(bench->script, MULTI), 1);
    return id_of(REQID);
}

static struct buf archive_of_both(void)
{
    return archive_of((const char *const[]){ one, two }, (const char *const[]){ one, two }, 2);
}

static void expect_all(struct bench *bench, const struct request_id *id, size_t n_fetches)
{
    struct store_request request = await_end(bench, id);

    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 2);
    assert_int_equal(request.stats.total, 2);
    assert_true(is_here(bench, one) && is_here(bench, two));
    expect_reason(bench, id, one, "");
    expect_reason(bench, id, two, "");
    assert_int_equal(script_count(bench->script, FETCH), n_fetches);
    assert_int_equal(script_count(bench->script, MULTI), 1); /* never paid for twice */
}

static void an_archive_brings_its_samples_and_is_kept(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of_both();
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP,
                                         ARCHIVE_STEP(archive) };
    struct store_object *kept = NULL;
    struct request_id id;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    expect_all(&bench, &id, 1);
    assert_int_equal(store_archive_open(bench.store, &id, &kept, &err), 0);
    assert_int_equal(store_object_size(kept), archive.n);
    store_object_unref(kept);
    assert_int_equal(bench_events(&bench, "\"status\":\"done\",\"results\":2"), 1);
    bench_down(&bench);
}

static void what_the_archive_lacks_is_missing_with_a_reason(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of((const char *const[]){ two }, (const char *const[]){ two }, 1);
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP,
                                         ARCHIVE_STEP(archive) };
    struct store_request request;
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    request = await_end(&bench, &id);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 1);
    assert_int_equal(request.stats.total, 2);
    expect_reason(&bench, &id, one, "not in the archive");
    expect_reason(&bench, &id, two, "");
    assert_int_equal(script_count(bench.script, FETCH), 2); /* once more, in case the way was at fault */
    bench_down(&bench);
}

static void other_bytes_under_the_name_are_not_the_sample(void **state)
{
    cleanup_(buf_done) struct buf archive =
        archive_of((const char *const[]){ one, two }, (const char *const[]){ "MZ something else", two }, 2);
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP,
                                         ARCHIVE_STEP(archive) };
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    assert_int_equal(await_end(&bench, &id).n_results, 1);
    assert_false(is_here(&bench, one));
    assert_false(is_here(&bench, "MZ something else"));
    expect_reason(&bench, &id, one, "SHA-256");
    bench_down(&bench);
}

static void an_archive_that_is_late_is_asked_for_again(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of_both();
    const struct script_step steps[] = {
        TOKEN_FOREVER,        QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP, NO_ARCHIVE_STEP(DENIALS_ENOUGH - 1),
        ARCHIVE_STEP(archive)
    };
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    expect_all(&bench, &id, DENIALS_ENOUGH);
    bench_down(&bench);
}

static void an_archive_that_never_comes_fails_the_request(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP,
                                         NO_ARCHIVE_STEP(-1) };
    struct store_request request;
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    bring_here(&bench, two); /* from elsewhere, meanwhile */
    request = await_end(&bench, &id);
    assert_int_equal(request.state, REQUEST_FAILED);
    assert_non_null(strstr(request.error, "archive"));
    assert_int_equal(request.n_results, 1); /* what is here all the same */
    expect_reason(&bench, &id, one, "archive");
    expect_reason(&bench, &id, two, "");
    assert_int_equal(script_count(bench.script, FETCH), DENIALS_ENOUGH);
    bench_down(&bench);
}

static void what_is_no_zip_or_was_cut_is_fetched_again(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of_both();
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        QUOTAS_STEP(0, 5),
        MULTI_STEP,
        READY_STEP,
        { .match = FETCH, .status = 200, .headers = ZIP_TYPE, .body = "this is no zip at all" },
        { .match = FETCH, .status = 200, .headers = ZIP_TYPE, .body = "PK\3\4 the rest", .end = SCRIPT_CUT },
        ARCHIVE_STEP(archive),
    };
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    expect_all(&bench, &id, 3);
    bench_down(&bench);
}

static void what_is_never_a_zip_fails_the_request(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        QUOTAS_STEP(0, 5),
        MULTI_STEP,
        READY_STEP,
        { .match = FETCH, .status = 200, .headers = ZIP_TYPE, .body = "this is no zip at all", .times = -1 },
    };
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    assert_int_equal(await_end(&bench, &id).state, REQUEST_FAILED);
    assert_true(script_count(bench.script, FETCH) >= DENIALS_ENOUGH); /* it was paid for */
    bench_down(&bench);
}

static void a_request_that_the_service_failed_has_its_reason_everywhere(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        QUOTAS_STEP(0, 5),
        MULTI_STEP,
        { .match = POLL,
          .status = 200,
          .headers = JSON_TYPE,
          .body = "{\"meta\":{\"status\":\"failed\",\"reqid\":\"" REQID
                  "\"},\"errors\":[{\"code\":500,\"message\":\"out of tape\"}],\"resources\":[]}",
          .times = -1 },
    };
    struct store_request request;
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    request = await_end(&bench, &id);
    assert_int_equal(request.state, REQUEST_FAILED);
    assert_string_equal(request.error, "out of tape");
    expect_reason(&bench, &id, one, "out of tape");
    assert_int_equal(script_count(bench.script, FETCH), 0);
    bench_down(&bench);
}

static void the_bytes_correct_a_wrong_size_and_end_an_error(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of_both();
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP,
                                         ARCHIVE_STEP(archive) };
    struct sample wrong = { .digest = digest_of_text(one), .size_bytes = 7, .first_seen_s = SAMPLE_NO_DATE };
    struct store_sample known;
    struct request_id id;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    assert_int_equal(store_sample_put(bench.store, &wrong, 1, &err), 0);
    assert_int_equal(store_sample_put_error(bench.store, &wrong.digest, "it was cut", &err), 0);
    expect_all(&bench, &id, 1);
    assert_int_equal(store_sample_get(bench.store, &wrong.digest, &known, &err), 0);
    assert_int_equal(known.sample.size_bytes, strlen(one));
    assert_string_equal(known.error, "");
    bench_down(&bench);
}

static void an_archive_that_is_here_is_not_fetched_again(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of_both();
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP };
    struct store_writer *writer = NULL;
    struct request_id id;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    assert_int_equal(store_archive_begin(bench.store, &id, &writer, &err), 0); /* by a mount that died then */
    assert_int_equal(store_writer_write(writer, archive.data, archive.n, &err), 0);
    assert_int_equal(store_writer_commit(writer, &err), 0);
    expect_all(&bench, &id, 0);
    bench_down(&bench);
}

static void a_request_that_is_ready_twice_is_imported_once(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of_both();
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5), MULTI_STEP, READY_STEP,
                                         ARCHIVE_STEP(archive) };
    struct request_id id;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    id = submit_both(&bench);
    cache_import(bench.cache, &id);
    cache_import(bench.cache, &id);
    assert_true(cache_is_importing(bench.cache, &id));
    assert_int_equal(bench.cache->n_imports, 1);
    expect_all(&bench, &id, 1);
    bench_down(&bench);
}

static void how_far_it_is_can_be_told_of_the_one_that_is_imported(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER };
    struct request_id id = id_of(REQID);
    struct request_id other = id_of("096f6aa5-f245-4b09-790f-133bc89d4d27");
    struct cache_progress progress;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_false(cache_progress(bench.cache, &id, &progress));
    cache_import(bench.cache, &id);
    cache_import(bench.cache, &other);
    assert_true(cache_progress(bench.cache, &id, &progress));
    assert_false(cache_progress(bench.cache, &other, &progress));
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_brings_its_samples_and_is_kept),
        cmocka_unit_test(what_the_archive_lacks_is_missing_with_a_reason),
        cmocka_unit_test(other_bytes_under_the_name_are_not_the_sample),
        cmocka_unit_test(an_archive_that_is_late_is_asked_for_again),
        cmocka_unit_test(an_archive_that_never_comes_fails_the_request),
        cmocka_unit_test(what_is_no_zip_or_was_cut_is_fetched_again),
        cmocka_unit_test(what_is_never_a_zip_fails_the_request),
        cmocka_unit_test(a_request_that_the_service_failed_has_its_reason_everywhere),
        cmocka_unit_test(the_bytes_correct_a_wrong_size_and_end_an_error),
        cmocka_unit_test(an_archive_that_is_here_is_not_fetched_again),
        cmocka_unit_test(a_request_that_is_ready_twice_is_imported_once),
        cmocka_unit_test(how_far_it_is_can_be_told_of_the_one_that_is_imported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
