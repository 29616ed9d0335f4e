/*
 * cache -- read-through: the one place where the service (api) and the disk (store) meet.
 *
 * What the store knows the tree reads from it directly; what only the service can tell is fetched by the functions
 * here, into the store. They block on the network, so they run on fetcher threads and with no lock held. A background
 * poller follows every unfinished request and sends what is queued.
 *
 * Units      times in seconds since the epoch, waits in milliseconds, sizes in bytes.
 * Ownership  api and store are borrowed and must outlive the cache.
 * Errors     0 success. > 0 an outcome named here: err is untouched. < 0 a negative errno of the table in the design
 *            (EDQUOT, EACCES, EKEYREJECTED, ENOENT, ENODATA, EINVAL, EAGAIN, ENETUNREACH, ETIMEDOUT, EREMOTEIO, EPROTO,
 *            EBADMSG, ENOSPC, ECANCELED), err filled; it has also been noted for `status`.
 * Threads    any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/query.h"
#include "model/sample.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

enum {
    CACHE_METADATA_MAX = 100,  /* digests in one cache_fetch_metadata() */
    CACHE_QUOTAS_FRESH_S = 60, /* quotas are asked at most this often */
    CACHE_ABSENT_S = 300,      /* how long "the service does not know it" is believed */
    CACHE_PLACE_MAX = 256,
};

struct api;
struct store;

struct cache_config {
    struct api *api;
    struct store *store;
    int64_t poll_first_ms; /* after the submission; then growing to … */
    int64_t poll_max_ms;
    int64_t poll_absent_ms;     /* how long the service must deny a request before it counts as failed */
    bool yara_check;            /* compile a rule before it is sent */
    bool is_offline;            /* the api sends nothing: do not try behind everybody's back */
    bool is_zip_transport;      /* single samples come in archives */
    int reserve_percent;        /* of the month's quotas, never spent */
    struct budget first_budget; /* of a profile that never had one */
};

struct cache;

CHECKED int cache_new(const struct cache_config *config, struct cache **ret_cache, struct err *err);

/* What may change at any moment, from any thread: reserve_percent and yara_check of struct cache_config. */
void cache_tune(struct cache *cache, int reserve_percent, bool yara_check);

/* Starts the poller. Submissions that were under way when the last process died become `failed`: nobody knows. */
CHECKED int cache_start(struct cache *cache, struct err *err);

/* Makes every call that waits for the service fail with ECANCELED; from any thread, any number of times. */
void cache_cancel(struct cache *cache);

/* Stops the poller; cache_cancel() first when it must be quick. */
void cache_stop(struct cache *cache);
void cache_free(struct cache *cache);
DEFINE_CLEANUP(struct cache *, cache_free)

/* ---- samples ---- */

/* Downloads, verifies and stores one sample, unless it is there already. One at a time per digest on this host. Costs;
 * `who` is who wants it. EDQUOT: budget, reserve or quota do not allow it, and nothing was asked. */
CHECKED int cache_fetch_bytes(struct cache *cache, const struct digest *digest, const struct caller *who,
                              struct err *err);

/* Opens a local sample once, which compares a plain copy with its digest: the caller may have to wait for that, but not
 * for the network. 0 also when it is not here (any more). */
CHECKED int cache_check_local(struct cache *cache, const struct digest *digest, struct err *err);

/* A sample that is not local was refused to somebody: an event and a line of the audit. Does not wait. */
void cache_denied(struct cache *cache, const struct digest *digest, const struct caller *who, const char *why);

/* The user's word that a sample which could not be had, or was damaged, may be asked for and paid for again. */
CHECKED int cache_forgive(struct cache *cache, const struct digest *digest, struct err *err);

/*
 * Notes the failure of a read of local bytes: EIO is remembered as the error of the sample and told as an event, once
 * however many reads of it fail in a row. Returns r. No network.
 */
int cache_note_local(struct cache *cache, const struct digest *digest, int r, const struct err *err);

/* Asks for the metadata of at most CACHE_METADATA_MAX digests in one call and notes which of them do not exist. */
CHECKED int cache_fetch_metadata(struct cache *cache, const struct digest *digests, size_t n, struct err *err);

/* ---- quotas ---- */

struct cache_quotas {
    int64_t hunt_count, hunt_limit;
    int64_t download_count, download_limit;
    int64_t monitor_count, monitor_limit;
    int64_t days_left;
    char refresh_time[64];
    int64_t asked_s; /* when this was the answer */
    int64_t tried_s; /* the last attempt, also a failed one */
};

/* The last answer, whatever its age; false when there was none. ret_raw (may be NULL) gets it as it came. */
bool cache_quotas(struct cache *cache, struct cache_quotas *ret_quotas, struct buf *ret_raw);

/* Asks the service. A failure counts as success when there is an older answer, which is served on. */
CHECKED int cache_fetch_quotas(struct cache *cache, struct err *err);

/* ---- submissions ---- */

/*
 * Checks and sends the entry `row`, which is on disk as queued; a draft is checked only. The check: options, syntax,
 * one rule; a refusal is EINVAL and the entry becomes rejected, nothing was sent. Same text and options as an earlier
 * request that did not fail: that request is shown, nothing is spent. The intent is on disk before anything leaves, the
 * id before this returns. A failure that surely did not reach the service leaves it queued (0) when trying later can
 * help, rejected otherwise; an ambiguous one makes it failed.
 */
CHECKED int cache_submit(struct cache *cache, int64_t row, struct err *err);

/* Checks the `name=value` lines of a .defaults file; EINVAL with the line number. */
CHECKED int cache_check_defaults(enum store_dir dir, const char *text, struct err *err);

/* The options that new entries of a directory start from. */
struct query_options;
CHECKED int cache_default_options(struct store *store, enum store_dir dir, struct query_options *ret_options,
                                  struct err *err);

