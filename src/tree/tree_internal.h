/*
 * tree_internal -- nodes, the table they come from, open files.
 *
 * A node_spec is a row of the table in tree_table.c. A node is what the kernel knows by number: a row plus a subject
 * (which hunt, which sample). Inode numbers are computed, never counted, so that they are the same in every mount: a
 * sample's from its digest alone, whatever the directory; everything else from its parent's number and its name.
 */
#pragma once

#include <stdatomic.h>

#include "cache/cache.h"
#include "store/store.h"
#include "tree/tree.h"
#include "util/buf.h"
#include "util/list.h"
#include "util/lock.h"
#include "util/map.h"

enum { TREE_ABSENT = 101 }; /* internal outcome: no such name */

#define FOREVER_MS (1000LL * 60 * 60 * 24 * 365)

enum {
    TREE_TEXT_MAX = 256 << 20,  /* bytes of a generated file */
    TREE_SPOOLS_MAX = 1024,     /* files of the user that are in memory */
    TREE_SUBJECT_MAX = 255,     /* bytes of a subject's text */
    TREE_COMMAND_MAX = 1 << 20, /* bytes of one command */
    TREE_PAGE = 512,            /* results read at a time */
};

enum subject_kind {
    SUBJECT_NONE,
    SUBJECT_DIGEST,  /* a sample */
    SUBJECT_ENTRY,   /* text: the name of a hunt, a search, a download */
    SUBJECT_REQUEST, /* text: a request id */
    SUBJECT_GROUP,   /* some results of a request. text: its id; digest: of the value that they share */
    SUBJECT_FILE,    /* text: the name of a user's file */
};

struct subject {
    enum subject_kind kind;
    enum store_dir dir;     /* of entries and files */
    enum store_group group; /* of groups */
    struct digest digest;
    char text[TREE_SUBJECT_MAX + 1];
};

struct node_ops;

enum { USER_SUFFIXES_MAX = 3 };

/* A directory in which the user writes (tree_name.c). */
struct user_dir {
    enum store_dir dir;
    const char *suffixes[USER_SUFFIXES_MAX]; /* of what is submitted, in any case; the rest is NULL */
    const char *wants;                       /* the refusal of any other name */
    bool has_defaults;                       /* a file .defaults */
    bool has_patterns;                       /* mkdir 'ascii:…' */
    bool is_free;                            /* costs nothing, so a change is sent like what is new */
};

struct node_spec {
    const char *name;           /* a fixed name, or NULL and … */
    const char *pattern;        /* … how the man page writes it; ops->find decides */
    const char *doc;            /* one line, for README and the man page */
    const char *suffix;         /* what a listing appends to a digest */
    const struct node_ops *ops; /* NULL: a plain directory */
    const struct node_spec *children;
    size_t n_children;
    uint32_t mode;
    int64_t ttl_ms;              /* of entry and attributes */
    bool is_unlisted;            /* can be opened, is not listed */
    bool is_per_request;         /* a directory of immutable results: another request, another inode */
    const struct user_dir *user; /* of a directory in which the user writes; of rows inside, whose they are */
    enum store_group group;      /* of the grouped views */
};

#define CHILDREN(rows) .children = (rows), .n_children = ARRAY_SIZE(rows)

struct node {
    struct map_entry by_ino;
    const struct node_spec *spec;
    uint64_t ino;
    uint64_t n_lookups;
    enum subject_kind kind;
    enum store_dir dir;
    enum store_group group;
    struct digest digest;
    bool is_exact;      /* of a sample: its bytes were here once, and as many as its metadata said */
    int64_t known_size; /* of a sample whose bytes were here once; -1: of another */
    int64_t told_size;  /* that the kernel may keep for this sample; -1: none */
    int64_t listed;     /* of a directory: the version of the listing that the kernel may have; 0: none */
    uint64_t forgotten; /* … and tree->n_forgotten then */
    char text[];        /* the subject's, "" for a digest */
};

/* A file of the user that is in memory: being written, or scratch that is never sent. */
struct spool {
    struct list link; /* in tree->spools unless unlinked */
    enum store_dir dir;
    char name[TREE_NAME_MAX + 1];
    struct buf text;
    int64_t mtime_s;
    unsigned n_open;
    unsigned
        n_writing; /* of these, who may write and has not closed it: closing is told at once, the last close later */
    bool is_dirty;
    bool is_broken; /* a write failed: what is here is a part, and is not sent until the file is written anew */
    bool is_gone;   /* renamed away or deleted by an editor that will write it again: the name does not exist */
    bool is_linked;
};

/* What the listing of a directory has. */
struct list_item {
    const struct node_spec *spec;
    char *name; /* NULL: the digest and spec->suffix */
    struct digest digest;
    int64_t size;
    int64_t mtime_s;
    int64_t next; /* the offset behind it, above that of the one before */
};

