#include "test_cache_archive.h"

#define KNOWN_STEP(text_digest_)                                                                                       \
    {                                                                                                                  \
        .match = METADATA, .status = 200, .headers = JSON_TYPE, .body = (text_digest_), .times = -1                    \
    }

/* The service's metadata of the first sample, and of no other. */
static const char *metadata_of_one(void)
{
    static char body[256];
    struct digest digest = digest_of_text(one);

    (void)snprintf(body, sizeof body,
                   "{\"meta\":{},\"resources\":[{\"sha256\":\"%s\",\"filesize\":%zu}],\"errors\":[]}",
                   digest_format(&digest).s, strlen(one));
    return body;
}

static int adopt(struct bench *bench, const struct request_id *id)
{
    struct err err = { 0 };

    return cache_fetch_request(bench->cache, id, &err);
}

static void a_request_with_an_archive_is_a_multi_download(void **state)
{
    cleanup_(buf_done) struct buf archive =
        archive_of((const char *const[]){ one, two }, (const char *const[]){ one, two }, 2);
    const struct script_step steps[] = { TOKEN_FOREVER, READY_STEP, ARCHIVE_STEP(archive),
                                         KNOWN_STEP(metadata_of_one()) };
    struct request_id id = id_of(REQID);
    struct store_request request;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(adopt(&bench, &id), 0);
    request = await_end(&bench, &id);
    assert_int_equal(request.kind, QUERY_MULTI);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 1);
    assert_true(is_here(&bench, one));
    assert_false(is_here(&bench, two));
    expect_reason(&bench, &id, one, "");
    expect_reason(&bench, &id, two, "does not know it");
    assert_int_equal(script_count(bench.script, FETCH), 1);
    assert_int_equal(script_count(bench.script, "POST /malquery"), 0);
    bench_down(&bench);
}

static void one_without_an_archive_is_a_search_without_results(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, READY_STEP, NO_ARCHIVE_STEP(-1) };
    struct request_id id = id_of(REQID);
    cleanup_(buf_done) struct buf raw = BUF_INIT(MIB);
    struct store_request request;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(adopt(&bench, &id), 0);
    request = await_end(&bench, &id);
    assert_int_equal(request.kind, QUERY_HUNT);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 0);
    assert_int_equal(store_request_raw(bench.store, request.row, &raw, &err), 0);
    assert_non_null(strstr(buf_text(&raw), REQID));
    assert_int_equal(script_count(bench.script, FETCH), 1);
    bench_down(&bench);
}

static void what_is_no_archive_does_not_decide_at_once(void **state)
{
    cleanup_(buf_done) struct buf archive = archive_of((const char *const[]){ one }, (const char *const[]){ one }, 1);
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        READY_STEP,
        { .match = FETCH, .status = 200, .headers = ZIP_TYPE, .body = "this is no zip at all", .times = 3 },
        ARCHIVE_STEP(archive),
        KNOWN_STEP(metadata_of_one()),
    };
    struct request_id id = id_of(REQID);
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(adopt(&bench, &id), 0);
    assert_int_equal(await_end(&bench, &id).kind, QUERY_MULTI);
    assert_int_equal(script_count(bench.script, FETCH), 4);
    bench_down(&bench);
}

static void what_is_never_an_archive_ends_as_a_search(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        READY_STEP,
        { .match = FETCH, .status = 200, .headers = ZIP_TYPE, .body = "this is no zip at all", .times = -1 },
    };
    struct request_id id = id_of(REQID);
    struct store_request request;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(adopt(&bench, &id), 0);
    request = await_end(&bench, &id);
    assert_int_equal(request.kind, QUERY_HUNT);
    assert_int_equal(request.state, REQUEST_DONE);
    bench_down(&bench);
}

static void what_is_said_or_seen_to_be_a_search_is_not_asked_for_an_archive(void **state)
{
    static const struct store_request adopted = { .kind = QUERY_HUNT };
    static const struct store_request ours = { .kind = QUERY_HUNT, .entry_row = 1 };
    const struct api_result silent = { .state = REQUEST_DONE };
    struct api_result result;

    (void)state;
    assert_true(cache_may_have_archive(&adopted, &silent));
    assert_false(cache_may_have_archive(&ours, &silent));
    result = silent;
    result.is_search = true;
    assert_false(cache_may_have_archive(&adopted, &result));
    result = silent;
    result.has_stats = true;
    assert_false(cache_may_have_archive(&adopted, &result));
    result = silent;
    result.samples.n = 1;
    assert_false(cache_may_have_archive(&adopted, &result));
    result = silent;
    result.state = REQUEST_INPROGRESS;
    assert_false(cache_may_have_archive(&adopted, &result));
}

static void a_hunt_is_adopted_with_one_call(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = POLL,
          .status = 200,
          .headers = JSON_TYPE,
          .body = "{\"meta\":{\"status\":\"done\",\"reqid\":\"" REQID "\",\"reqtype\":\"hunt\"},\"resources\":[]}" },
    };
    struct request_id id = id_of(REQID);
    struct store_request request;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(adopt(&bench, &id), 0);
    assert_int_equal(store_request_get(bench.store, &id, &request, &err), 0);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.kind, QUERY_HUNT);
    assert_int_equal(script_count(bench.script, "GET /malquery"), 1);
    bench_down(&bench);
}

static void an_unknown_one_is_enoent_and_not_adopted(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = POLL,
          .status = 404,
          .headers = JSON_TYPE,
          .body = "{\"errors\":[{\"code\":404,\"message\":\"no\"}]}" },
    };
    struct request_id id = id_of(REQID);
    struct store_request request;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(adopt(&bench, &id), -ENOENT);
    assert_int_equal(store_request_get(bench.store, &id, &request, &err), STORE_ABSENT);
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_with_an_archive_is_a_multi_download),
        cmocka_unit_test(one_without_an_archive_is_a_search_without_results),
        cmocka_unit_test(what_is_no_archive_does_not_decide_at_once),
        cmocka_unit_test(what_is_never_an_archive_ends_as_a_search),
        cmocka_unit_test(what_is_said_or_seen_to_be_a_search_is_not_asked_for_an_archive),
        cmocka_unit_test(a_hunt_is_adopted_with_one_call),
        cmocka_unit_test(an_unknown_one_is_enoent_and_not_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
