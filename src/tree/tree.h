/*
 * tree -- what the user sees: nodes, their attributes, and the bytes behind them. No libfuse type in sight.
 *
 * Every call answers from memory and disk. What only the service can tell it answers with TREE_NEED and names the need;
 * the caller has it met by tree_meet() on a thread that may wait, and repeats the same call. So no call but tree_meet()
 * ever touches the network, and many callers with the same need can share one job.
 *
 * Units      sizes and offsets in bytes, times in seconds since the epoch, time to live in milliseconds.
 * Ownership  a handle is the caller's until tree_release(). Lookup counts follow the FUSE protocol: tree_lookup(),
 *            tree_create() and listing with attributes add one, tree_forget() takes them back.
 * Errors     0 success. > 0 an outcome named here. < 0 a negative errno, err filled.
 * Threads    any thread may call any function; one handle may be used by several threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/caller.h"
#include "model/digest.h"
#include "model/query.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

enum { TREE_NEED = 100 }; /* no outcome of another layer, so that none passes for a need by mistake */
enum { TREE_ROOT = 1, TREE_NAME_MAX = 255, TREE_MEET_MAX = 100, TREE_DENY_MAX = 1023, TREE_NOTE_MAX = 511 };

struct cache;
struct helper;

struct tree_config {
    struct cache *cache;
    struct store *store;
    struct helper *helper;       /* looks into other processes; NULL: we look ourselves */
    const char *confined;        /* for `status`; NULL, or borrowed, and filled before the first call */
    bool resubmit;               /* a changed rule is sent at close, not kept as a draft */
    struct store_zip_config zip; /* of zips/; the password is borrowed */
    const char
        *deny; /* programs that download nothing, "a:b", more than the built-in ones; a list that is
                  empty or begins with a colon replaces them. NULL: none more. Copied; at most TREE_DENY_MAX bytes */
};

struct tree;
struct handle; /* an open file or directory */

/* What a call lacks. Two needs of the same kind and key are the same need, whoever has it. */
enum need_kind {
    NEED_NONE,
    NEED_METADATA, /* key: digest; met in batches of at most TREE_MEET_MAX */
    NEED_BYTES,    /* key: digest */
    NEED_LOCAL,    /* key: digest; bytes that are here are compared with it. Never costs */
    NEED_QUOTAS,   /* no key */
    NEED_SUBMIT,   /* key: row of the entry */
    NEED_REQUEST,  /* key: request id, of somebody else's request */
    NEED_CHANGE,   /* key: row, the change counter seen; never met by a job: repeat when tree_changes() moved */
    NEED_ARRIVAL,  /* the same, for a sample that a multi-download brings */
};

struct need {
    enum need_kind kind;
    int64_t row;
    struct digest digest;
    struct request_id request;
    struct caller who; /* of what costs: who had the need first */
};

struct tree_attr {
    uint64_t ino;
    uint32_t mode; /* type and permissions */
    uint32_t nlink;
    int64_t size;
    int64_t mtime_s;
    int64_t entry_ttl_ms;
    int64_t attr_ttl_ms;
};

/* How the kernel should treat an open file. */
struct tree_open {
    bool is_live;      /* bytes change: no page cache */
    bool is_stream;    /* no seeking */
    bool is_immutable; /* pages stay valid for ever */
    bool is_sample;    /* so many bytes with this digest; of others neither says anything: */
    struct digest digest;
    int64_t bytes;
};

CHECKED int tree_new(const struct tree_config *config, struct tree **ret_tree, struct err *err);

/* What may change at any moment, from any thread: `deny` and `resubmit` of struct tree_config. */
void tree_tune(struct tree *tree, const char *deny, bool resubmit);
void tree_free(struct tree *tree);
DEFINE_CLEANUP(struct tree *, tree_free)

CHECKED int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct tree_attr *ret_attr,
                        struct err *err);
void tree_forget(struct tree *tree, uint64_t ino, uint64_t n_lookups);

/* `handle` may be NULL. TREE_NEED: metadata. */
CHECKED int tree_getattr(struct tree *tree, uint64_t ino, struct handle *handle, struct tree_attr *ret_attr,
                         struct need *ret_need, struct err *err);

/* TREE_NEED: a submission that nobody waits for. Sets the length. Times, owner and mode of what the user may write are
 * accepted and ignored by the caller. */
CHECKED int tree_truncate(struct tree *tree, uint64_t ino, struct handle *handle, int64_t size,
                          const struct caller *who, struct need *ret_need, struct err *err);

/* EROFS for what cannot be written; used before accepting changes of mode, owner and times. */
CHECKED int tree_is_writable(struct tree *tree, uint64_t ino, struct err *err);

/* `flags` are those of open(2). Of a caller uid and pid are enough here and below: the program is looked up when it
 * matters. TREE_NEED: metadata, bytes, local or quotas. EACCES: this program may make no sample come. */
CHECKED int tree_open(struct tree *tree, uint64_t ino, int flags, const struct caller *who, struct handle **ret_handle,
                      struct tree_open *ret_open, struct need *ret_need, struct err *err);

CHECKED int tree_create(struct tree *tree, uint64_t parent, const char *name, int flags, const struct caller *who,
                        struct tree_attr *ret_attr, struct handle **ret_handle, struct err *err);

