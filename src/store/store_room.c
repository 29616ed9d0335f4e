/*
 * How much is kept, how much may be, and what goes when there is no room. Nothing is remembered between two evictions:
 * the cache is walked, what is there is sorted by when it was used last, and the first ones go. So several processes
 * need not agree on anything, and recency survives every end. A walk costs less than the download that wants the room.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "util/fault.h"

enum { PERCENT = 100, CANDIDATES_FIRST = 256, TAKE_TRIES = 7, NS_PER_MS = 1000 * 1000 };

void store_limit(struct store *store, int64_t cache_bytes, int64_t memory_bytes)
{
    store->cache_bytes = cache_bytes;
    store->memory_bytes = memory_bytes;
}

/* ---- counting ---- */

/* The lock file of the cache has the time of its last change, by whichever process. */
static int64_t changed_ns(const struct store *store)
{
    struct stat st;

    if (fstat(store->in_use_fd, &st) < 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * STORE_FILES_S_NS + st.st_mtim.tv_nsec;
}

/* Tells the other processes. Our own counts are right afterwards if they were right before. */
static void tell_changed_locked(struct store *store) REQUIRES(&store->files);

static void tell_changed_locked(struct store *store)
{
    int64_t now_ns = store_files_now_ns();
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                       { .tv_sec = now_ns / STORE_FILES_S_NS, .tv_nsec = now_ns % STORE_FILES_S_NS } };
    bool was_right = changed_ns(store) == store->seen_ns;

    (void)futimens(store->in_use_fd, times); /* the others only count later */
    if (was_right)
        store->seen_ns = changed_ns(store);
}

void store_room_count_locked(struct store *store, const struct store_ref *ref, int64_t bytes, int n)
{
    store->n_counted++;
    store->counts[ref->kind].bytes += bytes;
    store->counts[ref->kind].n_samples += ref->shelf == SHELF_SAMPLES ? n : 0;
    if (ref->kind != STORE_MEMORY)
        tell_changed_locked(store);
}

struct scan {
    struct store_count counts[STORE_KINDS];
};

static int count_one(void *closure, const struct store_ref *ref, const struct store_facts *facts)
{
    struct scan *scan = closure;

    scan->counts[ref->kind].bytes += facts->bytes;
    scan->counts[ref->kind].n_samples += ref->shelf == SHELF_SAMPLES;
    return 0;
}

CHECKED static int walk(struct store *store, bool is_memory, store_place_each *each, void *closure, struct err *err)
{
    int r = 0;

    for (int kind = 0; r == 0 && kind < STORE_KINDS; kind++)
        for (int shelf = 0; r == 0 && shelf < SHELF_COUNT; shelf++)
            if ((kind == STORE_MEMORY) == is_memory)
                r = store_kind_row((enum store_kind)kind)
                        ->place->list(store, (enum store_kind)kind, (enum store_shelf)shelf, each, closure, err);
    return r;
}

/* What others do meanwhile shows at the next look, because the time of the change is taken before. */
int store_room_scan(struct store *store, struct err *err)
{
    struct scan scan = { 0 };
    int64_t seen_ns = changed_ns(store);
    int r = walk(store, false, count_one, &scan, err);

    if (r < 0)
        return r;
    lock_acquire(&store->files);
    for (int kind = 0; kind < STORE_KINDS; kind++)
        if (kind != STORE_MEMORY) /* only we know that one, always */
            store->counts[kind] = scan.counts[kind];
    store->seen_ns = seen_ns;
    lock_release(&store->files);
    return 0;
}

bool store_room_is_news(struct store *store)
{
    int64_t now_ns = changed_ns(store);
    bool is_news;

    lock_acquire(&store->files);
    is_news = now_ns != store->seen_ns && now_ns != store->told_ns;
    store->told_ns = now_ns;
    lock_release(&store->files);
    return is_news;
}

