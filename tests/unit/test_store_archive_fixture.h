/* Archives to try on the store: good ones made with libzip, odd ones byte by byte; and what must hold after each. */
#pragma once

#include "test_store_fixture.h"

#include <errno.h>

#include <zip.h>

#include "util/buf.h"

#define MARKER "plain bytes of a sample, never on disk: "
static const char password[] = "infected";

/* ---- samples ---- */

struct content {
    uint8_t *bytes;
    size_t n;
    struct digest digest;
    struct digest_text hex;
};

/* Bytes that start with the marker, as far as they reach. */
static inline struct content make_content(size_t n, unsigned int seed)
{
    struct content content = { .n = n };

    content.bytes = fixture_bytes(n, seed, &content.digest);
    memcpy(content.bytes, MARKER, n < strlen(MARKER) ? n : strlen(MARKER));
    assert_int_equal(digest_of(content.bytes, n, &content.digest, NULL), 0);
    content.hex = digest_format(&content.digest);
    return content;
}

static inline void content_done(struct content *content)
{
    free(content->bytes);
}

/* Zeros, for bombs. */
static inline struct content content_of_zeros(size_t n)
{
    struct content content = { .n = n, .bytes = calloc(n, 1) };

    assert_non_null(content.bytes);
    assert_int_equal(digest_of(content.bytes, n, &content.digest, NULL), 0);
    content.hex = digest_format(&content.digest);
    return content;
}

/* ---- archives made with libzip ---- */

struct member {
    const char *name;
    const struct content *content; /* NULL: a directory */
    zip_int32_t compression;
    zip_uint16_t encryption;
    const char *password; /* NULL: the usual one */
    zip_uint32_t mode;    /* 0: what libzip likes */
};

static inline void add_member(zip_t *zip, const struct member *member)
{
    const char *word = member->password ? member->password : password;
    zip_int64_t at =
        member->content
            ? zip_file_add(zip, member->name, zip_source_buffer(zip, member->content->bytes, member->content->n, 0),
                           ZIP_FL_ENC_UTF_8 | ZIP_FL_OVERWRITE)
            : zip_dir_add(zip, member->name, ZIP_FL_ENC_UTF_8);

    assert_true(at >= 0);
    if (!member->content)
        return;
    assert_int_equal(zip_set_file_compression(zip, (zip_uint64_t)at, member->compression, 0), 0);
    if (member->encryption != ZIP_EM_NONE)
        assert_int_equal(zip_file_set_encryption(zip, (zip_uint64_t)at, member->encryption, word), 0);
    if (member->mode)
        assert_int_equal(zip_file_set_external_attributes(zip, (zip_uint64_t)at, 0, ZIP_OPSYS_UNIX, member->mode << 16),
                         0);
}

static inline struct buf pack(const struct member *members, size_t n)
{
    struct buf bytes = BUF_INIT(256 * MIB);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_TRUNCATE, NULL);
    zip_stat_t st;

    assert_non_null(zip);
    zip_source_keep(source);
    for (size_t i = 0; i < n; i++)
        add_member(zip, &members[i]);
    assert_int_equal(zip_close(zip), 0);
    assert_int_equal(zip_source_stat(source, &st), 0);
    assert_int_equal(zip_source_open(source), 0);
    assert_int_equal(zip_source_read(source, buf_reserve(&bytes, st.size), st.size), st.size);
    buf_commit(&bytes, st.size);
    zip_source_free(source);
    return bytes;
}

/* ---- archives made byte by byte: stored members ---- */

enum { RAW_DESCRIPTOR = 1, RAW_ZIP64 = 2, RAW_NO_DATA = 4 }; /* the first two not together */
enum { RAW_FLAG_DESCRIPTOR = 8, RAW_U16_MAX = 0xffff };
#define RAW_U32_MAX 0xffffffffU

struct raw {
    struct buf bytes;
    struct buf directory;
    uint64_t n;
    uint64_t last_offset; /* of the newest local header */
    uint16_t flags;       /* set in all headers that follow */
    size_t n_comment;     /* bytes of comment for each member that follows */
};

