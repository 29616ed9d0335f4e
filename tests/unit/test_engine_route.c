#include "test_engine_bench.h"

static void the_checks_have_the_documented_order(void **unused)
{
    static const char *const order[] = { "route", "token", "region", "scope", "rate", "body", "quota", "work" };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        assert_string_equal(engine_route_step(i), order[i]);
    assert_null(engine_route_step(ARRAY_SIZE(order)));
}

static void all_nine_operations_have_a_route(void **unused)
{
    static const char *const paths[] = { QUOTAS, FUZZY, DOWNLOAD, METADATA, REQUESTS, FETCH, MULTI, EXACT, HUNT };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        assert_non_null(engine_route_find(paths[i]));
    assert_null(engine_route_find("/malquery/queries/hunt/v1/"));
    assert_null(engine_route_find("/malquery/queries/hunt/v2"));
}

static void each_check_comes_before_the_next(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.config.scopes = "read";
    bench.config.rate_limit = 4;
    bench.config.hunt_limit = 0;
    start(&bench);
    assert_int_equal(status(&bench, "GET", "/nowhere", NULL, NULL, "\"errors\""), 404);
    assert_int_equal(status(&bench, "DELETE", HUNT, NULL, NULL, "\"errors\""), 405);
    assert_int_equal(status(&bench, "POST", HUNT, NULL, "{", "access denied, invalid bearer token"), 401);
    login(&bench);
    assert_int_equal(status(&bench, "POST", HUNT, NULL, "{", "access denied, scope not permitted"), 403);
    assert_int_equal(status(&bench, "GET", REQUESTS, "zz", NULL, "\"failed\""), 400);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, NULL), 200);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, NULL), 200);
    assert_int_equal(status(&bench, "GET", REQUESTS, "zz", NULL, "API rate limit exceeded."), 429);
    bench_done(&bench);
}

static void quota_comes_after_the_body_and_has_the_shape_of_the_service(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.config.hunt_limit = 0;
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "POST", HUNT, NULL, "{\"yara_rule\":\"rule a {\\ncondition: b }\"}", "line 2"),
                     400);
    reply = ask(&bench, "POST", HUNT, NULL, "{\"yara_rule\":\"rule a { condition: true }\"}");
    assert_int_equal(reply.status, 429);
    assert_true(reply.rate.is_allowed); /* so there is no RetryAfter */
    assert_true(reply.rate.remaining > 0);
    assert_non_null(strstr(buf_text(&reply.body), "\"status\": \"failed\""));
    assert_non_null(strstr(buf_text(&reply.body), "\"resources\": []"));
    engine_reply_done(&reply);
    bench_done(&bench);
}

/* Nothing of it is charged, and what is free is still answered. */
static void downloads_beyond_the_month_are_refused_whole(void **unused)
{
    char list[256];
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.config.download_limit = 1;
    start(&bench);
    login(&bench);
    (void)snprintf(list, sizeof list, "{\"samples\":[\"%s\"", hash_text("hello\n"));
    (void)snprintf(list + strlen(list), sizeof list - strlen(list), ",\"%s\"]}",
                   hash_text("MZ something else, hello\n"));
    assert_int_equal(status(&bench, "POST", MULTI, NULL, list, "Monthly quota exceeded"), 429);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, hash_text("hello\n"), NULL, NULL), 200);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, hash_text("hello\n"), NULL, "Monthly quota exceeded"), 429);
    assert_int_equal(status(&bench, "GET", METADATA, hash_text("hello\n"), NULL, hash_text("hello\n")), 200);
    bench_done(&bench);
}

static void stale_tokens_fall_into_their_own_small_bucket(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    (void)snprintf(bench.bearer, sizeof bench.bearer, "Bearer nonsense");
    for (int i = 0; i < 15; i++)
        assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "401"), 401);
    reply = ask(&bench, "GET", QUOTAS, NULL, NULL);
    assert_int_equal(reply.status, 429);
    assert_int_equal(reply.rate.limit, 15);
    assert_true(reply.rate.retry_after_s > clock_now_s());
    assert_true(reply.rate.retry_after_s <= clock_now_s() + 61);
    engine_reply_done(&reply);
    login(&bench);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, NULL), 200);
    bench_done(&bench);
}

