#include "test_engine_fixture.h"

#include <errno.h>
#include <time.h>

#include "engine/engine_route.h"
#include "util/clock.h"

enum { WAIT_MS = 20000, LARGE_BYTES = 1024 * 1024 * 1024 };

#define ID "0123456789abcdef0123456789abcdef"
#define SECRET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
#define QUOTAS "/malquery/aggregates/quotas/v1"
#define FUZZY "/malquery/combined/fuzzy-search/v1"
#define DOWNLOAD "/malquery/entities/download-files/v1"
#define METADATA "/malquery/entities/metadata/v1"
#define REQUESTS "/malquery/entities/requests/v1"
#define FETCH "/malquery/entities/samples-fetch/v1"
#define MULTI "/malquery/entities/samples-multidownload/v1"
#define EXACT "/malquery/queries/exact-search/v1"
#define HUNT "/malquery/queries/hunt/v1"
#define UNKNOWN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct bench {
    struct fixture fixture;
    struct engine_config config;
    char dir[PATH_MAX];
    char index[PATH_MAX];
    char socket[PATH_MAX];
    struct engine *engine;
    char bearer[256];
};

static struct engine_reply ask(struct bench *bench, const char *method, const char *path, const char *id,
                               const char *body)
{
    struct engine_reply reply;
    const struct engine_request request = {
        .method = method,
        .path = path,
        .uri = path,
        .authorization = *bench->bearer ? bench->bearer : NULL,
        .peer = "test",
        .ids = &id,
        .n_ids = id != NULL,
        .body = body ? body : "",
        .n_body = body ? strlen(body) : 0,
    };

    engine_reply_init(&reply, "us-1");
    engine_route_serve(bench->engine, &request, &reply);
    return reply;
}

/* The status of a reply; `part` must be in its body. */
static unsigned status(struct bench *bench, const char *method, const char *path, const char *id, const char *body,
                       const char *part)
{
    struct engine_reply reply = ask(bench, method, path, id, body);
    unsigned code = reply.status;

    if (part && !strstr(buf_text(&reply.body), part))
        fail_msg("%s %s: no '%s' in: %s", method, path, part, buf_text(&reply.body));
    engine_reply_done(&reply);
    return code;
}

static void login(struct bench *bench)
{
    struct engine_reply reply;
    const char *token;

    bench->bearer[0] = '\0';
    reply = ask(bench, "POST", "/oauth2/token", NULL, "client_id=" ID "&client_secret=" SECRET);
    assert_int_equal(reply.status, 201);
    token = strstr(buf_text(&reply.body), "\"access_token\":\"");
    assert_non_null(token);
    (void)snprintf(bench->bearer, sizeof bench->bearer, "bEaReR %.*s", ENGINE_TOKEN_TEXT,
                   token + strlen("\"access_token\":\""));
    engine_reply_done(&reply);
}

static void start_without_index(struct bench *bench)
{
    struct secret *id = NULL;
    struct secret *secret = NULL;

    assert_int_equal(secret_new(ID, strlen(ID), &id, NULL), 0);
    assert_int_equal(secret_new(SECRET, strlen(SECRET), &secret, NULL), 0);
    assert_int_equal(engine_new(&bench->config, id, secret, &bench->engine, NULL), 0);
    secret_free(id);
    secret_free(secret);
}

static void start(struct bench *bench)
{
    start_without_index(bench);
    assert_true(engine_index_wait(bench->engine->index, WAIT_MS));
}

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){ .engine = NULL };
    fixture_init(&bench->fixture);
    (void)snprintf(bench->dir, PATH_MAX, "%s", fixture_path(&bench->fixture, "zoo"));
    (void)snprintf(bench->index, PATH_MAX, "%s", fixture_path(&bench->fixture, "index.db"));
    (void)snprintf(bench->socket, PATH_MAX, "%s", fixture_path(&bench->fixture, "s"));
    assert_int_equal(mkdir(bench->dir, 0700), 0);
    fixture_text(&bench->fixture, "zoo/a", "hello\n");
    fixture_text(&bench->fixture, "zoo/b", "MZ something else, hello\n");
    bench->config = (struct engine_config){
        .dir = bench->dir,
        .index = bench->index,
        .socket = bench->socket,
        .scopes = "read,write",
        .region = "us-1",
        .foreign_region = "",
        .zip_method = "zipcrypto",
        .zip_password = "infected",
        .hunt_limit = 2,
        .download_limit = 3,
        .rate_limit = 1000,
        .unauth_rate_limit = 15,
        .token_lifetime_s = 1799,
        .retention_s = 3600,
        .n_threads = 2,
    };
}

static void bench_done(struct bench *bench)
{
    engine_free(bench->engine);
    fixture_done(&bench->fixture);
}

static const char *hash_text(const char *text)
{
    static char hash[DIGEST_TEXT + 1];
    struct digest digest;

    assert_int_equal(digest_of(text, strlen(text), &digest, NULL), 0);
    memcpy(hash, digest_format(&digest).s, sizeof hash);
    return hash;
}