#define RAW_INIT                                                                                                       \
    {                                                                                                                  \
        .bytes = BUF_INIT(64 * MIB), .directory = BUF_INIT(64 * MIB)                                                   \
    }

static inline void put(struct buf *buf, uint64_t value, size_t n)
{
    value = htole64(value);
    buf_append(buf, &value, n);
}

static inline uint32_t crc_of(const uint8_t *bytes, size_t n)
{
    uint32_t crc = RAW_U32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320U : 0);
    }
    return ~crc;
}

/* What local header and directory have in common: from "version needed" to the lengths of name and extra field. */
static inline void raw_common(const struct raw *raw, struct buf *to, const char *name, const struct content *content,
                              int how, bool is_local)
{
    bool is_later = is_local && how & RAW_DESCRIPTOR;
    bool is_large = how & RAW_ZIP64;
    size_t extra = !is_large ? 0 : is_local ? 20 : 28;

    put(to, 45, 2);
    put(to, raw->flags | (how & RAW_DESCRIPTOR ? RAW_FLAG_DESCRIPTOR : 0), 2);
    put(to, 0, 2);          /* stored */
    put(to, 0x58216000, 4); /* some day */
    put(to, is_later ? 0 : crc_of(content->bytes, content->n), 4);
    put(to, is_later ? 0 : is_large ? RAW_U32_MAX : content->n, 4);
    put(to, is_later ? 0 : is_large ? RAW_U32_MAX : content->n, 4);
    put(to, strlen(name), 2);
    put(to, extra, 2);
}

static inline void raw_extra(struct buf *to, const struct content *content, size_t n, uint64_t offset)
{
    put(to, 1, 2);
    put(to, n, 2);
    put(to, content->n, 8);
    put(to, content->n, 8);
    if (n > 16)
        put(to, offset, 8);
}

static inline void raw_local(struct raw *raw, const char *name, const struct content *content, int how)
{
    raw->last_offset = raw->bytes.n;
    buf_append(&raw->bytes, "PK\3\4", 4);
    raw_common(raw, &raw->bytes, name, content, how, true);
    buf_puts(&raw->bytes, name);
    if (how & RAW_ZIP64)
        raw_extra(&raw->bytes, content, 16, 0);
    buf_append(&raw->bytes, content->bytes, content->n);
    if (how & RAW_DESCRIPTOR) {
        buf_append(&raw->bytes, "PK\7\10", 4);
        put(&raw->bytes, crc_of(content->bytes, content->n), 4);
        put(&raw->bytes, content->n, 4);
        put(&raw->bytes, content->n, 4);
    }
}

/* With RAW_NO_DATA another name for the member before. */
static inline void raw_add(struct raw *raw, const char *name, const struct content *content, int how)
{
    struct buf *to = &raw->directory;

    if (!(how & RAW_NO_DATA))
        raw_local(raw, name, content, how);
    buf_append(to, "PK\1\2", 4);
    put(to, 45, 2);
    raw_common(raw, to, name, content, how & ~RAW_NO_DATA, false);
    put(to, raw->n_comment, 2);
    put(to, 0, 2); /* disk */
    put(to, 0, 2);
    put(to, 0, 4);
    put(to, how & RAW_ZIP64 ? RAW_U32_MAX : raw->last_offset, 4);
    buf_puts(to, name);
    if (how & RAW_ZIP64)
        raw_extra(to, content, 24, raw->last_offset);
    buf_resize(to, to->n + raw->n_comment);
    raw->n++;
}

/* The directory and the records of the end; n_claimed members are claimed by a zip64 record, 0: there is none. */
static inline struct buf raw_take(struct raw *raw, uint64_t n_claimed)
{
    struct buf *to = &raw->bytes;
    uint64_t at = to->n;
    uint64_t record = at + raw->directory.n;

    buf_append(to, raw->directory.data, raw->directory.n);
    if (n_claimed) {
        buf_append(to, "PK\6\6", 4);
        put(to, 44, 8);
        put(to, 45, 2);
        put(to, 45, 2);
        put(to, 0, 8); /* disks */
        put(to, n_claimed, 8);
        put(to, n_claimed, 8);
        put(to, raw->directory.n, 8);
        put(to, at, 8);
        buf_append(to, "PK\6\7", 4);
        put(to, 0, 4);
        put(to, record, 8);
        put(to, 1, 4);
    }
    buf_append(to, "PK\5\6", 4);
    put(to, 0, 4); /* disks */
    put(to, n_claimed ? RAW_U16_MAX : raw->n, 2);
    put(to, n_claimed ? RAW_U16_MAX : raw->n, 2);
    put(to, n_claimed ? RAW_U32_MAX : raw->directory.n, 4);
    put(to, n_claimed ? RAW_U32_MAX : at, 4);
    put(to, 0, 2); /* comment */
    assert_int_equal(to->code, 0);
    buf_done(&raw->directory);
    return *to;
}

