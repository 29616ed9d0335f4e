/*
 * What an archive has, when nobody here knows what was asked for. Every member is read and hashed, since a name may
 * lie.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/store_archive_reader.h"
#include "store/store_internal.h"

struct found {
    struct digest *items; /* room for STORE_UNPACK_MAX */
    size_t n;
};

static void found_done(struct found *found)
{
    free(found->items);
}

static int to_hash(void *closure, const void *data, size_t n, struct err *err)
{
    return digest_stream_add(closure, data, n, err);
}

CHECKED static int add(struct found *found, const struct digest *digest, struct err *err)
{
    for (size_t i = 0; i < found->n; i++)
        if (digest_equal(&found->items[i], digest))
            return 0;
    if (found->n == STORE_UNPACK_MAX)
        return err_set(err, EFBIG, "the archive has more than %d samples", STORE_UNPACK_MAX);
    found->items[found->n++] = *digest;
    return 0;
}

CHECKED static int add_member(struct store_archive_reader *reader, size_t index, struct found *found, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *hash = NULL;
    struct store_archive_sink sink = { .write = to_hash };
    struct store_reason ignored; /* a member that cannot be read has no digest to tell it under */
    struct digest digest;
    int r = digest_stream_new(&hash, err);

    if (r < 0)
        return r;
    sink.closure = hash;
    r = store_archive_reader_read(reader, index, &sink, &ignored, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = digest_stream_end(hash, &digest, err);
    return r < 0 ? r : add(found, &digest, err);
}

int store_archive_list(struct store *store, const struct request_id *id, const char *password,
                       const volatile bool *cancel, struct digest **ret_digests, size_t *ret_n, struct err *err)
{
    struct store_archive_budget budget;
    const struct store_archive_reader_config config = {
        .password = password, .n_wanted = STORE_UNPACK_MAX, .cancel = cancel, .budget = &budget
    };
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    cleanup_(store_archive_reader_freep) struct store_archive_reader *reader = NULL;
    cleanup_(found_done) struct found found = { .items = calloc(STORE_UNPACK_MAX, sizeof *found.items) };
    int r;

    lock_assert_none_held();
    if (!found.items)
        return err_set(err, ENOMEM, "no memory for a list of samples");
    r = store_archive_open(store, id, &archive, err);
    if (r != 0)
        return r;
    store_archive_budget_init(&budget, archive);
    r = store_archive_reader_open(archive, &config, &reader, err);
    for (size_t i = 0; r == 0 && i < store_archive_reader_count(reader); i++)
        r = add_member(reader, i, &found, err);
    if (r != 0)
        return r;
    *ret_digests = steal_ptr(&found.items);
    *ret_n = found.n;
    return 0;
}
