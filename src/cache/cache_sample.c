#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/fault.h"
#include "util/log.h"

/* Bytes on their way from the service into a sealed object. */
struct intake {
    struct store_writer *writer;
    struct cache_transfer *transfer;
    int64_t n_bytes;
    int64_t most_bytes;
};

#define CACHE_SAMPLE_MAX (4 * GIB)    /* bytes; the digest decides what is right, this what is too much */
#define CACHE_SAMPLE_SLACK (64 * MIB) /* more than its metadata says, or twice as much: what is still waited for */

int64_t cache_sample_most(int64_t size)
{
    int64_t most = CACHE_SAMPLE_MAX;

    if (size <= 0 || size >= CACHE_SAMPLE_MAX / 2) /* 0: it may be just not known */
        return most;
    most = size > CACHE_SAMPLE_SLACK ? 2 * size : size + CACHE_SAMPLE_SLACK;
    return most < CACHE_SAMPLE_MAX ? most : CACHE_SAMPLE_MAX;
}

static int take(void *closure, const void *data, size_t n, struct err *err)
{
    struct intake *intake = closure;

    if (__builtin_add_overflow(intake->n_bytes, (int64_t)n, &intake->n_bytes) || intake->n_bytes > intake->most_bytes)
        return err_set(err, EFBIG, "more than %lld bytes", (long long)intake->most_bytes);
    CRASH_POINT(DOWNLOAD_ARRIVING);
    cache_transfer_add(intake->transfer, n);
    return store_writer_write(intake->writer, data, n, err);
}

/* The sample is known and its bytes cannot be had: remembered, so that nobody asks (and pays) again. */
static int refuse_gone(struct cache *cache, const struct digest *digest, struct err *err)
{
    int r = store_sample_put_gone(cache->store, digest, "the service cannot deliver it", err);

    if (r < 0)
        return r;
    return err_set(err, ENODATA, "sample %s: the service knows it but cannot deliver it", digest_short(digest).s);
}

/* Metadata with a wrong size: the bytes have the right digest, so they are right and it is not. */
int cache_correct_size(struct cache *cache, const struct store_sample *known, int64_t size, struct err *err)
{
    struct sample sample = known->sample;

    if (sample.size_bytes == size)
        return 0;
    sample.size_bytes = size;
    return store_sample_put(cache->store, &sample, 1, err);
}

/* Straight into a sealed object, whose room is reserved before the money is spent. */
static int download_bytes(struct cache *cache, const struct digest *digest, const struct store_sample *known,
                          const struct store_spend *spend, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    int64_t spend_row = 0;
    struct intake intake = { .most_bytes = cache_sample_most(known->sample.size_bytes) };
    struct cache_spent spent = { .cost = COST_DOWNLOADS };
    int r = store_writer_begin(cache->store, digest, &writer, err);

    if (r == 0 && known->sample.size_bytes > 0)
        r = store_writer_reserve(writer, known->sample.size_bytes, err);
    if (r == 0)
        r = cache_spend_begin(cache, spend, &spend_row, err);
    if (r < 0)
        return r;
    CRASH_POINT(DOWNLOAD_BEGUN);
    intake.writer = writer;
    intake.transfer = cache_transfer_begin(cache, digest_format(digest).s, known->sample.size_bytes);
    r = cache_note(cache, api_download(cache->api, digest, take, &intake, &spent.was_sent, err), err);
    cache_transfer_end(cache, intake.transfer);
    spent.outcome = r;
    CRASH_POINT(DOWNLOAD_ARRIVED);
    if (r == 0)
        r = store_writer_commit(steal_ptr(&writer), err);
    CRASH_POINT(DOWNLOAD_STORED);
    spent.is_verified = r == 0;
    spent.why = r < 0 ? err : NULL;
    cache_spend_end(cache, spend_row, &spent);
    CRASH_POINT(DOWNLOAD_SETTLED);
    if (r == 0)
        r = cache_correct_size(cache, known, intake.n_bytes, err);
    if (r != 0)
        return r;
    cache_count(cache, &cache->health.n_downloads, 1);
    cache_count(cache, &cache->health.n_download_bytes, intake.n_bytes);
    CACHE_EVENT(cache, "downloaded", CACHE_TEXT("sha256", digest_format(digest).s),
                CACHE_NUMBER("bytes", intake.n_bytes));
    return 0;
}

