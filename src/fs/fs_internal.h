/*
 * fs_internal -- calls, parking, replies.
 */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <limits.h>
#include <stdatomic.h>

#include "fs/fs.h"
#include "fs/fs_backing_table.h"
#include "tree/tree.h"
#include "util/list.h"
#include "util/lock.h"

enum {
    FS_WORKERS = 4,                /* threads that read /dev/fuse; none of them ever waits */
    FS_READ_MAX = 1024 * 1024,     /* bytes of one READ */
    FS_LIST_MAX = 64 * 1024,       /* bytes of one READDIR reply */
    FS_BACKGROUND_MAX = 64,        /* requests that the kernel may have under way in the background */
    FS_BUFFERS_MAX = 8,            /* idle reply buffers that are kept */
    FS_CALLS_MAX = 100000,         /* parked requests; one more is EBUSY */
    FS_POLLERS_MAX = 1024,         /* open files that poll(2) waits for; one more is POLLERR */
    FS_ROUNDS_MAX = 4,             /* needs that one call may have, one after the other */
    FS_TICK_MS = 100,              /* how often waiting requests are looked at for signals and time limits */
    FS_OPEN_LIMIT_MS = 60 * 1000,  /* then ETIMEDOUT, while the download goes on */
    FS_CLOSE_LIMIT_MS = 10 * 1000, /* then close() succeeds, and the hunt is `queued` */
    FS_LOCKED_LIMIT_MS = 1500,     /* likewise mkdir() and rename(), while the kernel has the directory locked */
    FS_META_LIMIT_MS = 60 * 1000,
    FS_BATCH_WINDOW_MS = 15, /* how long the first of a batch waits for its neighbours */
    FS_SWEEP_MS = 10 * 1000, /* how often copies for passthrough are compared with what is local */
    FS_STOP_S = 2,           /* from a signal to unmounted; then the kernel ends us */
    FS_DESCRIBED_MAX = 100,  /* jobs that are told one by one */
};

struct fs;
struct fs_call;

/* Runs the call against the tree: replies and returns 0, or returns TREE_NEED without a reply. On < 0 nothing was
 * replied. */
typedef int fs_call_run(struct fs *fs, struct fs_call *call, struct need *need, struct err *err);

/* One request of the kernel, with what is needed to run it again. */
struct fs_call {
    struct list link; /* of its job, or of fs->watchers */
    fuse_req_t req;
    const char *op; /* for the log */
    fs_call_run *run;
    fuse_ino_t ino;
    fuse_ino_t new_parent;
    struct fuse_file_info fi;
    bool has_fi;
    off_t offset;
    const char *data; /* of a write, in the first round only */
    size_t size;
    int flags;
    int64_t started_ms;
    int64_t limit_ms; /* monotonic time; 0: none */
    int rounds;
    char *name; /* of mkdir and rename, NULL for all others */
    char *new_name;
};

struct job;

enum fs_lane { LANE_META, LANE_BYTES, LANE_CONTROL, N_LANES };

/* Idle buffers for READ replies: a fresh megabyte for each would cost more than the copy. */
struct fs_buffers {
    struct lock lock; /* rank LOCK_FS_BUFFERS */
    void *idle[FS_BUFFERS_MAX];
    size_t n;
};

/* Which open of a sample the kernel reads itself, and from what. */
struct fs_backing {
    struct lock lock; /* rank LOCK_FS_BACKING; guards what follows */
    struct cond work;
    struct backing_table table;
    atomic_bool is_ending;
    bool is_possible; /* of our side; what the kernel says of it comes with INIT. Constant once threads run. */
    bool has_thread;
    pthread_t thread;
};

struct fs {
    struct fs_config config;
    struct tree *tree;
    struct fuse_session *session;
    char mountpoint[PATH_MAX]; /* absolute: the working directory changes */
    bool is_mounted;
    uid_t uid; /* whose everything is */
    gid_t gid;
    pthread_t main_thread;
    pthread_t signals;
    bool has_signals;
    atomic_bool stopping;
    struct fs_buffers buffers;
    struct fs_backing backing;

    struct lock lock;            /* rank LOCK_FS_PARK; guards what follows */
    struct cond work[N_LANES];   /* a lane has a job */
    struct list queued[N_LANES]; /* jobs without a thread */
    struct list jobs;            /* all jobs, running ones too */
    struct list watchers;        /* calls that wait for a change */
    size_t n_calls;
    struct list pollers; /* open files that poll(2) waits for */
    size_t n_pollers;
    bool closed; /* nothing parks any more */
    pthread_t threads[32];
    size_t n_threads;
};

/* ---- fs_park.c ---- */
CHECKED int fs_park_start(struct fs *fs, struct err *err);

/* Replies to everything that waits, ends all fetchers; the service's calls are cancelled first. */
void fs_park_stop(struct fs *fs);

/* Runs a call for the first time; takes it over. */
void fs_call_begin(struct fs *fs, struct fs_call *call);

/* A job that nobody waits for. */
void fs_job_background(struct fs *fs, const struct need *need);

/* A call with the fields that all have in common; NULL without memory (replied then). */
struct fs_call *fs_call_new(struct fs *fs, fuse_req_t req, const char *op, fs_call_run *run, fuse_ino_t ino,
                            const struct fuse_file_info *fi);
void fs_call_free(struct fs_call *call);

/* ---- fs_backing.c: passthrough ---- */
void fs_backing_init(struct fs *fs);
void fs_backing_done(struct fs *fs);
CHECKED int fs_backing_start(struct fs *fs, struct err *err);
void fs_backing_stop(struct fs *fs);

/* At INIT. */
void fs_backing_agree(struct fs *fs, struct fuse_conn_info *conn);

/* Counts an open, and says in `fi` who reads it. To be taken back when the kernel never learns of it, and at release;
 * of what is no sample both do nothing. */
CHECKED int fs_backing_open(struct fs *fs, fuse_ino_t ino, const struct tree_open *opened, struct fuse_file_info *fi,
                            struct err *err);
void fs_backing_close(struct fs *fs, fuse_ino_t ino);

/* ---- fs_poll.c: poll(2) ---- */
void fs_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);

/* After a change: wakes who polls a file that has something to read now. */
void fs_poll_changed(struct fs *fs);

/* Nobody polls this open file any more: it is about to be released. */
void fs_poll_forget(struct fs *fs, const struct handle *handle);
void fs_poll_stop(struct fs *fs);

/* ---- fs_reply.c: the one place that turns a struct err into a reply and a log line ---- */
void fs_reply_err(fuse_req_t req, const char *op, fuse_ino_t ino, const struct err *err);
void fs_reply_code(fuse_req_t req, const char *op, fuse_ino_t ino, int code);
void fs_fill_stat(const struct fs *fs, const struct tree_attr *attr, struct stat *st);
void fs_fill_entry(const struct fs *fs, const struct tree_attr *attr, struct fuse_entry_param *entry);
void fs_fill_open(struct fuse_file_info *fi, const struct tree_open *opened);
void *fs_buffer_take(struct fs *fs);
void fs_buffer_give(struct fs *fs, void *buffer);

/* ---- fs_signal.c ---- */

/* True when a signal that ends the process is pending for the thread. */
bool fs_is_dying(pid_t pid);

CHECKED int fs_signal_block(struct err *err);
CHECKED int fs_signal_start(struct fs *fs, struct err *err);
void fs_signal_stop(struct fs *fs);

extern const struct fuse_lowlevel_ops fs_ops;
