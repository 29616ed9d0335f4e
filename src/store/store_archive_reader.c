/*
 * libzip does the reading; what ends a bomb is here. Each member has a limit: the size that its sample should have, or
 * a plausible ratio, counted on the bytes that really come out. All members together have one. So has what libzip may
 * read, because members can overlap, streams can be long without yielding a byte, and a directory can be endless.
 */
#include "store/store_archive_reader.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/store_zip_source.h"
#include "util/secret.h"

enum {
    MEMBERS_PER_WANTED = 4, /* members of an archive: so many for each one that was asked for, … */
    MEMBERS_SPARE = 64,     /* … these, … */
    MEMBERS_MAX = 20000,    /* … and never more */
    MEMBER_ENTRY_MAX = 256, /* bytes of the directory for each member, on average, … */
    DIRECTORY_SPARE = MIB,  /* … and these */
    READS_MAX = 4,          /* an archive is read so many times over: to store, to hash, to store again, and one more */
    RATIO_MAX = 100,        /* plain bytes for each packed byte, unless the member is expected to be that large */
    READ_BYTES = 64 * KIB,
};
#define MEMBER_BYTES_MAX (4 * GIB)
#define UNPACK_BYTES_MAX (64 * GIB) /* plain bytes of all members, each time they are read */

struct store_archive_reader {
    struct store_archive_reader_config config;
    struct store_zip_source *source;
    zip_t *zip;
    int64_t archive_bytes;
    _Atomic int64_t may_read_directory_bytes;
    size_t n_members;
    char data[READ_BYTES];
};

int store_archive_reader_refuse(struct store_reason *reason, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(reason->text, sizeof reason->text, fmt, args); /* what is cut is the end of a sentence */
    va_end(args);
    return STORE_ARCHIVE_REFUSED;
}

/* Fails when it was not libzip that failed, but what it reads from. */
CHECKED static int check_source(const struct store_archive_reader *reader, struct err *err)
{
    const struct err *failed = &reader->source->failed;

    return failed->code ? err_set(err, failed->code, "%s", failed->text) : 0;
}

/* ---- the directory ---- */

static size_t members_max(const struct store_archive_reader *reader)
{
    size_t n = reader->config.n_wanted;

    return n < (MEMBERS_MAX - MEMBERS_SPARE) / MEMBERS_PER_WANTED ? MEMBERS_SPARE + MEMBERS_PER_WANTED * n
                                                                  : MEMBERS_MAX;
}

CHECKED static int too_many_members(struct err *err)
{
    return err_set(err, EPROTO, "the archive has far more members than samples were asked for");
}

/*
 * A zip64 record names the number of members, and libzip makes room for as many before it has seen one. So each such
 * record that it might find is looked at first: those that a locator near the end leads to.
 */
enum {
    TAIL_MAX = 64 * KIB + 22 + 20, /* the longest comment, the record of the end, the locator */
    LOCATOR_BYTES = 20,
    LOCATOR_OFFSET_AT = 8,
    RECORD_BYTES = 56,
    RECORD_MEMBERS_AT = 24,
};

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

CHECKED static int check_record(const struct store_archive_reader *reader, struct store_object *archive,
                                uint64_t offset, struct err *err)
{
    uint8_t record[RECORD_BYTES];
    size_t n = 0;
    int r = offset < INT64_MAX ? store_object_read(archive, (int64_t)offset, record, sizeof record, &n, err) : 0;

    if (r == 0 && n == sizeof record && memcmp(record, "PK\6\6", 4) == 0 &&
        get_u64(record + RECORD_MEMBERS_AT) > members_max(reader))
        return too_many_members(err);
    return r;
}

CHECKED static int check_records(const struct store_archive_reader *reader, struct store_object *archive,
                                 struct err *err)
{
    cleanup_(freep) uint8_t *tail = malloc(TAIL_MAX);
    int64_t size = store_object_size(archive);
    const uint8_t *end;
    size_t n = 0;
    int r;

