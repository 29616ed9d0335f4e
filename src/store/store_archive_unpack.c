/*
 * The archive is read where it lies sealed, so no plain temporary exists. Two walks: the members that are named like a
 * wanted digest go straight into the writer of that sample, whose commit verifies them. Only when something is still
 * missing the others are hashed, and read a second time if that digest is wanted. So a name is a hint that saves a
 * pass, never a promise, and no member that nobody asked for can keep away one that carries its name.
 */
#include <errno.h>
#include <stdio.h>

#include "store/store_archive_reader.h"
#include "store/store_internal.h"
#include "util/fault.h"

enum { MEMBER_DIFFERS = 2 }; /* beside STORE_ARCHIVE_REFUSED: it can be read, but is another sample */

struct want {
    struct digest digest;
    int64_t size_bytes; /* by its metadata; 0 unknown */
    bool is_local;
    struct store_reason reason;
};

struct unpack {
    struct store *store;
    const struct store_unpack *ask;
    struct store_archive_reader *reader;
    struct want *wants; /* as many as are wanted */
    size_t n_missing;
    bool *is_done;       /* by member: stored, or of no use */
    size_t n_unreadable; /* members that could not be hashed, and why the first one could not */
    struct store_reason unreadable;
};

static void unpack_done(struct unpack *unpack)
{
    store_archive_reader_free(unpack->reader);
    free(unpack->wants);
    free(unpack->is_done);
}

/* ---- what is wanted ---- */

static void show_progress(const struct unpack *unpack)
{
    if (unpack->ask->n_local)
        __atomic_store_n(unpack->ask->n_local, unpack->ask->n_wanted - unpack->n_missing, __ATOMIC_RELAXED);
}

/* The first of those that want this digest and lack it; NULL when nobody does. */
static struct want *find_missing(const struct unpack *unpack, const struct digest *digest)
{
    for (size_t i = 0; i < unpack->ask->n_wanted; i++)
        if (!unpack->wants[i].is_local && digest_equal(&unpack->wants[i].digest, digest))
            return &unpack->wants[i];
    return NULL;
}

static void mark_local(struct unpack *unpack, struct digest digest)
{
    for (struct want *want; (want = find_missing(unpack, &digest)); unpack->n_missing--)
        want->is_local = true;
    show_progress(unpack);
}

/* The size that the largest missing sample should have. */
static int64_t largest_missing(const struct unpack *unpack)
{
    int64_t largest = 0;

    for (size_t i = 0; i < unpack->ask->n_wanted; i++)
        if (!unpack->wants[i].is_local && unpack->wants[i].size_bytes > largest)
            largest = unpack->wants[i].size_bytes;
    return largest;
}

CHECKED static int find_size(struct store *store, struct want *want, struct err *err)
{
    struct store_sample known;
    int r = store_sample_get(store, &want->digest, &known, err);

    if (r == 0 && known.sample.size_bytes > 0)
        want->size_bytes = known.sample.size_bytes;
    return r < 0 ? r : 0;
}

CHECKED static int look_up_wants(struct unpack *unpack, struct err *err)
{
    int r = 0;

    unpack->wants = calloc(unpack->ask->n_wanted + 1, sizeof *unpack->wants);
    if (!unpack->wants)
        return err_set(err, ENOMEM, "no memory for a list of samples");
    for (size_t i = 0; r == 0 && i < unpack->ask->n_wanted; i++) {
        struct want *want = &unpack->wants[i];

        want->digest = unpack->ask->wanted[i];
        want->is_local = store_object_exists(unpack->store, &want->digest);
        unpack->n_missing += !want->is_local;
        if (!want->is_local)
            r = find_size(unpack->store, want, err);
    }
    show_progress(unpack);
    return r;
}

static void give_reasons(const struct unpack *unpack, struct store_reason *ret_reasons)
{
    for (size_t i = 0; i < unpack->ask->n_wanted; i++) {
        const struct want *missing = find_missing(unpack, &unpack->wants[i].digest);

        ret_reasons[i] = missing ? missing->reason : (struct store_reason){ .text = "" };
        if (!missing || *missing->reason.text)
            continue;
        if (unpack->n_unreadable == 0)
            (void)store_archive_reader_refuse(&ret_reasons[i], "not in the archive");
        else
            (void)store_archive_reader_refuse(&ret_reasons[i], "not found in the archive; %zu unreadable: %s",
                                              unpack->n_unreadable, unpack->unreadable.text);
    }
}

/* ---- one member ---- */

static int to_writer(void *closure, const void *data, size_t n, struct err *err)
{
    return store_writer_write(closure, data, n, err);
}

static int to_hash(void *closure, const void *data, size_t n, struct err *err)
{
    return digest_stream_add(closure, data, n, err);
}