/* Short only at the end. TREE_NEED: a change (the `wait` file). */
CHECKED int tree_read(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                      struct need *ret_need, struct err *err);

/* TREE_NEED: the verdict of a command; it is under way, and must not be written again when the need is met. */
CHECKED int tree_write(struct tree *tree, struct handle *handle, int64_t offset, const void *from, size_t n,
                       struct need *ret_need, struct err *err);

/* What poll(2) says of an open file. */
enum tree_ready {
    TREE_READY_ALWAYS, /* like any regular file */
    TREE_READY_NOW,    /* there is something to read that this handle has not read yet */
    TREE_READY_LATER,  /* not now: look again when tree_changes() moved */
};

enum tree_ready tree_poll(struct tree *tree, struct handle *handle);

/* close(2) by the process `pid`; 0: it was the last one. TREE_NEED: the submission, whose verdict is that of close().
 */
CHECKED int tree_flush(struct tree *tree, struct handle *handle, pid_t pid, struct need *ret_need, struct err *err);

/* The last close. TREE_NEED: a submission that nobody waits for. The handle is gone in any case. */
CHECKED int tree_release(struct tree *tree, struct handle *handle, struct need *ret_need, struct err *err);

/* Makes a search of one pattern. TREE_NEED: its submission; it is under way, and made when the need is met. */
CHECKED int tree_mkdir(struct tree *tree, uint64_t parent, const char *name, const struct caller *who,
                       struct need *ret_need, struct err *err);

/* Forgets a search that was made by mkdir, or a request. */
CHECKED int tree_rmdir(struct tree *tree, uint64_t parent, const char *name, struct err *err);

CHECKED int tree_unlink(struct tree *tree, uint64_t parent, const char *name, struct err *err);

struct tree_rename {
    bool is_exclusive; /* RENAME_NOREPLACE */
    bool is_met;       /* the need of the same call before is met: only the old name is left to be taken away */
    struct caller who;
};

/* TREE_NEED: the submission that a rename onto a final name is. */
CHECKED int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                        const struct tree_rename *how, struct need *ret_need, struct err *err);

/* One name of a listing goes to the sink. `attr` has all attributes and one lookup count, or only ino and mode when
 * `has_attr` is false. `next` continues after this name. Non-zero stops; the sink then gives back the lookup count. */
typedef int tree_list_sink(void *closure, const char *name, const struct tree_attr *attr, bool has_attr, int64_t next);

/* What the kernel may keep of a listing. */
enum tree_listing {
    TREE_LISTING_LIVE, /* nothing */
    TREE_LISTING_NEW,  /* what comes now; what it has from before is not right any more */
    TREE_LISTING_KEPT, /* what it has is still right */
};

CHECKED int tree_opendir(struct tree *tree, uint64_t ino, struct handle **ret_handle, enum tree_listing *ret_listing,
                         struct err *err);

/* Offset 0 makes the listing anew: what is there now. One call at a time for one handle. */
CHECKED int tree_list(struct tree *tree, struct handle *handle, int64_t offset, bool want_attr, tree_list_sink *sink,
                      void *closure, struct err *err);
void tree_releasedir(struct tree *tree, struct handle *handle);

/*
 * Extended attributes, read only and never from the network. The value is raw bytes, also foreign text. ENODATA: this
 * node has no such attribute; ENOTSUP: nothing here has attributes of this kind (ACLs, labels of security modules).
 */
CHECKED int tree_xattr_get(struct tree *tree, uint64_t ino, const char *name, struct buf *ret_value, struct err *err);

/* The names of those that have a value, each with its NUL. */
CHECKED int tree_xattr_list(struct tree *tree, uint64_t ino, struct buf *ret_names, struct err *err);

struct tree_statfs {
    int64_t bytes_total; /* of the cache: its limit, or what it has and may still have when there is none */
    int64_t bytes_used;
    int64_t bytes_free;      /* that may come without evicting anything */
    int64_t downloads_limit; /* of the month; 0 when the quotas are not known yet */
    int64_t downloads_left;
};
void tree_statfs(struct tree *tree, struct tree_statfs *ret_statfs);

/* ---- for threads that may wait ---- */

/* Meets needs: n > 1 only for NEED_METADATA. */
CHECKED int tree_meet(struct tree *tree, const struct need *needs, size_t n, struct err *err);

/* See cache_changes() and cache_wait_changes(). */
uint64_t tree_changes(struct tree *tree);
uint64_t tree_wait_changes(struct tree *tree, uint64_t seen, int64_t wait_ms);

/* Makes everything that waits for the service end with ECANCELED. */
void tree_cancel(struct tree *tree);

/* The whole tree in words: a line "path<TAB>what it is" for each row of the table. Needs no mount. */
struct buf;
void tree_describe(struct buf *text);

/* True when the bytes of the sample are here. */
bool tree_is_local(struct tree *tree, const struct digest *digest);

/* What `status` says of passthrough from now on; cut at TREE_NOTE_MAX bytes. */
void tree_note_passthrough(struct tree *tree, const char *note);

/* What the file `status` says. */
CHECKED int tree_status(struct tree *tree, struct buf *text, struct err *err);

/* What the file `transfers` says, in words: a line for each, none when nothing is on its way. */
void tree_describe_transfers(struct tree *tree, struct buf *text);

bool need_equal(const struct need *a, const struct need *b);
