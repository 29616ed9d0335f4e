/*
 * store -- what one profile knows and holds locally: sample bytes (sealed unless asked otherwise), metadata,
 * submissions, requests, results.
 *
 * Units      sizes in bytes, times in seconds since the epoch (int64_t).
 * Ownership  what comes back through ret_* is the caller's, until the matching done, unref or free. Arguments are
 * borrowed for the call; the store keeps copies, never pointers. Errors     0 success. > 0 an outcome named here: err
 * is untouched, the caller must handle it. < 0 a negative errno: err is filled. ret_* is set only on 0. Disk full is
 * ENOSPC, bytes with another digest are EBADMSG, a damaged object is EIO (it is set aside, never served). Threads any
 * thread may call any function. No call reaches the network or calls back. Several processes may have the same profile
 * open (SQLite WAL, OFD locks). Durability what a function changed in the database survives a power cut once it
 * returned (synchronous=FULL).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/caller.h"
#include "model/query.h"
#include "model/sample.h"
#include "store/store_spend.h"
#include "util/buf.h"

enum { STORE_ABSENT = 1, STORE_EXISTS = 2, STORE_BUSY = 3 };
enum {
    STORE_NAME_MAX = 200,
    STORE_ERROR_MAX = 255,
    STORE_NOTE_MAX = 255,
    STORE_REASON_MAX = 127,
    STORE_ASKED_MAX = 10000,
    STORE_CHUNK_BYTES = 128 * 1024
};

/* How new samples are kept. What is there already is read whatever it is. */
enum store_kind {
    STORE_SEALED, /* in files, encrypted */
    STORE_PLAIN,  /* in files as they are; archives are sealed all the same */
    STORE_MEMORY, /* in the memory of this process, encrypted, since memory can be swapped out */
    STORE_KINDS
};

struct store_config {
    const char *state_dir; /* …/<profile>: state.db and seal.key; made when missing, 0700 */
    const char *cache_dir; /* …/<profile>: objects; made when missing, 0700 */
    enum store_kind kind;
    int64_t cache_bytes;  /* what the cache on disk may take; 0: no limit but the disk's */
    int64_t memory_bytes; /* what STORE_MEMORY may take; 0: no limit */
};

struct store; /* one profile, shared by all threads */

/* Opens or makes both directories, migrates the database, reads or makes the key (0600; other modes are EACCES). A
 * cache that was sealed with another key, or whose key is gone, is EINVAL. EBUSY: its key is being changed. */
CHECKED int store_new(const struct store_config *config, struct store **ret_store, struct err *err);

/* Other limits from now on: cache_bytes and memory_bytes of struct store_config. What is too much goes when the next
 * object comes. */
void store_limit(struct store *store, int64_t cache_bytes, int64_t memory_bytes);

/* The process is about to end, and nobody may wait long any more: what other processes have is waited for
 * STORE_HURRY_MS in all (then EAGAIN, or ECANCELED before anything was begun), and work that is long by itself is given
 * up (ECANCELED). */
enum { STORE_HURRY_MS = 500 };
void store_hurry(struct store *store);
void store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free)

/*
 * Gives the cache of a profile a new key and seals everything in it again. Whatever ends it, also kill -9, everything
 * stays readable, and the next call goes on from there. EBUSY: a mount has the cache open.
 */
struct store_rotated {
    int64_t n_sealed;  /* with the new key by this call */
    int64_t n_before;  /* were already */
    int64_t n_damaged; /* set aside */
};
CHECKED int store_rotate(const struct store_config *config, struct store_rotated *ret_rotated, struct err *err);

/* ---- objects: the bytes of samples, by digest (the formats are in src/store/SEALED.md) ---- */

struct store_object; /* one verified, immutable object; reference counted, holds one descriptor */

/*
 * Opens the object. STORE_ABSENT: never stored, or evicted since. The same digest opened twice is the same object.
 */
CHECKED int store_object_open(struct store *store, const struct digest *digest, struct store_object **ret_object,
                              struct err *err);
