#include "test_cache_archive.h"

static int submit(struct bench *bench, const struct store_entry *entry, struct err *err)
{
    *err = (struct err){ 0 };
    return cache_submit(bench->cache, entry->row, err);
}

static void what_is_local_is_not_asked_for(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, MULTI_STEP };
    struct bench bench;
    struct store_entry entry;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    bring_here(&bench, one);
    know(&bench, two);
    entry = LIST(&bench, "case", one, two);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    assert_int_equal(script_count(bench.script, MULTI), 1);
    assert_false(was_asked_for(&bench, one));
    assert_true(was_asked_for(&bench, two));
    assert_int_equal(script_count(bench.script, METADATA), 0);
    assert_string_equal(bench_reload(&bench, entry.row).request.s, REQID);
    bench_down(&bench);
}

static void a_list_that_is_all_local_is_done_at_once(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER };
    struct bench bench;
    struct store_entry entry;
    struct store_request request;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    bring_here(&bench, one);
    bring_here(&bench, two);
    entry = LIST(&bench, "case", one, two);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(entry.state, STORE_ENTRY_SUBMITTED);
    assert_true(request_id_is_local(&entry.request));
    assert_int_equal(store_request_get(bench.store, &entry.request, &request, &err), 0);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 2);
    assert_int_equal(request.stats.total, 2);
    assert_int_equal(script_count(bench.script, ""), 0);
    assert_int_equal(bench_events(&bench, "\"event\":\"finished\""), 1);
    bench_down(&bench);
}

static void what_is_unknown_or_gone_has_its_reason_and_is_not_paid_for(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        QUOTAS_STEP(0, 5),
        { .match = METADATA,
          .status = 200,
          .headers = JSON_TYPE,
          .body = "{\"meta\":{},\"resources\":[],\"errors\":[]}",
          .times = -1 },
        MULTI_STEP,
    };
    struct digest gone = digest_of_text("gone");
    struct request_id id = id_of(REQID);
    struct bench bench;
    struct store_entry entry;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, one);
    know(&bench, "gone");
    assert_int_equal(store_sample_put_gone(bench.store, &gone, "not found", &err), 0);
    entry = LIST(&bench, "case", "nobody has it", one, "gone");
    assert_int_equal(submit(&bench, &entry, &err), 0);
    assert_true(was_asked_for(&bench, one));
    assert_false(was_asked_for(&bench, "nobody has it"));
    assert_false(was_asked_for(&bench, "gone"));
    assert_int_equal(script_count(bench.script, METADATA), 1);
    expect_reason(&bench, &id, "nobody has it", "does not know it");
    expect_reason(&bench, &id, "gone", "cannot deliver it");
    expect_reason(&bench, &id, one, "");
    bench_down(&bench);
}

static void a_service_that_knows_none_of_them_ends_it(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        QUOTAS_STEP(0, 5),
        { .match = MULTI,
          .status = 404,
          .headers = JSON_TYPE,
          .body = "{\"errors\":[{\"code\":404,\"message\":\"no\"}]}" },
    };
    struct bench bench;
    struct store_entry entry;
    struct store_request request;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    bring_here(&bench, one);
    know(&bench, two);
    entry = LIST(&bench, "case", one, two);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(store_request_get(bench.store, &entry.request, &request, &err), 0);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 1);
    expect_reason(&bench, &entry.request, one, "");
    expect_reason(&bench, &entry.request, two, "does not know it");
    bench_down(&bench);
}

static void a_list_that_does_not_fit_is_refused_whole(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(4, 5), MULTI_STEP };
    struct bench bench;
    struct store_entry entry;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, one);
    know(&bench, two);
    bench.cache->quotas.tried_s = 0; /* never asked */
    entry = LIST(&bench, "case", one, two);
    assert_int_equal(submit(&bench, &entry, &err), -EDQUOT);
    assert_non_null(strstr(err.text, "2 downloads, and 1 of the month's quota of 5 are left"));
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_REJECTED);
    entry = LIST(&bench, "fits", one);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    assert_int_equal(script_count(bench.script, MULTI), 1);
    bench_down(&bench);
}

