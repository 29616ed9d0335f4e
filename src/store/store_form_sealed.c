/*
 * The sealed form (SEALED.md). Bytes go from the place straight into the caller's buffer and are opened there; what a
 * chunk has before and after the wanted range passes through a small buffer, because the tag covers all of it.
 */
#include <errno.h>

#include "store/store_internal.h"

enum { PASS_BYTES = 16 * KIB };

static const struct store_place *place_of(const struct store_object *object)
{
    return store_kind_row(object->ref.kind)->place;
}

CHECKED static int read_exactly(const struct store_object *object, void *to, size_t n, int64_t offset, struct err *err)
{
    size_t got = 0;
    int r = place_of(object)->read(&object->blob, to, n, offset, &got, err);

    if (r == 0 && got < n)
        return err_set(err, EBADMSG, "the file was cut");
    return r;
}

/* Tries every key that there is for this kind: while the key is being changed there are two. */
CHECKED static int open_header(struct store_object *object, const uint8_t *header, struct err *err)
{
    struct store *store = object->store;
    int r;

    if (object->ref.kind == STORE_MEMORY)
        return store_seal_from_header(&object->seal, store->memory_key, &object->ref.digest, header,
                                      &object->plain_bytes, err);
    r = -EBADMSG;
    for (size_t i = 0; r == -EBADMSG && i < STORE_KEYS_MAX && store->keys[i]; i++)
        r = store_seal_from_header(&object->seal, store->keys[i], &object->ref.digest, header, &object->plain_bytes,
                                   err);
    return r;
}

CHECKED static int load(struct store_object *object, struct err *err)
{
    uint8_t header[SEAL_HEADER_BYTES];
    struct store_facts facts;
    size_t n = 0;
    int r = place_of(object)->facts(&object->blob, &facts, err);

    if (r == 0)
        r = place_of(object)->read(&object->blob, header, sizeof header, 0, &n, err);
    if (r < 0)
        return r;
    if (n < sizeof header)
        return err_set(err, EBADMSG, "shorter than a header");
    r = open_header(object, header, err);
    if (r < 0)
        return r;
    if (facts.bytes != store_seal_file_bytes(object->plain_bytes))
        return err_set(err, EBADMSG, "%lld bytes instead of %lld", (long long)facts.bytes,
                       (long long)store_seal_file_bytes(object->plain_bytes));
    object->facts = facts;
    return 0;
}

/* ---- reading ---- */

/* The part of one chunk that a read wants. */
struct part {
    int64_t index;
    size_t chunk_bytes; /* plain bytes of the whole chunk */
    size_t skip;
    size_t n;
    bool is_last;
};

/* Reads and opens a piece of the current chunk in place. */
CHECKED static int open_piece(const struct store_object *object, struct store_seal_stream *stream, void *to, size_t n,
                              int64_t offset, struct err *err)
{
    int r = read_exactly(object, to, n, offset, err);

    return r < 0 ? r : store_seal_chunk_piece(stream, to, n, err);
}

/* Bytes of a chunk that nobody wants but the tag covers. */
CHECKED static int pass_piece(const struct store_object *object, struct store_seal_stream *stream, size_t n,
                              int64_t offset, struct err *err)
{
    uint8_t pass[PASS_BYTES];
    size_t step;
    int r = 0;

    for (; r == 0 && n > 0; n -= step, offset += (int64_t)step) {
        step = n < sizeof pass ? n : sizeof pass;
        r = open_piece(object, stream, pass, step, offset, err);
    }
    secret_wipe(pass, sizeof pass);
    return r;
}

CHECKED static int open_part(const struct store_object *object, struct store_seal_stream *stream,
                             const struct part *part, void *to, struct err *err)
{
    int64_t at = store_seal_chunk_offset(part->index);
    size_t end = part->skip + part->n;
    uint8_t tag[SEAL_TAG_BYTES];
    int r;

    r = store_seal_chunk_begin(stream, part->index, part->is_last, err);
    if (r == 0 && part->skip > 0)
        r = pass_piece(object, stream, part->skip, at, err);
    if (r == 0)
        r = open_piece(object, stream, to, part->n, at + (int64_t)part->skip, err);
    if (r == 0 && end < part->chunk_bytes)
        r = pass_piece(object, stream, part->chunk_bytes - end, at + (int64_t)end, err);
    if (r == 0)
        r = read_exactly(object, tag, sizeof tag, at + (int64_t)part->chunk_bytes, err);
    return r < 0 ? r : store_seal_chunk_end(stream, tag, err);
}

CHECKED static int read_parts(const struct store_object *object, int64_t offset, char *to, size_t n, struct err *err)
{
    cleanup_(store_seal_stream_done) struct store_seal_stream stream = { 0 };
    int r = store_seal_stream_init(&stream, &object->seal, object->store->cipher, false, err);

    for (size_t done = 0; r == 0 && done < n;) {
        struct part part = { .index = offset / STORE_CHUNK_BYTES, .skip = (size_t)(offset % STORE_CHUNK_BYTES) };

        part.chunk_bytes = store_seal_chunk_plain(object->plain_bytes, part.index);
        part.n = part.chunk_bytes - part.skip < n - done ? part.chunk_bytes - part.skip : n - done;
        part.is_last = part.index * STORE_CHUNK_BYTES + (int64_t)part.chunk_bytes == object->plain_bytes;
        r = open_part(object, &stream, &part, to + done, err);
        done += part.n;
        offset += (int64_t)part.n;
    }
    return r;
}

/* ---- writing ---- */

CHECKED static int write_chunk(struct store_writer *writer, bool is_last, struct err *err)
{
    int r = store_seal_chunk_begin(&writer->stream, writer->index, is_last, err);

    if (r == 0)
        r = store_seal_chunk_piece(&writer->stream, writer->chunk, writer->n, err);
    if (r == 0)
        r = store_seal_chunk_end(&writer->stream, writer->chunk + writer->n, err);
    if (r < 0)
        return r;
    return store_kind_row(writer->ref.kind)
        ->place->write(&writer->blob, writer->chunk, writer->n + SEAL_TAG_BYTES, store_seal_chunk_offset(writer->index),
                       err);
}

CHECKED static int finish(struct store_writer *writer, int64_t plain_bytes, struct err *err)
{
    uint8_t header[SEAL_HEADER_BYTES];
    int r = store_seal_header(&writer->seal, plain_bytes, header, err);

    return r < 0 ? r : store_kind_row(writer->ref.kind)->place->write(&writer->blob, header, sizeof header, 0, err);
}

const struct store_form store_form_sealed = {
    .look = load, .load = load, .read = read_parts, .write_chunk = write_chunk, .finish = finish
};