struct store_object *store_object_ref(struct store_object *object);
void store_object_unref(struct store_object *object);
DEFINE_CLEANUP(struct store_object *, store_object_unref)

int64_t store_object_size(const struct store_object *object);

/* What was closed is kept open for a while. To be called about every second: lets others evict it, closes what was not
 * used for STORE_KEPT_IDLE_S, and everything once another process has changed the cache, which may need the room. */
enum { STORE_KEPT_IDLE_S = 60 };
void store_object_tidy(struct store *store);

/* Opens the chunks that cover [offset, offset + n) straight into `to`; *ret_n is short only at the end of the sample.
 */
CHECKED int store_object_read(struct store_object *object, int64_t offset, void *to, size_t n, size_t *ret_n,
                              struct err *err);

/* The size of a sample that is local, without opening it for good: does not count as use. STORE_ABSENT likewise. */
CHECKED int store_object_look(struct store *store, const struct digest *digest, int64_t *ret_bytes, struct err *err);

/* False when opening it would read all of it first: a plain copy that was not compared with its digest yet, so whoever
 * may not wait asks before. */
bool store_object_is_checked(struct store *store, const struct digest *digest);

/* True when the object is local (nothing is opened or verified). */
bool store_object_exists(struct store *store, const struct digest *digest);

/*
 * True when a damaged copy was set aside and no good one was stored since: such a sample is not bought again without
 * the user's word. Reads one directory that is nearly always empty.
 */
bool store_object_is_damaged(struct store *store, const struct digest *digest);

/* Removes the damaged copies of a sample: there is a good one, or the user said that it may be bought again. */
void store_object_drop_damaged(struct store *store, const struct digest *digest);

/* One object being written; nothing of it is visible before the commit. */
struct store_writer;
CHECKED int store_writer_begin(struct store *store, const struct digest *digest, struct store_writer **ret_writer,
                               struct err *err);

/* Has room for `n_bytes` in all, before anything is paid for them; fewer or more may come. ENOSPC, ENOMEM. */
CHECKED int store_writer_reserve(struct store_writer *writer, int64_t n_bytes, struct err *err);

CHECKED int store_writer_write(struct store_writer *writer, const void *data, size_t n, struct err *err);

/* Compares the digest (EBADMSG when the bytes are others), syncs, renames, syncs the directory. Frees the writer in any
 * case. */
CHECKED int store_writer_commit(struct store_writer *writer, struct err *err);

/* Forgets what was written. NULL is fine. */
void store_writer_free(struct store_writer *writer);
DEFINE_CLEANUP(struct store_writer *, store_writer_free)

/*
 * A host-wide lock per digest, for whoever is going to download it: taken by one thread of one process at a time. Waits
 * in steps of STORE_LOCK_STEP_MS and gives up with STORE_BUSY when *cancel becomes true (read atomically; NULL: never).
 * Closed by the kernel when we die.
 */
enum { STORE_LOCK_STEP_MS = 20 };
CHECKED int store_digest_lock(struct store *store, const struct digest *digest, const volatile bool *cancel,
                              int *ret_fd, struct err *err);
void store_digest_unlock(int fd);

/* Digests of all local objects, in no order. Stops and returns non-zero when `each` does. */
typedef int store_digest_each(void *closure, const struct digest *digest);
CHECKED int store_object_list(struct store *store, store_digest_each *each, void *closure, struct err *err);

/*
 * Another number whenever an object may have come or gone, by whoever: we, another process, or a user with rm(1). Looks
 * at each directory of the cache, but at no object. 0: something was changed so lately that the next change might not
 * show.
 */
int64_t store_object_version(struct store *store);

/* ---- room: limits and eviction ---- */

enum {
    STORE_DISK_FREE_PERCENT = 5, /* of the disk that the cache leaves to others */
    STORE_UNREAD_KEEP_S = 60,    /* what came and was not opened yet stays so long: somebody waits for it */
    STORE_EVICTED_MAX = 256,     /* evictions that are remembered until they are taken; the others only count */
};

/*
 * Makes sure that `n_bytes` of a sample will fit, and keeps the room for the caller until store_room_give(). Evicts
 * what is needed for that: archives first, then samples, the least recently used first; never what somebody has open,
 * in this process or another. ENOSPC when that would not be enough: nothing is evicted then.
 */