    if (!tail)
        return err_set(err, ENOMEM, "no memory to read an archive");
    r = store_object_read(archive, size > TAIL_MAX ? size - TAIL_MAX : 0, tail, TAIL_MAX, &n, err);
    end = tail + n;
    for (const uint8_t *at = tail; r == 0 && (at = memmem(at, (size_t)(end - at), "PK\6\7", 4)); at++)
        if (end - at >= LOCATOR_BYTES)
            r = check_record(reader, archive, get_u64(at + LOCATOR_OFFSET_AT), err);
    return r;
}

CHECKED static int open_zip(struct store_archive_reader *reader, struct err *err)
{
    zip_source_t *source = store_zip_source_open(reader->source);
    zip_error_t error;
    int r = 0;

    if (!source)
        return err_set(err, ENOMEM, "no memory to read an archive");
    zip_error_init(&error);
    reader->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!reader->zip) {
        zip_source_free(source);
        r = check_source(reader, err);
        if (r == 0)
            r = err_set(err, zip_error_code_zip(&error) == ZIP_ER_MEMORY ? ENOMEM : EPROTO,
                        "not an archive that can be read: %s", zip_error_strerror(&error));
    }
    zip_error_fini(&error);
    return r;
}

/* libzip reads the whole directory at once; from then on only members. */
CHECKED static int open_directory(struct store_archive_reader *reader, struct err *err)
{
    int64_t directory_max = DIRECTORY_SPARE + (int64_t)members_max(reader) * MEMBER_ENTRY_MAX;
    int r;

    reader->may_read_directory_bytes = directory_max;
    reader->source->may_read_bytes = &reader->may_read_directory_bytes;
    r = open_zip(reader, err);
    if (r < 0)
        return r;
    reader->source->may_read_bytes = &reader->config.budget->may_read_bytes;
    reader->n_members = (size_t)zip_get_num_entries(reader->zip, 0);
    return reader->n_members > members_max(reader) ? too_many_members(err) : 0;
}

void store_archive_budget_init(struct store_archive_budget *budget, const struct store_object *archive)
{
    budget->may_read_bytes = READS_MAX * store_object_size(archive) + DIRECTORY_SPARE;
    budget->may_unpack_bytes = UNPACK_BYTES_MAX;
}

int store_archive_reader_open(struct store_object *archive, const struct store_archive_reader_config *config,
                              struct store_archive_reader **ret_reader, struct err *err)
{
    cleanup_(store_archive_reader_freep) struct store_archive_reader *reader = calloc(1, sizeof *reader);
    int r;

    if (!reader)
        return err_set(err, ENOMEM, "no memory to read an archive");
    reader->config = *config;
    reader->archive_bytes = store_object_size(archive);
    r = check_records(reader, archive, err);
    if (r == 0)
        r = store_zip_source_new(archive, &reader->source, err);
    if (r != 0)
        return r;
    reader->source->cancel = config->cancel;
    r = open_directory(reader, err);
    if (r == 0)
        *ret_reader = steal_ptr(&reader);
    return r;
}

void store_archive_reader_free(struct store_archive_reader *reader)
{
    if (!reader)
        return;
    zip_discard(reader->zip); /* NULL is fine */
    store_zip_source_free(reader->source);
    secret_wipe(reader->data, sizeof reader->data);
    free(reader);
}

size_t store_archive_reader_count(const struct store_archive_reader *reader)
{
    return reader->n_members;
}

const char *store_archive_reader_name(struct store_archive_reader *reader, size_t index)
{
    const char *name = zip_get_name(reader->zip, index, ZIP_FL_ENC_RAW);

    return name ? name : "";
}

/* ---- a member ---- */

