/*
 * A writer holds back the newest chunk until more bytes or the commit arrive, because a chunk is sealed together with
 * the word whether it is the last one. The digest of a sample is computed over the same bytes in the same pass; an
 * archive has its name from elsewhere.
 */
#include <errno.h>
#include <string.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "util/fault.h"

static const struct store_kind_row *row_of(const struct store_writer *writer)
{
    return store_kind_row(writer->ref.kind);
}

static void drop_chunk(struct store_writer *writer)
{
    if (writer->chunk)
        secret_wipe(writer->chunk, SEAL_CHUNK_BYTES);
    freep(&writer->chunk);
    writer->chunk = NULL;
}

int store_writer_begin(struct store *store, const struct digest *digest, struct store_writer **ret_writer,
                       struct err *err)
{
    return store_writer_begin_on(store, SHELF_SAMPLES, digest, ret_writer, err);
}

int store_writer_begin_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                          struct store_writer **ret_writer, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = calloc(1, sizeof *writer);
    const struct secret *key;
    int r;

    if (!writer)
        return err_set(err, ENOMEM, "no memory for a writer");
    writer->store = store;
    writer->ref = (struct store_ref){ .kind = store_kind_for(store, shelf), .shelf = shelf, .digest = *digest };
    writer->blob = STORE_BLOB_NONE;
    writer->chunk = malloc(SEAL_CHUNK_BYTES);
    if (!writer->chunk)
        return err_set(err, ENOMEM, "no memory for a writer");
    key = writer->ref.kind == STORE_MEMORY ? store->memory_key : store->seal_key;
    r = store_seal_init(&writer->seal, key, digest, err);
    if (r == 0)
        r = store_seal_stream_init(&writer->stream, &writer->seal, store->cipher, true, err);
    if (r == 0 && shelf == SHELF_SAMPLES)
        r = digest_stream_new(&writer->hash, err);
    if (r == 0)
        r = row_of(writer)->place->begin(store, &writer->ref, &writer->blob, err);
    if (r < 0)
        return r;
    *ret_writer = steal_ptr(&writer);
    return 0;
}

/* What the disk does not have free any more need not be kept free for this writer. */
static void count_taken(struct store_writer *writer, int64_t taken)
{
    struct store *store = writer->store;

    lock_acquire(&store->files);
    store->taken_bytes += taken - writer->taken_bytes;
    lock_release(&store->files);
    writer->taken_bytes = taken;
}

int store_writer_reserve(struct store_writer *writer, int64_t n_bytes, struct err *err)
{
    bool is_plain = writer->ref.kind == STORE_PLAIN;
    int64_t n = is_plain ? n_bytes : store_seal_file_bytes(n_bytes);
    int64_t taken = 0;
    int r = row_of(writer)->place->reserve(&writer->blob, n, &taken, err);

    if (r == 0)
        count_taken(writer, taken);
    return r;
}

CHECKED static int write_chunk(struct store_writer *writer, bool is_last, struct err *err)
{
    int r = row_of(writer)->form->write_chunk(writer, is_last, err);

    if (r < 0)
        return r;
    CRASH_POINT(SEAL_WRITTEN);
    writer->index++;
    writer->n = 0;
    return 0;
}

CHECKED static int add(struct store_writer *writer, const char *data, size_t n, struct err *err)
{
    int r = 0;

    while (r == 0 && n > 0) {
        size_t room = STORE_CHUNK_BYTES - writer->n;
        size_t step = n < room ? n : room;

        if (room == 0) {
            r = write_chunk(writer, false, err);
            continue;
        }
        memcpy(writer->chunk + writer->n, data, step);
        writer->n += step;
        data += step;
        n -= step;
    }
    return r;
}

int64_t store_writer_bytes(const struct store_writer *writer)
{
    return writer->index * STORE_CHUNK_BYTES + (int64_t)writer->n;
}

/* Fails again as it failed first. */
CHECKED static int check_usable(const struct store_writer *writer, struct err *err)
{
    if (writer->failed.code)
        return err_set(err, writer->failed.code, "%s", writer->failed.text);
    return 0;
}

int store_writer_write(struct store_writer *writer, const void *data, size_t n, struct err *err)
{
    int r = check_usable(writer, err);

    if (r < 0)
        return r;
    if ((int64_t)n > SEAL_PLAIN_MAX - store_writer_bytes(writer) || (int64_t)n < 0)
        r = err_set(&writer->failed, EFBIG, "the %s has more than %lld bytes", store_object_noun(writer->ref.shelf),
                    (long long)SEAL_PLAIN_MAX);
    if (r == 0 && writer->hash)
        r = digest_stream_add(writer->hash, data, n, &writer->failed);
    if (r == 0)
        r = add(writer, data, n, &writer->failed);
    return r < 0 ? check_usable(writer, err) : 0;
}

CHECKED static int check_digest(struct store_writer *writer, struct err *err)
{
    struct digest digest;
    int r = digest_stream_end(writer->hash, &digest, err);

    if (r == 0 && !digest_equal(&digest, &writer->ref.digest))
        return err_set(err, EBADMSG, "the bytes have SHA-256 %s, not %s", digest_format(&digest).s,
                       digest_format(&writer->ref.digest).s);
    return r;
}

/* The last chunk, and what stands around all of them. */
CHECKED static int complete(struct store_writer *writer, struct err *err)
{
    int64_t n = store_writer_bytes(writer);
    int r = writer->hash ? check_digest(writer, err) : 0;

    if (r == 0 && writer->n > 0)
        r = write_chunk(writer, true, err);
    return r < 0 ? r : row_of(writer)->form->finish(writer, n, err);
}

int store_writer_seal(struct store_writer *writer, struct err *err)
{
    int r = check_usable(writer, err);

    if (r == 0)
        r = complete(writer, err);
    CRASH_POINT(SEAL_FINISHED);
    if (r < 0)
        return r;
    drop_chunk(writer);
    if (!writer->times.came_ns)
        writer->times.came_ns = writer->times.used_ns = store_files_now_ns();
    return 0;
}

/* What is plain and known by its digest need not be compared with it once more. */
static void note_plain(const struct store_writer *writer)
{
    struct store_facts facts;

    if (writer->ref.kind == STORE_PLAIN && row_of(writer)->place->facts(&writer->blob, &facts, NULL) == 0)
        store_form_plain_note(writer->store, &writer->ref.digest, &facts); /* else it is compared when it is opened */
}

int store_writer_publish(struct store_writer *const *writers, size_t n, struct err *err)
{
    int r = n > 0 ? row_of(writers[0])->place->publish(writers[0]->store, writers, n, err) : 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        note_plain(writers[i]);
    return r;
}

int store_writer_commit(struct store_writer *writer, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *owned = writer;
    int r = store_writer_seal(owned, err);

    return r < 0 ? r : store_writer_publish(&owned, 1, err);
}

void store_writer_free(struct store_writer *writer)
{
    if (!writer)
        return;
    if (writer->taken_bytes > 0)
        count_taken(writer, 0);
    row_of(writer)->place->close(writer->store, &writer->blob);
    digest_stream_free(writer->hash);
    store_seal_stream_done(&writer->stream);
    store_seal_done(&writer->seal);
    drop_chunk(writer);
    free(writer);
}
