#include "cache/cache_internal.h"

#include <errno.h>

#include "util/clock.h"

/* What a failed call says about reaching the service; every other errno means that it answered. */
static const struct {
    int code;
    enum cache_reach reach;
} reach_of[] = {
    { ENETUNREACH, CACHE_OFFLINE },       { ETIMEDOUT, CACHE_OFFLINE },   { EREMOTEIO, CACHE_OFFLINE },
    { EKEYREJECTED, CACHE_UNAUTHORIZED }, { EACCES, CACHE_UNAUTHORIZED },
};

static enum cache_reach reach_for(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(reach_of); i++)
        if (reach_of[i].code == code)
            return reach_of[i].reach;
    return CACHE_ONLINE;
}

int cache_note(struct cache *cache, int r, const struct err *err)
{
    if (r == -ECANCELED)
        return r;
    lock_acquire(&cache->lock);
    cache->health.reach = r < 0 ? reach_for(-r) : CACHE_ONLINE;
    if (r < 0) {
        cache->health.last = *err;
        cache->health.last_s = clock_now_s();
    }
    lock_release(&cache->lock);
    return r;
}

void cache_count(struct cache *cache, int64_t *counter, int64_t n)
{
    lock_acquire(&cache->lock);
    *counter += n;
    lock_release(&cache->lock);
}

void cache_health(struct cache *cache, struct cache_health *ret_health)
{
    char place[CACHE_PLACE_MAX];

    api_place(cache->api, place, sizeof place);
    lock_acquire(&cache->lock);
    *ret_health = cache->health;
    lock_release(&cache->lock);
    for (size_t i = 0; i < sizeof place; i++)
        ret_health->place[i] = place[i];
}
