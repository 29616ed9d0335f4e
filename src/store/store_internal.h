/*
 * store_internal -- what the files of this layer share. Nobody outside includes it.
 *
 * Threads    db has its own lock (LOCK_STORE); objects, the usage and the zips are guarded by `files`; all else is
 *            constant after store_new().
 */
#pragma once

#include <openssl/evp.h>

#include "store/store.h"
#include "store/store_db.h"
#include "util/lock.h"
#include "util/map.h"
#include "util/secret.h"

enum { STORE_OBJECT_NAME_MAX = 2 + 1 + 2 + 1 + DIGEST_TEXT }; /* "ab/cd/<sha256>" */

/*
 * The shelves of the cache: directories of the same layout with objects of different kinds. What an object is follows
 * from its shelf, so that an archive is never taken for a sample.
 */
enum store_shelf { SHELF_SAMPLES, SHELF_ARCHIVES, SHELF_COUNT };

struct store {
    int state_fd; /* directories; -1 until open */
    int cache_fd; /* also the shelf of samples */
    int archives_fd;
    int tmp_fd;
    int locks_fd;
    int damaged_fd;
    struct secret *key; /* SEAL_KEY_BYTES */
    EVP_CIPHER *cipher; /* AES-256-GCM, looked up once */
    struct store_db db;
    int audit_fd;       /* audit.jsonl, for appending; -1 until open */
    struct lock audit;  /* rank LOCK_STORE_AUDIT; one writer of this process at a time */
    struct lock files;  /* rank LOCK_STORE_FILES */
    struct map objects; /* open objects by digest; guarded by files */
    int64_t used_bytes; /* size of all sealed files; guarded by files */
    int64_t n_objects;  /* samples; guarded by files */
    struct map zips;    /* open password zips by digest; guarded by files */
    int64_t zip_bytes;  /* their memory; guarded by files */

    int64_t zip_overheads[STORE_ZIP_METHODS]; /* by method; 0 before it is measured; atomic */
};

struct store_object_name {
    char s[STORE_OBJECT_NAME_MAX + 1];
};

/* "ab/cd/<sha256>", relative to a shelf. */
struct store_object_name store_object_name(const struct digest *digest);

/* For maps by digest. */
uint64_t store_object_hash(const struct digest *digest);

/* The directory of a shelf, and the word for what stands there. */
int store_object_shelf_fd(const struct store *store, enum store_shelf shelf);
const char *store_object_noun(enum store_shelf shelf);

/* store_object_open() and store_writer_begin() for any shelf. */
CHECKED int store_object_open_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                                 struct store_object **ret_object, struct err *err);
CHECKED int store_writer_begin_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                                  struct store_writer **ret_writer, struct err *err);

/* Counts all objects on disk into the usage, once. */
CHECKED int store_object_scan(struct store *store, struct err *err);

/* An object came (n 1), went (n -1) or was replaced (n 0). */
void store_object_count_locked(struct store *store, enum store_shelf shelf, int64_t bytes, int n)
    REQUIRES(&store->files);

/* Opens audit.jsonl, or makes it (0600). */
CHECKED int store_audit_open(struct store *store, struct err *err);

/* Binds uid, pid and program. */
void store_query_caller(struct store_query *query, const struct caller *who);

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

/* What an entry is about to pay for: STORE_BUSY when some of it is on its way with another list; then noted, until the
 * answer is here. */
CHECKED int store_intended_check_locked(struct store *store, int64_t entry_row, const struct store_sent *sent,
                                        struct err *err) REQUIRES(&store->db.lock);
CHECKED int store_intended_add_locked(struct store *store, int64_t entry_row, const struct store_sent *sent,
                                      struct err *err) REQUIRES(&store->db.lock);
CHECKED int store_intended_drop_locked(struct store *store, int64_t entry_row, struct err *err)
    REQUIRES(&store->db.lock);

/* State, results and answer of a request that is in progress; one that is not is left alone. */
CHECKED int store_request_finish_locked(struct store *store, const struct store_answer *answer, struct err *err)
    REQUIRES(&store->db.lock);

/* Adds results by digest, behind `*position`, which grows. */
CHECKED int store_result_add_digests_locked(struct store *store, int64_t request_row, const struct store_asked *asked,
                                            size_t n, int64_t *position, struct err *err) REQUIRES(&store->db.lock);

/* Adds the results of a request in their order, without duplicates. */
CHECKED int store_result_add_locked(struct store *store, int64_t request_row, const struct sample *samples, size_t n,
                                    int64_t *ret_n, struct err *err) REQUIRES(&store->db.lock);