/* The API's body of a search, from the text and the options that were sent. */
CHECKED int cache_encode_query(struct cache *cache, enum query_kind kind, const char *text, size_t n,
                               const char *options, struct buf *ret_body, struct err *err);

/* "ascii:trickbot", the name of a directory, as the text of a search. EINVAL: it is none. */
CHECKED int cache_pattern_text(const char *name, struct buf *ret_text, struct err *err);

/* A multi-download that is being fetched or unpacked now. */
struct cache_progress {
    int64_t n_bytes; /* of the archive */
    size_t n_done;   /* samples unpacked */
    size_t n_asked;
};

/* False: this request is not being imported now. */
bool cache_progress(struct cache *cache, const struct request_id *id, struct cache_progress *ret_progress);

/*
 * A request id that this profile does not know: asks the service and adopts it. ENOENT: the service does not know it.
 * One that is done without results and does not say that it is a search stays in progress until the importer has asked
 * for its archive, which is what makes a multi-download of it. Nothing is spent.
 */
CHECKED int cache_fetch_request(struct cache *cache, const struct request_id *id, struct err *err);

/* ---- transfers: bytes that are on their way ---- */

enum { CACHE_TRANSFERS_MAX = 32 }; /* that are told; more than there are threads that fetch */

struct cache_transfer {
    char what[DIGEST_TEXT + 1]; /* the SHA-256 of a sample, or the id of the request whose archive it is */
    int64_t have_bytes;
    int64_t size_bytes; /* as the metadata has it; 0: not known */
    int64_t since_ms;   /* monotonic */
};

/* Those that are under way now, at most CACHE_TRANSFERS_MAX. */
size_t cache_transfers(struct cache *cache, struct cache_transfer *ret_transfers);

/* ---- what is new ---- */

/* Grows with every event and whenever an entry, a request or the health changed. */
uint64_t cache_changes(struct cache *cache);

/* Waits until cache_changes() differs from `seen`, at most `wait_ms`. */
uint64_t cache_wait_changes(struct cache *cache, uint64_t seen, int64_t wait_ms);

/* ---- events: what happened, for `events` and the log ---- */

enum {
    CACHE_EVENTS_MAX_BYTES = 4 * MIB, /* kept in memory; beyond it the oldest quarter is dropped */
    CACHE_EVENT_MAX_BYTES = 16 * KIB, /* of one event, with its newline */
    CACHE_EVENT_TEXT_MAX = 1 * KIB,   /* bytes of one text; the rest is cut */
};

/*
 * One more member of an event, by the names that all events share: `name` (what the user called it), `id` (of a
 * request), `sha256`, `status`, `results`, `bytes`, `service`, `program`, `pid`, `uid`, `until`, `errno` (err_name()),
 * `reason`, `trace`.
 */
struct cache_word {
    const char *key;  /* a constant, lower case */
    const char *text; /* foreign text is fine, no secrets; "" is left out. NULL: the number counts */
    int64_t number;
};

#define CACHE_TEXT(key_, text_)                                                                                        \
    {                                                                                                                  \
        .key = (key_), .text = (text_)                                                                                 \
    }
#define CACHE_NUMBER(key_, number_)                                                                                    \
    {                                                                                                                  \
        .key = (key_), .number = (number_)                                                                             \
    }

/*
 * One event: a line {"time":"2026-11-24T08:00:00Z","event":"submitted",...} and a line of the log; counts as a change.
 * `event` is a lower-case word. Never fails: a member that does not fit is left out, and so is an event without memory.
 * Takes the lock of the cache (rank LOCK_CACHE).
 */
void cache_event(struct cache *cache, const char *event, const struct cache_word *words, size_t n);

/* CACHE_EVENT(cache, "downloaded", CACHE_TEXT("sha256", hex), CACHE_NUMBER("bytes", n)); */
#define CACHE_EVENT(cache, event, ...)                                                                                 \
    cache_event((cache), (event), (const struct cache_word[]){ __VA_ARGS__ },                                          \
                sizeof((const struct cache_word[]){ __VA_ARGS__ }) / sizeof(struct cache_word))

/* What is kept: bytes of whole lines between two offsets that only grow, from 0 when the cache was made. */
struct cache_events {
    int64_t first;  /* of the oldest event that is kept */
    int64_t end;    /* behind the newest */
    int64_t n;      /* events since the cache was made, dropped ones too */
    int64_t last_s; /* when the newest happened, 0 without any */
};

void cache_events(struct cache *cache, struct cache_events *ret_events);

/* Copies at most `n` bytes from `offset` on, *ret_n is 0 at the end. Returns where they are from: `offset`, or the
 * oldest that is kept when those were dropped. */
int64_t cache_events_read(struct cache *cache, int64_t offset, void *to, size_t n, size_t *ret_n);

/* ---- health, for `status` ---- */

enum cache_reach { CACHE_UNTRIED, CACHE_ONLINE, CACHE_OFFLINE, CACHE_UNAUTHORIZED };

struct cache_health {
    enum cache_reach reach;
    char place[CACHE_PLACE_MAX]; /* cloud or base URL */
    int64_t n_downloads;         /* since the mount */
    int64_t n_download_bytes;
    int64_t n_submissions;
    int64_t n_metadata_calls;
    int64_t n_polls;
    int64_t n_denied;
    char exhausted[ERR_TEXT_MAX]; /* what budget or quota refused last, "" when there is something left again */
    struct err last;              /* the last failure; code 0 when there was none */
    int64_t last_s;
};

void cache_health(struct cache *cache, struct cache_health *ret_health);

/* One sample as a JSON object on one line, the service's field names. */
struct sample;
void cache_encode_sample(struct buf *buf, const struct sample *sample);