/* How many bytes a member may have. */
static int64_t member_max(const struct store_archive_reader *reader, const zip_stat_t *st, int64_t expected_bytes)
{
    uint64_t whole = (uint64_t)reader->archive_bytes;
    int64_t packed = (int64_t)(st->comp_size < whole ? st->comp_size : whole);
    int64_t plausible = packed < MEMBER_BYTES_MAX / RATIO_MAX ? packed * RATIO_MAX : MEMBER_BYTES_MAX;
    int64_t max = expected_bytes > plausible ? expected_bytes : plausible;

    return max < MEMBER_BYTES_MAX ? max : MEMBER_BYTES_MAX;
}

/* Whether a member is packed in a way that we read, and not too large by its own account. */
CHECKED static int check_member(struct store_archive_reader *reader, size_t index, int64_t expected_bytes,
                                int64_t *ret_max, struct store_reason *reason)
{
    zip_stat_t st;

    if (zip_stat_index(reader->zip, index, 0, &st) < 0)
        return store_archive_reader_refuse(reason, "damaged in the archive");
    /* Others are never sent; some of them make the reader need any amount of memory. */
    if (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE)
        return store_archive_reader_refuse(reason, "unknown compression");
    if (!zip_encryption_method_supported(st.encryption_method, 0)) /* libzip 1.7 would leak when it refuses */
        return store_archive_reader_refuse(reason, "unknown encryption");
    *ret_max = member_max(reader, &st, expected_bytes);
    if (st.size > (zip_uint64_t)*ret_max)
        return store_archive_reader_refuse(reason, "larger than %lld bytes", (long long)*ret_max);
    return 0;
}

/* A member that libzip cannot read. */
CHECKED static int refuse_unreadable(const struct store_archive_reader *reader, const zip_error_t *error,
                                     struct store_reason *reason, struct err *err)
{
    int r = check_source(reader, err);

    if (r < 0)
        return r;
    if (zip_error_code_zip(error) == ZIP_ER_MEMORY)
        return err_set(err, ENOMEM, "no memory to read an archive");
    if (zip_error_code_zip(error) == ZIP_ER_WRONGPASSWD)
        return store_archive_reader_refuse(reason, "wrong password");
    return store_archive_reader_refuse(reason, "damaged in the archive");
}

CHECKED static int pour(struct store_archive_reader *reader, zip_file_t *file, int64_t max,
                        const struct store_archive_sink *sink, struct store_reason *reason, struct err *err)
{
    for (int64_t total = 0;;) {
        zip_int64_t n = zip_fread(file, reader->data, sizeof reader->data);
        int r;

        if (n < 0 && zip_error_code_zip(zip_file_get_error(file)) == ZIP_ER_CRC) {
            (void)store_archive_reader_refuse(reason, "damaged in the archive"); /* unless its digest says otherwise */
            n = 0;
        }
        r = n < 0 ? refuse_unreadable(reader, zip_file_get_error(file), reason, err) : check_source(reader, err);

        if (r != 0 || n == 0)
            return r;
        total += n;
        if (total > max)
            return store_archive_reader_refuse(reason, "larger than %lld bytes", (long long)max);
        if (atomic_fetch_sub(&reader->config.budget->may_unpack_bytes, n) < n)
            return err_set(err, EFBIG, "the archive unpacks to more than %lld bytes", (long long)UNPACK_BYTES_MAX);
        r = sink->write(sink->closure, reader->data, (size_t)n, err);
        if (r < 0)
            return r;
    }
}

int store_archive_reader_read(struct store_archive_reader *reader, size_t index, const struct store_archive_sink *sink,
                              struct store_reason *ret_reason, struct err *err)
{
    zip_file_t *file;
    int64_t max = 0;
    int r;

    *ret_reason = (struct store_reason){ 0 };
    r = check_member(reader, index, sink->expected_bytes, &max, ret_reason);

    if (r != 0)
        return r;
    file = zip_fopen_index_encrypted(reader->zip, index, 0, reader->config.password);
    if (!file)
        return refuse_unreadable(reader, zip_get_error(reader->zip), ret_reason, err);
    r = pour(reader, file, max, sink, ret_reason, err);
    (void)zip_fclose(file); /* read-only */
    return r;
}