CHECKED int store_room_take(struct store *store, int64_t n_bytes, struct err *err);

/* Gives it back, used or not; evicts when more came than was said. */
void store_room_give(struct store *store, int64_t n_bytes);

struct store_evicted {
    struct digest digest;
    int64_t bytes;
    bool is_archive; /* the digest is none then */
};

/* What was evicted since the last call, at most `max`. */
size_t store_room_evicted(struct store *store, struct store_evicted *ret_evicted, size_t max);

/* What is kept where new samples go: on disk or in memory. */
struct store_usage {
    enum store_kind kind;
    int64_t n_samples;   /* local ones, wherever */
    int64_t bytes;       /* archives too */
    int64_t limit_bytes; /* 0: none */
    int64_t free_bytes;  /* that may come without evicting anything */
    int64_t n_evictions; /* by this store, since it was opened */
    int64_t eviction_bytes;
};

/* Counted, not looked up, unless another process has changed the cache since. */
void store_room_usage(struct store *store, struct store_usage *ret_usage);

/* ---- archives of multi-downloads: kept as they came, sealed, apart from the samples ---- */

/*
 * A writer for the archive of a request, used like one for a sample. Its bytes are compared with nothing at the commit;
 * an archive of the same request that is there already is replaced.
 */
CHECKED int store_archive_begin(struct store *store, const struct request_id *id, struct store_writer **ret_writer,
                                struct err *err);

/* STORE_ABSENT: none was kept. */
CHECKED int store_archive_open(struct store *store, const struct request_id *id, struct store_object **ret_object,
                               struct err *err);

/* Its size, like store_object_look(). */
CHECKED int store_archive_look(struct store *store, const struct request_id *id, int64_t *ret_bytes, struct err *err);

enum { STORE_UNPACK_MAX = 10 * 1000 };

struct store_reason {
    char text[STORE_REASON_MAX + 1]; /* "" when all is well */
};

struct store_unpack {
    const struct digest *wanted; /* at most STORE_UNPACK_MAX */
    size_t n_wanted;
    const char *password;
    const volatile bool *cancel; /* read atomically; NULL: never */
    size_t *n_local;             /* how many of the wanted are local by now, written atomically; NULL: nobody looks */
};

/*
 * Stores the wanted samples that are not local yet from the archive of a request. A sample is known by the digest of
 * its bytes alone; names of members only tell where to look first. Afterwards ret_reasons[i] is "" when wanted[i] is
 * local, else says why not. STORE_ABSENT: no archive was kept, and something is missing.
 *
 * Fails only when the archive is of no use (EPROTO: not a zip, a broken directory, too many members; EFBIG: it unpacks
 * to more than it should), when it is cancelled (ECANCELED) or for the disk (ENOSPC, EIO, …). What was stored until
 * then stays.
 */
CHECKED int store_archive_unpack(struct store *store, const struct request_id *id, const struct store_unpack *unpack,
                                 struct store_reason *ret_reasons, struct err *err);

/*
 * What the archive of a request has: the digests of its members' bytes, each once, in the order of the archive. Members
 * that cannot be read are left out. The array is the caller's. STORE_ABSENT: no archive was kept. Fails like
 * store_archive_unpack(), and with more than STORE_UNPACK_MAX samples (EFBIG).
 */
CHECKED int store_archive_list(struct store *store, const struct request_id *id, const char *password,
                               const volatile bool *cancel, struct digest **ret_digests, size_t *ret_n,
                               struct err *err);

/* ---- password zips: one local sample each, made in memory when they are opened ---- */

enum store_zip_method { STORE_ZIP_CRYPTO, STORE_ZIP_AES, STORE_ZIP_METHODS };

/* ZipCrypto is what every tool can open, AES-256 (WinZip's) what keeps a secret. */
struct store_zip_config {
    const char *password; /* 1 to STORE_ZIP_PASSWORD_MAX printable ASCII characters; others are EINVAL */
    enum store_zip_method method;
};