static void more_than_the_service_is_asked_at_a_time_is_einval(void **state)
{
    enum { N = API_MULTI_MAX + 1 };
    const struct script_step steps[] = { TOKEN_FOREVER, QUOTAS_STEP(0, 5000), MULTI_STEP };
    static char texts[N][16];
    static const char *pointers[N];
    static struct sample samples[N];
    struct bench bench;
    struct store_entry entry;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "sample %zu", i);
        pointers[i] = texts[i];
        samples[i] = (struct sample){ .digest = digest_of_text(texts[i]), .size_bytes = 8 };
    }
    assert_int_equal(store_sample_put(bench.store, samples, N, &err), 0);
    entry = list_entry(&bench, "many", pointers, N);
    assert_int_equal(submit(&bench, &entry, &err), -EINVAL);
    assert_non_null(strstr(err.text, "split the list")); /* before the quotas are asked */
    assert_int_equal(script_count(bench.script, QUOTAS), 0);
    assert_int_equal(script_count(bench.script, MULTI), 0);
    entry = list_entry(&bench, "fewer", pointers, N - 1);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    assert_int_equal(script_count(bench.script, MULTI), 1);
    bench_down(&bench);
}

/* ---- one hash, one download ---- */

static void a_list_waits_for_another_that_brings_one_of_its_samples(void **state)
{
    struct buf archive = archive_of((const char *const[]){ one }, (const char *const[]){ one }, 1);
    const struct script_step steps[] = { TOKEN_FOREVER, MULTI_STEP, READY_STEP, ARCHIVE_STEP(archive) };
    struct request_id id = id_of(REQID);
    struct bench bench;
    struct store_entry first;
    struct store_entry second;
    struct store_request request;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, one);
    bring_here(&bench, two);
    first = LIST(&bench, "first", one);
    second = LIST(&bench, "second", one, two);
    assert_int_equal(submit(&bench, &first, &err), 0);
    assert_int_equal(submit(&bench, &second, &err), 0);
    assert_int_equal(bench_reload(&bench, second.row).state, STORE_ENTRY_QUEUED);
    assert_non_null(strstr(bench_reload(&bench, second.row).error, "another list"));
    assert_int_equal(script_count(bench.script, MULTI), 1);
    assert_int_equal(await_end(&bench, &id).state, REQUEST_DONE);
    cache_submit_queued(bench.cache);
    second = bench_reload(&bench, second.row);
    assert_int_equal(second.state, STORE_ENTRY_SUBMITTED);
    assert_int_equal(store_request_get(bench.store, &second.request, &request, &err), 0);
    assert_int_equal(request.n_results, 2);
    assert_int_equal(script_count(bench.script, MULTI), 1);
    bench_down(&bench);
    buf_done(&archive);
}

static void a_list_waits_for_a_single_download_of_one_of_its_samples(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, MULTI_STEP };
    struct digest digest = digest_of_text(one);
    struct bench bench;
    struct store_entry entry;
    struct err err = { 0 };
    int fd = -1;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, one);
    assert_int_equal(store_digest_lock(bench.store, &digest, NULL, &fd, &err), 0);
    entry = LIST(&bench, "case", one);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_QUEUED);
    assert_int_equal(script_count(bench.script, MULTI), 0);
    store_digest_unlock(fd);
    cache_submit_queued(bench.cache);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_SUBMITTED);
    assert_int_equal(script_count(bench.script, MULTI), 1);
    bench_down(&bench);
}

static void the_same_list_is_shown_only_while_it_is_in_progress(void **state)
{
    struct buf archive = archive_of((const char *const[]){ one }, (const char *const[]){ one }, 1);
    const struct script_step steps[] = { TOKEN_FOREVER, MULTI_STEP, READY_STEP, ARCHIVE_STEP(archive) };
    struct request_id id = id_of(REQID);
    struct bench bench;
    struct store_entry first;
    struct store_entry second;
    struct store_entry third;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, one);
    first = LIST(&bench, "first", one);
    second = LIST(&bench, "second", one);
    assert_int_equal(submit(&bench, &first, &err), 0);
    assert_int_equal(submit(&bench, &second, &err), 0);
    assert_string_equal(bench_reload(&bench, second.row).request.s, REQID);
    assert_int_equal(await_end(&bench, &id).state, REQUEST_DONE);
    third = LIST(&bench, "third", one);
    assert_int_equal(submit(&bench, &third, &err), 0);
    third = bench_reload(&bench, third.row);
    assert_true(request_id_is_local(&third.request));
    assert_int_equal(script_count(bench.script, MULTI), 1);
    bench_down(&bench);
    buf_done(&archive);
}