static int download_archive(struct cache *cache, const struct digest *digest, int64_t size,
                            const struct store_spend *spend, struct err *err)
{
    int64_t row = 0;
    int r = cache_room_for_archive(cache, size, err);

    if (r == 0)
        r = cache_spend_begin(cache, spend, &row, err);
    return r < 0 ? r : cache_download_one(cache, digest, row, err);
}

static int download_with_room(struct cache *cache, const struct digest *digest, const struct store_sample *known,
                              int64_t size, const struct store_spend *spend, struct err *err)
{
    int r = cache_room_take(cache, size, err);

    if (r < 0)
        return r;
    r = download_bytes(cache, digest, known, spend, err);
    cache_room_give(cache, size);
    return r;
}

static int download(struct cache *cache, const struct digest *digest, const struct store_sample *known,
                    const struct caller *who, struct err *err)
{
    const struct store_spend spend = { .cost = COST_DOWNLOADS,
                                       .n = 1,
                                       .operation = cache->config.is_zip_transport ? "multi-download" : "download",
                                       .name = "",
                                       .digest = digest,
                                       .who = who };
    int64_t size = known->sample.size_bytes > 0 ? known->sample.size_bytes : 0;
    int r = cache_spend_look(cache, &spend, err); /* then room, and only then the money */

    if (r == 0)
        r = cache->config.is_zip_transport ? download_archive(cache, digest, size, &spend, err)
                                           : download_with_room(cache, digest, known, size, &spend, err);
    if (r == API_ABSENT)
        return refuse_gone(cache, digest, err);
    return r < 0 ? err_wrap(err, "sample %s", digest_short(digest).s) : 0;
}

int cache_keep_empty(struct cache *cache, const struct digest *digest, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    struct store_sample known;
    int r;

    if (!digest_is_of_nothing(digest) || store_object_exists(cache->store, digest))
        return 0;
    r = store_sample_get(cache->store, digest, &known, err);
    if (r == STORE_ABSENT || (r == 0 && known.state == STORE_SAMPLE_ABSENT))
        return 0;
    if (r == 0)
        r = store_writer_begin(cache->store, digest, &writer, err);
    if (r == 0)
        r = store_writer_commit(steal_ptr(&writer), err);
    return r == 0 ? cache_correct_size(cache, &known, 0, err) : r;
}

/* ---- what was paid for and did not arrive: tried again at most once ---- */

/* What was cut on the way may come whole the next time. A body that is far too large will be that again. */
static int tries_of(int code)
{
    return code == EFBIG ? 1 : CACHE_TRIES_MAX;
}

static int refuse_more_tries(struct cache *cache, const struct digest *digest, struct err *err)
{
    struct err last = { 0 };
    int n = 0;
    int r = store_spend_tries(cache->store, digest, &n, &last, err);

    if (r < 0 || n < tries_of(last.code))
        return r;
    *err = last;
    if (err->code == 0)
        return err_set(err, EREMOTEIO, "it was paid for %d times and did not arrive", n);
    return -err->code;
}

int cache_forgive(struct cache *cache, const struct digest *digest, struct err *err)
{
    int r = store_spend_forgive(cache->store, digest, err);

    store_object_drop_damaged(cache->store, digest);
    return r < 0 ? r : store_sample_put_error(cache->store, digest, NULL, err);
}

int cache_check_local(struct cache *cache, const struct digest *digest, struct err *err)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    int r = cache_note_local(cache, digest, store_object_open(cache->store, digest, &object, err), err);

    return r < 0 ? r : 0; /* STORE_ABSENT: it went meanwhile, and the next look says so */
}

/* With the digest locked on this host: somebody else may have brought it meanwhile. */
static int download_once(struct cache *cache, const struct digest *digest, const struct caller *who, struct err *err)
{
    struct store_sample known;
    struct err ignored = { 0 };
    int r;

    if (store_object_exists(cache->store, digest))
        return cache_check_local(cache, digest, err);
    r = cache_download_wait(cache, digest, err); /* a batch that brings it costs nothing more */
    if (r < 0 || store_object_exists(cache->store, digest))
        return r;
    r = store_sample_get(cache->store, digest, &known, err);
    if (r < 0)
        return r;
    if (r == STORE_ABSENT)
        return err_set(err, ENOENT, "sample %s is not known", digest_short(digest).s);
    r = cache_keep_empty(cache, digest, err);
    if (r < 0 || store_object_exists(cache->store, digest))
        return r;
    if (store_object_is_damaged(cache->store, digest)) /* it was paid for: not again without a word from the user */
        return err_set(err, EIO, "sample %s was damaged on disk and set aside; it is not bought again by itself",
                       digest_short(digest).s);
    if (known.state == STORE_SAMPLE_GONE)
        return err_set(err, ENODATA, "sample %s: the service knows it but cannot deliver it", digest_short(digest).s);
    r = refuse_more_tries(cache, digest, err);
    if (r < 0)
        return r;
    r = download(cache, digest, &known, who, err);
    if (r != -ECANCELED && r != -ENODATA)
        (void)store_sample_put_error(cache->store, digest, r < 0 ? err->text : NULL,
                                     &ignored); /* the download counts */
    return r;
}