struct listing {
    struct list_item *items;
    size_t n;
    size_t room;
    int code; /* sticky ENOMEM */
    bool is_made;
    /* All but "." and ".." are samples in the order of their digests: offsets are from these, so that reading goes on
     * in the right place whatever came or went before it. Else offsets are positions. */
    bool is_sorted;
};

void listing_add_name(struct listing *listing, const struct node_spec *spec, const char *name);
void listing_add_sample(struct listing *listing, const struct node_spec *spec, const struct sample *sample);
void listing_done(struct listing *listing);

/* What the kernel may do with the listing of a directory that is being opened. */
enum tree_listing listing_agree(struct tree *tree, struct handle *handle);

struct handle {
    struct list link; /* in tree->handles */
    const struct node_spec *spec;
    uint64_t ino;
    struct subject subject;
    struct buf text;             /* a generated file, as it was at open */
    struct store_object *object; /* a sample, an archive */
    struct store_zip *zip;
    struct spool *spool; /* a user's file */
    bool may_write;
    bool is_writing; /* counted in spool->n_writing. Guarded by tree->lock */
    bool is_append;
    struct caller opener;   /* for writing: the thread group and its program; for reading: the thread */
    struct listing listing; /* of a directory, made when its first name is asked for */
    int64_t version;        /* of the listing that the kernel may keep; 0: none. Guarded by tree->lock */
    /* the `wait` file */
    struct lock lock;
    char last[STORE_ERROR_MAX + 128];
    int64_t last_ms;                     /* when it was given, monotonic */
    char pending[STORE_ERROR_MAX + 129]; /* a line that was not read whole yet, and where reading goes on */
    size_t at;
    bool is_over;
    /* the `events` file; offsets are those of struct cache_events */
    struct {
        bool is_open;    /* guarded by tree->lock */
        int64_t base;    /* where the file begins, the same for all who have it open; never changes */
        int64_t skipped; /* bytes that were dropped before they were read; guarded by lock, like … */
        int64_t seen;    /* … the end of the last read */
    } events;
};

struct node_ops {
    /* Rows without a fixed name: the subject that `name` means in directory `parent`, or TREE_ABSENT. */
    int (*find)(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                struct subject *ret_subject, struct err *err);
    /* Rows with a fixed name that do not always exist: 0 or TREE_ABSENT. */
    int (*exists)(struct tree *tree, const struct subject *subject, struct err *err);
    /* Size and mtime; the rest is filled before. `is_lookup`: never TREE_NEED, a provisional answer with no time to
     * live. */
    int (*attr)(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                struct need *ret_need, struct err *err);
    /* The text of a generated file. */
    int (*render)(struct tree *tree, const struct subject *subject, struct buf *text, struct need *ret_need,
                  struct err *err);
    /* Opens the file; without it the text is rendered into the handle. TREE_NEED as in tree.h. */
    int (*open)(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open, struct need *ret_need,
                struct err *err);
    int (*read)(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                struct need *ret_need, struct err *err);
    /* One write(2) to a file that takes words. TREE_NEED: what its verdict waits for; the words are not seen again. */
    int (*command)(struct tree *tree, const struct handle *handle, char *words, struct need *ret_need, struct err *err);
    /* rmdir(2) of this. */
    int (*remove)(struct tree *tree, const struct subject *subject, struct err *err);
    /* As tree_poll(); without it the file is always ready. */
    enum tree_ready (*poll)(struct tree *tree, struct handle *handle);
    /* Names of the rows without a fixed name. */
    int (*list)(struct tree *tree, const struct subject *subject, const struct node_spec *spec, struct listing *listing,
                struct err *err);
    /* Directories whose listing the kernel may keep: another number whenever a name may have come or gone; 0: do not
     * keep it now. Asked at each opendir(). */
    int64_t (*version)(struct tree *tree, const struct subject *subject);
};

struct tree {
    struct tree_config config;
    struct cache *cache;
    struct store *store;
    int64_t started_s;
    atomic_bool resubmit; /* as of the last tree_tune() */
    struct lock lock;     /* rank LOCK_TREE; guards what follows */
    bool has_deny;        /* likewise */
    char deny[TREE_DENY_MAX + 1];
    char passthrough[TREE_NOTE_MAX + 1]; /* for `status`; "": nothing is known yet */
    struct map nodes;                    /* by inode number */
    uint64_t n_forgotten;                /* nodes that the kernel let go, ever */
    struct list spools;
    size_t n_spools;
    struct list handles;   /* all that are open: an unmount by force releases none of them */
    struct groups *groups; /* dir_groups.c */
};

/* ---- tree_node.c; all with tree->lock held ---- */

struct node *node_get_locked(struct tree *tree, uint64_t ino) REQUIRES(&tree->lock);