enum {
    STORE_ZIP_PASSWORD_MAX = 127,
    STORE_ZIP_MEMORY_MAX = 512 * MIB, /* bytes of a zip (EFBIG beyond), and of all that are open (ENOMEM) */
};

struct store_zip; /* reference counted */

/* Its exact size, without making it. STORE_ABSENT: the sample is not local. */
CHECKED int store_zip_size(struct store *store, const struct digest *digest, const struct store_zip_config *config,
                           int64_t *ret_size, struct err *err);

/*
 * The zip of a local sample (STORE_ABSENT otherwise), whose only member is called <sha256> and has the given time. It
 * has random parts; so while it is open, opening it again gives the same one, whatever the time.
 */
CHECKED int store_zip_open(struct store *store, const struct digest *digest, const struct store_zip_config *config,
                           int64_t mtime_s, struct store_zip **ret_zip, struct err *err);
CHECKED int store_zip_read(struct store_zip *zip, int64_t offset, void *to, size_t n, size_t *ret_n, struct err *err);
struct store_zip *store_zip_ref(struct store_zip *zip);
void store_zip_unref(struct store_zip *zip);
DEFINE_CLEANUP(struct store_zip *, store_zip_unref)

/* ---- metadata, and what is known not to be there ---- */

enum store_sample_state {
    STORE_SAMPLE_KNOWN,  /* metadata is here */
    STORE_SAMPLE_ABSENT, /* the service did not know it when last asked */
    STORE_SAMPLE_GONE,   /* known, but the service cannot deliver its bytes: not asked again */
};

struct store_sample {
    struct sample sample;
    enum store_sample_state state;
    int64_t checked_s;               /* when the service was last asked */
    char error[STORE_ERROR_MAX + 1]; /* the last failure of a download, "" when none */
};

/* STORE_ABSENT: never asked. */
CHECKED int store_sample_get(struct store *store, const struct digest *digest, struct store_sample *ret_sample,
                             struct err *err);

/* Adds or completes metadata, in one transaction; fields that are unknown in the new value keep the old one. */
CHECKED int store_sample_put(struct store *store, const struct sample *samples, size_t n, struct err *err);

/* Metadata that is known stays known, and what is gone stays gone: only the time of the check changes then. */
CHECKED int store_sample_put_absent(struct store *store, const struct digest *digests, size_t n, int64_t now_s,
                                    struct err *err);

/* Stays so through store_sample_put(); only clearing the error ends it. */
CHECKED int store_sample_put_gone(struct store *store, const struct digest *digest, const char *why, struct err *err);

/* Notes a failed download, also of a sample that was never asked for (which stays STORE_ABSENT). NULL or "" clears the
 * error and lets the service be asked for a gone one again: after a download that worked, or at the user's word. */
CHECKED int store_sample_put_error(struct store *store, const struct digest *digest, const char *why, struct err *err);

/* Digests of all samples whose metadata is known. */
CHECKED int store_sample_list(struct store *store, store_digest_each *each, void *closure, struct err *err);

/* ---- entries: what the user submitted, by directory and name ---- */

/* Which directory of the tree an entry lives in; stored as its number, so only append. */
enum store_dir { STORE_HUNTS = 0, STORE_EXACT = 1, STORE_FUZZY = 2, STORE_DOWNLOADS = 3 };

enum store_entry_state {
    STORE_ENTRY_DRAFT = 0,      /* on disk, nothing sent */
    STORE_ENTRY_QUEUED = 1,     /* to be sent; surely not accepted yet */
    STORE_ENTRY_SUBMITTING = 2, /* intent: a request may be on its way. Found at start: ambiguous */
    STORE_ENTRY_SUBMITTED = 3,  /* request_id is set */
    STORE_ENTRY_REJECTED = 4,   /* refused by us or the service, error says why; nothing was spent */
    STORE_ENTRY_FAILED = 5,     /* unsure whether the service accepted it; error says why */
};