static void wrong_credentials_are_told_apart(void **unused)
{
    static const struct {
        const char *body;
        unsigned status;
        const char *text;
    } cases[] = {
        { "client_id=abc&client_secret=x", 400, "Failed to generate access token for clientID=abc." },
        { "", 400, "clientID=." },
        { "client_id=%00", 400, "clientID=." },
        { "client_id=a+b&client_secret=x", 400, "clientID=a b." },
        { "client_id=%ff&client_secret=x", 400, "clientID=?." },
        { "client_id=" ID "&client_secret=wrong", 403, "Failed to issue access token - Not Authorized" },
        { "client_id=" ID "&client_secret=" SECRET "&member_cid=zz", 403, "customer ID=zz" },
        { "grant_type=x&client_id=" ID "&x&client_secret=%41BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn&member_cid=" ID
          "-AB",
          201, "\"expires_in\":1799,\"token_type\":\"bearer\"}" },
    };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(status(&bench, "POST", "/oauth2/token", NULL, cases[i].body, cases[i].text), cases[i].status);
    (void)snprintf(bench.bearer, sizeof bench.bearer, "basic Zm9vOmJhcg=="); /* foo:bar */
    assert_int_equal(status(&bench, "POST", "/oauth2/token", NULL, "", "clientID=foo."), 400);
    (void)snprintf(bench.bearer, sizeof bench.bearer, "Basic !!!!");
    assert_int_equal(status(&bench, "POST", "/oauth2/token", NULL, "", "clientID="), 400);
    bench_done(&bench);
}

static void a_revoked_token_is_refused(void **unused)
{
    struct bench bench;
    char body[512];

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    (void)snprintf(body, sizeof body, "client_id=" ID "&client_secret=" SECRET "&token=%s", bench.bearer + 7);
    assert_int_equal(status(&bench, "POST", "/oauth2/revoke", NULL, "client_id=" ID "&client_secret=" SECRET, NULL),
                     400);
    assert_int_equal(status(&bench, "POST", "/oauth2/revoke", NULL, "token=x", NULL), 400);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, NULL), 200);
    assert_int_equal(status(&bench, "POST", "/oauth2/revoke", NULL, body, "\"errors\": []"), 200);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, NULL), 401);
    bench_done(&bench);
}

static void the_wrong_cloud_answers_308(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.config.foreign_region = "eu-1";
    start(&bench);
    reply = ask(&bench, "POST", "/oauth2/token", NULL, "client_id=x");
    assert_int_equal(reply.status, 308);
    assert_string_equal(reply.location, "https://api.eu-1.crowdstrike.com/oauth2/token");
    assert_string_equal(reply.region, "eu-1");
    assert_int_equal(reply.body.n, 0);
    assert_int_equal(reply.rate.limit, 300);
    engine_reply_done(&reply);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, NULL), 401);
    (void)snprintf(bench.bearer, sizeof bench.bearer, "Bearer foreign");
    reply = ask(&bench, "GET", QUOTAS, NULL, NULL);
    assert_int_equal(reply.status, 308);
    assert_int_equal(reply.rate.limit, 15);
    engine_reply_done(&reply);
    bench_done(&bench);
}

static void hostile_bodies_are_refused(void **unused)
{
    static const char *const bad[] = { "",
                                       "{",
                                       "null",
                                       "[]",
                                       "\"x\"",
                                       "{\"yara_rule\":{}}",
                                       "\xff\xfe",
                                       "{\"options\":[],\"yara_rule\":\"rule a { condition: true }\"}",
                                       "{\"yara_rule\":\"include \\\"/etc/passwd\\\" rule a { condition: true }\"}" };
    struct engine_reply reply;
    struct bench bench;
    struct engine_request request = { .method = "POST", .path = HUNT, .uri = HUNT, .peer = "test", .body = "" };

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(status(&bench, "POST", HUNT, NULL, bad[i], "\"code\": 400"), 400);
    request.authorization = bench.bearer;
    request.is_body_too_long = true;
    engine_reply_init(&reply, "us-1");
    engine_route_serve(bench.engine, &request, &reply);
    assert_int_equal(reply.status, 400);
    assert_non_null(strstr(buf_text(&reply.body), "Invalid user input"));
    engine_reply_done(&reply);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"hunt_count\": 0"), 200);
    bench_done(&bench);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checks_have_the_documented_order),
        cmocka_unit_test(all_nine_operations_have_a_route),
        cmocka_unit_test(each_check_comes_before_the_next),
        cmocka_unit_test(quota_comes_after_the_body_and_has_the_shape_of_the_service),
        cmocka_unit_test(downloads_beyond_the_month_are_refused_whole),
        cmocka_unit_test(stale_tokens_fall_into_their_own_small_bucket),
        cmocka_unit_test(wrong_credentials_are_told_apart),
        cmocka_unit_test(a_revoked_token_is_refused),
        cmocka_unit_test(the_wrong_cloud_answers_308),
        cmocka_unit_test(hostile_bodies_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
