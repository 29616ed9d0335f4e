/*
 * cache_internal -- what the files of this layer share.
 */
#pragma once

#include <stdatomic.h>

#include "api/api.h"
#include "cache/cache.h"
#include "model/search.h"
#include "store/store.h"
#include "util/lock.h"

struct poll; /* cache_poll.c */

enum {
    CACHE_TRIES_MAX = 2,           /* of one sample that was paid for and did not arrive */
    CACHE_DENIALS_MAX = 64,        /* requests that are being denied; beyond it the count begins anew */
    CACHE_IMPORTS_MAX = 64,        /* archives that are known to be ready; the others are asked for again */
    SUBMIT_OPTIONS_MAX = 1024,     /* bytes of an entry's options as lines */
    CACHE_ARCHIVE_AND_SAMPLES = 2, /* room for samples that come in an archive, in their own sizes */
};

/* ---- what can be submitted (cache_kind.c) ---- */

struct submission;

/* One row for each directory of the tree. */
struct submit_kind {
    const char *name; /* in messages */
    enum query_kind kind;
    bool has_options;
    bool always_asks;      /* only a request that is in progress is shown instead of a new one */
    const char *operation; /* in the audit */
    enum cost cost;
    int64_t price; /* of one; of a multi-download each sample costs one */

    /* Understands the text: options, key, and what is sent. Asks nobody. EINVAL and EFBIG are the user's. */
    int (*read)(struct cache *cache, struct submission *sub, struct err *err);

    /* What must be known before it is sent, and is free to ask. May be NULL. */
    int (*prepare)(struct cache *cache, struct submission *sub, struct err *err);

    /* Sends it; an answer that is here at once goes to sub->result with sub->has_result. *ret_sent: it may have
     * arrived. */
    int (*send)(struct cache *cache, struct submission *sub, struct request_id *ret_id, bool *ret_sent,
                struct err *err);
};

/* An entry on its way. */
struct submission {
    const struct store_entry *entry;
    const struct submit_kind *kind;
    struct buf text;
    struct query_options options;
    struct buf printed; /* the options as lines */
    struct buf key;     /* empty: the text */
    struct search search;
    struct store_asked *asked; /* of a multi-download */
    size_t n_asked;
    struct digest *to_fetch; /* those of them that are paid for */
    size_t n_to_fetch;
    int64_t price;     /* units of its kind's cost, 0: free */
    int64_t spend_row; /* the intent to pay it, 0: none */
    struct api_result result;
    bool has_result;
};

#define SUBMISSION_INIT(entry_)                                                                                        \
    {                                                                                                                  \
        .entry = (entry_), .text = BUF_INIT(QUERY_RULE_MAX), .printed = BUF_INIT(SUBMIT_OPTIONS_MAX),                  \
        .key = BUF_INIT(API_JSON_MAX)                                                                                  \
    }

const struct submit_kind *cache_kind(enum store_dir dir);

/* What sending it costs. Borrows from `sub`. */
struct store_spend cache_submission_spend(const struct submission *sub);

/* With the text in place: kind, options and key. */
CHECKED int cache_submission_read(struct cache *cache, struct submission *sub, struct err *err);
void cache_submission_done(struct submission *sub);

/* EINVAL when a filter is set that a fuzzy search lacks. */
CHECKED int cache_check_fuzzy(const struct query_options *options, struct err *err);

/* ---- multi-downloads (cache_download.c) ---- */
CHECKED int cache_download_read(struct cache *cache, struct submission *sub, struct err *err);
CHECKED int cache_download_prepare(struct cache *cache, struct submission *sub, struct err *err);
CHECKED int cache_download_send(struct cache *cache, struct submission *sub, struct request_id *ret_id, bool *ret_sent,
                                struct err *err);

/* A multi-download of one sample, waited for: for networks that let no plain executable through. Settles the intent
 * `spend_row`. */
CHECKED int cache_download_one(struct cache *cache, const struct digest *digest, int64_t spend_row, struct err *err);