struct store_entry {
    int64_t row;
    enum store_dir dir;
    enum store_entry_state state;
    int64_t created_s;
    int64_t changed_s;
    char name[STORE_NAME_MAX + 1]; /* base name, without suffix: "wiper" */
    char suffix[16];               /* ".yar", ".yara", ".json", ".txt", "" */
    char options[1024];            /* name=value lines, as sent */
    char error[STORE_ERROR_MAX + 1];
    char trace[ERR_TRACE_MAX];
    bool has_request;
    struct request_id request; /* the current one */
    bool is_forced;            /* queued at the user's word: sent even if the same was sent before */
    char note[STORE_NOTE_MAX + 1];
    char refused[STORE_ERROR_MAX + 1]; /* the last word in its `ctl` that was not understood, "" for none */
    int code;                          /* the errno that belongs to the error */
    struct caller who;                 /* wrote it, or said that it be sent */
};

/*
 * Inserts or replaces by (dir, name), with the text; *entry is then what is stored, with its row. The request that is
 * shown stays when has_request is false, the time of creation stays too; times of 0 mean now.
 */
CHECKED int store_entry_put(struct store *store, struct store_entry *entry, const char *text, size_t n,
                            struct err *err);
CHECKED int store_entry_get(struct store *store, enum store_dir dir, const char *name, struct store_entry *ret_entry,
                            struct err *err);
CHECKED int store_entry_get_row(struct store *store, int64_t row, struct store_entry *ret_entry, struct err *err);

/* The text as written; for a submitted entry exactly what was sent. */
CHECKED int store_entry_text(struct store *store, int64_t row, struct buf *ret_text, struct err *err);

/* Length of the text in bytes, without reading it. */
CHECKED int store_entry_text_size(struct store *store, int64_t row, int64_t *ret_bytes, struct err *err);

/* Moves an entry to another state; `why` (code, text and trace) may be NULL for no error. What it intended is over. */
CHECKED int store_entry_set_state(struct store *store, int64_t row, enum store_entry_state state, const struct err *why,
                                  struct err *err);

/* What an entry held when somebody began to judge it. */
struct store_held {
    enum store_entry_state state;
    const char *text;
    size_t n;
};

/* The same, if it still holds this text in this state. STORE_ABSENT: the verdict is about something else by now. */
CHECKED int store_entry_settle(struct store *store, int64_t row, const struct store_held *if_held,
                               enum store_entry_state state, const struct err *why, struct err *err);

/* The user's word to send it: → QUEUED, unless it is being sent (STORE_ABSENT then, or without the entry); a word to
 * force it stays. */
CHECKED int store_entry_queue(struct store *store, int64_t row, bool is_forced, const struct caller *who,
                              struct err *err);

/* Remarks, cut at their limits. A note is the user's; it ends what was refused before. STORE_ABSENT without the entry.
 */
CHECKED int store_entry_put_note(struct store *store, int64_t row, const char *note, struct err *err);
CHECKED int store_entry_put_refused(struct store *store, int64_t row, const char *why, struct err *err);

/* What is about to be sent, or was: the text and options that left, whatever the entry holds meanwhile. */
struct store_sent {
    enum store_dir dir;
    const char *text; /* as the user wrote it */
    size_t n;
    const char *key; /* what makes two of them the same search, whatever their spelling; NULL: the text */
    size_t key_n;
    const char *options;           /* name=value lines */
    const struct digest *intended; /* samples that a multi-download will pay for */
    size_t n_intended;
};

/* One sample of a multi-download, and why it was or will not be delivered; "" when it is, or may be yet. */
struct store_asked {
    struct digest digest;
    char reason[STORE_REASON_MAX + 1];
};

/* What a request came to. */
struct store_answer {
    const struct store_request *request; /* state, stats, finished_s, error */
    const struct sample *samples;        /* in the order of the answer */
    size_t n_samples;
    const struct store_asked *asked; /* of a multi-download: those without a reason become its results */
    size_t n_asked;
    const char *raw; /* NULL: none */
    size_t raw_n;
};

