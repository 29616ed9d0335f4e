/*
 * transfers: the samples and archives that are on their way now, from memory.
 */
#include "tree/tree_internal.h"

#include "util/clock.h"

/* Bytes a second since it began. */
static int64_t rate_of(const struct cache_transfer *transfer)
{
    enum { SECOND_MS = 1000 };
    int64_t took_ms = clock_mono_ms() - transfer->since_ms;

    return took_ms > 0 ? (int64_t)((double)transfer->have_bytes * SECOND_MS / (double)took_ms) : 0;
}

void tree_describe_transfers(struct tree *tree, struct buf *text)
{
    struct cache_transfer transfers[CACHE_TRANSFERS_MAX];
    size_t n = cache_transfers(tree->cache, transfers);

    for (size_t i = 0; i < n; i++)
        buf_printf(text, "transfer %s have=%lld size=%lld rate=%lld\n", transfers[i].what,
                   (long long)transfers[i].have_bytes, (long long)transfers[i].size_bytes,
                   (long long)rate_of(&transfers[i]));
}

static int render_transfers(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                            struct err *err)
{
    struct cache_transfer transfers[CACHE_TRANSFERS_MAX];
    size_t n = cache_transfers(tree->cache, transfers);

    (void)subject;
    (void)need;
    buf_puts(text, "what\thave\tsize\trate\n");
    for (size_t i = 0; i < n; i++)
        buf_printf(text, "%s\t%lld\t%lld\t%lld\n", transfers[i].what, (long long)transfers[i].have_bytes,
                   (long long)transfers[i].size_bytes, (long long)rate_of(&transfers[i]));
    return buf_check(text, err, "transfers");
}

const struct node_ops file_transfers = { .render = render_transfers };
