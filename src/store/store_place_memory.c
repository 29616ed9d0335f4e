/*
 * Objects in memory: one block each, in a table. The table has one reference to each block, who has it open another
 * one. Nothing of it reaches a file. Memory can be swapped out, therefore what is kept is sealed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_files.h"
#include "store/store_internal.h"

enum { FIRST_BYTES = 64 * KIB };

struct store_memory {
    struct map_entry entry; /* in store->memory once it is published; guarded by store->files */
    struct store_ref ref;
    struct store_facts facts; /* used_ns is guarded by store->files, the rest constant once it is published */
    uint8_t *bytes;
    size_t n;
    size_t room;
    unsigned int n_refs; /* guarded by store->files */
};

static void memory_free(struct store_memory *memory)
{
    free(memory->bytes);
    free(memory);
}

static void unref_locked(struct store *store, struct store_memory *memory) REQUIRES(&store->files);

static void unref_locked(struct store *store, struct store_memory *memory)
{
    (void)store;
    if (--memory->n_refs == 0)
        memory_free(memory);
}

static struct store_memory *find_locked(struct store *store, const struct store_ref *ref) REQUIRES(&store->files);

static struct store_memory *find_locked(struct store *store, const struct store_ref *ref)
{
    struct map_entry *entry = map_first(&store->memory, store_object_hash(&ref->digest));

    for (; entry; entry = map_next(entry)) {
        struct store_memory *memory = container_of(entry, struct store_memory, entry);

        if (memory->ref.shelf == ref->shelf && digest_equal(&memory->ref.digest, &ref->digest))
            return memory;
    }
    return NULL;
}

static void remove_locked(struct store *store, struct store_memory *memory) REQUIRES(&store->files);

static void remove_locked(struct store *store, struct store_memory *memory)
{
    map_remove(&store->memory, &memory->entry);
    store_room_count_locked(store, &memory->ref, -memory->facts.bytes, -1);
    unref_locked(store, memory);
}

CHECKED static int memory_open(struct store *store, const struct store_ref *ref, struct store_blob *ret_blob,
                               struct err *err)
{
    struct store_memory *memory;

    (void)err;
    lock_acquire(&store->files);
    memory = find_locked(store, ref);
    if (memory)
        memory->n_refs++;
    lock_release(&store->files);
    if (!memory)
        return STORE_ABSENT;
    *ret_blob = (struct store_blob){ .fd = -1, .memory = memory };
    return 0;
}

CHECKED static int memory_begin(struct store *store, const struct store_ref *ref, struct store_blob *ret_blob,
                                struct err *err)
{
    struct store_memory *memory = calloc(1, sizeof *memory);

    (void)store;
    if (!memory)
        return err_set(err, ENOMEM, "no memory for a sample");
    memory->ref = *ref;
    memory->n_refs = 1;
    *ret_blob = (struct store_blob){ .fd = -1, .memory = memory };
    return 0;
}

CHECKED static int publish_one(struct store *store, const struct store_writer *writer, struct err *err)
{
    const struct store_ref *ref = &writer->ref;
    struct store_memory *memory = writer->blob.memory;
    uint8_t *fitting = realloc(memory->bytes, memory->n); /* never 0: there is a header */
    struct store_memory *before;
    bool added;

    if (fitting)
        memory->bytes = fitting;
    memory->facts = writer->times;
    memory->facts.bytes = (int64_t)memory->n;
    memory->facts.number = (uintptr_t)memory;
    lock_acquire(&store->files);
    before = find_locked(store, ref);
    added = map_add(&store->memory, &memory->entry, store_object_hash(&ref->digest));
    if (added) {
        memory->n_refs++;
        store_room_count_locked(store, ref, memory->facts.bytes, 1);
        if (before)
            remove_locked(store, before);
        store_object_replaced_locked(store, &ref->digest);
    }
    lock_release(&store->files);
    return added ? 0 : err_set(err, ENOMEM, "no memory for the table of samples");
}

CHECKED static int memory_publish(struct store *store, struct store_writer *const *writers, size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = publish_one(store, writers[i], err);
    return r;
}

static void memory_close(struct store *store, struct store_blob *blob)
{
    if (blob->memory) {
        lock_acquire(&store->files);
        unref_locked(store, blob->memory);
        lock_release(&store->files);
    }
    *blob = STORE_BLOB_NONE;
}

CHECKED static int memory_read(const struct store_blob *blob, void *to, size_t n, int64_t offset, size_t *ret_n,
                               struct err *err)
{
    const struct store_memory *memory = blob->memory;
    size_t left = (uint64_t)offset < memory->n ? memory->n - (size_t)offset : 0;

