/*
 * What a multi-download brings:
 *
 *   the archive, sealed as it came  →  each sample unpacked, verified, sealed  →  done
 *
 * by a thread of its own, the importer, so that a gigabyte does not hold up the poller. It may die at any point: the
 * request stays in progress, and the next mount fetches the archive again, which costs nothing.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/text.h"

enum {
    IMPORT_FETCHES_MAX = 2, /* of an archive, for one answer that it is ready */
    IMPORT_LOOK_MS = 1000,  /* how often an idle importer looks for the end */
};

#define CACHE_ARCHIVE_MAX (16 * GIB) /* bytes */

/* API page 3.8 */
const char cache_archive_password[] = "infected";

/* ---- the archive ---- */

struct archive_intake {
    struct cache *cache;
    struct store_writer *writer;
    struct cache_transfer *transfer;
    int64_t n_bytes;
};

static void note_progress(struct cache *cache, int64_t n_bytes)
{
    lock_acquire(&cache->lock);
    cache->progress.n_bytes = n_bytes;
    lock_release(&cache->lock);
    cache_changed(cache);
}

static int take(void *closure, const void *data, size_t n, struct err *err)
{
    enum { PROGRESS_BYTES = 8 * 1024 * 1024 };
    struct archive_intake *intake = closure;
    int64_t before = intake->n_bytes;

    if (__builtin_add_overflow(intake->n_bytes, (int64_t)n, &intake->n_bytes) || intake->n_bytes > CACHE_ARCHIVE_MAX)
        return err_set(err, EFBIG, "an archive of more than %lld bytes", (long long)CACHE_ARCHIVE_MAX);
    if (before / PROGRESS_BYTES != intake->n_bytes / PROGRESS_BYTES)
        note_progress(intake->cache, intake->n_bytes);
    cache_transfer_add(intake->transfer, n);
    return store_writer_write(intake->writer, data, n, err);
}

int cache_fetch_archive(struct cache *cache, const struct request_id *id, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    struct archive_intake intake = { .cache = cache };
    int r = store_archive_begin(cache->store, id, &writer, err);

    if (r < 0)
        return r;
    intake.writer = writer;
    intake.transfer = cache_transfer_begin(cache, id->s, 0);
    r = cache_note(cache, api_multi_fetch(cache->api, id, take, &intake, err), err);
    cache_transfer_end(cache, intake.transfer);
    if (r != 0)
        return r;
    note_progress(cache, intake.n_bytes);
    return store_writer_commit(steal_ptr(&writer), err);
}

/* ---- unpacking ---- */

struct batch {
    struct store_asked *items;
    bool *known_missing; /* had a reason before anything was asked for */
    size_t n;
    size_t room;
};

static int collect_asked(void *closure, const struct store_asked *asked)
{
    struct batch *batch = closure;

    if (batch->n == batch->room) {
        size_t room = batch->room ? batch->room * 2 : 64;
        struct store_asked *grown = reallocarray(batch->items, room, sizeof *grown);

        if (!grown)
            return 1;
        batch->items = grown;
        batch->room = room;
    }
    batch->items[batch->n++] = *asked;
    return 0;
}

static int unpack(struct cache *cache, const struct request_id *id, struct batch *batch, struct err *err)
{
    cleanup_(freep) struct digest *wanted = calloc(batch->n, sizeof *wanted);
    cleanup_(freep) struct store_reason *reasons = calloc(batch->n, sizeof *reasons);
    struct store_unpack unpack = { .wanted = wanted,
                                   .password = cache_archive_password,
                                   .cancel = &cache->stop_waiting,
                                   .n_local = &cache->progress.n_done };
    int r;

    if (!wanted || !reasons)
        return err_set(err, ENOMEM, "no memory for a list");
    for (size_t i = 0; i < batch->n; i++)
        if (!batch->known_missing[i])
            wanted[unpack.n_wanted++] = batch->items[i].digest;
    r = store_archive_unpack(cache->store, id, &unpack, reasons, err);
    for (size_t i = 0, k = 0; r == 0 && i < batch->n; i++)
        if (!batch->known_missing[i])
            (void)text_copy(batch->items[i].reason, sizeof batch->items[i].reason, reasons[k++].text); /* same size */
    return r;
}

static bool is_complete(struct cache *cache, const struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        if (!batch->known_missing[i] && !store_object_exists(cache->store, &batch->items[i].digest))
            return false;
    return true;
}

/* Of the samples that will come, as far as it is known. */
static int64_t bytes_missing(struct cache *cache, const struct batch *batch)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < batch->n; i++) {
        struct store_sample known;
        struct err ignored = { 0 };

        if (!batch->known_missing[i] && !store_object_exists(cache->store, &batch->items[i].digest) &&
            store_sample_get(cache->store, &batch->items[i].digest, &known, &ignored) == 0 &&
            known.sample.size_bytes > 0 && __builtin_add_overflow(bytes, known.sample.size_bytes, &bytes))
            return 0; /* nobody has so much room, and they are paid for */
    }
    return bytes;
}

