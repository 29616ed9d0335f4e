/*
 * engine_rate -- requests per minute in a sliding window, per bucket (API page 5.1).
 *
 * Units      milliseconds on the monotonic clock; *_s seconds since the epoch.
 * Threads    any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"

enum engine_bucket {
    BUCKET_DATA,   /* a valid token: all clients together */
    BUCKET_UNAUTH, /* no valid token: per peer */
    BUCKET_TOKEN,  /* the token routes: per peer */
    ENGINE_BUCKETS,
};

enum {
    ENGINE_RATE_UNAUTH = 15,
    ENGINE_RATE_TOKEN = 300,
    ENGINE_RATE_MAX = 1000 * 1000,
    ENGINE_RATE_PEERS_MAX = 64, /* peers remembered per bucket; the one that was quiet longest is forgotten */
};

struct engine_rate;

/* `data_max` requests per minute with a valid token, `unauth_max` without. */
CHECKED int engine_rate_new(int64_t data_max, int64_t unauth_max, struct engine_rate **ret_rate, struct err *err);
void engine_rate_free(struct engine_rate *rate);
DEFINE_CLEANUP(struct engine_rate *, engine_rate_free)

struct engine_verdict {
    bool is_allowed;
    int64_t limit;
    int64_t remaining;
    int64_t retry_after_s; /* when not allowed: the instant a request will be again */
};

/* Counts a request of `peer` (any text). */
struct engine_verdict engine_rate_take(struct engine_rate *rate, enum engine_bucket bucket, const char *peer);
