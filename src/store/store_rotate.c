/*
 * Changing the key of a cache:
 *
 *   the new key beside the old one  →  both fingerprints in the cache  →  each object sealed again, and renamed over
 * the old one  →  the new fingerprint alone  →  the new key takes the old one's name
 *
 * Between any two steps every object can be opened with one of the keys that are there and named, so the end may come
 * at any moment; the next call looks which objects have the new key already and goes on.
 */
#include <errno.h>

#include "store/store_internal.h"
#include "store/store_key.h"
#include "util/fault.h"

struct rotation {
    struct store *store; /* keys: the old one, the new one, which seals */
    struct store_rotated *counts;
    struct err *err;
};

CHECKED static int has_new_key(struct store *store, const struct store_ref *ref, bool *ret_has, struct err *err)
{
    struct store_blob blob = STORE_BLOB_NONE;
    struct store_seal seal = { 0 };
    uint8_t header[SEAL_HEADER_BYTES];
    int64_t bytes;
    size_t n = 0;
    int r = store_place_disk.open(store, ref, &blob, err);

    *ret_has = false;
    if (r == 0)
        r = store_place_disk.read(&blob, header, sizeof header, 0, &n, err);
    if (r == 0 && n == sizeof header)
        *ret_has = store_seal_from_header(&seal, store->seal_key, &ref->digest, header, &bytes, NULL) == 0;
    store_seal_done(&seal);
    store_place_disk.close(store, &blob);
    return r < 0 ? r : 0;
}

CHECKED static int copy(struct store_object *object, struct store_writer *writer, struct err *err)
{
    cleanup_(freep) char *chunk = malloc(STORE_CHUNK_BYTES);
    size_t n = 0;
    int r = chunk ? 0 : err_set(err, ENOMEM, "no memory to seal a sample again");

    for (int64_t offset = 0; r == 0 && offset < store_object_size(object); offset += (int64_t)n) {
        r = store_object_read(object, offset, chunk, STORE_CHUNK_BYTES, &n, err);
        if (r == 0)
            r = store_writer_write(writer, chunk, n, err);
    }
    if (chunk)
        secret_wipe(chunk, STORE_CHUNK_BYTES);
    return r;
}

/* Through the same reader and writer as everything: what is damaged is found and set aside, recency stays. */
CHECKED static int seal_again(struct store *store, const struct store_ref *ref, const struct store_facts *facts,
                              struct err *err)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    int r = store_object_open_on(store, ref->shelf, &ref->digest, &object, err);

    if (r == 0)
        r = store_writer_begin_on(store, ref->shelf, &ref->digest, &writer, err);
    if (r == 0)
        r = copy(object, writer, err);
    if (r != 0)
        return r;
    writer->times = *facts;
    return store_writer_commit(steal_ptr(&writer), err);
}

static int rotate_one(void *closure, const struct store_ref *ref, const struct store_facts *facts)
{
    struct rotation *rotation = closure;
    struct err why = { 0 };
    bool has = false;
    int r = has_new_key(rotation->store, ref, &has, &why);

    if (r == 0 && has) {
        rotation->counts->n_before++;
        return 0;
    }
    if (r == 0)
        r = seal_again(rotation->store, ref, facts, &why);
    CRASH_POINT(ROTATE_SEALED);
    if (r == 0)
        rotation->counts->n_sealed++;
    else if (r == -EIO && !store_place_disk.exists(rotation->store, ref))
        rotation->counts->n_damaged++; /* set aside, as an open() would have done */
    else if (r < 0)                    /* what is still there needs the old key */
        return err_set(rotation->err, why.code, "%s", why.text);
    return 0;
}

CHECKED static int walk_once(struct store *store, struct store_rotated *counts, struct err *err)
{
    struct rotation rotation = { .store = store, .counts = counts, .err = err };
    int r = 0;

    for (int shelf = 0; r == 0 && shelf < SHELF_COUNT; shelf++)
        r = store_place_disk.list(store, STORE_SEALED, (enum store_shelf)shelf, rotate_one, &rotation, err);
    return r;
}

/* A directory that changes while it is read may hide an entry, so the last walk is one that finds nothing to do. */
CHECKED static int seal_all_again(struct store *store, struct store_rotated *ret_counts, struct err *err)
{
    struct store_rotated again = { 0 };
    int r = walk_once(store, ret_counts, err);
    bool is_done = ret_counts->n_sealed == 0;

    while (r == 0 && !is_done) {
        again = (struct store_rotated){ 0 };
        r = walk_once(store, &again, err);
        is_done = again.n_sealed == 0;
        ret_counts->n_sealed += again.n_sealed;
        ret_counts->n_damaged += again.n_damaged;
    }
    return r;
}

int store_rotate(const struct store_config *config, struct store_rotated *ret_rotated, struct err *err)
{
    struct store_config sealed = *config;
    cleanup_(store_freep) struct store *store = NULL;
    struct store_rotated counts = { 0 };
    const struct secret *keys[STORE_KEYS_MAX];
    int r;

    sealed.kind = STORE_SEALED;
    r = store_open(&sealed, true, &store, err);
    if (r == 0 && !store->keys[1])
        r = store_key_make_next(store->state_fd, config->state_dir, &store->keys[1], err);
    if (r < 0)
        return r;
    CRASH_POINT(ROTATE_MADE);
    keys[0] = store->keys[0];
    keys[1] = store->seal_key = store->keys[1];
    r = store_key_leave_prints(store->cache_fd, keys, ARRAY_SIZE(keys), err);
    CRASH_POINT(ROTATE_BOTH);
    if (r == 0)
        r = seal_all_again(store, &counts, err);
    CRASH_POINT(ROTATE_ALL_SEALED);
    if (r == 0)
        r = store_key_leave_prints(store->cache_fd, &keys[1], 1, err);
    CRASH_POINT(ROTATE_NAMED);
    if (r == 0)
        r = store_key_adopt_next(store->state_fd, err);
    if (r == 0)
        *ret_rotated = counts;
    return r;
}
