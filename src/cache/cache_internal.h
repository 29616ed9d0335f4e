/*
 * cache_internal -- what the files of this layer share.
 */
#pragma once

#include <stdatomic.h>

#include "api/api.h"
#include "cache/cache.h"
#include "store/store.h"
#include "util/lock.h"

struct poll; /* cache_poll.c */

enum { CACHE_FAILURES_MAX = 256, CACHE_TRIES_MAX = 2 };

/* A download that left and did not arrive whole; it may have been charged. */
struct cache_failure {
    struct digest digest;
    int n;
    struct err err;
};

struct cache {
    struct cache_config config;
    struct api *api;
    struct store *store;
    atomic_bool cancelled;
    volatile bool stop_waiting; /* for store_digest_lock() */

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
    struct cache_failure failures[CACHE_FAILURES_MAX]; /* a ring */
    size_t next_failure;
    struct buf event_lines; /* those that are kept, whole lines */
    struct cache_events events;
    struct poll *polls; /* touched by the poller thread only */
    size_t n_polls;
};

/* Counts a change and wakes who waits for one. */
void cache_changed(struct cache *cache);

/* Notes success (err->code 0) or failure of a call to the service for `status`; returns r. */
int cache_note(struct cache *cache, int r, const struct err *err);

/* After something was spent, or was refused for the quota: the next reader of the quotas asks again. */
void cache_spent(struct cache *cache);

/* Adds to one of the counters in cache->health. */
void cache_count(struct cache *cache, int64_t *counter, int64_t n);

/* The poller thread, and freeing what it keeps. */
void *cache_poll_main(void *closure);
void cache_poll_done(struct cache *cache);

/* Entries that a dead process was sending become failed. */
CHECKED int cache_submit_recover(struct cache *cache, struct err *err);

/* Sends every queued entry once; failures stay queued. */
void cache_submit_queued(struct cache *cache);
