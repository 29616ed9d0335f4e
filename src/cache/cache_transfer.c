/*
 * Bytes that are on their way, for who wants to see it: a row for each download and archive, in a table that has more
 * rows than there are threads that fetch. A row counts without the lock, since it does so for every few kilobytes.
 */
#include "cache/cache_internal.h"

#include "util/clock.h"
#include "util/text.h"

struct cache_transfer *cache_transfer_begin(struct cache *cache, const char *what, int64_t size_bytes)
{
    struct cache_transfer *transfer = NULL;

    lock_acquire(&cache->lock);
    for (size_t i = 0; !transfer && i < CACHE_TRANSFERS_MAX; i++)
        if (!cache->transfers[i].what[0])
            transfer = &cache->transfers[i];
    if (transfer) {
        (void)text_copy(transfer->what, sizeof transfer->what, what); /* a digest or an id: fits */
        transfer->size_bytes = size_bytes > 0 ? size_bytes : 0;
        transfer->since_ms = clock_mono_ms();
        __atomic_store_n(&transfer->have_bytes, 0, __ATOMIC_RELAXED);
    }
    lock_release(&cache->lock);
    return transfer;
}

void cache_transfer_add(struct cache_transfer *transfer, size_t n)
{
    if (transfer)
        __atomic_fetch_add(&transfer->have_bytes, (int64_t)n, __ATOMIC_RELAXED);
}

void cache_transfer_end(struct cache *cache, struct cache_transfer *transfer)
{
    if (!transfer)
        return;
    lock_acquire(&cache->lock);
    transfer->what[0] = '\0';
    lock_release(&cache->lock);
}

size_t cache_transfers(struct cache *cache, struct cache_transfer *ret_transfers)
{
    size_t n = 0;

    lock_acquire(&cache->lock);
    for (size_t i = 0; i < CACHE_TRANSFERS_MAX; i++) {
        const struct cache_transfer *transfer = &cache->transfers[i];

        if (!transfer->what[0])
            continue;
        (void)text_copy(ret_transfers[n].what, sizeof ret_transfers[n].what, transfer->what); /* same size */
        ret_transfers[n].size_bytes = transfer->size_bytes;
        ret_transfers[n].since_ms = transfer->since_ms;
        ret_transfers[n++].have_bytes = __atomic_load_n(&transfer->have_bytes, __ATOMIC_RELAXED);
    }
    lock_release(&cache->lock);
    return n;
}