    (void)err;
    *ret_n = n < left ? n : left;
    if (*ret_n > 0)
        memcpy(to, memory->bytes + offset, *ret_n);
    return 0;
}

CHECKED static int grow(struct store_memory *memory, size_t room, struct err *err)
{
    uint8_t *grown = realloc(memory->bytes, room);

    if (!grown)
        return err_set(err, ENOMEM, "no memory for a sample");
    memory->bytes = grown;
    memory->room = room;
    return 0;
}

CHECKED static int memory_reserve(const struct store_blob *blob, int64_t n, int64_t *ret_taken, struct err *err)
{
    *ret_taken = 0;
    return (uint64_t)n > blob->memory->room ? grow(blob->memory, (size_t)n, err) : 0;
}

CHECKED static int memory_write(const struct store_blob *blob, const void *data, size_t n, int64_t offset,
                                struct err *err)
{
    struct store_memory *memory = blob->memory;
    size_t end = (size_t)offset + n;
    size_t room = memory->room ? memory->room : FIRST_BYTES;

    while (room < end)
        room *= 2; /* an object has at most SEAL_PLAIN_MAX bytes: far from overflow */
    if (room > memory->room) {
        int r = grow(memory, room, err);

        if (r < 0)
            return r;
    }
    if ((size_t)offset > memory->n)
        memset(memory->bytes + memory->n, 0, (size_t)offset - memory->n); /* the header comes last */
    memcpy(memory->bytes + offset, data, n);
    memory->n = end > memory->n ? end : memory->n;
    return 0;
}

CHECKED static int memory_facts(const struct store_blob *blob, struct store_facts *ret_facts, struct err *err)
{
    (void)err;
    *ret_facts = (struct store_facts){ .bytes = (int64_t)blob->memory->n }; /* nobody asks for more of sealed bytes */
    return 0;
}

static void memory_touch(struct store *store, const struct store_blob *blob, int64_t used_ns)
{
    lock_acquire(&store->files);
    blob->memory->facts.used_ns = used_ns;
    lock_release(&store->files);
}

static bool memory_exists(struct store *store, const struct store_ref *ref)
{
    bool exists;

    lock_acquire(&store->files);
    exists = find_locked(store, ref) != NULL;
    lock_release(&store->files);
    return exists;
}

/* What is listed is copied first, so that `each` may do what it likes. */
struct entry {
    struct store_ref ref;
    struct store_facts facts;
};

CHECKED static int memory_list(struct store *store, enum store_kind kind, enum store_shelf shelf,
                               store_place_each *each, void *closure, struct err *err)
{
    cleanup_(freep) struct entry *entries = NULL;
    size_t n = 0;
    int r = 0;

    (void)kind; /* there is one in memory */
    lock_acquire(&store->files);
    if (store->memory.n > 0)
        entries = calloc(store->memory.n, sizeof *entries);
    for (size_t i = 0; entries && i < store->memory.n_buckets; i++)
        for (struct map_entry *at = store->memory.buckets[i]; at; at = at->next) {
            const struct store_memory *memory = container_of(at, struct store_memory, entry);

            if (memory->ref.shelf == shelf)
                entries[n++] = (struct entry){ .ref = memory->ref, .facts = memory->facts };
        }
    if (store->memory.n > 0 && !entries)
        r = err_set(err, ENOMEM, "no memory for a listing");
    lock_release(&store->files);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = each(closure, &entries[i].ref, &entries[i].facts);
    return r;
}

static bool memory_evict(struct store *store, const struct store_ref *ref, enum store_evict how)
{
    struct store_memory *memory;
    bool may;

    lock_acquire(&store->files);
    memory = find_locked(store, ref);
    may = memory && memory->n_refs == 1;
    if (may && how == EVICT_REMOVE)
        remove_locked(store, memory);
    lock_release(&store->files);
    return may;
}

/* It stays, and fails at every read: forgotten, it would be bought again without a word. */
static void memory_set_aside(struct store *store, const struct store_ref *ref, const struct store_blob *blob)
{
    (void)store;
    (void)ref;
    (void)blob;
}

void store_place_memory_done(struct store *store)
{
    for (struct map_entry *entry; (entry = map_pop(&store->memory));)
        memory_free(container_of(entry, struct store_memory, entry));
    map_done(&store->memory);
}

const struct store_place store_place_memory = {
    .open = memory_open,
    .begin = memory_begin,
    .reserve = memory_reserve,
    .publish = memory_publish,
    .close = memory_close,
    .read = memory_read,
    .write = memory_write,
    .facts = memory_facts,
    .touch = memory_touch,
    .exists = memory_exists,
    .list = memory_list,
    .evict = memory_evict,
    .set_aside = memory_set_aside,
};
