/*
 * store_internal -- what the files of this layer share. Nobody outside includes it.
 *
 * Threads    db has its own lock (LOCK_STORE); objects and the usage are guarded by `files`; all else is constant after
 *            store_new().
 */
#pragma once

#include <openssl/evp.h>

#include "store/store.h"
#include "store/store_db.h"
#include "util/lock.h"
#include "util/map.h"
#include "util/secret.h"

enum { STORE_OBJECT_NAME_MAX = 2 + 1 + 2 + 1 + DIGEST_TEXT }; /* "ab/cd/<sha256>" */

struct store {
    int state_fd; /* directories; -1 until open */
    int cache_fd;
    int tmp_fd;
    int locks_fd;
    int damaged_fd;
    struct secret *key; /* SEAL_KEY_BYTES */
    EVP_CIPHER *cipher; /* AES-256-GCM, looked up once */
    struct store_db db;
    struct lock files;  /* rank LOCK_STORE_FILES */
    struct map objects; /* open objects by digest; guarded by files */
    int64_t used_bytes; /* size of all sealed files; guarded by files */
    int64_t n_objects;  /* guarded by files */
};

struct store_object_name {
    char s[STORE_OBJECT_NAME_MAX + 1];
};

/* "ab/cd/<sha256>", relative to cache_fd. */
struct store_object_name store_object_name(const struct digest *digest);

/* Removes the damaged copies of a sample, now that there is a good one. */
void store_object_drop_damaged(struct store *store, const struct digest *digest);

/* Counts all objects on disk into the usage, once. */
CHECKED int store_object_scan(struct store *store, struct err *err);

/* A digest; the schema sees to its length. */
void store_query_column_digest(const struct store_query *query, int column, struct digest *ret_digest);

/* A row of SAMPLE_COLUMNS, and one sample in. The caller holds the lock of the database. */
void store_sample_from_row(const struct store_query *query, struct store_sample *ret_sample);
CHECKED int store_sample_put_locked(struct store *store, const struct sample *sample, int64_t now_s, int64_t *ret_row,
                                    struct err *err) REQUIRES(&store->db.lock);

/* Adds or completes a running request. */
struct store_new_request {
    const struct request_id *id;
    enum query_kind kind;
    int32_t limit;
    int64_t now_s;
    int64_t entry_row; /* 0: adopted */
};
CHECKED int store_request_put_locked(struct store *store, const struct store_new_request *request, int64_t *ret_row,
                                     struct err *err) REQUIRES(&store->db.lock);

/* The row of a sample, made without metadata when it is not there yet. */
CHECKED int store_sample_row_locked(struct store *store, const struct digest *digest, int64_t *ret_row, struct err *err)
    REQUIRES(&store->db.lock);

/* Notes what a multi-download was asked for; later, why which sample did not come. */
CHECKED int store_asked_add_locked(struct store *store, int64_t request_row, const struct store_asked *asked, size_t n,
                                   struct err *err) REQUIRES(&store->db.lock);
CHECKED int store_asked_settle_locked(struct store *store, int64_t request_row, const struct store_asked *asked,
                                      size_t n, struct err *err) REQUIRES(&store->db.lock);

/* State, results and answer of a request that is in progress; one that is not is left alone. */
CHECKED int store_request_finish_locked(struct store *store, const struct store_answer *answer, struct err *err)
    REQUIRES(&store->db.lock);

/* Adds results by digest, behind `*position`, which grows. */
CHECKED int store_result_add_digests_locked(struct store *store, int64_t request_row, const struct store_asked *asked,
                                            size_t n, int64_t *position, struct err *err) REQUIRES(&store->db.lock);

/* Adds the results of a request in their order, without duplicates. */
CHECKED int store_result_add_locked(struct store *store, int64_t request_row, const struct sample *samples, size_t n,
                                    int64_t *ret_n, struct err *err) REQUIRES(&store->db.lock);
