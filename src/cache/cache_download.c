/*
 * Multi-downloads: hash lists in downloads/, and the batches of `fetch`.
 *
 *   list  →  metadata of what is unknown (free)  →  POST with what is neither local nor hopeless  →  polled until done
 *         →  the archive, sealed as it came  →  each sample unpacked, verified, sealed  →  done
 *
 * What need not or cannot be had is never asked for; each such sample has its reason in `asked`. The archive is fetched
 * and unpacked by a thread of its own, the importer, so that a gigabyte does not hold up the poller. It may die at any
 * point: the request stays in progress, and the next mount fetches the archive again, which costs nothing.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

enum {
    IMPORT_FETCHES_MAX = 2, /* of an archive, for one answer that it is ready */
    IMPORT_LOOK_MS = 1000,  /* how often an idle importer looks for the end */
};

#define CACHE_ARCHIVE_MAX (16 * GIB) /* bytes */

/* API page 3.8 */
static const char archive_password[] = "infected";

static const char reason_unknown[] = "the service does not know it";
static const char reason_gone[] = "the service knows it but cannot deliver it";
static const char reason_damaged[] = "it was damaged on disk and set aside; `retry` buys it again";

/* ---- the list ---- */

int cache_download_read(struct cache *cache, struct submission *sub, struct err *err)
{
    struct input_hashes hashes = { 0 };
    int r = input_hashes(buf_text(&sub->text), sub->text.n, &hashes, err);

    (void)cache;
    if (r < 0)
        return r;
    sub->asked = calloc(hashes.n, sizeof *sub->asked);
    for (size_t i = 0; sub->asked && i < hashes.n; i++) {
        sub->asked[i].digest = hashes.digests[i];
        buf_printf(&sub->key, "%s\n", digest_format(&hashes.digests[i]).s);
    }
    sub->n_asked = sub->asked ? hashes.n : 0;
    free(hashes.digests);
    return sub->asked ? buf_check(&sub->key, err, "the list") : err_set(err, ENOMEM, "no memory for a list");
}

/* Nothing is known of it, or it was not there long ago. */
static bool is_worth_asking(struct cache *cache, const struct digest *digest)
{
    struct store_sample known;
    struct err ignored = { 0 };

    if (store_object_exists(cache->store, digest))
        return false;
    if (store_sample_get(cache->store, digest, &known, &ignored) != 0)
        return true;
    return known.state == STORE_SAMPLE_ABSENT && clock_now_s() - known.checked_s >= CACHE_ABSENT_S;
}

static int ask_metadata(struct cache *cache, const struct submission *sub, struct err *err)
{
    struct digest batch[CACHE_METADATA_MAX];
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < sub->n_asked; i++) {
        if (is_worth_asking(cache, &sub->asked[i].digest))
            batch[n++] = sub->asked[i].digest;
        if (n == CACHE_METADATA_MAX || (n > 0 && i + 1 == sub->n_asked)) {
            r = cache_fetch_metadata(cache, batch, n, err);
            n = 0;
        }
    }
    return r;
}

/* Why a sample is not asked for although it is not here; "" when it is. *ret_size: of what will come, at least 0. */
static int why_not(struct cache *cache, struct store_asked *asked, int64_t *ret_size, struct err *err)
{
    struct store_sample known;
    const char *reason = "";
    int r;

    r = store_sample_get(cache->store, &asked->digest, &known, err);
    if (r < 0)
        return r;
    if (r == STORE_ABSENT || known.state == STORE_SAMPLE_ABSENT)
        reason = reason_unknown;
    else if (known.state == STORE_SAMPLE_GONE)
        reason = reason_gone;
    else if (store_object_is_damaged(cache->store, &asked->digest))
        reason = reason_damaged;
    *ret_size = r == 0 && known.sample.size_bytes > 0 ? known.sample.size_bytes : 0;
    (void)text_copy(asked->reason, sizeof asked->reason, reason); /* they fit */
    return 0;
}

/* What has to be asked for, and how much room it takes. */
static int sort_out(struct cache *cache, struct submission *sub, int64_t *ret_bytes, struct err *err)
{
    int64_t size = 0;
    int r = 0;

    free(sub->to_fetch);
    sub->n_to_fetch = 0;
    sub->to_fetch = calloc(sub->n_asked, sizeof *sub->to_fetch);
    if (!sub->to_fetch)
        return err_set(err, ENOMEM, "no memory for a list");
    for (size_t i = 0; r == 0 && i < sub->n_asked; i++) {
        sub->asked[i].reason[0] = '\0';
        if (store_object_exists(cache->store, &sub->asked[i].digest))
            continue;
        r = why_not(cache, &sub->asked[i], &size, err);
        if (r < 0 || sub->asked[i].reason[0])
            continue;
        sub->to_fetch[sub->n_to_fetch++] = sub->asked[i].digest;
        if (__builtin_add_overflow(*ret_bytes, size, ret_bytes))
            return err_set(err, EFBIG, "more bytes than can be counted");
    }
    return r;
}

