/*
 * libzip reads an archive in small pieces: thirty bytes of a header, then eight thousand of data. A sealed object can
 * only be opened by whole chunks, so the newest chunk is kept.
 */
#include "store/store_zip_source.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "util/secret.h"

int store_zip_source_new(struct store_object *object, struct store_zip_source **ret_source, struct err *err)
{
    struct store_zip_source *source = calloc(1, sizeof *source);

    if (!source)
        return err_set(err, ENOMEM, "no memory to read an archive");
    source->object = object;
    source->chunk_index = -1;
    zip_error_init(&source->error);
    *ret_source = source;
    return 0;
}

void store_zip_source_free(struct store_zip_source *source)
{
    if (!source)
        return;
    zip_error_fini(&source->error);
    secret_wipe(source->chunk, sizeof source->chunk);
    free(source);
}

/* Has the chunk of the offset in memory. */
CHECKED static int load(struct store_zip_source *source, struct err *err)
{
    int64_t index = source->offset / STORE_CHUNK_BYTES;
    int r;

    if (index == source->chunk_index)
        return 0;
    source->chunk_index = -1;
    r = store_object_read(source->object, index * STORE_CHUNK_BYTES, source->chunk, sizeof source->chunk,
                          &source->chunk_n, err);
    if (r == 0)
        source->chunk_index = index;
    return r;
}

CHECKED static int check(struct store_zip_source *source, int64_t n, struct err *err)
{
    if (source->cancel && __atomic_load_n(source->cancel, __ATOMIC_RELAXED))
        return err_set(err, ECANCELED, "cancelled");
    if (source->may_read_bytes && atomic_fetch_sub(source->may_read_bytes, n) < n)
        return err_set(err, EFBIG, "the archive makes its reader read more than it should have to");
    return 0;
}

static zip_int64_t source_fail(struct store_zip_source *source, int zip_code, int code)
{
    zip_error_set(&source->error, zip_code, code);
    return -1;
}

/* At most what is left of the chunk: libzip asks for the rest. */
static zip_int64_t source_read(struct store_zip_source *source, void *to, zip_uint64_t n)
{
    int64_t left = store_object_size(source->object) - source->offset;
    int64_t skip = source->offset % STORE_CHUNK_BYTES;
    int r = source->failed.code ? -source->failed.code : 0;

    if (left > STORE_CHUNK_BYTES - skip)
        left = STORE_CHUNK_BYTES - skip;
    if ((uint64_t)left < n)
        n = (zip_uint64_t)left;
    if (r == 0)
        r = check(source, (int64_t)n, &source->failed);
    if (r == 0 && n > 0)
        r = load(source, &source->failed);
    if (r < 0)
        return source_fail(source, ZIP_ER_READ, source->failed.code);
    memcpy(to, source->chunk + skip, n);
    source->offset += (int64_t)n;
    return (zip_int64_t)n;
}

static zip_int64_t source_seek(struct store_zip_source *source, void *data, zip_uint64_t n)
{
    zip_int64_t offset = zip_source_seek_compute_offset(
        (zip_uint64_t)source->offset, (zip_uint64_t)store_object_size(source->object), data, n, &source->error);

    if (offset < 0)
        return -1;
    source->offset = offset;
    return 0;
}

static zip_int64_t source_stat(struct store_zip_source *source, void *data, zip_uint64_t n)
{
    zip_stat_t *st = data;

    if (n < sizeof *st)
        return source_fail(source, ZIP_ER_INVAL, 0);
    zip_stat_init(st);
    st->valid = ZIP_STAT_SIZE | ZIP_STAT_MTIME;
    st->size = (zip_uint64_t)store_object_size(source->object);
    st->mtime = source->mtime_s;
    return sizeof *st;
}

static zip_int64_t source_command(void *closure, void *data, zip_uint64_t n, zip_source_cmd_t command)
{
    struct store_zip_source *source = closure;

    /* NOLINTNEXTLINE: the other commands are those that SUPPORTS does not list */
    switch ((int)command) {
    case ZIP_SOURCE_OPEN:
        source->offset = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return source_read(source, data, n);
    case ZIP_SOURCE_SEEK:
        return source_seek(source, data, n);
    case ZIP_SOURCE_TELL:
        return source->offset;
    case ZIP_SOURCE_STAT:
        return source_stat(source, data, n);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&source->error, data, n);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:         /* the owner frees */
    case ZIP_SOURCE_ACCEPT_EMPTY: /* nothing at all is no archive */
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_CLOSE, ZIP_SOURCE_FREE,
                                              ZIP_SOURCE_ACCEPT_EMPTY, ZIP_SOURCE_SUPPORTS, -1);
    default:
        return source_fail(source, ZIP_ER_OPNOTSUPP, 0);
    }
}

zip_source_t *store_zip_source_open(struct store_zip_source *source)
{
    return zip_source_function_create(source_command, source, NULL);
}
