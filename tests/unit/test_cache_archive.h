/* test_cache_archive -- samples, hash lists and the archives that multi-downloads bring; for the tests of cache. */
#pragma once

#include "test_cache_bench.h"

#include <zip.h>

#define QUOTAS "GET /malquery/aggregates/quotas/v1"
#define METADATA "GET /malquery/entities/metadata/v1"
#define MULTI "POST /malquery/entities/samples-multidownload/v1"
#define POLL "GET /malquery/entities/requests/v1"
#define FETCH "GET /malquery/entities/samples-fetch/v1"
#define DOWNLOAD "GET /malquery/entities/download-files/v1"
#define ZIP_TYPE "Content-Type: application/zip\r\n"

#define QUOTAS_STEP(used_, limit_)                                                                                     \
    {                                                                                                                  \
        .match = QUOTAS, .status = 200, .headers = JSON_TYPE,                                                          \
        .body = "{\"meta\":{\"hunt_count\":0,\"hunt_limit\":9,\"download_count\":" #used_                              \
                ",\"download_limit\":" #limit_ "},\"errors\":[]}",                                                     \
        .times = -1                                                                                                    \
    }
#define MULTI_STEP                                                                                                     \
    {                                                                                                                  \
        .match = MULTI, .status = 200, .headers = JSON_TYPE,                                                           \
        .body = "{\"meta\":{\"status\":\"done\",\"reqid\":\"" REQID "\"},\"resources\":[]}"                            \
    }
#define READY_STEP                                                                                                     \
    {                                                                                                                  \
        .match = POLL, .status = 200, .headers = JSON_TYPE,                                                            \
        .body = "{\"meta\":{\"status\":\"done\",\"reqid\":\"" REQID "\"},\"resources\":[]}", .times = -1               \
    }
#define NO_ARCHIVE_STEP(times_)                                                                                        \
    {                                                                                                                  \
        .match = FETCH, .status = 404, .headers = JSON_TYPE,                                                           \
        .body = "{\"meta\":{\"status\":\"failed\"},\"errors\":[{\"code\":404,\"message\":\"Could not find sample "     \
                "archive\"}]}",                                                                                        \
        .times = (times_)                                                                                              \
    }
#define ARCHIVE_STEP(archive_)                                                                                         \
    {                                                                                                                  \
        .match = FETCH, .status = 200, .headers = ZIP_TYPE, .body = (archive_).data, .body_n = (archive_).n,           \
        .times = -1                                                                                                    \
    }

static const char one[] = "MZ the first of them";
static const char two[] = "MZ the second, a little longer";

static inline struct digest digest_of_text(const char *text)
{
    struct digest digest;

    assert_int_equal(digest_of(text, strlen(text), &digest, NULL), 0);
    return digest;
}

static inline struct request_id id_of(const char *text)
{
    struct request_id id;

    assert_true(request_id_parse(text, &id));
    return id;
}

/* A zip as the service sends it: members named by the digests of `names`, with the bytes of `texts`. buf_done(). */
static inline struct buf archive_of(const char *const *names, const char *const *texts, size_t n)
{
    struct buf bytes = BUF_INIT(MIB);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_TRUNCATE, NULL);
    zip_stat_t st;

    assert_non_null(zip);
    zip_source_keep(source);
    for (size_t i = 0; i < n; i++) {
        struct digest digest = digest_of_text(names[i]);
        zip_int64_t at = zip_file_add(zip, digest_format(&digest).s,
                                      zip_source_buffer(zip, texts[i], strlen(texts[i]), 0), ZIP_FL_ENC_UTF_8);

        assert_true(at >= 0);
        assert_int_equal(zip_file_set_encryption(zip, (zip_uint64_t)at, ZIP_EM_TRAD_PKWARE, "infected"), 0);
    }
    assert_int_equal(zip_close(zip), 0);
    assert_int_equal(zip_source_stat(source, &st), 0);
    assert_int_equal(zip_source_open(source), 0);
    assert_int_equal(zip_source_read(source, buf_reserve(&bytes, st.size), st.size), st.size);
    buf_commit(&bytes, st.size);
    zip_source_free(source);
    return bytes;
}

