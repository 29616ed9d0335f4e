/*
 * The poller: one thread that follows every unfinished request of the profile, also those of an earlier mount or of
 * another process, and sends what is queued. Each request is asked after poll_first_ms, then ever more rarely up to
 * poll_max_ms. Polling is free; the service keeps results for a limited time only, so nothing is left unasked.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

enum {
    POLL_REQUESTS_MAX = 100000, /* unfinished ones that are followed at a time */
    POLL_QUEUED_MS = 15000,     /* between two attempts to send what is queued */
    POLL_LIST_MS = 1000,        /* between two looks for what other processes did */
    POLL_ABSENT_MIN = 5,        /* so often, and for so long, must the service deny a request before it is given up: */
};

struct poll {
    struct store_request request;
    int64_t next_ms;
    int64_t wait_ms;
};

/* The unfinished requests as the store lists them, growing. */
struct found {
    struct store_request *items;
    size_t n;
    size_t room;
};

static int collect(void *closure, const struct store_request *request)
{
    struct found *found = closure;

    if (found->n == found->room) {
        size_t room = found->room ? found->room * 2 : 16;
        struct store_request *grown = room > POLL_REQUESTS_MAX ? NULL : reallocarray(found->items, room, sizeof *grown);

        if (!grown)
            return -1; /* the rest is followed when these are finished */
        found->items = grown;
        found->room = room;
    }
    found->items[found->n++] = *request;
    return 0;
}

static const struct poll *known_poll(const struct cache *cache, int64_t row)
{
    for (size_t i = 0; i < cache->n_polls; i++)
        if (cache->polls[i].request.row == row)
            return &cache->polls[i];
    return NULL;
}

/* Brings cache->polls up to date with the store; what is known keeps its schedule. */
static void refresh(struct cache *cache)
{
    struct found found = { 0 };
    struct err err = { 0 };
    struct poll *polls;

    if (store_request_list(cache->store, true, collect, &found, &err) < 0)
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "poll"), LOG_NUMBER(LOG_ERRNO, err.code));
    polls = calloc(found.n ? found.n : 1, sizeof *polls);
    for (size_t i = 0; polls && i < found.n; i++) {
        const struct poll *known = known_poll(cache, found.items[i].row);

        if (known)
            polls[i] = *known;
        polls[i].request = found.items[i];
        if (!known) {
            polls[i].wait_ms = cache->config.poll_first_ms;
            polls[i].next_ms = clock_mono_ms() + cache->config.poll_first_ms;
        }
    }
    if (polls) {
        free(cache->polls);
        cache->polls = polls;
        cache->n_polls = found.n;
    }
    free(found.items);
}

void cache_finished(struct cache *cache, const struct request_id *id)
{
    struct store_request request;
    struct store_entry entry = { .row = 0 };
    struct err err = { 0 };

    if (store_request_get(cache->store, id, &request, &err) != 0)
        return; /* forgotten in this moment */
    if (request.entry_row && store_entry_get_row(cache->store, request.entry_row, &entry, &err) != 0)
        entry.name[0] = '\0'; /* deleted */
    CACHE_EVENT(cache, "finished", CACHE_TEXT("id", id->s), CACHE_TEXT("name", entry.name),
                CACHE_TEXT("status", request_state_name(request.state)), CACHE_NUMBER("results", request.n_results),
                CACHE_TEXT("reason", request.error));
    cache_changed(cache);
}

/* The service's last word on a request goes to disk. */
static void finish(struct cache *cache, struct store_request *request, const struct api_result *result)
{
    struct err err = { 0 };
    int r;

    request->state = result->state;
    request->finished_s = clock_now_s();
    request->has_stats = result->has_stats;
    request->stats = result->stats;
    request->n_results = (int64_t)result->samples.n;
    (void)text_copy(request->error, sizeof request->error, result->reason); /* cut is fine */
    r = store_request_finish(cache->store,
                             &(struct store_answer){ .request = request,
                                                     .samples = result->samples.items,
                                                     .n_samples = result->samples.n,
                                                     .raw = buf_text(&result->raw),
                                                     .raw_n = result->raw.n },
                             &err);
    if (r < 0) {
        log_event(LOG_LEVEL_ERR, err.text, LOG_TEXT(LOG_OP, "poll"), LOG_TEXT(LOG_REQUEST, request->id.s),
                  LOG_NUMBER(LOG_ERRNO, err.code));
        return;
    }
    cache_finished(cache, &request->id);
}

