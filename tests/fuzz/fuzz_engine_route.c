/*
 * Any bytes as a request to malqueryd: the first line is the method, then path, Authorization and ids, each on a line
 * of its own; the rest is the body. "TOKEN" stands for a valid token. Every reply has a status that the service
 * declares, and JSON when it says so.
 *
 * Nothing is left to spend, so that no search runs. Rules are not compiled here: libyara is its authors' to fuzz.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_dir.h"

#include "engine/engine_route.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { HEAD_LINES = 4, IDS_MAX = 16, PEER_ROOM = 24, WAIT_MS = 20000, RATE_LIMIT = 10 };
enum line { LINE_METHOD, LINE_PATH, LINE_AUTHORIZATION, LINE_IDS };

static const char id_text[] = "0123456789abcdef0123456789abcdef";
static const char secret_words[] = "the secret of the corpus";
static const char hunt_path[] = "/malquery/queries/hunt/v1";
static const unsigned statuses[] = { 200, 201, 400, 401, 403, 404, 405, 429 };

static struct engine *engine;
static char bearer[sizeof "Bearer " + ENGINE_TOKEN_TEXT];

static void clean_up(void)
{
    engine_free(engine);
    dir_free();
}

static void write_sample(void)
{
    char path[PATH_ROOM];
    FILE *file = fopen(dir_path("zoo/hello", path), "w");

    check(file && fputs("hello\n", file) >= 0 && fclose(file) == 0);
}

static void start_engine(void)
{
    char zoo[PATH_ROOM];
    char index[PATH_ROOM];
    char socket[PATH_ROOM];
    struct secret *id = NULL;
    struct secret *secret = NULL;
    const struct engine_config config = {
        .dir = dir_path("zoo", zoo),
        .index = dir_path("index.db", index),
        .socket = dir_path("s", socket),
        .scopes = "read,write",
        .region = "us-1",
        .foreign_region = "",
        .zip_method = "zipcrypto",
        .zip_password = "infected",
        .rate_limit = RATE_LIMIT,
        .unauth_rate_limit = RATE_LIMIT,
        .token_lifetime_s = INT_MAX,
        .retention_s = 1,
        .n_threads = 1,
    };

    check(mkdir(zoo, 0700) == 0);
    write_sample();
    check(secret_new(id_text, sizeof id_text - 1, &id, NULL) == 0);
    check(secret_new(secret_words, sizeof secret_words - 1, &secret, NULL) == 0);
    check(engine_new(&config, id, secret, &engine, NULL) == 0);
    secret_free(id);
    secret_free(secret);
    check(engine_index_wait(engine->index, WAIT_MS));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct engine_token_text token;

    (void)argc;
    (void)argv;
    dir_new();
    start_engine();
    check(engine_auth_issue(engine->auth, &token, NULL) == 0);
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", token.s); /* fits */
    return atexit(clean_up);
}

static void check_reply(const struct engine_reply *reply)
{
    cleanup_(json_object_putp) json_object *body = NULL;
    bool is_known = false;

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        is_known |= reply->status == statuses[i];
    check(is_known);
    check(reply->body.code == 0);
    if (reply->content_type && strcmp(reply->content_type, "application/json") == 0)
        check(engine_json_parse(reply->body.data, reply->body.n, &body, NULL) == 0);
    check(reply->paid == 0);
}

static void serve(char *lines[], const char *body, size_t n_body)
{
    static uint64_t n_served; /* a peer for each: the limits of requests are not what is tried here */
    const char *ids[IDS_MAX];
    char peer[PEER_ROOM];
    struct engine_reply reply;
    struct engine_request request = {
        .method = lines[LINE_METHOD],
        .path = lines[LINE_PATH],
        .uri = lines[LINE_PATH],
        .peer = peer,
        .ids = ids,
        .body = body,
        .n_body = n_body,
    };

    (void)snprintf(peer, sizeof peer, "%llu", (unsigned long long)n_served++); /* fits */
    if (lines[LINE_AUTHORIZATION][0])
        request.authorization = strcmp(lines[LINE_AUTHORIZATION], "TOKEN") == 0 ? bearer : lines[LINE_AUTHORIZATION];
    for (char *rest = lines[LINE_IDS]; rest && *rest && request.n_ids < IDS_MAX;)
        ids[request.n_ids++] = strsep(&rest, ",");
    if (strcmp(request.path, hunt_path) == 0)
        return;
    engine_reply_init(&reply, "us-1");
    engine_route_serve(engine, &request, &reply);
    check_reply(&reply);
    engine_reply_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = calloc(n + 1, 1);
    char *lines[HEAD_LINES];
    char *rest = text;

    check(text);
    memcpy(text, data, n);
    for (size_t i = 0; i < HEAD_LINES; i++)
        lines[i] = rest ? strsep(&rest, "\n") : text + n;
    serve(lines, rest ? rest : text + n, rest ? (size_t)(text + n - rest) : 0);
    free(text);
    return 0;
}
