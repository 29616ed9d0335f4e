#include "engine/engine_rate.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"
#include "util/lock.h"
#include "util/map.h"

enum { WINDOW_MS = 60 * 1000 };

/* The instants of the last requests: a ring with as many places as requests are allowed. */
struct ring {
    uint64_t peer; /* hash */
    int64_t used_ms;
    int64_t *at_ms;
    size_t first;
    size_t n;
};

struct engine_rate {
    struct lock lock; /* rank LOCK_ENGINE */
    size_t max[ENGINE_BUCKETS];
    struct ring rings[ENGINE_BUCKETS][ENGINE_RATE_PEERS_MAX]; /* guarded by lock */
};

int engine_rate_new(int64_t data_max, int64_t unauth_max, struct engine_rate **ret_rate, struct err *err)
{
    struct engine_rate *rate = calloc(1, sizeof *rate);

    if (!rate)
        return err_set(err, ENOMEM, "no memory for rate limits");
    assert(data_max > 0 && data_max <= ENGINE_RATE_MAX && unauth_max > 0 && unauth_max <= ENGINE_RATE_MAX);
    lock_init(&rate->lock, LOCK_ENGINE);
    rate->max[BUCKET_DATA] = (size_t)data_max;
    rate->max[BUCKET_UNAUTH] = (size_t)unauth_max;
    rate->max[BUCKET_TOKEN] = ENGINE_RATE_TOKEN;
    *ret_rate = rate;
    return 0;
}

void engine_rate_free(struct engine_rate *rate)
{
    if (!rate)
        return;
    for (size_t b = 0; b < ENGINE_BUCKETS; b++)
        for (size_t i = 0; i < ENGINE_RATE_PEERS_MAX; i++)
            free(rate->rings[b][i].at_ms);
    lock_done(&rate->lock);
    free(rate);
}

/* The ring of a peer; otherwise the one that was quiet longest, emptied. */
static struct ring *find_ring(struct ring *rings, uint64_t peer)
{
    struct ring *oldest = &rings[0];

    for (size_t i = 0; i < ENGINE_RATE_PEERS_MAX; i++) {
        if (rings[i].at_ms && rings[i].peer == peer)
            return &rings[i];
        if (!rings[i].at_ms || (oldest->at_ms && rings[i].used_ms < oldest->used_ms))
            oldest = &rings[i];
    }
    oldest->peer = peer;
    oldest->first = 0;
    oldest->n = 0;
    return oldest;
}

static void drop_old(struct ring *ring, size_t max, int64_t now_ms)
{
    while (ring->n > 0 && ring->at_ms[ring->first] <= now_ms - WINDOW_MS) {
        ring->first = (ring->first + 1) % max;
        ring->n--;
    }
}

static struct engine_verdict take_locked(struct engine_rate *rate, enum engine_bucket bucket, uint64_t peer)
    REQUIRES(&rate->lock);
static struct engine_verdict take_locked(struct engine_rate *rate, enum engine_bucket bucket, uint64_t peer)
{
    size_t max = rate->max[bucket];
    struct ring *ring = find_ring(rate->rings[bucket], peer);
    struct engine_verdict verdict = { .is_allowed = true, .limit = (int64_t)max };
    int64_t now_ms = clock_mono_ms();

    if (!ring->at_ms)
        ring->at_ms = calloc(max, sizeof *ring->at_ms);
    if (!ring->at_ms)
        return verdict; /* without memory to count, nobody is refused */
    ring->used_ms = now_ms;
    drop_old(ring, max, now_ms);
    if (ring->n < max) {
        ring->at_ms[(ring->first + ring->n) % max] = now_ms;
        ring->n++;
    } else {
        int64_t wait_ms = ring->at_ms[ring->first] + WINDOW_MS - now_ms;

        verdict.is_allowed = false;
        verdict.retry_after_s = clock_now_s() + (wait_ms + 999) / 1000;
    }
    verdict.remaining = (int64_t)(max - ring->n);
    return verdict;
}

struct engine_verdict engine_rate_take(struct engine_rate *rate, enum engine_bucket bucket, const char *peer)
{
    struct engine_verdict verdict;

    if (bucket == BUCKET_DATA)
        peer = ""; /* all together */
    lock_acquire(&rate->lock);
    verdict = take_locked(rate, bucket, map_hash(peer, strlen(peer)));
    lock_release(&rate->lock);
    return verdict;
}