/* Submits, and waits until the job is over; the last poll is the caller's. */
static struct engine_reply run(struct bench *bench, const char *path, const char *body)
{
    const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
    struct engine_reply reply = ask(bench, "POST", path, NULL, body);
    struct request_id id = reply.reqid;

    assert_int_equal(reply.status, 200);
    assert_int_equal(strlen(id.s), REQUEST_ID_TEXT);
    for (int64_t end_ms = clock_mono_ms() + WAIT_MS; clock_mono_ms() < end_ms;) {
        engine_reply_done(&reply);
        reply = ask(bench, "GET", REQUESTS, id.s, NULL);
        assert_int_equal(reply.status, 200);
        if (!strstr(buf_text(&reply.body), "inprogress"))
            return reply;
        (void)nanosleep(&step, NULL);
    }
    fail_msg("the job does not end");
    return reply;
}

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

static void an_id_that_is_no_hash_is_an_error_of_its_own(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    reply = ask(&bench, "GET", METADATA, "no hash", NULL);
    assert_int_equal(reply.status, 200); /* as for one that nobody knows */
    assert_non_null(strstr(buf_text(&reply.body), "not a SHA-256"));
    assert_non_null(strstr(buf_text(&reply.body), "\"resources\": []"));
    engine_reply_done(&reply);
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

static void a_hunt_is_paid_once_and_shows_what_was_asked(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    reply = run(&bench, HUNT,
                "{\"options\":{\"limit\":5},\"yara_rule\":\"rule a { strings: $a = \\\"MZ\\\" condition: $a at 0 }\"}");
    assert_non_null(strstr(buf_text(&reply.body), "\"reqtype\": \"hunt\""));
    assert_non_null(strstr(buf_text(&reply.body), "\"total_count\": 1"));
    assert_non_null(strstr(buf_text(&reply.body), "rule a { strings: $a = \\\"MZ\\\" condition: $a at 0 }"));
    assert_non_null(strstr(buf_text(&reply.body), hash_text("MZ something else, hello\n")));
    assert_non_null(strstr(buf_text(&reply.body), "\"samples\": []"));
    assert_null(strstr(buf_text(&reply.body), "\"family\""));
    assert_null(strstr(buf_text(&reply.body), "\"errors\""));
    engine_reply_done(&reply);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"hunt_count\": 1"), 200);
    bench_done(&bench);
}

static void an_exact_search_shows_only_the_fields_asked_for(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    reply =
        run(&bench, EXACT,
            "{\"options\":{\"filter_meta\":[\"size\"]},\"patterns\":[{\"type\":\"hex\",\"value\":\"68656c6c6f\"}]}");
    assert_non_null(strstr(buf_text(&reply.body), "\"reqtype\": \"search\""));
    assert_non_null(strstr(buf_text(&reply.body), "binarly_exact_search"));
    assert_non_null(strstr(buf_text(&reply.body), "\"total_count\": 2"));
    assert_non_null(strstr(buf_text(&reply.body), "\"filesize\": 6"));
    assert_null(strstr(buf_text(&reply.body), "\"sha256\":"));
    engine_reply_done(&reply);
    bench_done(&bench);
}

static void a_fuzzy_search_is_free_and_counts_everything(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "POST", FUZZY, NULL,
                            "{\"options\":{\"limit\":1},\"patterns\":[{\"type\":\"ascii\",\"value\":\"hello\"}]}",
                            "\"total_count\": 2,\n   \"unknown_count\": 1"),
                     200);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"hunt_count\": 0"), 200);
    bench_done(&bench);
}

static void downloads_are_paid_by_success_only(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, UNKNOWN, NULL, "\"code\": 404"), 404);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, "zz", NULL, "\"code\": 400"), 400);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, NULL, NULL, "\"code\": 400"), 400);
    for (int i = 0; i < 3; i++) {
        reply = ask(&bench, "GET", DOWNLOAD, hash_text("hello\n"), NULL);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.fd_bytes, 6);
        assert_int_equal(reply.paid, 1);
        assert_string_equal(reply.content_type, "application/octet-stream");
        engine_reply_done(&reply);
    }
    assert_int_equal(status(&bench, "GET", DOWNLOAD, hash_text("hello\n"), NULL, "\"code\": 429"), 429);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"download_count\": 3"), 200);
    bench_done(&bench);
}

static void several_ids_are_refused_where_one_is_allowed(void **unused)
{
    static const char *const paths[] = { DOWNLOAD, REQUESTS, FETCH };
    const char *const ids[] = { UNKNOWN, UNKNOWN };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct engine_reply reply;
        const struct engine_request request = { .method = "GET",
                                                .path = paths[i],
                                                .uri = paths[i],
                                                .authorization = bench.bearer,
                                                .peer = "test",
                                                .ids = ids,
                                                .n_ids = 2,
                                                .body = "" };

        engine_reply_init(&reply, "us-1");
        engine_route_serve(bench.engine, &request, &reply);
        assert_int_equal(reply.status, 400);
        engine_reply_done(&reply);
    }
    bench_done(&bench);
}