/* Waits while a multi-download that is under way may bring the sample. 0: none does any more. */
CHECKED int cache_download_wait(struct cache *cache, const struct digest *digest, struct err *err);

/* ---- room (cache_room.c) ---- */

/* store_room_take() and store_room_give(); what was evicted for it is told as events. */
CHECKED int cache_room_take(struct cache *cache, int64_t n_bytes, struct err *err);
void cache_room_give(struct cache *cache, int64_t n_bytes);

/* Makes room for an archive and its samples of `n_bytes`. Nothing is kept for them: they may be hours away, and who
 * brings them takes it again. */
CHECKED int cache_room_for_archive(struct cache *cache, int64_t n_bytes, struct err *err);

/* ---- requests of somebody else (cache_adopt.c) ---- */

/*
 * Only its archive tells that an adopted request is a multi-download, for the service does not say of what kind one is.
 * True: it is done, and neither says that it is a search nor looks like one.
 */
bool cache_may_have_archive(const struct store_request *request, const struct api_result *result);

/*
 * Fetches the archive of such a request (free). With one it becomes a multi-download of the samples that the archive
 * has; without, it is a search and finished. *request is then what it has become. STORE_ABSENT: forgotten meanwhile.
 */
CHECKED int cache_adopt_archive(struct cache *cache, struct store_request *request, struct err *err);

/* Asks once more about a request that has no archive, and takes the answer for its result. */
CHECKED int cache_conclude_search(struct cache *cache, const struct request_id *id, struct err *err);

/* ---- what they bring (cache_import.c) ---- */

extern const char cache_archive_password[];

/* The archive of a request, on disk as it came. API_ABSENT: the service has none. */
CHECKED int cache_fetch_archive(struct cache *cache, const struct request_id *id, struct err *err);

/* No archive, or none that is one: odd answers of the service, or of whoever stands on the way. */
bool cache_is_odd_archive(int r);

/* The service failed a multi-download, or denies it: nothing more will come. */
CHECKED int cache_download_failed(struct cache *cache, const struct store_request *request, const char *reason,
                                  struct err *err);

/*
 * One more answer that a request, or its archive, is not there. True when the service has said so often enough and for
 * long enough: it was paid for, so one odd answer must not end it. cache_not_denied() begins anew.
 */
bool cache_is_denied(struct cache *cache, const struct request_id *id);
void cache_not_denied(struct cache *cache, const struct request_id *id);

/* The service says that the archive of this request is ready: it is fetched and unpacked by the importer, once. */
void cache_import(struct cache *cache, const struct request_id *id);
bool cache_is_importing(struct cache *cache, const struct request_id *id);

/* The importer thread. */
void *cache_import_main(void *closure);

/* ---- bytes that are on their way (cache_transfer.c) ---- */

/* `what` as in struct cache_transfer, size 0: not known. NULL: no row is free; the others take that. The row is the
 * caller's until the end. */
struct cache_transfer *cache_transfer_begin(struct cache *cache, const char *what, int64_t size_bytes);
void cache_transfer_add(struct cache_transfer *transfer, size_t n);
void cache_transfer_end(struct cache *cache, struct cache_transfer *transfer);

/* ---- spending (cache_spend.c) ---- */

/*
 * Notes the intent of a call that costs, after asking for the quotas when they are old. EDQUOT: it must not leave; told
 * as an event. Blocks on the network.
 */
CHECKED int cache_spend_begin(struct cache *cache, const struct store_spend *spend, int64_t *ret_row, struct err *err);

/* Says what that would say, and notes nothing: asked before room is made, so that what is refused has evicted nothing.
 */
CHECKED int cache_spend_look(struct cache *cache, const struct store_spend *spend, struct err *err);

/* What came of it. */
struct cache_spent {
    enum cost cost;
    int outcome;   /* of the call: 0, a positive outcome that costs nothing, or a negative errno */
    bool was_sent; /* of a failure: it may have been charged all the same */
    bool is_verified;
    const struct request_id *request; /* may be NULL */
    const struct err *why;            /* may be NULL */
};
void cache_spend_end(struct cache *cache, int64_t row, const struct cache_spent *spent);

