#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { CACHE_QUOTAS_RAW_MAX = 1024 * 1024 };

int cache_new(const struct cache_config *config, struct cache **ret_cache, struct err *err)
{
    struct cache *cache;
    int r = store_budget_begin(config->store, &config->first_budget, err);

    if (r < 0)
        return r;
    cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ENOMEM, "no memory for the cache");
    cache->config = *config;
    cache_tune(cache, config->reserve_percent, config->yara_check);
    cache->api = config->api;
    cache->store = config->store;
    cache->health.reach = config->is_offline ? CACHE_OFFLINE : CACHE_UNTRIED;
    cache->quotas_raw.max = CACHE_QUOTAS_RAW_MAX;
    cache->event_lines.max = CACHE_EVENTS_MAX_BYTES;
    lock_init(&cache->lock, LOCK_CACHE);
    cond_init(&cache->changed);
    *ret_cache = cache;
    return 0;
}

void cache_tune(struct cache *cache, int reserve_percent, bool yara_check)
{
    atomic_store(&cache->reserve_percent, reserve_percent);
    atomic_store(&cache->yara_check, yara_check);
}

int cache_start(struct cache *cache, struct err *err)
{
    cache_spent(cache); /* the poller begins with the quotas */
    errno = pthread_create(&cache->poller, NULL, cache_poll_main, cache);
    if (errno)
        return err_sys(err, "no thread for the poller");
    cache->is_polling = true;
    errno = pthread_create(&cache->importer, NULL, cache_import_main, cache);
    if (errno)
        return err_sys(err, "no thread for downloads");
    cache->has_importer = true;
    return 0;
}

void cache_cancel(struct cache *cache)
{
    if (atomic_exchange(&cache->cancelled, true))
        return;
    __atomic_store_n(&cache->stop_waiting, true, __ATOMIC_SEQ_CST); /* store_digest_lock() reads it so */
    api_cancel(cache->api);
    store_hurry(cache->store);
    cache_changed(cache);
}

void cache_stop(struct cache *cache)
{
    if (!cache->is_polling)
        return;
    lock_acquire(&cache->lock);
    cache->stopping = true;
    cond_broadcast(&cache->changed);
    lock_release(&cache->lock);
    (void)pthread_join(cache->poller, NULL); /* our own thread, joined once */
    cache->is_polling = false;
    if (cache->has_importer)
        (void)pthread_join(cache->importer, NULL); /* likewise */
    cache->has_importer = false;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    cache_stop(cache);
    cache_poll_done(cache);
    buf_done(&cache->quotas_raw);
    buf_done(&cache->event_lines);
    cond_done(&cache->changed);
    lock_done(&cache->lock);
    free(cache);
}

void cache_changed(struct cache *cache)
{
    lock_acquire(&cache->lock);
    cache->changes++;
    cond_broadcast(&cache->changed);
    lock_release(&cache->lock);
}

uint64_t cache_changes(struct cache *cache)
{
    uint64_t changes;

    lock_acquire(&cache->lock);
    changes = cache->changes;
    lock_release(&cache->lock);
    return changes;
}

uint64_t cache_wait_changes(struct cache *cache, uint64_t seen, int64_t wait_ms)
{
    uint64_t changes;

    lock_acquire(&cache->lock);
    if (cache->changes == seen && !cache->stopping)
        (void)cond_wait_ms(&cache->changed, &cache->lock, wait_ms); /* the caller looks again anyway */
    changes = cache->changes;
    lock_release(&cache->lock);
    return changes;
}

void cache_encode_sample(struct buf *buf, const struct sample *sample)
{
    api_encode_sample(buf, sample);
}
