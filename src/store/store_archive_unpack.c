/*
 * The archive is read where it lies sealed, so no plain temporary exists. Two walks: the members that are named like a
 * wanted digest go straight into the writer of that sample, which verifies them. Only when something is still missing
 * the others are hashed, and read a second time if that digest is wanted. So a name is a hint that saves a pass, never
 * a promise, and no member that nobody asked for can keep away one that carries its name.
 *
 * The first walk is that of several threads, each with a reader and a batch of its own: what costs is to decrypt and to
 * hash, and to wait for the disk, which is done once for a batch (decision 0022). A sample is one thread's alone.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "store/store_archive_reader.h"
#include "store/store_internal.h"
#include "util/fault.h"
#include "util/parallel.h"

enum {
    MEMBER_DIFFERS = 2,         /* beside STORE_ARCHIVE_REFUSED: it can be read, but is another sample */
    WORKERS_MAX = 4,            /* and no more than there are processors */
    BATCH_SAMPLES_MAX = 64,     /* of one worker, made durable together: each is an open file until then, … */
    BATCH_BYTES_MAX = 64 * MIB, /* … and is brought again when the process dies first */
};

struct want {
    struct digest digest;
    int64_t size_bytes; /* by its metadata; 0 unknown */
    bool is_local;
    bool is_named; /* a member has its name */
    struct store_reason reason;
};

/* Samples that are whole and verified, and neither durable nor visible yet. */
struct batch {
    struct store_writer *writers[BATCH_SAMPLES_MAX];
    struct want *wants[BATCH_SAMPLES_MAX];
    size_t n;
    int64_t bytes;
};

struct worker {
    struct store_archive_reader *reader;
    struct batch batch;
    struct err failed;
};

struct unpack {
    struct store *store;
    const struct store_unpack *ask;
    struct store_archive_budget budget;
    struct lock lock;   /* rank LOCK_STORE_UNPACK */
    struct want *wants; /* as many as are wanted; is_local is guarded by lock, the rest of one is its worker's */
    size_t n_missing;   /* guarded by lock */
    size_t *want_of;    /* by member: which want has its name, else n_wanted */
    size_t *firsts;     /* the first member for each want that is named, in the order of the archive */
    size_t n_firsts;
    bool *is_done;       /* by member: stored, or of no use */
    size_t n_unreadable; /* members that could not be hashed, and why the first one could not */
    struct store_reason unreadable;
    struct worker workers[WORKERS_MAX];
    size_t n_workers;
};

static void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        store_writer_free(batch->writers[i]);
    *batch = (struct batch){ 0 };
}

