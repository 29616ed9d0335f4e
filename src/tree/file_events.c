/*
 * The `events` file: what the cache keeps of what happened, as a file that grows.
 *
 * The kernel keeps one size for an inode, and fstat(2) reaches us without the descriptor: all who have the file open at
 * the same time have to see the same size. So it begins with the oldest event that was kept when the first of them
 * opened it, and grows; when nobody has it open any more, it begins anew with what is kept then. That size never
 * shrinks under a reader, so `tail -f` never takes it for a file that was cut and tells everything again.
 *
 * When the oldest events are dropped under a reader that has not read them yet, its next read gets the oldest that are
 * left: it misses what was dropped, and reads nothing twice.
 */
#include "tree/tree_internal.h"

/* Where the file begins: with the others that have it open, or with what is kept now. */
static int64_t base_locked(struct tree *tree, const struct cache_events *events) REQUIRES(&tree->lock);

static int64_t base_locked(struct tree *tree, const struct cache_events *events)
{
    list_for_each (link, &tree->handles) {
        const struct handle *handle = container_of(link, struct handle, link);

        if (handle->events.is_open)
            return handle->events.base;
    }
    return events->first;
}

static int open_events(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open,
                       struct need *need, struct err *err)
{
    struct cache_events events;

    (void)flags;
    (void)ret_open; /* live, as it is */
    (void)need;
    (void)err;
    lock_acquire(&tree->lock);
    cache_events(tree->cache, &events);
    handle->events.base = base_locked(tree, &events);
    handle->events.is_open = true;
    lock_release(&tree->lock);
    return 0;
}

static int attr_events(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                       struct need *need, struct err *err)
{
    struct cache_events events;

    (void)subject;
    (void)is_lookup;
    (void)need;
    (void)err;
    lock_acquire(&tree->lock);
    cache_events(tree->cache, &events);
    attr->size = events.end - base_locked(tree, &events);
    lock_release(&tree->lock);
    if (events.n > 0)
        attr->mtime_s = events.last_s;
    return 0;
}

static int read_events(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                       struct need *need, struct err *err)
{
    int64_t wanted;
    int64_t from;

    (void)need; /* the end is the end: who wants to wait has poll(2) */
    (void)err;
    lock_acquire(&handle->lock);
    if (__builtin_add_overflow(offset, handle->events.base + handle->events.skipped, &wanted))
        wanted = INT64_MAX; /* behind the end, like any offset that nobody will ever reach */
    from = cache_events_read(tree->cache, wanted, to, n, ret_n);
    handle->events.skipped += from - wanted;
    handle->events.seen = from + (int64_t)*ret_n;
    lock_release(&handle->lock);
    return 0;
}

static enum tree_ready poll_events(struct tree *tree, struct handle *handle)
{
    struct cache_events events;
    bool is_news;

    cache_events(tree->cache, &events);
    lock_acquire(&handle->lock);
    is_news = events.end > handle->events.seen && events.end > events.first;
    lock_release(&handle->lock);
    return is_news ? TREE_READY_NOW : TREE_READY_LATER;
}

const struct node_ops file_events = {
    .open = open_events, .attr = attr_events, .read = read_events, .poll = poll_events
};
