/*
 * Multi-downloads: hash lists in downloads/, and the batches of `fetch`.
 *
 *   list  →  metadata of what is unknown (free)  →  POST with what is neither local nor hopeless  →  polled until done
 *
 * What need not or cannot be had is never asked for; each such sample has its reason in `asked`. What comes then is in
 * cache_import.c.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"
#include "util/clock.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/text.h"

enum { ARRIVAL_LOOK_MS = 1000 }; /* how often whoever waits for a batch looks for the end */

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
    return known.state == STORE_SAMPLE_ABSENT && !clock_is_fresh(known.checked_s, CACHE_ABSENT_S);
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
        r = cache_keep_empty(cache, &sub->asked[i].digest, err);
        if (r < 0 || store_object_exists(cache->store, &sub->asked[i].digest))
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

/* The whole batch or nothing, and before anything is spent: so many at a time, room for archive and samples. */
static int check_batch(struct cache *cache, const struct submission *sub, int64_t bytes, struct err *err)
{
    const struct store_spend spend = cache_submission_spend(sub);
    int r;

    if (sub->n_to_fetch == 0)
        return 0;
    if (sub->n_to_fetch > API_MULTI_MAX)
        return err_set(err, EINVAL, "%zu samples to download: at most %d at a time, so split the list or `fetch N`",
                       sub->n_to_fetch, API_MULTI_MAX);
    r = cache_spend_look(cache, &spend, err);
    return r < 0 ? r : cache_room_for_archive(cache, bytes, err);
}

int cache_download_prepare(struct cache *cache, struct submission *sub, struct err *err)
{
    int64_t bytes = 0;
    int r = ask_metadata(cache, sub, err);

    if (r == 0)
        r = sort_out(cache, sub, &bytes, err);
    sub->price = (int64_t)sub->n_to_fetch;
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

/* ---- one sample ---- */

int cache_download_wait(struct cache *cache, const struct digest *digest, struct err *err)
{
    struct request_id id;
    int r;

    do {
        uint64_t seen = cache_changes(cache);

        r = store_asked_under_way(cache->store, digest, &id, err);
        if (r == 0 && !store_object_exists(cache->store, digest))
            (void)cache_wait_changes(cache, seen, ARRIVAL_LOOK_MS); /* looks again anyway */
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

int cache_download_one(struct cache *cache, const struct digest *digest, int64_t spend_row, struct err *err)
{
    struct digest_text text = digest_format(digest);
    struct store_asked asked = { .digest = *digest };
    struct store_sent sent = { .dir = STORE_DOWNLOADS, .text = text.s, .n = DIGEST_TEXT, .options = "" };
    struct store_accepted accepted = {
        .kind = QUERY_MULTI, .asked = &asked, .n_asked = 1, .spend_row = spend_row, .now_s = clock_now_s()
    };
    struct store_request request;
    struct request_id id;
    struct cache_spent spent = { .cost = COST_DOWNLOADS };
    int r = cache_note(cache, api_multi_start(cache->api, digest, 1, &id, &spent.was_sent, err), err);

    CRASH_POINT(SCHEDULE_SENT);
    spent.outcome = r;
    spent.request = r == 0 ? &id : NULL;
    spent.why = r < 0 ? err : NULL;
    accepted.id = &id;
    if (r == 0) /* the id before anything else; no entry: STORE_ABSENT */
        r = store_entry_accepted(cache->store, 0, &sent, &accepted, err);
    CRASH_POINT(SCHEDULE_ACCEPTED);
    cache_spend_end(cache, spend_row, &spent);
    if (spent.outcome != 0)
        return spent.outcome;
    if (r < 0) /* the service has it and the disk does not: the log is the last place for the id */
        log_event(LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, "download"), LOG_TEXT(LOG_REQUEST, id.s),
                  LOG_NUMBER(LOG_ERRNO, err->code));
    cache_changed(cache);
    if (r >= 0)
        r = cache_download_wait(cache, digest, err);
    if (r == 0 && store_object_exists(cache->store, digest))
        return store_spend_forgive(cache->store, digest, err); /* it arrived */
    if (r < 0)
        return r;
    r = store_request_get(cache->store, &id, &request, err);
    if (r == 0)
        r = store_asked_list(cache->store, request.row, why_missing, err, err);
    return r < 0 ? r : err_set(err, EREMOTEIO, "request %s did not bring it", id.s);
}
