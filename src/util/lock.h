/*
 * lock -- mutexes with a rank, and conditions on them.
 *
 * A thread acquires locks in rising rank only; lock_acquire() asserts it, so that a deadlock shows at the first run of
 * the wrong order and not at the unlucky one. Whatever may block starts with lock_assert_none_held().
 *
 * Units      waits in milliseconds.
 * Threads    any; a lock is released by the thread that acquired it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/check.h"

/* Every lock of both programs, outermost first. */
enum lock_rank {
    LOCK_FS_PARK = 1, /* fs: parked requests and jobs */
    LOCK_FS_BACKING,  /* fs: which open is read by whom */
    LOCK_TREE,        /* tree: nodes and open files */
    LOCK_CACHE,       /* cache: poller, events, counters */
    LOCK_API,         /* api: the token */
    LOCK_ENGINE,      /* engine: jobs and buckets */
    LOCK_ENGINE_INDEX,
    LOCK_STORE_AUDIT,  /* store: the end of audit.jsonl */
    LOCK_STORE,        /* store: the database connection */
    LOCK_STORE_ZIP,    /* store: one password zip */
    LOCK_STORE_UNPACK, /* store: what is missing of an archive */
    LOCK_STORE_FILES,  /* store: open objects */
    LOCK_HTTP,         /* http: idle handles */
    LOCK_FS_BUFFERS,   /* fs: reply buffers */
    LOCK_HELPER,       /* helper: one question at a time */
    LOCK_TOP,          /* top: the last look */
    LOCK_RANK_MAX = 63,
};

struct CAPABILITY("mutex") lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

struct cond {
    pthread_cond_t cond;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_done(struct lock *lock);
void lock_acquire(struct lock *lock) ACQUIRES(lock);
void lock_release(struct lock *lock) RELEASES(lock);

/* Before anything that may block: network, long disk work, waiting for another thread. */
void lock_assert_none_held(void);

void cond_init(struct cond *cond);
void cond_done(struct cond *cond);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

/* Waits with `lock` held; spurious wake-ups happen. */
void cond_wait(struct cond *cond, struct lock *lock) REQUIRES(lock);

/* The same for at most `wait_ms`; false on timeout. */
bool cond_wait_ms(struct cond *cond, struct lock *lock, int64_t wait_ms) REQUIRES(lock);
