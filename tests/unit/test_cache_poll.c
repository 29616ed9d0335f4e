#include "api/api_internal.h"
#include "http/http_internal.h"
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

static struct request_id the_id(void)
{
    struct request_id id;

    assert_true(request_id_parse(REQID, &id));
    return id;
}

/* Starts the poller on a request. */
static void follow(struct bench *bench)
{
    struct request_id id = the_id();
    struct err err = { 0 };

    assert_int_equal(store_request_adopt(bench->store, &id, QUERY_HUNT, clock_now_s(), &err), 0);
    assert_int_equal(cache_start(bench->cache, &err), 0);
}

/* Waits, bounded, until it is finished. */
static struct store_request wait_for_end(struct bench *bench)
{
    struct store_request request = { 0 };
    struct request_id id = the_id();
    struct err err = { 0 };

    for (int i = 0; i < 1000 && request.state == REQUEST_INPROGRESS; i++) {
        (void)cache_wait_changes(bench->cache, cache_changes(bench->cache), 10);
        assert_int_equal(store_request_get(bench->store, &id, &request, &err), 0);
    }
    return request;
}

static struct store_request poll_to_end(struct bench *bench)
{
    follow(bench);
    return wait_for_end(bench);
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

/* A hunt that was paid for is not given up for two spells in which a part of the service had not heard of it. */
static void an_answer_in_between_begins_the_count_of_denials_anew(void **state)
{
    enum { BELOW_THE_LIMIT = 4 };
    const struct script_step denied = { .match = POLL,
                                        .status = 404,
                                        .headers = JSON_TYPE,
                                        .body = "{\"errors\":[{\"code\":404,\"message\":\"no\"}]}",
                                        .times = BELOW_THE_LIMIT };
    const struct script_step steps[] = { TOKEN_FOREVER, denied, INPROGRESS_STEP, denied, DONE_STEP };
    struct store_request request;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    request = poll_to_end(&bench);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 1);
    assert_int_equal(script_count(bench.script, POLL), 2 * BELOW_THE_LIMIT + 3);
    bench_down(&bench);
}

/* Silence: whoever calls is refused at once, nobody is asked. */
static struct http_limit *open_breaker(struct bench *bench)
{
    struct http_limit *limit = http_client_limit(bench->api->http);
    struct err err = { 0 };

    for (int i = 0; i < 6; i++) /* one more than it takes, for the answer that closes it again */
        assert_int_equal(http_limit_enter(limit, false, &err), 0);
    for (int i = 0; i < 5; i++)
        http_limit_leave(limit, false, HTTP_END_SILENT);
    assert_true(http_limit_is_open(limit));
    return limit;
}

static void a_refusal_by_the_open_breaker_is_no_poll(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, DONE_STEP };
    struct store_request request = { 0 };
    struct http_limit *limit;
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    limit = open_breaker(&bench);
    follow(&bench);
    for (int i = 0; i < 30; i++)
        (void)cache_wait_changes(bench.cache, cache_changes(bench.cache), 10);
    assert_int_equal(bench.cache->health.n_polls, 0);
    http_limit_leave(limit, false, HTTP_END_ANSWERED);
    request = wait_for_end(&bench);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(bench.cache->health.n_polls, 1);
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_followed_until_it_is_done),
        cmocka_unit_test(a_request_that_the_service_forgot_is_failed),
        cmocka_unit_test(an_answer_in_between_begins_the_count_of_denials_anew),
        cmocka_unit_test(a_refusal_by_the_open_breaker_is_no_poll),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