/* ---- what is known, what is here ---- */

static inline void know(struct bench *bench, const char *text)
{
    struct sample sample = { .digest = digest_of_text(text),
                             .size_bytes = (int64_t)strlen(text),
                             .first_seen_s = SAMPLE_NO_DATE };
    struct err err = { 0 };

    assert_int_equal(store_sample_put(bench->store, &sample, 1, &err), 0);
}

static inline void bring_here(struct bench *bench, const char *text)
{
    struct digest digest = digest_of_text(text);
    struct store_writer *writer = NULL;
    struct err err = { 0 };

    know(bench, text);
    assert_int_equal(store_writer_begin(bench->store, &digest, &writer, &err), 0);
    assert_int_equal(store_writer_write(writer, text, strlen(text), &err), 0);
    assert_int_equal(store_writer_commit(writer, &err), 0);
}

static inline bool is_here(struct bench *bench, const char *text)
{
    struct digest digest = digest_of_text(text);

    return store_object_exists(bench->store, &digest);
}

/* ---- lists ---- */

/* downloads/NAME.txt with the digests of these texts, to be sent. */
static inline struct store_entry list_entry(struct bench *bench, const char *name, const char *const *texts, size_t n)
{
    struct store_entry entry = { .dir = STORE_DOWNLOADS, .state = STORE_ENTRY_QUEUED, .suffix = ".txt" };
    struct buf list = BUF_INIT(MIB);
    struct err err = { 0 };

    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    for (size_t i = 0; i < n; i++) {
        struct digest digest = digest_of_text(texts[i]);

        buf_printf(&list, "%s\n", digest_format(&digest).s);
    }
    assert_int_equal(store_entry_put(bench->store, &entry, buf_text(&list), list.n, &err), 0);
    buf_done(&list);
    return entry;
}

#define LIST(bench_, name_, ...)                                                                                       \
    list_entry((bench_), (name_), (const char *const[]){ __VA_ARGS__ },                                                \
               sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

/* True when the last multi-download asks for it. */
static inline bool was_asked_for(struct bench *bench, const char *text)
{
    struct digest digest = digest_of_text(text);

    return strstr(script_body(bench->script, MULTI), digest_format(&digest).s) != NULL;
}

struct wanted_reason {
    struct digest digest;
    char reason[STORE_REASON_MAX + 1];
    bool found;
};

static inline int match_reason(void *closure, const struct store_asked *asked)
{
    struct wanted_reason *wanted = closure;

    if (digest_equal(&asked->digest, &wanted->digest)) {
        (void)snprintf(wanted->reason, sizeof wanted->reason, "%s", asked->reason);
        wanted->found = true;
    }
    return 0;
}

/* Fails unless the request was asked for it and says this why it did not come; "" when it did. */
static inline void expect_reason(struct bench *bench, const struct request_id *id, const char *text, const char *reason)
{
    struct wanted_reason wanted = { .digest = digest_of_text(text) };
    struct store_request request;
    struct err err = { 0 };

    assert_int_equal(store_request_get(bench->store, id, &request, &err), 0);
    assert_int_equal(store_asked_list(bench->store, request.row, match_reason, &wanted, &err), 0);
    assert_true(wanted.found);
    if (!*reason)
        assert_string_equal(wanted.reason, "");
    else if (!strstr(wanted.reason, reason))
        fail_msg("'%s' is not about '%s'", wanted.reason, reason);
}

/* Runs the poller and the importer until the request is finished, for ten seconds at most. They have ended then. */
static inline struct store_request await_end(struct bench *bench, const struct request_id *id)
{
    struct store_request request = { 0 };
    struct err err = { 0 };

    assert_int_equal(cache_start(bench->cache, &err), 0);
    for (int i = 0; i < 1000 && request.state == REQUEST_INPROGRESS; i++) {
        (void)cache_wait_changes(bench->cache, cache_changes(bench->cache), 10); /* either way we look */
        assert_int_equal(store_request_get(bench->store, id, &request, &err), 0);
    }
    cache_stop(bench->cache);
    return request;
}