/* Counts again when somebody else has changed the cache; a failure leaves the old counts. */
static void refresh(struct store *store)
{
    struct err ignored = { 0 };
    int64_t seen_ns;

    lock_acquire(&store->files);
    seen_ns = store->seen_ns;
    lock_release(&store->files);
    if (changed_ns(store) != seen_ns)
        (void)store_room_scan(store, &ignored); /* tried again at the next look */
}

/* ---- the rule ---- */

int64_t store_room_missing(const struct store_room_facts *facts, int64_t wanted)
{
    int64_t more = facts->reserved_bytes + wanted;
    int64_t over_limit = facts->limit_bytes > 0 ? facts->used_bytes + more - facts->limit_bytes : 0;
    int64_t keep_free = facts->disk_bytes / PERCENT * STORE_DISK_FREE_PERCENT;
    int64_t over_disk = facts->disk_bytes > 0 ? more - facts->taken_bytes + keep_free - facts->disk_free_bytes : 0;

    return over_limit > over_disk ? over_limit : over_disk;
}

static void facts_locked(struct store *store, struct store_room_facts *ret_facts) REQUIRES(&store->files);

static void facts_locked(struct store *store, struct store_room_facts *ret_facts)
{
    bool is_memory = store->kind == STORE_MEMORY;
    struct statvfs st;

    *ret_facts =
        (struct store_room_facts){ .reserved_bytes = store->reserved_bytes, .taken_bytes = store->taken_bytes };
    ret_facts->limit_bytes = is_memory ? store->memory_bytes : store->cache_bytes;
    for (int kind = 0; kind < STORE_KINDS; kind++)
        if ((kind == STORE_MEMORY) == is_memory)
            ret_facts->used_bytes += store->counts[kind].bytes;
    if (is_memory || fstatvfs(store->cache_fd, &st) < 0) /* then the write says so */
        return;
    ret_facts->disk_bytes = (int64_t)st.f_blocks * (int64_t)st.f_frsize;
    ret_facts->disk_free_bytes = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
}

void store_room_usage(struct store *store, struct store_usage *ret_usage)
{
    struct store_room_facts facts;

    refresh(store);
    lock_acquire(&store->files);
    facts_locked(store, &facts);
    *ret_usage = (struct store_usage){ .kind = store->kind,
                                       .bytes = facts.used_bytes,
                                       .limit_bytes = facts.limit_bytes,
                                       .n_evictions = store->n_evictions,
                                       .eviction_bytes = store->eviction_bytes };
    for (int kind = 0; kind < STORE_KINDS; kind++)
        ret_usage->n_samples += store->counts[kind].n_samples;
    lock_release(&store->files);
    if (facts.limit_bytes > 0 || facts.disk_bytes > 0)
        ret_usage->free_bytes = -store_room_missing(&facts, 0);
    if (ret_usage->free_bytes < 0)
        ret_usage->free_bytes = 0;
}

/* ---- evicting ---- */

struct candidate {
    struct store_ref ref;
    int64_t bytes;
    int64_t used_ns;
};

struct candidates {
    struct candidate *items;
    size_t n;
    size_t room;
    int64_t unread_since_ns; /* what came later and was not opened stays */
};

static int collect(void *closure, const struct store_ref *ref, const struct store_facts *facts)
{
    struct candidates *candidates = closure;

    if (facts->used_ns == facts->came_ns && facts->came_ns > candidates->unread_since_ns)
        return 0;
    if (candidates->n == candidates->room) {
        size_t room = candidates->room ? candidates->room * 2 : CANDIDATES_FIRST;
        struct candidate *grown = reallocarray(candidates->items, room, sizeof *grown);

        if (!grown)
            return 1;
        candidates->items = grown;
        candidates->room = room;
    }
    candidates->items[candidates->n++] =
        (struct candidate){ .ref = *ref, .bytes = facts->bytes, .used_ns = facts->used_ns };
    return 0;
}