static void unpack_done(struct unpack *unpack)
{
    for (size_t i = 0; i < unpack->n_workers; i++) {
        batch_clear(&unpack->workers[i].batch);
        store_archive_reader_free(unpack->workers[i].reader);
    }
    free(unpack->wants);
    free(unpack->want_of);
    free(unpack->firsts);
    free(unpack->is_done);
    lock_done(&unpack->lock);
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
    lock_acquire(&unpack->lock);
    for (struct want *want; (want = find_missing(unpack, &digest)); unpack->n_missing--)
        want->is_local = true;
    show_progress(unpack);
    lock_release(&unpack->lock);
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

/* Makes what a worker has collected local. */
CHECKED static int publish(struct unpack *unpack, struct batch *batch, struct err *err)
{
    int r = store_writer_publish(batch->writers, batch->n, err);

    for (size_t i = 0; r == 0 && i < batch->n; i++) {
        CRASH_POINT(UNPACK_STORED);
        mark_local(unpack, batch->wants[i]->digest);
    }
    batch_clear(batch);
    return r;
}

CHECKED static int add_to_batch(struct unpack *unpack, struct batch *batch, struct store_writer *writer,
                                struct want *want, struct err *err)
{
    batch->writers[batch->n] = writer;
    batch->wants[batch->n++] = want;
    return batch->n == BATCH_SAMPLES_MAX || batch->bytes > BATCH_BYTES_MAX ? publish(unpack, batch, err) : 0;
}

/* Verifies a member as this sample, for the worker's next batch, or notes why it is not. */
CHECKED static int store_member(struct unpack *unpack, struct worker *worker, size_t index, struct want *want,
                                struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    struct store_archive_sink sink = { .write = to_writer, .expected_bytes = want->size_bytes };
    struct store_reason reason;
    int r = store_writer_begin(unpack->store, &want->digest, &writer, err);

    if (r < 0)
        return r;
    sink.closure = writer;
    r = store_archive_reader_read(worker->reader, index, &sink, &reason, err);
    if (r == STORE_ARCHIVE_REFUSED)
        want->reason = reason;
    if (r != 0)
        return r;
    worker->batch.bytes += store_writer_bytes(writer);
    r = store_writer_seal(writer, err);
    if (r == -EBADMSG) {
        if (!*reason.text)
            (void)store_archive_reader_refuse(&reason, "its bytes do not have this SHA-256");
        want->reason = reason;
        return MEMBER_DIFFERS;
    }
    return r < 0 ? r : add_to_batch(unpack, &worker->batch, steal_ptr(&writer), want, err);
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
    r = store_archive_reader_read(unpack->workers[0].reader, index, &sink, &reason, err);
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

/* Which member is worth a try for which want. */
static void match_names(struct unpack *unpack)
{
    struct store_archive_reader *reader = unpack->workers[0].reader;

    for (size_t i = 0; i < store_archive_reader_count(reader); i++) {
        struct digest digest;
        const char *name = store_archive_reader_name(reader, i);
        struct want *want = digest_of_name(name, &digest) ? find_missing(unpack, &digest) : NULL;

        unpack->want_of[i] = want ? (size_t)(want - unpack->wants) : unpack->ask->n_wanted;
        if (want && !want->is_named)
            unpack->firsts[unpack->n_firsts++] = i;
        if (want)
            want->is_named = true;
    }
}

/* The members that have the name of one want, until one of them is the sample. */
static bool store_named(void *context, size_t worker_number, size_t item)
{
    struct unpack *unpack = context;
    struct worker *worker = &unpack->workers[worker_number];
    size_t first = unpack->firsts[item];
    struct err why = { 0 };
    int r = MEMBER_DIFFERS;

    for (size_t i = first; r > 0 && i < store_archive_reader_count(worker->reader); i++)
        if (unpack->want_of[i] == unpack->want_of[first]) {
            r = store_member(unpack, worker, i, &unpack->wants[unpack->want_of[i]], &why);
            unpack->is_done[i] = r != MEMBER_DIFFERS;
        }
    if (r < 0)
        worker->failed = why;
    return r >= 0;
}

/* What is whole becomes local whatever happened: it was paid for. The first failure is the reason. */
CHECKED static int end_walk(struct unpack *unpack, struct err *err)
{
    int failed = 0;

    for (size_t i = 0; i < unpack->n_workers; i++) {
        struct worker *worker = &unpack->workers[i];
        struct err why = { 0 };
        int r = publish(unpack, &worker->batch, &why);

        if (worker->failed.code) {
            why = worker->failed;
            r = -why.code;
        }
        if (r < 0 && failed == 0) {
            *err = why;
            failed = r;
        }
    }
    return failed;
}

CHECKED static int store_by_name(struct unpack *unpack, struct err *err)
{
    match_names(unpack);
    parallel_run(unpack->n_workers, unpack->n_firsts, NULL, store_named, unpack);
    return end_walk(unpack, err);
}

CHECKED static int store_by_digest(struct unpack *unpack, struct err *err)
{
    struct worker *worker = &unpack->workers[0];

    for (size_t i = 0; i < store_archive_reader_count(worker->reader) && unpack->n_missing > 0; i++) {
        struct digest digest;
        int r = unpack->is_done[i] ? MEMBER_DIFFERS : hash_member(unpack, i, &digest, err);
        struct want *want = r == 0 ? find_missing(unpack, &digest) : NULL;

        if (want)
            r = store_member(unpack, worker, i, want, err);
        if (r >= 0)
            r = publish(unpack, &worker->batch, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- all of it ---- */

CHECKED static int open_readers(struct unpack *unpack, struct store_object *archive, struct err *err)
{
    const struct store_archive_reader_config config = { .password = unpack->ask->password,
                                                        .n_wanted = unpack->ask->n_wanted,
                                                        .cancel = unpack->ask->cancel,
                                                        .budget = &unpack->budget };
    size_t n = (size_t)get_nprocs();
    int r = 0;

    if (n > WORKERS_MAX)
        n = WORKERS_MAX;
    if (n > unpack->n_missing)
        n = unpack->n_missing;
    store_archive_budget_init(&unpack->budget, archive);
    while (r == 0 && unpack->n_workers < n)
        r = store_archive_reader_open(archive, &config, &unpack->workers[unpack->n_workers++].reader, err);
    return r;
}

CHECKED static int store_members(struct unpack *unpack, struct store_object *archive, struct err *err)
{
    int r = open_readers(unpack, archive, err);
    size_t n;

    if (r < 0)
        return r;
    n = store_archive_reader_count(unpack->workers[0].reader) + 1; /* never 0 */
    unpack->is_done = calloc(n, sizeof *unpack->is_done);
    unpack->want_of = calloc(n, sizeof *unpack->want_of);
    unpack->firsts = calloc(n, sizeof *unpack->firsts);
    if (!unpack->is_done || !unpack->want_of || !unpack->firsts)
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
    lock_init(&state.lock, LOCK_STORE_UNPACK);
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
