#include "cache/cache_internal.h"

#include <string.h>

#include "util/clock.h"
#include "util/text.h"

bool cache_quotas(struct cache *cache, struct cache_quotas *ret_quotas, struct buf *ret_raw)
{
    bool has;

    lock_acquire(&cache->lock);
    has = cache->has_quotas;
    if (has) {
        *ret_quotas = cache->quotas;
        if (ret_raw)
            buf_append(ret_raw, buf_text(&cache->quotas_raw), cache->quotas_raw.n);
    }
    lock_release(&cache->lock);
    return has;
}

static void remember(struct cache *cache, const struct api_quotas *quotas, const struct buf *raw, int64_t seen)
{
    lock_acquire(&cache->lock);
    cache->quotas_seen = seen;
    cache->quotas = (struct cache_quotas){
        .hunt_count = quotas->hunt_count,
        .hunt_limit = quotas->hunt_limit,
        .download_count = quotas->download_count,
        .download_limit = quotas->download_limit,
        .monitor_count = quotas->monitor_count,
        .monitor_limit = quotas->monitor_limit,
        .days_left = quotas->days_left,
        .asked_s = clock_now_s(),
        .tried_s = clock_now_s(),
    };
    (void)text_copy(cache->quotas.refresh_time, sizeof cache->quotas.refresh_time,
                    quotas->refresh_time); /* cut is fine */
    buf_clear(&cache->quotas_raw);
    buf_append(&cache->quotas_raw, buf_text(raw), raw->n);
    cache->has_quotas = true;
    if (quotas->hunt_count < quotas->hunt_limit && quotas->download_count < quotas->download_limit)
        cache->health.exhausted[0] = '\0';
    lock_release(&cache->lock);
}

void cache_refused(struct cache *cache, const struct err *err)
{
    char until[sizeof cache->quotas.refresh_time];
    const struct cache_word words[] = {
        CACHE_TEXT("errno", err_name(err->code)),
        CACHE_TEXT("reason", err->text),
        CACHE_TEXT("until", until),
        CACHE_TEXT("trace", err->trace),
    };
    bool is_news;

    lock_acquire(&cache->lock);
    is_news = strcmp(cache->health.exhausted, err->text) != 0;
    (void)text_copy(cache->health.exhausted, sizeof cache->health.exhausted, err->text); /* same size */
    (void)text_copy(until, sizeof until, cache->quotas.refresh_time);                    /* same size */
    if (is_news)
        cache_event_add(cache, "exhausted", words, ARRAY_SIZE(words));
    lock_release(&cache->lock);
    if (is_news)
        cache_event_log("exhausted", words, ARRAY_SIZE(words));
}

void cache_spent(struct cache *cache)
{
    lock_acquire(&cache->lock);
    cache->quotas.tried_s = 0;
    cache->is_quotas_due = true;
    cond_broadcast(&cache->changed); /* the poller asks for them */
    lock_release(&cache->lock);
}

void cache_refresh_quotas(struct cache *cache)
{
    struct err ignored = { 0 };
    bool is_due;

    lock_acquire(&cache->lock);
    is_due = cache->is_quotas_due;
    lock_release(&cache->lock);
    if (is_due)
        (void)cache_fetch_quotas(cache, &ignored); /* `status` has the failure */
}

/* After a failed call: the old answer counts for a while again, if there is one. */
static bool keep_old(struct cache *cache)
{
    bool has;

    lock_acquire(&cache->lock);
    has = cache->has_quotas;
    cache->quotas.tried_s = clock_now_s();
    lock_release(&cache->lock);
    return has;
}

int cache_fetch_quotas(struct cache *cache, struct err *err)
{
    struct buf raw = BUF_INIT(API_JSON_MAX);
    struct api_quotas quotas;
    int64_t seen = 0;
    int r;

    lock_acquire(&cache->lock);
    cache->is_quotas_due = false; /* what is spent from now on is due again */
    lock_release(&cache->lock);
    r = store_spend_seen(cache->store, &seen, err); /* before asking: what is settled later may not be in it */
    if (r == 0)
        r = cache_note(cache, api_quotas(cache->api, &quotas, &raw, err), err);
    if (r == 0)
        remember(cache, &quotas, &raw, seen);
    buf_done(&raw);
    if (r < 0 && keep_old(cache))
        return 0; /* the last answer, with its age, is better than none; `status` has the failure */
    return r < 0 ? err_wrap(err, "quotas") : r;
}