/* Archives first: the samples in them are stored, and fetching one again costs nothing. */
static int compare(const void *a, const void *b)
{
    const struct candidate *one = a;
    const struct candidate *two = b;

    if (one->ref.shelf != two->ref.shelf)
        return one->ref.shelf == SHELF_ARCHIVES ? -1 : 1;
    return (one->used_ns > two->used_ns) - (one->used_ns < two->used_ns);
}

static void note_evicted(struct store *store, const struct candidate *candidate)
{
    lock_acquire(&store->files);
    store->n_evictions++;
    store->eviction_bytes += candidate->bytes;
    if (store->n_evicted < STORE_EVICTED_MAX)
        store->evicted[store->n_evicted++] = (struct store_evicted){
            .digest = candidate->ref.digest,
            .bytes = candidate->bytes,
            .is_archive = candidate->ref.shelf == SHELF_ARCHIVES,
        };
    lock_release(&store->files);
}

/* Goes through them in order until `missing` bytes are found, or gone. Returns how many. */
static int64_t sweep(struct store *store, const struct candidates *candidates, int64_t missing, enum store_evict how)
{
    int64_t found = 0;

    for (size_t i = 0; found < missing && i < candidates->n; i++) {
        const struct candidate *candidate = &candidates->items[i];

        if (!store_kind_row(candidate->ref.kind)->place->evict(store, &candidate->ref, how))
            continue;
        found += candidate->bytes;
        if (how == EVICT_REMOVE)
            note_evicted(store, candidate);
    }
    return found;
}

/* What is missing goes whole or not at all, but for what is beyond the cache's own limit: that part goes as far as it
 * can. *ret_gone: how many bytes went. */
CHECKED static int evict(struct store *store, int64_t missing, int64_t beyond_limit, int64_t *ret_gone, struct err *err)
{
    struct candidates candidates = { .unread_since_ns =
                                         store_files_now_ns() - (int64_t)STORE_UNREAD_KEEP_S * STORE_FILES_S_NS };
    int r = walk(store, store->kind == STORE_MEMORY, collect, &candidates, err);

    *ret_gone = 0;
    if (r > 0)
        r = err_set(err, ENOMEM, "no memory to look for what can be evicted");
    if (r == 0 && candidates.n > 0) {
        qsort(candidates.items, candidates.n, sizeof *candidates.items, compare);
        CRASH_POINT(EVICT_CHOSEN);
        if (sweep(store, &candidates, missing, EVICT_LOOK) < missing)
            missing = beyond_limit;
        *ret_gone = sweep(store, &candidates, missing, EVICT_REMOVE);
    }
    free(candidates.items);
    return r;
}