/* Settles what processes that died left open, and brings the audit up to date. */
void cache_spend_settle_orphans(struct cache *cache);

/* The lock of an entry that is being sent, host-wide; STORE_BUSY as in store_digest_lock(). */
CHECKED int cache_entry_lock(struct cache *cache, int64_t row, const volatile bool *cancel, int *ret_fd,
                             struct err *err);

/* How long the service has denied a request. */
struct cache_denial {
    struct request_id id;
    int n;            /* answers in a row; 0: not used */
    int64_t since_ms; /* monotonic */
};

struct cache {
    struct cache_config config;
    struct api *api;
    struct store *store;
    atomic_bool cancelled;
    volatile bool stop_waiting; /* for store_digest_lock() */
    atomic_int reserve_percent; /* as of the last cache_tune() */
    atomic_bool yara_check;     /* likewise */

    struct lock lock;    /* rank LOCK_CACHE; guards what follows */
    struct cond changed; /* with `changes` and `stopping` */
    uint64_t changes;
    bool stopping;
    bool is_polling;
    pthread_t poller;
    struct cache_health health;
    struct cache_quotas quotas;
    struct buf quotas_raw;
    bool has_quotas;
    bool is_quotas_due;     /* something was spent since they were asked */
    int64_t quotas_seen;    /* store_spend_seen() from before they were asked */
    struct digest damaged;  /* the last sample whose local bytes were */
    struct buf event_lines; /* those that are kept, whole lines */
    struct cache_events events;
    struct cache_denial denials[CACHE_DENIALS_MAX]; /* a ring */
    size_t next_denial;
    struct request_id imports[CACHE_IMPORTS_MAX]; /* the first is being imported */
    size_t n_imports;
    struct cache_progress progress;                       /* of the first */
    struct cache_transfer transfers[CACHE_TRANSFERS_MAX]; /* a row is free when it says nothing of what */
    pthread_t importer;
    bool has_importer;
    struct poll *polls; /* touched by the poller thread only */
    size_t n_polls;
};

/*
 * The halves of cache_event(), for what is told when it changes: the line is added under the lock under which it
 * changed, so that nobody acts on a change that is not told, and two changes are told in their order. The log, which
 * may block, follows without the lock.
 */
void cache_event_add(struct cache *cache, const char *event, const struct cache_word *words, size_t n)
    REQUIRES(&cache->lock);
void cache_event_log(const char *event, const struct cache_word *words, size_t n);

/* Counts a change and wakes who waits for one. */
void cache_changed(struct cache *cache);

/* Notes success (err->code 0) or failure of a call to the service for `status`; returns r. */
int cache_note(struct cache *cache, int r, const struct err *err);

/* After something was spent, or was refused for the quota: the poller asks for the quotas, or the next who reads them.
 */
void cache_spent(struct cache *cache);

/* Asks for the quotas if something was spent since. */
void cache_refresh_quotas(struct cache *cache);

/* A quota or the budget is used up: told once, as long as it is in the same words. */
void cache_refused(struct cache *cache, const struct err *err);

/* Adds to one of the counters in cache->health. */
void cache_count(struct cache *cache, int64_t *counter, int64_t n);

/* Bytes that are taken of a sample whose metadata says `size`, which may be wrong; a body may be without end. */
int64_t cache_sample_most(int64_t size);

/* Metadata with a wrong size gets that of the bytes, which have the right digest. */
CHECKED int cache_correct_size(struct cache *cache, const struct store_sample *known, int64_t size, struct err *err);

/* A sample that is known and has no bytes is made, not bought: its digest says all of it. Any other is left alone. */
CHECKED int cache_keep_empty(struct cache *cache, const struct digest *digest, struct err *err);

/* Says that a request is finished. */
void cache_finished(struct cache *cache, const struct request_id *id);

/* The poller thread, and freeing what it keeps. */
void *cache_poll_main(void *closure);
void cache_poll_done(struct cache *cache);

/* Sends every queued entry once, failures stay queued; entries that a dead process was sending become failed. */
void cache_submit_queued(struct cache *cache);