/* From the archive that is here; fetched, and fetched once more when not all came out of it: that is free, and the
 * fault may be that of the way. */
static int bring(struct cache *cache, const struct request_id *id, struct batch *batch, struct err *err)
{
    int r = unpack(cache, id, batch, err);

    for (int i = 0; i < IMPORT_FETCHES_MAX && r != -ECANCELED && !is_complete(cache, batch); i++) {
        r = cache_fetch_archive(cache, id, err);
        if (r != 0)
            return r;
        CRASH_POINT(IMPORT_FETCHED);
        r = unpack(cache, id, batch, err);
    }
    return r == STORE_ABSENT ? err_set(err, EAGAIN, "the archive went away before it was unpacked") : r;
}

/* Sizes that the bytes correct, errors and tries that are over. */
static int note_samples(struct cache *cache, const struct batch *batch, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < batch->n; i++) {
        struct store_sample known;
        int64_t size = 0;

        r = store_object_look(cache->store, &batch->items[i].digest, &size, err);
        if (r == 0)
            r = store_spend_forgive(cache->store, &batch->items[i].digest, err);
        if (r == 0)
            r = store_sample_get(cache->store, &batch->items[i].digest, &known, err);
        if (r != 0)
            continue; /* not here, or nothing is known of it */
        r = cache_correct_size(cache, &known, size, err);
        if (r == 0)
            r = store_sample_put_error(cache->store, &batch->items[i].digest, NULL, err);
    }
    return r < 0 ? r : 0;
}

/* With a reason the request failed: what is local all the same is a result, the rest is missing for that reason. */
static int finish(struct cache *cache, const struct store_request *request, const struct batch *batch,
                  const char *reason, struct err *err)
{
    struct store_request finished = *request;
    struct store_answer answer = { .request = &finished, .asked = batch->items, .n_asked = batch->n };
    int r;

    for (size_t i = 0; reason && i < batch->n; i++) {
        struct store_asked *asked = &batch->items[i];

        if (store_object_exists(cache->store, &asked->digest))
            asked->reason[0] = '\0';
        else if (!asked->reason[0])
            (void)text_copy(asked->reason, sizeof asked->reason, reason); /* cut is fine */
    }
    finished.state = reason ? REQUEST_FAILED : REQUEST_DONE;
    finished.finished_s = clock_now_s();
    (void)text_copy(finished.error, sizeof finished.error, reason ? reason : ""); /* cut is fine */
    finished.has_stats = true;                                                    /* the total is what was asked for */
    finished.stats.total = (int32_t)batch->n;
    r = store_request_finish(cache->store, &answer, err);
    CRASH_POINT(IMPORT_FINISHED);
    if (r == 0)
        cache_finished(cache, &request->id);
    return r < 0 ? r : 0;
}

static int64_t count_local(struct cache *cache, const struct batch *batch)
{
    int64_t n = 0;

    for (size_t i = 0; i < batch->n; i++)
        n += store_object_exists(cache->store, &batch->items[i].digest);
    return n;
}

/* What was asked for; free items and known_missing. */
static int load_batch(struct cache *cache, const struct store_request *request, struct batch *ret_batch,
                      struct err *err)
{
    int r = store_asked_list(cache->store, request->row, collect_asked, ret_batch, err);

    if (r == 0)
        ret_batch->known_missing = calloc(ret_batch->n + 1, sizeof *ret_batch->known_missing);
    if (r > 0 || (r == 0 && !ret_batch->known_missing))
        return err_set(err, ENOMEM, "no memory for a list");
    for (size_t i = 0; r == 0 && i < ret_batch->n; i++)
        ret_batch->known_missing[i] = ret_batch->items[i].reason[0] != '\0';
    return r;
}

static void batch_done(struct batch *batch)
{
    free(batch->items);
    free(batch->known_missing);
}

int cache_download_failed(struct cache *cache, const struct store_request *request, const char *reason, struct err *err)
{
    struct batch batch = { 0 };
    int r = load_batch(cache, request, &batch, err);

    if (r == 0)
        r = finish(cache, request, &batch, *reason ? reason : "the service gave no reason", err);
    batch_done(&batch);
    return r;
}

bool cache_is_odd_archive(int r)
{
    return r == API_ABSENT || r == -EPROTO || r == -EBADMSG || r == -EFBIG;
}

