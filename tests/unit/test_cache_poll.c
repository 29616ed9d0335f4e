#include "test_cache_bench.h"

#define POLL "GET /malquery/entities/requests/v1"
#define INPROGRESS_STEP                                                                                                \
    {                                                                                                                  \
        .match = POLL, .status = 200, .headers = JSON_TYPE,                                                            \
        .body = "{\"meta\":{\"status\":\"inprogress\",\"reqid\":\"" REQID "\"},\"resources\":[]}", .times = 2          \
    }
#define DONE_STEP                                                                                                      \
    {                                                                                                                  \
        .match = POLL, .status = 200, .headers = JSON_TYPE,                                                            \
        .body = "{\"meta\":{\"status\":\"done\",\"reqid\":\"" REQID "\",\"reqtype\":\"hunt\",\"stats\":{"              \
                "\"clean_count\":0,\"malware_count\":1,\"pua_count\":0,\"total_count\":1,\"unknown_count\":0}},"       \
                "\"resources\":[{\"sha256\":\"" SHA_A "\",\"filesize\":7,\"label\":\"malware\",\"samples\":[]}]}"      \
    }

/* Starts the poller and waits, bounded, until the request is finished. */
static struct store_request poll_to_end(struct bench *bench)
{
    struct store_request request = { 0 };
    struct request_id id;
    struct err err = { 0 };

    assert_true(request_id_parse(REQID, &id));
    assert_int_equal(store_request_adopt(bench->store, &id, QUERY_HUNT, clock_now_s(), &err), 0);
    assert_int_equal(cache_start(bench->cache, &err), 0);
    for (int i = 0; i < 1000 && request.state == REQUEST_INPROGRESS; i++) {
        (void)cache_wait_changes(bench->cache, cache_changes(bench->cache), 10);
        assert_int_equal(store_request_get(bench->store, &id, &request, &err), 0);
    }
    return request;
}

static void a_request_is_followed_until_it_is_done(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, INPROGRESS_STEP, DONE_STEP };
    struct store_request request;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    request = poll_to_end(&bench);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 1);
    assert_int_equal(request.stats.malware, 1);
    assert_int_equal(script_count(bench.script, POLL), 3);
    bench_down(&bench);
}

static void a_request_that_the_service_forgot_is_failed(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = POLL,
          .status = 404,
          .headers = JSON_TYPE,
          .body = "{\"errors\":[{\"code\":404,\"message\":\"no\"}]}",
          .times = -1 },
    };
    struct store_request request;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    request = poll_to_end(&bench);
    assert_int_equal(request.state, REQUEST_FAILED);
    assert_non_null(strstr(request.error, "does not know"));
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_followed_until_it_is_done),
        cmocka_unit_test(a_request_that_the_service_forgot_is_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