static void a_cut_submission_is_failed_and_frees_its_samples_for_the_user(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER, QUOTAS_STEP(0, 5), { .match = MULTI, .end = SCRIPT_DROP }, MULTI_STEP
    };
    struct bench bench;
    struct store_entry entry;
    struct err err;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, one);
    entry = LIST(&bench, "case", one);
    assert_true(submit(&bench, &entry, &err) < 0);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_FAILED);
    cache_submit_queued(bench.cache);
    assert_int_equal(script_count(bench.script, MULTI), 1);
    assert_int_equal(store_entry_queue(bench.store, entry.row, true, &bench_who, &err), 0);
    assert_int_equal(submit(&bench, &entry, &err), 0);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_SUBMITTED);
    assert_int_equal(script_count(bench.script, MULTI), 2);
    bench_down(&bench);
}

/* ---- transport=zip ---- */

static void a_single_sample_comes_in_an_archive_when_told_so(void **state)
{
    struct buf archive = archive_of((const char *const[]){ one }, (const char *const[]){ one }, 1);
    const struct script_step steps[] = { TOKEN_FOREVER, MULTI_STEP, READY_STEP, ARCHIVE_STEP(archive) };
    struct digest digest = digest_of_text(one);
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    bench.cache->config.is_zip_transport = true;
    know(&bench, one);
    assert_int_equal(cache_start(bench.cache, &err), 0);
    assert_int_equal(cache_fetch_bytes(bench.cache, &digest, &bench_who, &err), 0);
    assert_int_equal(cache_fetch_bytes(bench.cache, &digest, &bench_who, &err), 0);
    assert_true(is_here(&bench, one));
    assert_int_equal(script_count(bench.script, MULTI), 1);
    assert_int_equal(script_count(bench.script, DOWNLOAD), 0);
    bench_down(&bench);
    buf_done(&archive);
}

static void what_its_archive_lacks_is_eremoteio_with_the_reason(void **state)
{
    struct buf archive = archive_of((const char *const[]){ two }, (const char *const[]){ two }, 1);
    const struct script_step steps[] = { TOKEN_FOREVER, MULTI_STEP, READY_STEP, ARCHIVE_STEP(archive) };
    struct digest digest = digest_of_text(one);
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    bench.cache->config.is_zip_transport = true;
    know(&bench, one);
    assert_int_equal(cache_start(bench.cache, &err), 0);
    assert_int_equal(cache_fetch_bytes(bench.cache, &digest, &bench_who, &err), -EREMOTEIO);
    assert_non_null(strstr(err.text, "not in the archive"));
    assert_int_equal(script_count(bench.script, MULTI), 1);
    assert_false(is_here(&bench, two)); /* nobody asked for it */
    bench_down(&bench);
    buf_done(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_local_is_not_asked_for),
        cmocka_unit_test(a_list_that_is_all_local_is_done_at_once),
        cmocka_unit_test(what_is_unknown_or_gone_has_its_reason_and_is_not_paid_for),
        cmocka_unit_test(a_service_that_knows_none_of_them_ends_it),
        cmocka_unit_test(a_list_that_does_not_fit_is_refused_whole),
        cmocka_unit_test(more_than_the_service_is_asked_at_a_time_is_einval),
        cmocka_unit_test(a_list_waits_for_another_that_brings_one_of_its_samples),
        cmocka_unit_test(a_list_waits_for_a_single_download_of_one_of_its_samples),
        cmocka_unit_test(the_same_list_is_shown_only_while_it_is_in_progress),
        cmocka_unit_test(a_cut_submission_is_failed_and_frees_its_samples_for_the_user),
        cmocka_unit_test(a_single_sample_comes_in_an_archive_when_told_so),
        cmocka_unit_test(what_its_archive_lacks_is_eremoteio_with_the_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