/* Finds or makes the node for this row and subject below `parent`; adds a lookup. NULL without memory. */
struct node *node_take_locked(struct tree *tree, uint64_t parent, const struct node_spec *spec, const char *name,
                              const struct subject *subject) REQUIRES(&tree->lock);
void node_forget_locked(struct tree *tree, uint64_t ino, uint64_t n) REQUIRES(&tree->lock);
void node_free_all(struct tree *tree);

/* The number that node_take_locked() would give, unless two collide. */
uint64_t node_number(uint64_t parent, const struct node_spec *spec, const char *name, const struct subject *subject);

/*
 * Whose a row with a fixed name is, given whose its directory is. Results belong to the request, not to the hunt that
 * shows it: another request, another directory, so that no name of old results goes on resolving.
 */
CHECKED int subject_below(struct tree *tree, const struct node_spec *spec, struct subject *subject, struct err *err);

/* The row and subject that `name` means below `parent`, or TREE_ABSENT. */
CHECKED int tree_find_child(struct tree *tree, uint64_t parent, const char *name, const struct node_spec **ret_spec,
                            struct subject *ret_subject, struct err *err);

/*
 * The kernel keeps sizes for good, and metadata can be wrong: until the bytes are here it may have been told another
 * one. node_tell_locked() notes what it is told; node_was_told() is false, once, when that was not `size`. Once the
 * bytes were opened it is told their size, whatever the service says later: at any other one it cuts pages that it
 * keeps, and programs that read.
 */
void node_tell_locked(struct node *node, struct tree_attr *attr);
bool node_was_told(struct tree *tree, uint64_t ino, int64_t size);

/* The bytes are here, so many. Exact: the metadata says so, too; neither changes for a sample, so one look is enough.
 */
void node_set_size(struct tree *tree, uint64_t ino, int64_t size, bool is_exact);
bool node_is_exact(struct tree *tree, uint64_t ino);

/* A copy of what a node is, made under the lock, so that work goes on without it. False: unknown number. */
bool node_copy(struct tree *tree, uint64_t ino, const struct node_spec **ret_spec, struct subject *ret_subject);

/* ---- the table ---- */
extern const struct node_spec tree_root;

/* ---- tree_view.c: what a directory of a hunt or request shows ---- */
struct view {
    bool has_entry;
    bool has_request;
    struct store_entry entry;
    struct store_request request;
    enum query_kind kind;
    bool has_progress; /* of a multi-download that is being fetched or unpacked */
    struct cache_progress progress;
};

/* TREE_ABSENT: neither entry nor request. */
CHECKED int view_load(struct tree *tree, const struct subject *subject, struct view *ret_view, struct err *err);

/* The status line without its newline. */
void view_status(const struct view *view, char *ret_line, size_t room);

/* When it changed last, for mtime. */
int64_t view_changed(const struct view *view);

/* True when nothing will change by itself any more. */
bool view_is_over(const struct view *view);

/* ---- tree_spool.c ---- */
struct spool *spool_find_locked(struct tree *tree, enum store_dir dir, const char *name) REQUIRES(&tree->lock);

/* The one whose text the name has now, or which says that it has none; NULL: ask the disk. */
struct spool *spool_shown_locked(struct tree *tree, enum store_dir dir, const char *name) REQUIRES(&tree->lock);
CHECKED int spool_new_locked(struct tree *tree, enum store_dir dir, const char *name, struct spool **ret_spool,
                             struct err *err) REQUIRES(&tree->lock);
void spool_unlink_locked(struct tree *tree, struct spool *spool) REQUIRES(&tree->lock);

/* Frees it when it is neither open nor worth keeping: unlinked, or what it holds is on disk. */
void spool_drop_locked(struct tree *tree, struct spool *spool) REQUIRES(&tree->lock);

/* Whoever opens a file to write it, or writes, is writing; who has closed it is not. */
void spool_writing_locked(struct handle *handle, bool is_writing);

/* The spool to write into, with one more opener: the one there is, or a new one with the text `disk` (may be NULL),
 * which was changed at `changed_s`. */
CHECKED int spool_take(struct tree *tree, enum store_dir dir, const char *name, const struct buf *disk,
                       int64_t changed_s, bool truncate, struct spool **ret_spool, struct err *err);

/* ---- tree_name.c: what a name in a user's directory means ---- */

#define USER_DEFAULTS ".defaults"

enum user_name_kind {
    NAME_NONE,     /* nothing of this name can be made here */
    NAME_FINAL,    /* it is submitted */
    NAME_DEFAULTS, /* .defaults */
    NAME_SCRATCH,  /* a temporary of some editor or tool */
};

/* "wiper.yar" is "wiper" and ".yar". */
struct user_name {
    enum user_name_kind kind;
    char base[STORE_NAME_MAX + 1];
    const char *suffix; /* inside the name that was parsed */
};