/* ---- archives in the store ---- */

static const struct request_id request = { .s = "742db9f3-0000-0000-0000-000000000001" };

static inline void keep_archive(struct fixture *fixture, const struct request_id *id, const void *bytes, size_t n)
{
    struct store_writer *writer = NULL;

    assert_int_equal(store_archive_begin(fixture->store, id, &writer, &fixture->err), 0);
    assert_int_equal(store_writer_write(writer, bytes, n, &fixture->err), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), 0);
}

static inline void keep_buf(struct fixture *fixture, struct buf bytes)
{
    keep_archive(fixture, &request, buf_text(&bytes), bytes.n);
    buf_done(&bytes);
}

enum { WANTED_MAX = 8 };
static struct store_reason reasons[WANTED_MAX];

/* Unpacks the archive of `request`; the reasons are in `reasons`. */
static inline int unpack(struct fixture *fixture, const struct content *wanted, size_t n)
{
    struct digest digests[WANTED_MAX];
    struct store_unpack ask = { .wanted = digests, .n_wanted = n, .password = password };

    assert_true(n <= WANTED_MAX);
    for (size_t i = 0; i < n; i++)
        digests[i] = wanted[i].digest;
    memset(reasons, 'x', sizeof reasons);
    fixture->err = (struct err){ 0 };
    return store_archive_unpack(fixture->store, &request, &ask, reasons, &fixture->err);
}

static inline void expect_stored(struct fixture *fixture, const struct content *content)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    cleanup_(freep) uint8_t *got = malloc(content->n + 1);
    size_t n = 0;

    assert_int_equal(store_object_open(fixture->store, &content->digest, &object, &fixture->err), 0);
    assert_int_equal(store_object_size(object), content->n);
    assert_int_equal(store_object_read(object, 0, got, content->n, &n, &fixture->err), 0);
    assert_int_equal(n, content->n);
    assert_memory_equal(got, content->bytes, n);
}

/* ---- what holds after every test ---- */

static inline int check_object(void *closure, const struct digest *digest)
{
    struct store *store = closure;
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    cleanup_(freep) uint8_t *bytes = NULL;
    struct digest really;
    size_t n = 0;

    assert_int_equal(store_object_open(store, digest, &object, NULL), 0);
    bytes = malloc((size_t)store_object_size(object) + 1);
    assert_int_equal(store_object_read(object, 0, bytes, (size_t)store_object_size(object), &n, NULL), 0);
    assert_int_equal(digest_of(bytes, n, &really, NULL), 0);
    assert_true(digest_equal(&really, digest));
    return 0;
}

static inline int check_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    cleanup_(freep) char *bytes = malloc((size_t)st->st_size + 1);
    cleanup_(closep) int fd = kind == FTW_F ? open(path, O_RDONLY) : -1;

    (void)ftw;
    if (kind != FTW_F)
        return 0;
    assert_int_equal(read(fd, bytes, (size_t)st->st_size), st->st_size);
    assert_null(memmem(bytes, (size_t)st->st_size, MARKER, strlen(MARKER)));
    return 0;
}

/* No temporary, only verified objects, no plain bytes. */
static inline int archive_teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->store) {
        assert_int_equal(fixture_count(fixture, "tmp"), 0);
        assert_int_equal(store_object_list(fixture->store, check_object, fixture->store, NULL), 0);
    }
    assert_int_equal(nftw(fixture->dir, check_file, 16, FTW_PHYS), 0);
    return fixture_teardown(state);
}

#define ARCHIVE_TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, archive_teardown)