/* How it was taken. */
struct store_accepted {
    const struct request_id *id;
    enum query_kind kind;
    int32_t limit;
    int64_t now_s;
    int64_t spend_row;               /* the intent that is paid with it, which gets the id; 0: none */
    const struct store_asked *asked; /* what a multi-download was asked for, at most STORE_ASKED_MAX */
    size_t n_asked;
    const struct store_answer *answer; /* when it is here already; NULL: the request is in progress */
};

/*
 * The intent: QUEUED → SUBMITTING with these options, if the entry still is queued with this very text. STORE_ABSENT:
 * it was deleted, edited or sent by somebody else meanwhile, so nothing may be sent. STORE_BUSY: a sample that is
 * intended is on its way already, with another list.
 */
CHECKED int store_entry_begin(struct store *store, int64_t row, const struct store_sent *sent, struct err *err);

/* The same check, but QUEUED → SUBMITTED with a request that exists already. STORE_ABSENT likewise. */
CHECKED int store_entry_show(struct store *store, int64_t row, const struct store_sent *sent,
                             const struct request_id *id, struct err *err);

/*
 * The service accepted it: in one transaction the request is added as inprogress, text and options are noted as sent,
 * and the entry becomes SUBMITTED, or DRAFT when the user has written another text meanwhile. STORE_ABSENT: the entry
 * was removed; the request is kept all the same.
 */
CHECKED int store_entry_accepted(struct store *store, int64_t row, const struct store_sent *sent,
                                 const struct store_accepted *accepted, struct err *err);
CHECKED int store_entry_rename(struct store *store, int64_t row, const char *name, const char *suffix, struct err *err);

/* Its requests stay. */
CHECKED int store_entry_delete(struct store *store, int64_t row, struct err *err);

/* Entries of one directory, sorted by name; `each` may be called under the database lock: it must not call the store.
 */
typedef int store_entry_each(void *closure, const struct store_entry *entry);
CHECKED int store_entry_list(struct store *store, enum store_dir dir, store_entry_each *each, void *closure,
                             struct err *err);

/*
 * For "never spends a second hunt": has this key with these options ever been accepted for an entry of `dir`? The
 * entry it was sent for, with `request` the one that was found (the newest that has not failed), even when the entry
 * was edited or runs another request since. Row 0 and no name: the entry was removed, the request is still there.
 * STORE_ABSENT: never.
 */
CHECKED int store_entry_find_same(struct store *store, const struct store_sent *sent, struct store_entry *ret_entry,
                                  struct err *err);

/* Options for new entries of a directory, as the user wrote them. STORE_ABSENT: never written, or written empty. */
CHECKED int store_defaults_get(struct store *store, enum store_dir dir, struct buf *ret_text, int64_t *ret_changed_s,
                               struct err *err);
CHECKED int store_defaults_put(struct store *store, enum store_dir dir, const char *text, size_t n, struct err *err);

/* ---- requests and their results ---- */

struct store_request {
    int64_t row;
    struct request_id id;
    enum query_kind kind;
    enum request_state state;
    int32_t limit; /* that was sent; 0 unknown (adopted) */
    int64_t submitted_s;
    int64_t finished_s; /* 0 while it runs */
    int64_t n_results;
    bool has_stats;
    struct query_stats stats;
    int64_t entry_row; /* the entry it was made for, 0 for an adopted one */
    char error[STORE_ERROR_MAX + 1];
    char note[STORE_NOTE_MAX + 1];
    char refused[STORE_ERROR_MAX + 1]; /* as in struct store_entry */
};

/* An id of our own, for what the service answers without one (request_id_is_local()). */
CHECKED int store_request_new_id(struct request_id *ret_id, struct err *err);

/* STORE_ABSENT: not known to this profile. */
CHECKED int store_request_get(struct store *store, const struct request_id *id, struct store_request *ret_request,
                              struct err *err);

/* Adds a request that somebody else made. One that is known already is left alone. */
CHECKED int store_request_adopt(struct store *store, const struct request_id *id, enum query_kind kind, int64_t now_s,
                                struct err *err);

/*
 * An adopted request turns out to be a multi-download of these samples: its kind and what it was asked for, in one
 * transaction. STORE_ABSENT: it is finished, gone, or known to be one already.
 */