/* Stores a member as this sample, or notes why not. */
CHECKED static int store_member(struct unpack *unpack, size_t index, struct want *want, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    struct store_archive_sink sink = { .write = to_writer, .expected_bytes = want->size_bytes };
    struct store_reason reason;
    int r = store_writer_begin(unpack->store, &want->digest, &writer, err);

    if (r < 0)
        return r;
    sink.closure = writer;
    r = store_archive_reader_read(unpack->reader, index, &sink, &reason, err);
    if (r == STORE_ARCHIVE_REFUSED)
        want->reason = reason;
    if (r != 0)
        return r;
    r = store_writer_commit(steal_ptr(&writer), err);
    if (r == -EBADMSG) {
        if (!*reason.text)
            (void)store_archive_reader_refuse(&reason, "its bytes do not have this SHA-256");
        want->reason = reason;
        return MEMBER_DIFFERS;
    }
    CRASH_POINT(UNPACK_STORED);
    if (r == 0)
        mark_local(unpack, want->digest);
    return r;
}

CHECKED static int hash_member(struct unpack *unpack, size_t index, struct digest *ret_digest, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *hash = NULL;
    struct store_archive_sink sink = { .write = to_hash, .expected_bytes = largest_missing(unpack) };
    struct store_reason reason;
    int r = digest_stream_new(&hash, err);

    if (r < 0)
        return r;
    sink.closure = hash;
    r = store_archive_reader_read(unpack->reader, index, &sink, &reason, err);
    if (r == 0)
        r = digest_stream_end(hash, ret_digest, err);
    if ((r == STORE_ARCHIVE_REFUSED || (r == 0 && *reason.text && !find_missing(unpack, ret_digest))) &&
        unpack->n_unreadable++ == 0)
        unpack->unreadable = reason;
    return r;
}

/* ---- all members ---- */

/* The digest that the last part of a member's name is. */
CHECKED static bool digest_of_name(const char *name, struct digest *ret_digest)
{
    const char *base = name;

    for (const char *at = name; *at; at++)
        if (*at == '/' || *at == '\\')
            base = at + 1;
    return digest_parse(base, ret_digest);
}

CHECKED static int store_by_name(struct unpack *unpack, struct err *err)
{
    for (size_t i = 0; i < store_archive_reader_count(unpack->reader) && unpack->n_missing > 0; i++) {
        const char *name = store_archive_reader_name(unpack->reader, i);
        struct digest digest;
        struct want *want = digest_of_name(name, &digest) ? find_missing(unpack, &digest) : NULL;
        int r = want ? store_member(unpack, i, want, err) : MEMBER_DIFFERS;

        if (r < 0)
            return r;
        unpack->is_done[i] = r != MEMBER_DIFFERS;
    }
    return 0;
}

CHECKED static int store_by_digest(struct unpack *unpack, struct err *err)
{
    for (size_t i = 0; i < store_archive_reader_count(unpack->reader) && unpack->n_missing > 0; i++) {
        struct digest digest;
        int r = unpack->is_done[i] ? MEMBER_DIFFERS : hash_member(unpack, i, &digest, err);
        struct want *want = r == 0 ? find_missing(unpack, &digest) : NULL;

        if (want)
            r = store_member(unpack, i, want, err);
        if (r < 0)
            return r;
    }
    return 0;
}

CHECKED static int store_members(struct unpack *unpack, struct store_object *archive, struct err *err)
{
    const struct store_archive_reader_config config = { .password = unpack->ask->password,
                                                        .n_wanted = unpack->ask->n_wanted,
                                                        .cancel = unpack->ask->cancel };
    int r = store_archive_reader_open(archive, &config, &unpack->reader, err);

    if (r < 0)
        return r;
    unpack->is_done = calloc(store_archive_reader_count(unpack->reader) + 1, sizeof *unpack->is_done);
    if (!unpack->is_done)
        return err_set(err, ENOMEM, "no memory for a list of members");
    r = store_by_name(unpack, err);
    return r < 0 ? r : store_by_digest(unpack, err);
}

int store_archive_unpack(struct store *store, const struct request_id *id, const struct store_unpack *unpack,
                         struct store_reason *ret_reasons, struct err *err)
{
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    cleanup_(unpack_done) struct unpack state = { .store = store, .ask = unpack };
    int r;

    lock_assert_none_held();
    if (unpack->n_wanted > STORE_UNPACK_MAX)
        return err_set(err, EINVAL, "more than %d samples at once", STORE_UNPACK_MAX);
    r = look_up_wants(&state, err);
    if (r == 0 && state.n_missing > 0) {
        r = store_archive_open(store, id, &archive, err);
        if (r == 0)
            r = store_members(&state, archive, err);
    }
    if (r == 0)
        give_reasons(&state, ret_reasons);
    return r;
}
