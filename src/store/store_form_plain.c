/*
 * The plain form: the bytes and nothing else. They are compared with the digest when they are opened for the first
 * time, and again when size, time or number of the file say that it is another one; a read that finds them changed
 * fails. That finds accidents. Only a seal finds everything.
 */
#include <errno.h>
#include <string.h>

#include "store/store_internal.h"

enum { HASH_BYTES = 64 * KIB };

static const struct store_place *place_of(const struct store_object *object)
{
    return store_kind_row(object->ref.kind)->place;
}

/* Recency does not count. */
static bool is_same_copy(const struct store_facts *a, const struct store_facts *b)
{
    return a->bytes == b->bytes && a->came_ns == b->came_ns && a->number == b->number;
}

/* A digest has one place in the table; the next one with this place takes it over. */
static struct store_verified *verified_of(struct store *store, const struct digest *digest)
{
    return &store->verified[store_object_hash(digest) % STORE_VERIFIED_MAX];
}

static bool is_verified(struct store *store, const struct digest *digest, const struct store_facts *facts)
{
    const struct store_verified *verified = verified_of(store, digest);
    bool is;

    lock_acquire(&store->files);
    is = digest_equal(&verified->digest, digest) && is_same_copy(&verified->facts, facts);
    lock_release(&store->files);
    return is;
}

void store_form_plain_note(struct store *store, const struct digest *digest, const struct store_facts *facts)
{
    lock_acquire(&store->files);
    *verified_of(store, digest) = (struct store_verified){ .digest = *digest, .facts = *facts };
    lock_release(&store->files);
}

CHECKED static int hash_all(const struct store_object *object, struct digest *ret_digest, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *hash = NULL;
    uint8_t piece[HASH_BYTES];
    int64_t offset = 0;
    size_t n;
    int r = digest_stream_new(&hash, err);

    do {
        n = 0;
        if (r == 0 && store_is_hurried(object->store))
            r = err_set(err, ECANCELED, "the mount is ending");
        if (r == 0)
            r = place_of(object)->read(&object->blob, piece, sizeof piece, offset, &n, err);
        if (r == 0)
            r = digest_stream_add(hash, piece, n, err);
        offset += (int64_t)n;
    } while (r == 0 && n == sizeof piece);
    secret_wipe(piece, sizeof piece);
    return r < 0 ? r : digest_stream_end(hash, ret_digest, err);
}

CHECKED static int look(struct store_object *object, struct err *err)
{
    int r = place_of(object)->facts(&object->blob, &object->facts, err);

    object->plain_bytes = object->facts.bytes;
    return r;
}

static bool is_checked(const struct store_object *object)
{
    return is_verified(object->store, &object->ref.digest, &object->facts);
}

CHECKED static int load(struct store_object *object, struct err *err)
{
    struct digest digest;
    int r = look(object, err);

    if (r < 0 || is_checked(object))
        return r;
    r = hash_all(object, &digest, err);
    if (r < 0)
        return r;
    if (!digest_equal(&digest, &object->ref.digest))
        return err_set(err, EBADMSG, "its bytes do not have this SHA-256");
    store_form_plain_note(object->store, &object->ref.digest, &object->facts);
    return 0;
}

CHECKED static int read_plain(const struct store_object *object, int64_t offset, char *to, size_t n, struct err *err)
{
    struct store_facts now;
    size_t got = 0;
    int r = place_of(object)->read(&object->blob, to, n, offset, &got, err);

    if (r == 0)
        r = place_of(object)->facts(&object->blob, &now, err);
    if (r == 0 && (got < n || !is_same_copy(&object->facts, &now)))
        return err_set(err, EBADMSG, "the file was changed");
    return r;
}

CHECKED static int write_chunk(struct store_writer *writer, bool is_last, struct err *err)
{
    (void)is_last; /* the length of the file says it */
    return store_kind_row(writer->ref.kind)
        ->place->write(&writer->blob, writer->chunk, writer->n, writer->index * STORE_CHUNK_BYTES, err);
}

CHECKED static int finish(struct store_writer *writer, int64_t plain_bytes, struct err *err)
{
    (void)plain_bytes;
    (void)writer;
    (void)err;
    return 0; /* there is nothing around them */
}

const struct store_form store_form_plain = { .look = look,
                                             .load = load,
                                             .is_checked = is_checked,
                                             .read = read_plain,
                                             .write_chunk = write_chunk,
                                             .finish = finish };
