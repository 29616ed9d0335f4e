/*
 * A writer holds back the newest chunk until more bytes or the commit arrive, because a chunk is sealed together with
 * the word whether it is the last one. The digest of a sample is computed over the same bytes in the same pass; an
 * archive has its name from elsewhere. The temporary file is locked while we live, so that another process that starts
 * meanwhile does not sweep it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "store/store_seal.h"

struct store_writer {
    struct store *store;
    enum store_shelf shelf;
    struct store_seal seal;
    struct store_seal_stream stream;
    struct digest_stream *hash; /* NULL: the name is not the digest of the bytes */
    struct err failed;          /* the first failure: the writer is of no use any more */
    char name[DIGEST_TEXT];
    int fd;        /* of tmp/<name>, -1 before */
    int64_t index; /* of the chunk in `chunk` */
    size_t n;      /* bytes in it */
    uint8_t chunk[SEAL_CHUNK_BYTES];
};

/* Makes and locks the temporary. It may be swept between the two; then there is another try. */
CHECKED static int make_temporary(struct store_writer *writer, struct err *err)
{
    struct store_files_random random;
    int r;

    for (;;) {
        r = store_files_random(&random, err);
        if (r < 0)
            return r;
        (void)snprintf(writer->name, sizeof writer->name, "%.*s-%s", DIGEST_SHORT, digest_short(&writer->seal.digest).s,
                       random.s); /* fits */
        writer->fd = openat(writer->store->tmp_fd, writer->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (writer->fd < 0)
            return err_sys(err, "make a temporary in the cache");
        r = store_files_lock(writer->fd, STORE_FILES_WAIT, err);
        if (r < 0 || store_files_is_at(writer->fd, writer->store->tmp_fd, writer->name))
            return r;
        close(steal_fd(&writer->fd));
    }
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
    int r;

    if (!writer)
        return err_set(err, ENOMEM, "no memory for a writer");
    writer->store = store;
    writer->shelf = shelf;
    writer->fd = -1;
    r = store_seal_init(&writer->seal, store->key, digest, err);
    if (r < 0)
        return r;
    r = store_seal_stream_init(&writer->stream, &writer->seal, store->cipher, true, err);
    if (r < 0)
        return r;
    r = shelf == SHELF_SAMPLES ? digest_stream_new(&writer->hash, err) : 0;
    if (r < 0)
        return r;
    r = make_temporary(writer, err);
    if (r < 0)
        return r;
    *ret_writer = steal_ptr(&writer);
    return 0;
}

CHECKED static int write_chunk(struct store_writer *writer, bool is_last, struct err *err)
{
    int r;

    r = store_seal_chunk_begin(&writer->stream, writer->index, is_last, err);
    if (r == 0)
        r = store_seal_chunk_piece(&writer->stream, writer->chunk, writer->n, err);
    if (r == 0)
        r = store_seal_chunk_end(&writer->stream, writer->chunk + writer->n, err);
    if (r == 0)
        r = store_files_pwrite(writer->fd, writer->chunk, writer->n + SEAL_TAG_BYTES,
                               store_seal_chunk_offset(writer->index), err);
    if (r < 0)
        return r;
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

static int64_t plain_bytes(const struct store_writer *writer)
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
    if ((int64_t)n > SEAL_PLAIN_MAX - plain_bytes(writer) || (int64_t)n < 0)
        r = err_set(&writer->failed, EFBIG, "the %s has more than %lld bytes", store_object_noun(writer->shelf),
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

    if (r == 0 && !digest_equal(&digest, &writer->seal.digest))
        return err_set(err, EBADMSG, "the bytes have SHA-256 %s, not %s", digest_format(&digest).s,
                       digest_format(&writer->seal.digest).s);
    return r;
}

/* The last chunk, the header, and all of it on the platter. */
CHECKED static int complete(struct store_writer *writer, struct err *err)
{
    int64_t n = plain_bytes(writer);
    uint8_t header[SEAL_HEADER_BYTES];
    int r;

    r = writer->hash ? check_digest(writer, err) : 0;
    if (r < 0)
        return r;
    if (writer->n > 0) {
        r = write_chunk(writer, true, err);
        if (r < 0)
            return r;
    }
    r = store_seal_header(&writer->seal, n, header, err);
    if (r == 0)
        r = store_files_pwrite(writer->fd, header, sizeof header, 0, err);
    if (r == 0 && fdatasync(writer->fd) < 0)
        r = err_sys(err, "sync the %s", store_object_noun(writer->shelf));
    return r;
}

/* Renames into place and counts; whoever had stored the same object before is replaced. */
CHECKED static int rename_into(struct store_writer *writer, int dir_fd, struct err *err)
{
    struct store *store = writer->store;
    struct digest_text name = digest_format(&writer->seal.digest);
    struct stat before = { 0 };
    struct stat after = { 0 };
    bool replaces;
    int r = 0;

    lock_acquire(&store->files);
    replaces = fstatat(dir_fd, name.s, &before, AT_SYMLINK_NOFOLLOW) == 0;
    if (fstat(writer->fd, &after) < 0 || renameat(store->tmp_fd, writer->name, dir_fd, name.s) < 0) {
        r = err_sys(err, "rename the %s into place", store_object_noun(writer->shelf));
    } else {
        store_object_count_locked(store, writer->shelf, after.st_size - (replaces ? before.st_size : 0), !replaces);
        writer->name[0] = '\0'; /* nothing to remove any more */
    }
    lock_release(&store->files);
    if (r == 0 && fsync(dir_fd) < 0)
        r = err_sys(err, "sync the directory of the %s", store_object_noun(writer->shelf));
    return r;
}

CHECKED static int publish(struct store_writer *writer, struct err *err)
{
    struct store_object_name name = store_object_name(&writer->seal.digest);
    cleanup_(closep) int outer_fd = -1;
    cleanup_(closep) int inner_fd = -1;
    int r;

    name.s[2] = '\0'; /* "ab", "cd" */
    name.s[5] = '\0';
    r = store_files_make_dir(store_object_shelf_fd(writer->store, writer->shelf), name.s, &outer_fd, err);
    if (r < 0)
        return r;
    r = store_files_make_dir(outer_fd, name.s + 3, &inner_fd, err);
    if (r < 0)
        return r;
    r = rename_into(writer, inner_fd, err);
    if (r == 0)
        store_object_drop_damaged(writer->store, &writer->seal.digest);
    return r;
}

int store_writer_commit(struct store_writer *writer, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *owned = writer;
    int r = check_usable(owned, err);

    if (r == 0)
        r = complete(owned, err);
    return r < 0 ? r : publish(owned, err);
}

void store_writer_free(struct store_writer *writer)
{
    if (!writer)
        return;
    if (writer->fd >= 0 && writer->name[0])
        (void)unlinkat(writer->store->tmp_fd, writer->name, 0); /* else the next start sweeps it */
    closep(&writer->fd);
    digest_stream_free(writer->hash);
    store_seal_stream_done(&writer->stream);
    store_seal_done(&writer->seal);
    secret_wipe(writer->chunk, sizeof writer->chunk);
    free(writer);
}
