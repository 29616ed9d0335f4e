#include "cache/cache_internal.h"

#include <errno.h>

#include "util/clock.h"

/* What a failed call says about the way to the service. Every other errno means that there is one: it answered, if only
 * with a 500, or it cut its answer. When it cuts everything, the breaker soon says ENETUNREACH. */
static const struct {
    int code;
    enum cache_reach reach;
} reach_of[] = {
    { ENETUNREACH, CACHE_OFFLINE },
    { ETIMEDOUT, CACHE_OFFLINE },
    { EKEYREJECTED, CACHE_UNAUTHORIZED },
    { EACCES, CACHE_UNAUTHORIZED },
};

static enum cache_reach reach_for(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(reach_of); i++)
        if (reach_of[i].code == code)
            return reach_of[i].reach;
    return CACHE_ONLINE;
}

static const char *const reach_events[] = {
    [CACHE_UNTRIED] = "",
    [CACHE_ONLINE] = "online",
    [CACHE_OFFLINE] = "offline",
    [CACHE_UNAUTHORIZED] = "unauthorized",
};

/* The first call that works is what everybody expects, and no news. */
static bool is_news(enum cache_reach before, enum cache_reach now)
{
    return before != now && !(before == CACHE_UNTRIED && now == CACHE_ONLINE);
}

int cache_note(struct cache *cache, int r, const struct err *err)
{
    enum cache_reach now = r < 0 ? reach_for(-r) : CACHE_ONLINE;
    bool has_reason = now != CACHE_ONLINE; /* being back has no reason, whatever the service answered */
    char place[CACHE_PLACE_MAX];
    const struct cache_word words[] = {
        CACHE_TEXT("service", place),
        CACHE_TEXT("errno", has_reason ? err_name(err->code) : ""),
        CACHE_TEXT("reason", has_reason ? err->text : ""),
        CACHE_TEXT("trace", has_reason ? err->trace : ""),
    };
    bool news;

    if (r == -ECANCELED)
        return r;
    api_place(cache->api, place, sizeof place);
    lock_acquire(&cache->lock);
    news = is_news(cache->health.reach, now);
    cache->health.reach = now;
    if (r < 0) {
        cache->health.last = *err;
        cache->health.last_s = clock_now_s();
    }
    if (news)
        cache_event_add(cache, reach_events[now], words, ARRAY_SIZE(words));
    lock_release(&cache->lock);
    if (news)
        cache_event_log(reach_events[now], words, ARRAY_SIZE(words));
    if (r == -EDQUOT)
        cache_refused(cache, err);
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
