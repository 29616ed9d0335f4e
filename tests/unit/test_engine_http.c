#include "test_engine_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "engine/engine_route.h"

enum { LONG_BYTES = 100 * 1000 };

#define ID "0123456789abcdef0123456789abcdef"
#define SECRET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
#define FORM "client_id=" ID "&client_secret=" SECRET "&rest="
#define QUOTAS "/malquery/aggregates/quotas/v1"
#define MULTI "/malquery/entities/samples-multidownload/v1"
#define HUNT "/malquery/queries/hunt/v1"

struct bench {
    struct fixture fixture;
    char dir[PATH_MAX];
    char index[PATH_MAX];
    char socket[PATH_MAX];
    struct engine *engine;
    char bearer[256];
};

static void bench_init(struct bench *bench)
{
    cleanup_(secret_freep) struct secret *id = NULL;
    cleanup_(secret_freep) struct secret *secret = NULL;
    struct engine_token_text token;
    const struct engine_config config = { .dir = bench->dir,
                                          .index = bench->index,
                                          .socket = bench->socket,
                                          .scopes = "read,write",
                                          .region = "us-1",
                                          .foreign_region = "",
                                          .zip_method = "zipcrypto",
                                          .zip_password = "infected",
                                          .hunt_limit = 2,
                                          .rate_limit = 1000,
                                          .unauth_rate_limit = 15,
                                          .token_lifetime_s = 1799,
                                          .retention_s = 3600,
                                          .n_threads = 1 };

    *bench = (struct bench){ .engine = NULL };
    fixture_init(&bench->fixture);
    (void)snprintf(bench->dir, PATH_MAX, "%s", fixture_path(&bench->fixture, "zoo"));
    (void)snprintf(bench->index, PATH_MAX, "%s", fixture_path(&bench->fixture, "index.db"));
    (void)snprintf(bench->socket, PATH_MAX, "%s", fixture_path(&bench->fixture, "s"));
    assert_int_equal(mkdir(bench->dir, 0700), 0);
    assert_int_equal(secret_new(ID, strlen(ID), &id, NULL), 0);
    assert_int_equal(secret_new(SECRET, strlen(SECRET), &secret, NULL), 0);
    assert_int_equal(engine_new(&config, id, secret, &bench->engine, NULL), 0);
    assert_int_equal(engine_auth_issue(bench->engine->auth, &token, NULL), 0);
    (void)snprintf(bench->bearer, sizeof bench->bearer, "Bearer %.*s", ENGINE_TOKEN_TEXT, token.s);
}

static void bench_done(struct bench *bench)
{
    engine_free(bench->engine);
    fixture_done(&bench->fixture);
}

static void only_queries_with_a_token_may_be_long(void **unused)
{
    struct engine *engine;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    engine = bench.engine;
    assert_int_equal(engine_route_body_max(engine, "POST", HUNT, bench.bearer), ENGINE_BODY_MAX);
    assert_int_equal(engine_route_body_max(engine, "POST", MULTI, bench.bearer), ENGINE_BODY_MAX);
    assert_int_equal(engine_route_body_max(engine, "POST", HUNT, NULL), ENGINE_BODY_SMALL_MAX);
    assert_int_equal(engine_route_body_max(engine, "POST", HUNT, "Bearer nonsense"), ENGINE_BODY_SMALL_MAX);
    assert_int_equal(engine_route_body_max(engine, "GET", HUNT, bench.bearer), ENGINE_BODY_SMALL_MAX);
    assert_int_equal(engine_route_body_max(engine, "GET", QUOTAS, bench.bearer), ENGINE_BODY_SMALL_MAX);
    assert_int_equal(engine_route_body_max(engine, "POST", "/nowhere", bench.bearer), ENGINE_BODY_SMALL_MAX);
    assert_int_equal(engine_route_body_max(engine, "POST", "/oauth2/token", bench.bearer), ENGINE_BODY_SMALL_MAX);
    bench_done(&bench);
}

/* Sends a form of LONG_BYTES over the socket; the status of the answer. */
static int post_long(struct bench *bench, const char *path, bool has_token)
{
    static char text[LONG_BYTES + 1024];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = (size_t)snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s%s%s\r\n",
                                path, LONG_BYTES, has_token ? "Authorization: " : "", has_token ? bench->bearer : "",
                                has_token ? "\r\n" : "");
    int code = 0;

    memset(text + n, ' ', LONG_BYTES);
    memcpy(text + n, FORM, strlen(FORM));
    n += LONG_BYTES;
    assert_true(strlen(bench->socket) < sizeof address.sun_path);
    memcpy(address.sun_path, bench->socket, strlen(bench->socket));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(fd, text + at, n - at, MSG_NOSIGNAL);

        assert_true(sent > 0);
        at += (size_t)sent;
    }
    assert_true(recv(fd, text, sizeof text - 1, 0) > 12);
    assert_int_equal(sscanf(text, "HTTP/1.1 %d", &code), 1);
    close(fd);
    return code;
}

static void a_long_body_is_dropped_and_the_checks_keep_their_order(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(post_long(&bench, "/oauth2/token", false), 400);
    assert_int_equal(post_long(&bench, HUNT, false), 401);
    assert_int_equal(post_long(&bench, "/nowhere", true), 404);
    assert_int_equal(post_long(&bench, HUNT, true), 400); /* it is no JSON */
    bench_done(&bench);
}

static void quotas_fail_in_their_own_shape(void **unused)
{
    struct engine_request request = { .method = "GET", .path = QUOTAS, .uri = QUOTAS, .peer = "test", .body = "" };
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    request.authorization = bench.bearer;
    lock_acquire(&bench.engine->db->lock);
    assert_int_equal(sqlite3_exec(bench.engine->db->sql, "DROP TABLE quota", NULL, NULL, NULL), SQLITE_OK);
    lock_release(&bench.engine->db->lock);
    engine_reply_init(&reply, "us-1");
    engine_route_serve(bench.engine, &request, &reply);
    assert_int_equal(reply.status, 500);
    assert_non_null(strstr(buf_text(&reply.body), "Internal Server Error: Please provide trace-id="));
    assert_non_null(strstr(buf_text(&reply.body), "\"refresh_time\""));
    assert_null(strstr(buf_text(&reply.body), "\"resources\""));
    engine_reply_done(&reply);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_queries_with_a_token_may_be_long),
        cmocka_unit_test(a_long_body_is_dropped_and_the_checks_keep_their_order),
        cmocka_unit_test(quotas_fail_in_their_own_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
