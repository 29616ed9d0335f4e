/*
 * engine_watch -- tells which paths below the served directory changed (inotify).
 *
 * Units      waits in milliseconds.
 * Ownership  the paths of a batch belong to the watch, until the next engine_watch_wait().
 * Threads    one thread calls add and wait; any may call engine_watch_wake().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"
#include "util/err.h"

enum {
    ENGINE_WATCH_SETTLE_MS = 200,  /* a batch ends when nothing happened for so long … */
    ENGINE_WATCH_BATCH_MS = 1000,  /* … or when it is so old */
    ENGINE_WATCH_BATCH_MAX = 4096, /* paths; more is an overflow */
};

struct engine_watch;

/* `has_inotify` false makes a watch that only ever waits for the wake-up. */
CHECKED int engine_watch_new(const char *dir, bool has_inotify, struct engine_watch **ret_watch, struct err *err);
void engine_watch_free(struct engine_watch *watch);
DEFINE_CLEANUP(struct engine_watch *, engine_watch_free)

/* Watches directory `path` ("" is the top); a directory that is gone is no error, ENOSPC is the kernel's limit. */
CHECKED int engine_watch_add(struct engine_watch *watch, const char *path, struct err *err);

/* Forgets the directory `path` and those below. */
void engine_watch_drop(struct engine_watch *watch, const char *path);

struct engine_watch_batch {
    bool is_woken;    /* engine_watch_wake() was called: end */
    bool is_overflow; /* paths were lost: look at everything */
    size_t n_paths;
    const char *const *paths; /* each once */
};

/* Waits for a batch of changes, which is empty after `wait_ms` without any; -1 waits for ever. */
CHECKED int engine_watch_wait(struct engine_watch *watch, int wait_ms, struct engine_watch_batch *ret_batch,
                              struct err *err);

void engine_watch_wake(struct engine_watch *watch);
