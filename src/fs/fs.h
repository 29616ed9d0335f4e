/*
 * fs -- the tree as a FUSE filesystem: decode a request, call the tree, reply. The only user of libfuse.
 *
 * No FUSE worker ever waits for the service. A call that lacks something is parked without a thread; a bounded number
 * of fetcher threads meets the needs, once for everybody who has the same one.
 *
 * Ownership  the tree is borrowed and must outlive the fs.
 * Errors     0 or a negative errno with err filled.
 * Threads    one thread makes, runs and frees it; fs_stop() may be called from any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"

enum { FS_MOUNT_OPTIONS_MAX = 1024 };

struct tree;
struct helper;

struct fs_config {
    struct tree *tree;
    struct helper *helper; /* takes the mount away at the end; borrowed, like the tree */
    const char *mountpoint;
    const char *mount_options;    /* for the kernel, comma separated, beyond ours; "" for none */
    bool passthrough;             /* the kernel reads what is opened again from a copy, where that can be */
    int64_t passthrough_bytes;    /* what those copies may take */
    bool debug;                   /* libfuse prints every request to stderr */
    bool ends_on_hangup;          /* SIGHUP is the end of our terminal, and ours; else it is for `reload` */
    int64_t alive_ms;             /* how often `alive` is called while threads and locks move; 0: never */
    void (*ready)(void *closure); /* called once, when the mount answers */
    /* these on the thread for signals, one at a time: */
    void (*reload)(void *closure);   /* SIGHUP */
    void (*describe)(void *closure); /* SIGUSR1 */
    void (*alive)(void *closure);
    void *closure;
};

struct fs;

/* Mounts; a stale mount of ours in the same place is taken away first. Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1 in all
 * threads to come. */
CHECKED int fs_new(const struct fs_config *config, struct fs **ret_fs, struct err *err);

/* Serves until unmounted, or until SIGTERM, SIGINT or fs_stop(); then everything in flight is ended. */
CHECKED int fs_run(struct fs *fs, struct err *err);

/* Another passthrough_bytes from now on, from any thread. */
void fs_limit(struct fs *fs, int64_t passthrough_bytes);

/* What waits, and for what: lines for the log. */
struct buf;
void fs_describe(struct fs *fs, struct buf *text);

/* Ends the connection to the kernel, has the helper unmount what is still mounted, waits for that and frees. */
void fs_free(struct fs *fs);
DEFINE_CLEANUP(struct fs *, fs_free)