/* A download, or local bytes, that cannot be had. */
static void tell(struct cache *cache, const char *event, const struct digest *digest, const struct err *err)
{
    CACHE_EVENT(cache, event, CACHE_TEXT("sha256", digest_format(digest).s), CACHE_TEXT("errno", err_name(err->code)),
                CACHE_TEXT("reason", err->text), CACHE_TEXT("trace", err->trace));
}

int cache_fetch_bytes(struct cache *cache, const struct digest *digest, const struct caller *who, struct err *err)
{
    int fd = -1;
    int r;

    lock_assert_none_held();
    r = store_digest_lock(cache->store, digest, &cache->stop_waiting, &fd, err);
    if (r == STORE_BUSY)
        return err_set(err, ECANCELED, "the mount is ending");
    if (r == 0)
        r = download_once(cache, digest, who, err);
    store_digest_unlock(fd);
    if (r < 0 && r != -ECANCELED)
        tell(cache, "failed", digest, err);
    return r;
}

void cache_denied(struct cache *cache, const struct digest *digest, const struct caller *who, const char *why)
{
    struct err err = { 0 };

    cache_count(cache, &cache->health.n_denied, 1);
    CACHE_EVENT(cache, "denied", CACHE_TEXT("sha256", digest_format(digest).s), CACHE_TEXT("program", who->program),
                CACHE_NUMBER("pid", who->pid), CACHE_NUMBER("uid", who->uid), CACHE_TEXT("reason", why));
    if (store_audit_denied(cache->store, digest, who, why, &err) < 0)
        log_event(LOG_LEVEL_ERR, err.text, LOG_TEXT(LOG_OP, "audit"), LOG_NUMBER(LOG_ERRNO, err.code));
}

int cache_note_local(struct cache *cache, const struct digest *digest, int r, const struct err *err)
{
    struct err ignored = { 0 };
    bool is_news;

    if (r != -EIO)
        return r;
    lock_acquire(&cache->lock);
    is_news = !digest_equal(&cache->damaged, digest);
    cache->damaged = *digest;
    lock_release(&cache->lock);
    if (!is_news)
        return r;
    (void)store_sample_put_error(cache->store, digest, err->text, &ignored); /* the event has it too */
    tell(cache, "damaged", digest, err);
    return r;
}

static bool has_digest(const struct api_samples *samples, const struct digest *digest)
{
    for (size_t i = 0; i < samples->n; i++)
        if (digest_equal(&samples->items[i].digest, digest))
            return true;
    return false;
}

static int remember(struct cache *cache, const struct digest *digests, size_t n, const struct api_samples *found,
                    struct err *err)
{
    struct digest absent[CACHE_METADATA_MAX];
    size_t n_absent = 0;
    int r = store_sample_put(cache->store, found->items, found->n, err);

    for (size_t i = 0; i < n; i++)
        if (!has_digest(found, &digests[i]))
            absent[n_absent++] = digests[i];
    if (r == 0 && n_absent > 0)
        r = store_sample_put_absent(cache->store, absent, n_absent, clock_now_s(), err);
    return r;
}

int cache_fetch_metadata(struct cache *cache, const struct digest *digests, size_t n, struct err *err)
{
    struct api_samples found = { 0 };
    int r;

    assert(n <= CACHE_METADATA_MAX);
    lock_assert_none_held();
    cache_count(cache, &cache->health.n_metadata_calls, 1);
    r = cache_note(cache, api_metadata(cache->api, digests, n, &found, err), err);
    if (r == API_ABSENT)
        r = 0; /* none of them: `found` is empty */
    if (r == 0)
        r = remember(cache, digests, n, &found, err);
    api_samples_done(&found);
    return r < 0 ? err_wrap(err, "metadata") : 0;
}
