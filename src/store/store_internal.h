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
#include "store/store_place.h"
#include "store/store_seal.h"
#include "util/list.h"
#include "util/lock.h"
#include "util/map.h"
#include "util/secret.h"

enum { STORE_KEYS_MAX = 2 }; /* that open one cache: while the key is being changed there are two */

/* The file of a cache that is locked: its first byte by who has the cache open, the second by who evicts. */
#define STORE_IN_USE_NAME "in-use"

/* Which copies of plain samples this process has compared with their digests. */
struct store_verified {
    struct digest digest;
    struct store_facts facts;
};
enum { STORE_VERIFIED_MAX = 1024 };

/* What is kept of each kind; samples and archives. */
struct store_count {
    int64_t bytes;
    int64_t n_samples;
};

struct store {
    int state_fd; /* directories; -1 until open */
    int cache_fd; /* also the shelf of samples */
    int archives_fd;
    int tmp_fd;
    int locks_fd;
    int damaged_fd;
    int in_use_fd;               /* locked: a key is not changed while its cache is open */
    enum store_kind kind;        /* of what is new */
    _Atomic int64_t cache_bytes; /* limits; 0 none */
    _Atomic int64_t memory_bytes;
    struct secret *keys[STORE_KEYS_MAX]; /* those that open what is on disk, SEAL_KEY_BYTES each; NULL at the end */
    const struct secret *seal_key;       /* the one of them that seals what is new there */
    struct secret *memory_key;           /* of objects in memory; nobody else ever has it */
    EVP_CIPHER *cipher;                  /* AES-256-GCM, looked up once */
    volatile bool is_hurried;            /* read and written atomically; see store_hurry() */
    struct store_db db;
    int audit_fd;           /* audit.jsonl, for appending; -1 until open */
    struct lock audit;      /* rank LOCK_STORE_AUDIT; one writer of this process at a time */
    int64_t audit_stuck_ms; /* since when its lock is not to be had; 0: it was; by audit */
    struct lock files;      /* rank LOCK_STORE_FILES */
    struct map objects;     /* open objects by digest; guarded by files */
    struct list kept;       /* of them those that nobody uses, oldest first; by files */
    size_t n_kept;          /* at most n_kept_max; by files */
    size_t n_kept_max;
    struct map memory;                               /* objects in memory by digest; guarded by files */
    struct store_count counts[STORE_KINDS];          /* guarded by files */
    int64_t n_counted;                               /* changes of counts by us; guarded by files */
    int64_t seen_ns;                                 /* the last change of the cache that they have; guarded by files */
    int64_t told_ns;                                 /* the last one that was news; guarded by files */
    int64_t reserved_bytes;                          /* room that is taken; guarded by files */
    int64_t taken_bytes;                             /* of that what the disk has given already; guarded by files */
    struct store_evicted evicted[STORE_EVICTED_MAX]; /* not told yet; guarded by files */
    size_t n_evicted;
    int64_t n_evictions; /* since the store was opened; guarded by files */
    int64_t eviction_bytes;
    struct store_verified verified[STORE_VERIFIED_MAX]; /* by digest; guarded by files */
    struct map zips;                                    /* open password zips by digest; guarded by files */
    int64_t zip_bytes;                                  /* their memory; guarded by files */

    int64_t zip_overheads[STORE_ZIP_METHODS]; /* by method; 0 before it is measured; atomic */
};

bool store_is_hurried(const struct store *store);

/* An object that is open. */
struct store_object {
    struct map_entry entry; /* in store->objects while it is_current; guarded by store->files */
    struct store *store;
    struct store_ref ref;
    struct store_blob blob;
    int64_t plain_bytes;
    struct store_seal seal;   /* of the sealed form */
    struct store_facts facts; /* what it was when it was opened; plain: when it was compared with its digest */
    struct list kept;         /* in store->kept while n_refs is 0; guarded by store->files */
    bool is_resting;          /* guarded by store->files */
    int64_t used_ns;          /* last use, … */
    int64_t touched_ns;       /* … and what its place knows of it */
    unsigned int n_refs;      /* guarded by store->files */
    bool is_current;          /* neither damaged nor replaced; guarded by store->files */
};