CHECKED int store_request_adopt_asked(struct store *store, int64_t row, const struct store_asked *asked, size_t n,
                                      struct err *err);

/*
 * In one transaction: state, stats, results in their order, metadata of all samples, reasons, the raw answer.
 * A request that is already done or failed is left alone. Found by row, or by id when the row is 0; STORE_ABSENT. A
 * sample that is named twice is one result; finished_s 0 means now; n_results is counted here.
 */
CHECKED int store_request_finish(struct store *store, const struct store_answer *answer, struct err *err);

/* The raw answer. STORE_ABSENT: none was kept. */
CHECKED int store_request_raw(struct store *store, int64_t row, struct buf *ret_raw, struct err *err);

/* What was sent for this request, whatever its entry holds now. STORE_ABSENT: adopted, not sent by us. */
CHECKED int store_request_text(struct store *store, int64_t row, struct buf *ret_text, struct err *err);

/* The options that were sent for it, name=value lines. STORE_ABSENT likewise. */
CHECKED int store_request_options(struct store *store, int64_t row, struct buf *ret_options, struct err *err);

typedef int store_request_each(void *closure, const struct store_request *request);

/* All requests, or only the unfinished ones. The callback must not call the store. */
CHECKED int store_request_list(struct store *store, bool unfinished_only, store_request_each *each, void *closure,
                               struct err *err);

/* The requests that were made for an entry, and the one that it shows. The callback must not call the store. */
CHECKED int store_request_list_entry(struct store *store, int64_t entry_row, store_request_each *each, void *closure,
                                     struct err *err);

/* The requests that have this sample among their results, oldest first. The callback must not call the store. */
CHECKED int store_request_list_sample(struct store *store, const struct digest *digest, store_request_each *each,
                                      void *closure, struct err *err);

/* Forgets a request, its results and answer; an entry that showed it becomes a draft. STORE_ABSENT: not there. */
CHECKED int store_request_delete(struct store *store, int64_t row, struct err *err);
CHECKED int store_request_put_note(struct store *store, int64_t row, const char *note, struct err *err);
CHECKED int store_request_put_refused(struct store *store, int64_t row, const char *why, struct err *err);

/* What a multi-download was asked for, in order. */
typedef int store_asked_each(void *closure, const struct store_asked *asked);
CHECKED int store_asked_list(struct store *store, int64_t request_row, store_asked_each *each, void *closure,
                             struct err *err);

/* A multi-download that is in progress, or being sent (its id is "" then), and may deliver this sample. STORE_ABSENT:
 * none. */
CHECKED int store_asked_under_way(struct store *store, const struct digest *digest, struct request_id *ret_id,
                                  struct err *err);

/* Results in order, with what is known of each sample now. The callback must not call the store. */
typedef int store_result_each(void *closure, const struct store_sample *sample);
CHECKED int store_result_list(struct store *store, int64_t request_row, store_result_each *each, void *closure,
                              struct err *err);

/* Results from position `from` on, at most `max`, into the caller's array: for directory listings. */
CHECKED int store_result_page(struct store *store, int64_t request_row, int64_t from, struct sample *samples,
                              size_t max, size_t *ret_n, struct err *err);

/* True through *ret_has when `digest` is a result of the request. */
CHECKED int store_result_has(struct store *store, int64_t request_row, const struct digest *digest, bool *ret_has,
                             struct err *err);

/* By what results can be grouped. */
enum store_group { STORE_GROUP_FAMILY, STORE_GROUP_LABEL, STORE_GROUP_TYPE, STORE_GROUP_YEAR };

/* The distinct values among the results, in the order in which they first appear; "" for unknown. The callback must not
 * call the store. */
typedef int store_group_each(void *closure, const char *value);
CHECKED int store_result_groups(struct store *store, int64_t request_row, enum store_group group,
                                store_group_each *each, void *closure, struct err *err);

/* Grows with every change of entries or requests by this or another process; cheap (PRAGMA data_version). */
int64_t store_version(struct store *store);

/* Grows with every change of anything in the database, likewise. */
int64_t store_rows_version(struct store *store);
