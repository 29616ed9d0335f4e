#include "cache/cache_internal.h"

#include <errno.h>

enum { TOLD_AT_ONCE = 16 };

static void tell_evicted(struct cache *cache)
{
    struct store_evicted evicted[TOLD_AT_ONCE];
    size_t n;

    while ((n = store_room_evicted(cache->store, evicted, TOLD_AT_ONCE)) > 0)
        for (size_t i = 0; i < n; i++) {
            struct digest_text hex = digest_format(&evicted[i].digest);

            CACHE_EVENT(cache, "evicted", CACHE_TEXT("sha256", evicted[i].is_archive ? "" : hex.s),
                        CACHE_NUMBER("bytes", evicted[i].bytes));
        }
}

int cache_room_take(struct cache *cache, int64_t n_bytes, struct err *err)
{
    int r = store_room_take(cache->store, n_bytes, err);

    tell_evicted(cache);
    return r;
}

int cache_room_for_archive(struct cache *cache, int64_t n_bytes, struct err *err)
{
    int64_t room;
    int r;

    if (__builtin_mul_overflow(n_bytes, CACHE_ARCHIVE_AND_SAMPLES, &room))
        return err_set(err, EFBIG, "more bytes than can be counted");
    r = cache_room_take(cache, room, err);
    if (r == 0)
        cache_room_give(cache, room);
    return r;
}

void cache_room_give(struct cache *cache, int64_t n_bytes)
{
    store_room_give(cache->store, n_bytes);
    tell_evicted(cache);
}
