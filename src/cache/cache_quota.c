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

static void remember(struct cache *cache, const struct api_quotas *quotas, const struct buf *raw)
{
    lock_acquire(&cache->lock);
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
        cache->refused[0] = '\0';
    lock_release(&cache->lock);
}

void cache_refused(struct cache *cache, const struct err *err)
{
    bool is_news;

    lock_acquire(&cache->lock);
    is_news = strcmp(cache->refused, err->text) != 0;
    (void)text_copy(cache->refused, sizeof cache->refused, err->text); /* same size */
    lock_release(&cache->lock);
    if (is_news)
        CACHE_EVENT(cache, "exhausted", CACHE_TEXT("errno", err_name(err->code)), CACHE_TEXT("reason", err->text),
                    CACHE_TEXT("trace", err->trace));
}

void cache_spent(struct cache *cache)
{
    lock_acquire(&cache->lock);
    cache->quotas.tried_s = 0;
    lock_release(&cache->lock);
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
    int r = cache_note(cache, api_quotas(cache->api, &quotas, &raw, err), err);

    if (r == 0)
        remember(cache, &quotas, &raw);
    buf_done(&raw);
    if (r < 0 && keep_old(cache))
        return 0; /* the last answer, with its age, is better than none; `status` has the failure */
    return r < 0 ? err_wrap(err, "quotas") : r;
}