static void metadata_of_unknown_hashes_is_an_entry_of_errors(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "GET", METADATA, UNKNOWN, NULL, "\"id\": \"" UNKNOWN "\""), 200);
    assert_int_equal(status(&bench, "GET", METADATA, UNKNOWN, NULL, "\"resources\": []"), 200);
    assert_int_equal(status(&bench, "GET", METADATA, hash_text("hello\n"), NULL, "\"errors\": []"), 200);
    assert_int_equal(status(&bench, "GET", METADATA, NULL, NULL, "\"code\": 400"), 400);
    bench_done(&bench);
}

/* A hole that is hashed for longer than the questions take. */
static void nothing_is_absent_before_all_is_indexed(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/large", "");
    assert_int_equal(truncate(fixture_path(&bench.fixture, "zoo/large"), LARGE_BYTES), 0);
    start_without_index(&bench);
    login(&bench);
    atomic_store(&bench.engine->is_stopping, true); /* nobody waits */
    assert_int_equal(status(&bench, "GET", METADATA, UNKNOWN, NULL, "try again"), 503);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, UNKNOWN, NULL, "try again"), 503);
    assert_int_equal(status(&bench, "POST", MULTI, NULL, "{\"samples\":[\"" UNKNOWN "\"]}", "try again"), 503);
    assert_false(engine_index_wait(bench.engine->index, 0));
    bench_done(&bench);
}

static void a_multi_download_pays_for_known_samples_and_becomes_an_archive(void **unused)
{
    struct engine_reply reply;
    struct request_id id;
    struct bench bench;
    char body[512];

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "POST", MULTI, NULL, "{\"samples\":[\"" UNKNOWN "\"]}", "\"code\": 404"), 404);
    (void)snprintf(body, sizeof body, "{\"samples\":[\"%s\",\"" UNKNOWN "\"]}", hash_text("hello\n"));
    reply = ask(&bench, "POST", MULTI, NULL, body);
    id = reply.reqid;
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.paid, 1);
    assert_non_null(strstr(buf_text(&reply.body), UNKNOWN));
    engine_reply_done(&reply);
    reply = ask(&bench, "GET", FETCH, id.s, NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/zip");
    assert_true(reply.fd_bytes > 6);
    engine_reply_done(&reply);
    assert_int_equal(status(&bench, "GET", FETCH, "nonsense", NULL, "Could not find sample archive"), 404);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"download_count\": 1"), 200);
    bench_done(&bench);
}

static void an_archive_is_not_there_before_the_job_is_done(void **unused)
{
    struct engine_reply reply;
    struct bench bench;
    char body[512];

    (void)unused;
    bench_init(&bench);
    bench.config.job_delay_ms = 3600 * 1000;
    start(&bench);
    login(&bench);
    (void)snprintf(body, sizeof body, "{\"samples\":[\"%s\"]}", hash_text("hello\n"));
    reply = ask(&bench, "POST", MULTI, NULL, body);
    assert_int_equal(reply.status, 200);
    assert_int_equal(status(&bench, "GET", REQUESTS, reply.reqid.s, NULL, "\"inprogress\""), 200);
    assert_int_equal(status(&bench, "GET", FETCH, reply.reqid.s, NULL, "Could not find sample archive"), 404);
    engine_reply_done(&reply);
    bench_done(&bench);
}

static void an_unknown_request_is_told_from_a_malformed_one(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "GET", REQUESTS, "096f6aa5-f245-4b09-790f-133bc89d4d26", NULL, "\"code\": 404"),
                     404);
    assert_int_equal(status(&bench, "GET", REQUESTS, "096f6aa5", NULL, "\"code\": 400"), 400);
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
        cmocka_unit_test(an_id_that_is_no_hash_is_an_error_of_its_own),
        cmocka_unit_test(stale_tokens_fall_into_their_own_small_bucket),
        cmocka_unit_test(wrong_credentials_are_told_apart),
        cmocka_unit_test(a_revoked_token_is_refused),
        cmocka_unit_test(the_wrong_cloud_answers_308),
        cmocka_unit_test(hostile_bodies_are_refused),
        cmocka_unit_test(a_hunt_is_paid_once_and_shows_what_was_asked),
        cmocka_unit_test(an_exact_search_shows_only_the_fields_asked_for),
        cmocka_unit_test(a_fuzzy_search_is_free_and_counts_everything),
        cmocka_unit_test(downloads_are_paid_by_success_only),
        cmocka_unit_test(several_ids_are_refused_where_one_is_allowed),
        cmocka_unit_test(metadata_of_unknown_hashes_is_an_entry_of_errors),
        cmocka_unit_test(nothing_is_absent_before_all_is_indexed),
        cmocka_unit_test(a_multi_download_pays_for_known_samples_and_becomes_an_archive),
        cmocka_unit_test(an_archive_is_not_there_before_the_job_is_done),
        cmocka_unit_test(an_unknown_request_is_told_from_a_malformed_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