static struct cache_denial *denial_of_locked(struct cache *cache, const struct request_id *id) REQUIRES(&cache->lock)
{
    for (size_t i = 0; i < CACHE_DENIALS_MAX; i++)
        if (cache->denials[i].n > 0 && strcmp(cache->denials[i].id.s, id->s) == 0)
            return &cache->denials[i];
    return NULL;
}

bool cache_is_denied(struct cache *cache, const struct request_id *id)
{
    struct cache_denial *denial;
    bool is_final;

    lock_acquire(&cache->lock);
    denial = denial_of_locked(cache, id);
    if (!denial) {
        denial = &cache->denials[cache->next_denial];
        cache->next_denial = (cache->next_denial + 1) % CACHE_DENIALS_MAX;
        *denial = (struct cache_denial){ .id = *id, .since_ms = clock_mono_ms() };
    }
    denial->n++;
    is_final = denial->n >= POLL_ABSENT_MIN && clock_mono_ms() - denial->since_ms >= cache->config.poll_absent_ms;
    lock_release(&cache->lock);
    return is_final;
}

void cache_not_denied(struct cache *cache, const struct request_id *id)
{
    struct cache_denial *denial;

    lock_acquire(&cache->lock);
    denial = denial_of_locked(cache, id);
    if (denial)
        denial->n = 0;
    lock_release(&cache->lock);
}

/* The service's last word, also on a multi-download that has no archive. */
static void conclude(struct cache *cache, struct store_request *request, const struct api_result *result)
{
    struct err err = { 0 };

    if (request->kind != QUERY_MULTI)
        finish(cache, request, result);
    else if (cache_download_failed(cache, request, result->reason, &err) < 0)
        log_event(LOG_LEVEL_ERR, err.text, LOG_TEXT(LOG_OP, "poll"), LOG_TEXT(LOG_REQUEST, request->id.s),
                  LOG_NUMBER(LOG_ERRNO, err.code));
}

static void deny(struct cache *cache, struct poll *poll)
{
    struct api_result result = { .state = REQUEST_FAILED, .reason = "the service does not know this request any more" };

    if (cache_is_denied(cache, &poll->request.id))
        conclude(cache, &poll->request, &result);
}

/* Done, and its result is an archive, or may be one. */
static bool has_archive(const struct store_request *request, const struct api_result *result)
{
    return (request->kind == QUERY_MULTI && result->state == REQUEST_DONE) || cache_may_have_archive(request, result);
}

static void ask(struct cache *cache, struct poll *poll)
{
    struct api_result result = { 0 };
    struct err err = { 0 };
    int r;

    cache_count(cache, &cache->health.n_polls, 1);
    r = cache_note(cache, api_request(cache->api, &poll->request.id, &result, &err), &err);
    if (r == 0 && poll->request.kind != QUERY_MULTI && !has_archive(&poll->request, &result)) /* it has the last word */
        cache_not_denied(cache, &poll->request.id);
    if (r == API_ABSENT)
        deny(cache, poll);
    else if (r == 0 && has_archive(&poll->request, &result))
        cache_import(cache, &poll->request.id);
    else if (r == 0 && result.state != REQUEST_INPROGRESS)
        conclude(cache, &poll->request, &result);
    else if (r == 0)
        cache_changed(cache); /* nothing but the time: who reads `wait` sees that it goes on */
    else if (r != -ECANCELED)
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "poll"), LOG_TEXT(LOG_REQUEST, poll->request.id.s),
                  LOG_NUMBER(LOG_ERRNO, err.code), LOG_TEXT(LOG_TRACE, err.trace));
    if (r >= 0)
        api_result_done(&result);
    poll->wait_ms =
        poll->wait_ms * 3 / 2 < cache->config.poll_max_ms ? poll->wait_ms * 3 / 2 : cache->config.poll_max_ms;
    poll->next_ms = clock_mono_ms() + poll->wait_ms;
}