extern const struct user_dir user_dirs[STORE_DOWNLOADS + 1];
enum user_name_kind user_name(enum store_dir dir, const char *name, struct user_name *ret_name);

/* Why a name is NAME_NONE. */
int user_name_refuse(enum store_dir dir, const char *name, struct err *err);

/* ---- tree_commit.c ---- */

/* The user's directory that `parent` is; EROFS for any other. */
CHECKED int user_dir_of(struct tree *tree, uint64_t parent, const struct user_dir **ret_dir, struct err *err);

/* What somebody wrote. */
struct written {
    const struct buf *text;
    int64_t changed_s;
    const struct caller *who;
    bool is_draft; /* keep it, whatever it is, and send nothing */
};

/* Puts it on disk; TREE_NEED: it must be sent. */
CHECKED int spool_commit(struct tree *tree, enum store_dir dir, const char *name, const struct written *written,
                         struct need *ret_need, struct err *err);

/* Sends a file that is on disk already; what costs nothing new is not asked again. */
CHECKED int spool_resubmit(struct tree *tree, enum store_dir dir, const char *name, const struct caller *who,
                           struct need *ret_need, struct err *err);

/* Whether `name` may be made: EINVAL, ENAMETOOLONG, or EEXIST for what would be in its way. */
CHECKED int spool_may_create(struct tree *tree, enum store_dir dir, const char *name, struct err *err);

/* The text on disk of a user's file, and when it was changed. TREE_ABSENT: there is none. */
CHECKED int spool_disk_text(struct tree *tree, enum store_dir dir, const char *name, struct buf *text,
                            int64_t *ret_changed_s, struct err *err);

/* Forgets an entry and what is in memory of its file; its requests stay. */
CHECKED int user_forget(struct tree *tree, const struct store_entry *entry, struct err *err);

/* Forgets a request; one that is asked for again is adopted again. */
CHECKED int request_forget(struct tree *tree, const struct store_request *request, struct err *err);

/* ---- tree_process.c ---- */

/* True when the process is ending because of a signal (PF_SIGNALED, proc(5) stat field 9): its close is not the user's.
 */
bool process_is_killed(pid_t pid);

/* The thread group of a thread; `pid` itself when /proc does not tell. */
pid_t process_group(pid_t pid);

/* The name that a process goes by (proc(5), comm, at most 15 bytes); "" when /proc does not tell. */
void process_comm(pid_t pid, char *ret_name, size_t room);

/* Whose thread it is, and the name of its executable; where that is not told, what the process goes by. */
struct caller process_caller(struct tree *tree, const struct caller *thread);

/* ---- tree_deny.c ---- */

/* EACCES, told as an event, when this caller must not make a sample come that is not local. `flags` of open(2). */
CHECKED int deny_sample(struct tree *tree, const struct digest *digest, int flags, const struct caller *who,
                        struct err *err);

/* ---- dir_groups.c ---- */
struct groups; /* the grouped views that were looked at last */
void groups_free(struct groups *groups);

/* Results as samples or metadata, of a request or of one group of it. */
CHECKED int list_results(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                         struct listing *listing, struct err *err);

/* The digest that a name means, "<sha256>" with or without the row's suffix, if it is in this directory. */
CHECKED int find_by_digest(struct tree *tree, const struct subject *parent, const struct node_spec *spec,
                           const char *name, struct subject *ret_subject, struct err *err);

/* "local", "remote" or "gone", in results.tsv and attributes. */
const char *sample_state(struct tree *tree, const struct store_sample *sample);

/* Reads handle->object. */
CHECKED int read_object(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                        struct need *need, struct err *err);

/* 0 once the request is done, so that nobody takes a part for the whole. */
CHECKED int exists_when_done(struct tree *tree, const struct subject *subject, struct err *err);

/* True when the sample belongs to the group. */
CHECKED int group_has(const struct subject *group, const struct sample *sample, bool *ret_has, struct err *err);

/* ---- rows' operations, one file per kind ---- */
extern const struct node_ops file_readme, file_quotas, file_quotas_json, file_budget, file_status, file_metrics,
    file_events;
extern const struct node_ops dir_entries, file_final, file_defaults, file_scratch;
extern const struct node_ops dir_requests;
extern const struct node_ops dir_samples, dir_metadata, file_sample, file_metadata, dir_result_samples,
    dir_result_metadata;
extern const struct node_ops view_rule, view_options, view_state, view_id, view_error, view_results_tsv,
    view_results_jsonl, view_response, view_hashes, view_sums, view_query, view_note, view_runs, view_missing,
    file_wait, file_ctl, file_archive, file_zip, file_transfers;
extern const struct node_ops dir_groups, dir_group;