/* One process at a time, and one thread of it: two would evict twice as much as is needed. */
CHECKED static int lock_eviction(const struct store *store, int *ret_fd, struct err *err)
{
    cleanup_(closep) int fd = openat(store->cache_fd, STORE_IN_USE_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    const struct timespec step = { .tv_nsec = (long)STORE_LOCK_STEP_MS * NS_PER_MS };
    int r;

    if (fd < 0)
        return err_sys(err, "open the lock of the cache");
    while ((r = store_files_lock_part(fd, STORE_FILES_SECOND, false, STORE_FILES_TRY, err)) == STORE_BUSY) {
        if (store_is_hurried(store))
            return err_set(err, ECANCELED, "the mount is ending");
        (void)nanosleep(&step, NULL); /* a signal only shortens the step */
    }
    if (r == 0)
        *ret_fd = steal_fd(&fd);
    return r;
}

static int64_t missing_now(struct store *store, int64_t wanted, struct store_room_facts *ret_facts)
{
    lock_acquire(&store->files);
    facts_locked(store, ret_facts);
    lock_release(&store->files);
    return store_room_missing(ret_facts, wanted);
}

enum evict_wish { ALL_OR_NOTHING, AS_MUCH_AS_POSSIBLE };

/* How much is more than the cache may have; the disk is not its business alone. */
static int64_t over_limit(const struct store_room_facts *facts, enum evict_wish wish)
{
    struct store_room_facts limited = *facts;
    int64_t missing;

    limited.disk_bytes = 0;
    missing = store_room_missing(&limited, 0);
    return wish == AS_MUCH_AS_POSSIBLE && missing > 0 ? missing : 0;
}

/* With the lock of eviction in hand. */
CHECKED static int make_room(struct store *store, int64_t wanted, enum evict_wish wish, struct err *err)
{
    struct store_room_facts facts;
    int64_t missing;
    int64_t gone = 0;
    int r;

    refresh(store);
    if (missing_now(store, wanted, &facts) <= 0)
        return 0;
    store_object_drop_kept(store); /* what is open gives no room back, and the disk is to know when it was used */
    r = store_room_scan(store, err);
    if (r < 0)
        return r;
    missing = missing_now(store, wanted, &facts);
    if (missing > 0)
        r = evict(store, missing, over_limit(&facts, wish), &gone, err);
    if (r == 0 && gone < missing)
        return err_set(err, ENOSPC,
                       "no room for %lld bytes: %lld of %lld are used, %lld of the disk are free (%d %% stay so), and "
                       "what could go is open or came just now",
                       (long long)wanted, (long long)facts.used_bytes, (long long)facts.limit_bytes,
                       (long long)facts.disk_free_bytes, STORE_DISK_FREE_PERCENT);
    return r;
}

static int64_t limit_of(const struct store *store)
{
    return store->kind == STORE_MEMORY ? store->memory_bytes : store->cache_bytes;
}

/* The room is taken before the next one may look. */
CHECKED static int take_once(struct store *store, int64_t wanted, struct err *err)
{
    cleanup_(closep) int fd = -1;
    int r = lock_eviction(store, &fd, err);

    if (r == 0)
        r = make_room(store, wanted, ALL_OR_NOTHING, err);
    if (r < 0)
        return r;
    lock_acquire(&store->files);
    store->reserved_bytes += wanted;
    lock_release(&store->files);
    return 0;
}

int store_room_take(struct store *store, int64_t n_bytes, struct err *err)
{
    struct timespec step = { .tv_nsec = (long)STORE_LOCK_STEP_MS * NS_PER_MS };
    int64_t limit = limit_of(store);
    int64_t wanted = store_seal_file_bytes(n_bytes);
    int r;

    lock_assert_none_held();
    if (limit > 0 && wanted > limit)
        return err_set(err, ENOSPC, "%lld bytes are more than the whole cache may have: %s is %lld", (long long)n_bytes,
                       store->kind == STORE_MEMORY ? "memory_size" : "cache_size", (long long)limit);
    r = take_once(store, wanted, err);
    /* The kernel tells of a close() a moment later, and what another mount has closed is its own for a second. */
    for (int i = 1; r == -ENOSPC && i < TAKE_TRIES; i++, step.tv_nsec *= 2) {
        (void)nanosleep(&step, NULL); /* a signal only shortens the step */
        r = take_once(store, wanted, err);
    }
    return r;
}

void store_room_give(struct store *store, int64_t n_bytes)
{
    cleanup_(closep) int fd = -1;
    struct store_room_facts facts;
    struct err ignored = { 0 };

    lock_assert_none_held();
    lock_acquire(&store->files);
    store->reserved_bytes -= store_seal_file_bytes(n_bytes);
    assert(store->reserved_bytes >= 0);
    lock_release(&store->files);
    if (missing_now(store, 0, &facts) > 0 && lock_eviction(store, &fd, &ignored) == 0)
        (void)make_room(store, 0, AS_MUCH_AS_POSSIBLE, &ignored); /* what stays too much goes the next time */
}

size_t store_room_evicted(struct store *store, struct store_evicted *ret_evicted, size_t max)
{
    size_t n;

    lock_acquire(&store->files);
    n = store->n_evicted < max ? store->n_evicted : max;
    memcpy(ret_evicted, store->evicted, n * sizeof *ret_evicted);
    store->n_evicted -= n;
    memmove(store->evicted, store->evicted + n, store->n_evicted * sizeof *store->evicted);
    lock_release(&store->files);
    return n;
}