/* An object that is being written. */
struct store_writer {
    struct store *store;
    struct store_ref ref;
    struct store_blob blob;
    struct store_seal seal;
    struct store_seal_stream stream;
    struct digest_stream *hash; /* NULL: the name is not the digest of the bytes */
    struct err failed;          /* the first failure: the writer is of no use any more */
    struct store_facts times;   /* 0: now */
    int64_t taken_bytes;        /* in the store's */
    int64_t index;              /* of the chunk in `chunk` */
    size_t n;                   /* bytes in it */
    uint8_t *chunk;             /* SEAL_CHUNK_BYTES; NULL once all is written */
};

/* For maps by digest. */
uint64_t store_object_hash(const struct digest *digest);

/* The word for what stands on a shelf. */
const char *store_object_noun(enum store_shelf shelf);

/* store_object_open(), store_object_look() and store_writer_begin() for any shelf. */
CHECKED int store_object_open_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                                 struct store_object **ret_object, struct err *err);
CHECKED int store_object_look_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                                 int64_t *ret_bytes, struct err *err);
CHECKED int store_writer_begin_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                                  struct store_writer **ret_writer, struct err *err);

/*
 * store_writer_commit() in two steps, for many at once. The first checks the digest (EBADMSG when the bytes are others)
 * and writes what is left; nothing of it is visible, and only the second and free may follow. The second makes all of
 * them durable and visible, waiting once for the disk; they are of one store. The caller frees the writers.
 */
CHECKED int store_writer_seal(struct store_writer *writer, struct err *err);
CHECKED int store_writer_publish(struct store_writer *const *writers, size_t n, struct err *err);

/* How many bytes were written; before it is sealed. */
int64_t store_writer_bytes(const struct store_writer *writer);

/* Closes what nobody uses, so that it can go. */
void store_object_drop_kept(struct store *store);

/* True once after another process has changed the cache. */
bool store_room_is_news(struct store *store);

/* A new object has this name: who opens it gets that one, who has the old one keeps it. */
void store_object_replaced_locked(struct store *store, const struct digest *digest) REQUIRES(&store->files);

/* Samples of one kind on disk were compared with their digest when they were this. */
void store_form_plain_note(struct store *store, const struct digest *digest, const struct store_facts *facts);

/* Damaged copies of a sample, "<sha256>.<time>"; removed on the way when `drop`. */
size_t store_place_disk_damaged(struct store *store, const struct digest *digest, bool drop);

/* What the directories of the samples say, for store_object_version(). */
int64_t store_place_disk_version(const struct store *store);

/* Frees what is left in memory. */
void store_place_memory_done(struct store *store);

/* Where a new object goes. */
enum store_kind store_kind_for(const struct store *store, enum store_shelf shelf);

/* Opens a store for everyday use, or (is_alone) for changing its key: STORE_BUSY when somebody has it open. */
CHECKED int store_open(const struct store_config *config, bool is_alone, struct store **ret_store, struct err *err);

/* ---- counts and room (store_room.c) ---- */

/* Counts all objects anew. */
CHECKED int store_room_scan(struct store *store, struct err *err);

/* An object came (n 1), went (n -1) or was replaced (n 0) by us. */
void store_room_count_locked(struct store *store, const struct store_ref *ref, int64_t bytes, int n)
    REQUIRES(&store->files);

/* Opens audit.jsonl, or makes it (0600). */
CHECKED int store_audit_open(struct store *store, struct err *err);

/* Binds uid, pid and program. */
void store_query_caller(struct store_query *query, const struct caller *who);
/* Bytes that have to go so that `wanted` more fit; 0 or less: none. */
struct store_room_facts {
    int64_t used_bytes;
    int64_t reserved_bytes;
    int64_t taken_bytes; /* of those, not free any more */
    int64_t limit_bytes; /* 0: none */
    int64_t disk_bytes;  /* 0: not on a disk */
    int64_t disk_free_bytes;
};
int64_t store_room_missing(const struct store_room_facts *facts, int64_t wanted);

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
