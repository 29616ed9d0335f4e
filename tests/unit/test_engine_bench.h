/* test_engine_bench -- a whole engine over two small samples, asked without a network; for the tests of its routes. */
#pragma once

#include "test_engine_fixture.h"

#include <errno.h>
#include <time.h>

#include "engine/engine_route.h"
#include "util/clock.h"

enum { WAIT_MS = 20000 };

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

static inline struct engine_reply ask(struct bench *bench, const char *method, const char *path, const char *id,
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
static inline unsigned status(struct bench *bench, const char *method, const char *path, const char *id,
                              const char *body, const char *part)
{
    struct engine_reply reply = ask(bench, method, path, id, body);
    unsigned code = reply.status;

    if (part && !strstr(buf_text(&reply.body), part))
        fail_msg("%s %s: no '%s' in: %s", method, path, part, buf_text(&reply.body));
    engine_reply_done(&reply);
    return code;
}

static inline void login(struct bench *bench)
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

static inline void start_without_index(struct bench *bench)
{
    struct secret *id = NULL;
    struct secret *secret = NULL;

    assert_int_equal(secret_new(ID, strlen(ID), &id, NULL), 0);
    assert_int_equal(secret_new(SECRET, strlen(SECRET), &secret, NULL), 0);
    assert_int_equal(engine_new(&bench->config, id, secret, &bench->engine, NULL), 0);
    secret_free(id);
    secret_free(secret);
}

static inline void start(struct bench *bench)
{
    start_without_index(bench);
    assert_true(engine_index_wait(bench->engine->index, WAIT_MS));
}

static inline void bench_init(struct bench *bench)
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

static inline void bench_done(struct bench *bench)
{
    engine_free(bench->engine);
    fixture_done(&bench->fixture);
}

static inline const char *hash_text(const char *text)
{
    static char hash[DIGEST_TEXT + 1];
    struct digest digest;

    assert_int_equal(digest_of(text, strlen(text), &digest, NULL), 0);
    memcpy(hash, digest_format(&digest).s, sizeof hash);
    return hash;
}

/* Submits, and waits until the job is over; the last poll is the caller's. */
static inline struct engine_reply run(struct bench *bench, const char *path, const char *body)
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