/* The whole batch or nothing, and before anything is spent: so many at a time, the month's quota, room for archive and
 * samples. */
static int check_batch(struct cache *cache, const struct submission *sub, int64_t bytes, struct err *err)
{
    struct cache_quotas quotas;
    int64_t total = 0;
    int64_t room = 0;
    int64_t left;
    int r;

    if (sub->n_to_fetch == 0)
        return 0;
    if (sub->n_to_fetch > API_MULTI_MAX)
        return err_set(err, EINVAL, "%zu samples to download: at most %d at a time, so split the list or `fetch N`",
                       sub->n_to_fetch, API_MULTI_MAX);
    r = store_disk(cache->store, &total, &room, err);
    if (r == 0 && room / 2 < bytes)
        return err_set(err, ENOSPC, "no room for %lld bytes and their archive in the cache", (long long)bytes);
    if (r == 0)
        r = cache_fetch_quotas(cache, err);
    if (r < 0 || !cache_quotas(cache, &quotas, NULL))
        return r;
    left = quotas.download_limit - quotas.download_count;
    if ((int64_t)sub->n_to_fetch <= left)
        return 0;
    return err_set(err, EDQUOT, "%zu downloads, and %lld are left this month: nothing was asked for", sub->n_to_fetch,
                   (long long)(left > 0 ? left : 0));
}

int cache_download_prepare(struct cache *cache, struct submission *sub, struct err *err)
{
    int64_t bytes = 0;
    int r = ask_metadata(cache, sub, err);

    if (r == 0)
        r = sort_out(cache, sub, &bytes, err);
    return r < 0 ? r : check_batch(cache, sub, bytes, err);
}

/*
 * Nobody is downloading one of them singly. The intent is on disk already, so whoever takes a lock after this look
 * finds it there: either we see the lock, or it sees the intent.
 */
static int check_singles(struct cache *cache, const struct submission *sub, struct err *err)
{
    static const volatile bool at_once = true;
    int r = 0;

    for (size_t i = 0; r == 0 && i < sub->n_to_fetch; i++) {
        int fd = -1;

        r = store_digest_lock(cache->store, &sub->to_fetch[i], &at_once, &fd, err);
        store_digest_unlock(fd);
        if (r == STORE_BUSY || (r == 0 && store_object_exists(cache->store, &sub->to_fetch[i])))
            r = err_set(err, EAGAIN, "it waits for sample %s, which is being downloaded",
                        digest_short(&sub->to_fetch[i]).s);
    }
    return r;
}

/* Nothing is on its way: what is local is the answer. */
static int answer_at_once(struct submission *sub, struct request_id *ret_id, struct err *err)
{
    sub->result.state = REQUEST_DONE;
    sub->result.has_stats = true; /* the total is what was asked for */
    sub->result.stats.total = (int32_t)sub->n_asked;
    sub->has_result = true;
    return store_request_new_id(ret_id, err);
}

int cache_download_send(struct cache *cache, struct submission *sub, struct request_id *ret_id, bool *ret_sent,
                        struct err *err)
{
    int r = check_singles(cache, sub, err);

    *ret_sent = false;
    if (r < 0)
        return r;
    if (sub->n_to_fetch == 0)
        return answer_at_once(sub, ret_id, err);
    r = api_multi_start(cache->api, sub->to_fetch, sub->n_to_fetch, ret_id, ret_sent, err);
    if (r != API_ABSENT)
        return r;
    for (size_t i = 0; i < sub->n_asked; i++)
        if (!sub->asked[i].reason[0] && !store_object_exists(cache->store, &sub->asked[i].digest))
            (void)text_copy(sub->asked[i].reason, sizeof sub->asked[i].reason, reason_unknown); /* fits */
    return answer_at_once(sub, ret_id, err);
}

/* ---- the archive ---- */

struct archive_intake {
    struct cache *cache;
    struct store_writer *writer;
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
    return store_writer_write(intake->writer, data, n, err);
}