/* It is paid for, so it comes in any case; what is too much then goes afterwards. */
static int bring_with_room(struct cache *cache, const struct request_id *id, struct batch *batch, struct err *err)
{
    struct err ignored = { 0 };
    int64_t bytes = bytes_missing(cache, batch);
    int64_t room;
    int r;

    if (__builtin_mul_overflow(bytes, CACHE_ARCHIVE_AND_SAMPLES, &room) || cache_room_take(cache, room, &ignored) < 0)
        room = -1;
    r = bring(cache, id, batch, err);
    if (room >= 0)
        cache_room_give(cache, room);
    return r;
}

static int import(struct cache *cache, const struct request_id *id, struct err *err)
{
    struct batch batch = { 0 };
    struct store_request request;
    int64_t n_local;
    int r = store_request_get(cache->store, id, &request, err);

    if (r == 0 && request.state == REQUEST_INPROGRESS && request.kind != QUERY_MULTI)
        r = cache_adopt_archive(cache, &request, err);
    if (r != 0 || request.state != REQUEST_INPROGRESS || request.kind != QUERY_MULTI)
        return r < 0 ? r : 0; /* forgotten, a search after all, or another mount was faster */
    r = load_batch(cache, &request, &batch, err);
    if (r == 0) {
        lock_acquire(&cache->lock);
        cache->progress.n_bytes = 0;
        cache->progress.n_asked = batch.n;
        __atomic_store_n(&cache->progress.n_done, 0, __ATOMIC_RELAXED);
        lock_release(&cache->lock);
        n_local = count_local(cache, &batch);
        r = bring_with_room(cache, id, &batch, err);
        cache_count(cache, &cache->health.n_downloads, count_local(cache, &batch) - n_local);
    }
    if (r == API_ABSENT)
        (void)err_set(err, ENOENT, "the service does not have this archive any more"); /* its text is the reason */
    CRASH_POINT(IMPORT_UNPACKED);
    if (r == 0)
        r = note_samples(cache, &batch, err);
    if (r == 0)
        r = finish(cache, &request, &batch, NULL, err);
    else if (cache_is_odd_archive(r) && cache_is_denied(cache, id)) /* it was paid for: not after one odd answer */
        r = finish(cache, &request, &batch, err->text, err);
    batch_done(&batch);
    return r > 0 ? -err->code : r;
}

/* ---- the importer ---- */

bool cache_is_importing(struct cache *cache, const struct request_id *id)
{
    bool found = false;

    lock_acquire(&cache->lock);
    for (size_t i = 0; i < cache->n_imports; i++)
        found |= strcmp(cache->imports[i].s, id->s) == 0;
    lock_release(&cache->lock);
    return found;
}

void cache_import(struct cache *cache, const struct request_id *id)
{
    if (cache_is_importing(cache, id))
        return;
    lock_acquire(&cache->lock);
    if (cache->n_imports < CACHE_IMPORTS_MAX)
        cache->imports[cache->n_imports++] = *id;
    cond_broadcast(&cache->changed);
    lock_release(&cache->lock);
}

bool cache_progress(struct cache *cache, const struct request_id *id, struct cache_progress *ret_progress)
{
    bool is_now;

    lock_acquire(&cache->lock);
    is_now = cache->n_imports > 0 && strcmp(cache->imports[0].s, id->s) == 0;
    if (is_now) {
        ret_progress->n_bytes = cache->progress.n_bytes;
        ret_progress->n_asked = cache->progress.n_asked;
        ret_progress->n_done = __atomic_load_n(&cache->progress.n_done, __ATOMIC_RELAXED);
    }
    lock_release(&cache->lock);
    return is_now;
}

/* The next request to import; false when the mount ends. */
static bool next_import(struct cache *cache, struct request_id *ret_id)
{
    bool go_on;

    lock_acquire(&cache->lock);
    while (cache->n_imports == 0 && !cache->stopping)
        (void)cond_wait_ms(&cache->changed, &cache->lock, IMPORT_LOOK_MS); /* looks again anyway */
    go_on = !cache->stopping;
    if (go_on)
        *ret_id = cache->imports[0];
    lock_release(&cache->lock);
    return go_on && !atomic_load(&cache->cancelled);
}

static void drop_first(struct cache *cache)
{
    lock_acquire(&cache->lock);
    cache->n_imports--;
    memmove(cache->imports, cache->imports + 1, cache->n_imports * sizeof cache->imports[0]);
    lock_release(&cache->lock);
}

void *cache_import_main(void *closure)
{
    struct cache *cache = closure;
    struct request_id id;

    while (next_import(cache, &id)) {
        struct err err = { 0 };

        if (import(cache, &id, &err) < 0 && err.code != ECANCELED) /* the poller brings it again later */
            log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "import"), LOG_TEXT(LOG_REQUEST, id.s),
                      LOG_NUMBER(LOG_ERRNO, err.code), LOG_TEXT(LOG_TRACE, err.trace));
        drop_first(cache);
    }
    return NULL;
}