/* Asks whatever is due; returns how long the poller may sleep. */
static int64_t ask_due(struct cache *cache)
{
    int64_t sleep_ms = POLL_LIST_MS;

    if (cache->config.is_offline ||
        api_is_resting(cache->api)) /* nobody would be asked: no request has to wait longer */
        return sleep_ms;
    for (size_t i = 0; i < cache->n_polls && !atomic_load(&cache->cancelled); i++) {
        struct poll *poll = &cache->polls[i];

        if (poll->request.state == REQUEST_INPROGRESS && poll->next_ms <= clock_mono_ms() &&
            !cache_is_importing(cache, &poll->request.id))
            ask(cache, poll);
        if (poll->request.state == REQUEST_INPROGRESS && poll->next_ms > clock_mono_ms() &&
            poll->next_ms - clock_mono_ms() < sleep_ms)
            sleep_ms = poll->next_ms - clock_mono_ms();
    }
    return sleep_ms > 0 ? sleep_ms : 0;
}

/* Sleeps until something changed, or `wait_ms`; false when the poller must end. */
static bool nap(struct cache *cache, uint64_t *seen, int64_t wait_ms)
{
    bool go_on;

    lock_acquire(&cache->lock);
    if (!cache->stopping && cache->changes == *seen && !cache->is_quotas_due)
        (void)cond_wait_ms(&cache->changed, &cache->lock, wait_ms); /* either way we look */
    *seen = cache->changes;
    go_on = !cache->stopping;
    lock_release(&cache->lock);
    return go_on && !atomic_load(&cache->cancelled);
}

void *cache_poll_main(void *closure)
{
    struct cache *cache = closure;
    uint64_t seen = 0;
    int64_t queued_ms = 0;
    int64_t version = store_version(cache->store);
    int64_t sleep_ms;

    do {
        if (store_version(cache->store) != version) { /* by us or by another mount of this profile */
            version = store_version(cache->store);
            cache_changed(cache);
        }
        if (clock_mono_ms() >= queued_ms) {
            cache_submit_queued(cache);
            cache_spend_settle_orphans(cache);
            queued_ms = clock_mono_ms() + POLL_QUEUED_MS;
        }
        store_object_tidy(cache->store);
        cache_refresh_quotas(cache);
        refresh(cache);
        sleep_ms = ask_due(cache);
    } while (nap(cache, &seen, sleep_ms));
    return NULL;
}

void cache_poll_done(struct cache *cache)
{
    free(cache->polls);
    cache->polls = NULL;
    cache->n_polls = 0;
}

int cache_fetch_request(struct cache *cache, const struct request_id *id, struct err *err)
{
    struct api_result result = { 0 };
    struct store_request request;
    int r = cache_note(cache, api_request(cache->api, id, &result, err), err);

    if (r == API_ABSENT)
        return err_set(err, ENOENT, "the service does not know request %s", id->s);
    if (r < 0)
        return err_wrap(err, "request %s", id->s);
    r = store_request_adopt(cache->store, id, QUERY_HUNT, clock_now_s(), err);
    if (r >= 0)
        r = store_request_get(cache->store, id, &request, err);
    if (r == 0 && has_archive(&request, &result))
        cache_import(cache, id);
    else if (r == 0 && result.state != REQUEST_INPROGRESS)
        finish(cache, &request, &result);
    api_result_done(&result);
    cache_changed(cache);
    return r < 0 ? r : 0;
}

int cache_conclude_search(struct cache *cache, const struct request_id *id, struct err *err)
{
    struct api_result result = { 0 };
    struct store_request request;
    int r = cache_note(cache, api_request(cache->api, id, &result, err), err);

    if (r == API_ABSENT)
        return err_set(err, ENOENT, "the service does not know request %s any more", id->s);
    if (r < 0)
        return err_wrap(err, "request %s", id->s);
    r = store_request_get(cache->store, id, &request, err);
    if (r == 0 && result.state != REQUEST_INPROGRESS)
        finish(cache, &request, &result);
    api_result_done(&result);
    return r < 0 ? r : 0;
}