static int fetch_archive(struct cache *cache, const struct request_id *id, struct err *err)
{
    cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    struct archive_intake intake = { .cache = cache };
    int r = store_archive_begin(cache->store, id, &writer, err);

    if (r < 0)
        return r;
    intake.writer = writer;
    r = cache_note(cache, api_multi_fetch(cache->api, id, take, &intake, err), err);
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
                                   .password = archive_password,
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

/* From the archive that is here; fetched, and fetched once more when not all came out of it: that is free, and the
 * fault may be that of the way. */
static int bring(struct cache *cache, const struct request_id *id, struct batch *batch, struct err *err)
{
    int r = unpack(cache, id, batch, err);

    for (int i = 0; i < IMPORT_FETCHES_MAX && r != -ECANCELED && !is_complete(cache, batch); i++) {
        r = fetch_archive(cache, id, err);
        if (r != 0)
            return r;
        r = unpack(cache, id, batch, err);
    }
    return r == STORE_ABSENT ? err_set(err, EAGAIN, "the archive went away before it was unpacked") : r;
}

/* Sizes that the bytes correct, errors that are over. */
static int note_samples(struct cache *cache, const struct batch *batch, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < batch->n; i++) {
        cleanup_(store_object_unrefp) struct store_object *object = NULL;
        struct store_sample known;

        r = store_object_open(cache->store, &batch->items[i].digest, &object, err);
        if (r == 0)
            r = store_sample_get(cache->store, &batch->items[i].digest, &known, err);
        if (r != 0)
            continue; /* not here, or nothing is known of it */
        r = cache_correct_size(cache, &known, store_object_size(object), err);
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

/* No archive, or none that is one: odd answers of the service, or of whoever stands on the way. */
static bool is_odd(int r)
{
    return r == API_ABSENT || r == -EPROTO || r == -EBADMSG || r == -EFBIG;
}

static int import(struct cache *cache, const struct request_id *id, struct err *err)
{
    struct batch batch = { 0 };
    struct store_request request;
    int64_t n_local;
    int r = store_request_get(cache->store, id, &request, err);

    if (r != 0 || request.state != REQUEST_INPROGRESS)
        return r < 0 ? r : 0; /* forgotten, or another mount was faster */
    r = load_batch(cache, &request, &batch, err);
    if (r == 0) {
        lock_acquire(&cache->lock);
        cache->progress.n_bytes = 0;
        cache->progress.n_asked = batch.n;
        __atomic_store_n(&cache->progress.n_done, 0, __ATOMIC_RELAXED);
        lock_release(&cache->lock);
        n_local = count_local(cache, &batch);
        r = bring(cache, id, &batch, err);
        cache_count(cache, &cache->health.n_downloads, count_local(cache, &batch) - n_local);
    }
    if (r == API_ABSENT)
        (void)err_set(err, ENOENT, "the service does not have this archive any more"); /* its text is the reason */
    if (r == 0)
        r = note_samples(cache, &batch, err);
    if (r == 0)
        r = finish(cache, &request, &batch, NULL, err);
    else if (is_odd(r) && cache_is_denied(cache, id)) /* it was paid for: not after one odd answer */
        r = finish(cache, &request, &batch, err->text, err);
    batch_done(&batch);
    return r > 0 ? -err->code : r;
}

/* ---- one sample ---- */

int cache_download_wait(struct cache *cache, const struct digest *digest, struct err *err)
{
    struct request_id id;
    int r;

    do {
        uint64_t seen = cache_changes(cache);

        r = store_asked_under_way(cache->store, digest, &id, err);
        if (r == 0 && !store_object_exists(cache->store, digest))
            (void)cache_wait_changes(cache, seen, IMPORT_LOOK_MS); /* looks again anyway */
    } while (r == 0 && !store_object_exists(cache->store, digest) && !atomic_load(&cache->cancelled));
    if (r >= 0 && atomic_load(&cache->cancelled))
        return err_set(err, ECANCELED, "the mount is ending");
    return r < 0 ? r : 0;
}

/* Why the request did not bring it. */
static int why_missing(void *closure, const struct store_asked *asked)
{
    struct err *err = closure;

    return err_set(err, EREMOTEIO, "%s", asked->reason[0] ? asked->reason : "the archive does not have it");
}

int cache_download_one(struct cache *cache, const struct digest *digest, bool *ret_sent, struct err *err)
{
    struct digest_text text = digest_format(digest);
    struct store_asked asked = { .digest = *digest };
    struct store_sent sent = { .dir = STORE_DOWNLOADS, .text = text.s, .n = DIGEST_TEXT, .options = "" };
    struct store_accepted accepted = { .kind = QUERY_MULTI, .asked = &asked, .n_asked = 1, .now_s = clock_now_s() };
    struct store_request request;
    struct request_id id;
    int r = cache_note(cache, api_multi_start(cache->api, digest, 1, &id, ret_sent, err), err);

    cache_spent(cache);
    if (r != 0)
        return r;
    accepted.id = &id;
    r = store_entry_accepted(cache->store, 0, &sent, &accepted, err); /* no entry: STORE_ABSENT */
    if (r < 0) /* the service has it and the disk does not: the log is the last place for the id */
        log_event(LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, "download"), LOG_TEXT(LOG_REQUEST, id.s),
                  LOG_NUMBER(LOG_ERRNO, err->code));
    cache_changed(cache);
    if (r >= 0)
        r = cache_download_wait(cache, digest, err);
    if (r < 0 || store_object_exists(cache->store, digest))
        return r;
    r = store_request_get(cache->store, &id, &request, err);
    if (r == 0)
        r = store_asked_list(cache->store, request.row, why_missing, err, err);
    return r < 0 ? r : err_set(err, EREMOTEIO, "request %s did not bring it", id.s);
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
