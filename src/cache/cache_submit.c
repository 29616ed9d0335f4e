/*
 * Submissions. The order is what makes them safe against a death at any point:
 *
 *   draft on disk, checked  →  SUBMITTING on disk (the intent)  →  what it costs on disk (cache_spend.c)  →  POST
 *   →  id and SUBMITTED on disk, in one transaction  →  what it cost is settled
 *
 * Found SUBMITTING by a process that does not hold the entry's lock, it is ambiguous: the request may have been
 * accepted. It becomes failed and is never sent again without a word from the user, since each hunt costs.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/text.h"

enum { SUBMIT_ROWS_MAX = 1000 };

/* What becomes of an entry whose request surely was not accepted: later may help, or it will not. */
static const int worth_queueing[] = { ENETUNREACH, ETIMEDOUT, EAGAIN, EREMOTEIO, ECANCELED };

static bool is_worth_queueing(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(worth_queueing); i++)
        if (worth_queueing[i] == code)
            return true;
    return false;
}

/* A host-wide lock, by what it is about: the entry (one process sends it, others can tell) or the text. */
static int lock_about(struct cache *cache, const char *about, size_t n, const volatile bool *cancel, int *ret_fd,
                      struct err *err)
{
    struct digest digest;
    int r = digest_of(about, n, &digest, err);

    return r < 0 ? r : store_digest_lock(cache->store, &digest, cancel, ret_fd, err);
}

int cache_entry_lock(struct cache *cache, int64_t row, const volatile bool *cancel, int *ret_fd, struct err *err)
{
    char about[64];
    int n = snprintf(about, sizeof about, "malqueryfs entry %lld", (long long)row);

    return lock_about(cache, about, (size_t)n, cancel, ret_fd, err);
}

static int text_lock(struct cache *cache, const struct store_sent *sent, int *ret_fd, struct err *err)
{
    struct buf about = BUF_INIT(API_JSON_MAX);
    int r;

    buf_printf(&about, "malqueryfs text %d %s ", (int)sent->dir, sent->options);
    buf_append(&about, sent->key ? sent->key : sent->text, sent->key ? sent->key_n : sent->n);
    r = buf_check(&about, err, "a lock");
    if (r == 0)
        r = lock_about(cache, buf_text(&about), about.n, &cache->stop_waiting, ret_fd, err);
    buf_done(&about);
    return r;
}

/* What became of an entry, as an event. */
static const char *const state_events[] = {
    [STORE_ENTRY_DRAFT] = "draft",         [STORE_ENTRY_QUEUED] = "queued",     [STORE_ENTRY_SUBMITTING] = "sending",
    [STORE_ENTRY_SUBMITTED] = "submitted", [STORE_ENTRY_REJECTED] = "rejected", [STORE_ENTRY_FAILED] = "failed",
};

static void tell(struct cache *cache, const struct store_entry *entry, enum store_entry_state state,
                 const struct err *err)
{
    if (entry->state != state || strcmp(entry->error, err->text) != 0) /* no news from one try to the next */
        CACHE_EVENT(cache, state_events[state], CACHE_TEXT("kind", cache_kind(entry->dir)->name),
                    CACHE_TEXT("name", entry->name), CACHE_TEXT("errno", err_name(err->code)),
                    CACHE_TEXT("reason", err->text), CACHE_TEXT("trace", err->trace));
    cache_changed(cache);
}

/*
 * Sets state and words, if the entry still holds what was judged in the state `from`; the caller's error stays what it
 * was. Returns -err->code, or the disk's failure.
 */
static int settle(struct cache *cache, const struct submission *sub, enum store_entry_state from,
                  enum store_entry_state state, struct err *err)
{
    struct store_held held = { .state = from, .text = buf_text(&sub->text), .n = sub->text.n };
    struct err failed = { 0 };

    if (store_entry_settle(cache->store, sub->entry->row, &held, state, err, &failed) < 0)
        *err = failed;
    tell(cache, sub->entry, state, err);
    return -err->code;
}

/* Shows the request of an earlier submission that asks the same. STORE_ABSENT: there is none that helps. */
static int show_same(struct cache *cache, const struct submission *sub, const struct store_sent *sent, struct err *err)
{
    struct store_entry same;
    struct store_request request;
    int r = sub->entry->is_forced ? STORE_ABSENT : store_entry_find_same(cache->store, sent, &same, err);

    if (r != 0)
        return r;
    r = store_request_get(cache->store, &same.request, &request, err);
    if (r != 0)
        return r;
    if (request.state == REQUEST_FAILED || (sub->kind->always_asks && request.state != REQUEST_INPROGRESS))
        return STORE_ABSENT;
    r = store_entry_show(cache->store, sub->entry->row, sent, &same.request, err);
    if (r == 0)
        CACHE_EVENT(cache, "same", CACHE_TEXT("kind", sub->kind->name), CACHE_TEXT("name", sub->entry->name),
                    CACHE_TEXT("id", same.request.s));
    return r < 0 ? r
                 : 0; /* STORE_ABSENT: it was edited or deleted meanwhile, and whoever did that goes on from there */
}

/* The id goes to disk, with the answer when it is here already. */
static int accepted(struct cache *cache, struct submission *sub, const struct store_sent *sent,
                    const struct request_id *id, struct err *err)
{
    struct store_request finished = { .state = sub->result.state,
                                      .has_stats = sub->result.has_stats,
                                      .stats = sub->result.stats };
    struct store_answer answer = { .request = &finished,
                                   .samples = sub->result.samples.items,
                                   .n_samples = sub->result.samples.n,
                                   .asked = sub->asked,
                                   .n_asked = sub->n_asked,
                                   .raw = sub->result.raw.n ? buf_text(&sub->result.raw) : NULL,
                                   .raw_n = sub->result.raw.n };
    struct store_accepted accepted = { .id = id,
                                       .kind = sub->kind->kind,
                                       .limit = sub->kind->has_options ? sub->options.limit : 0,
                                       .now_s = clock_now_s(),
                                       .spend_row = sub->has_result ? 0 : sub->spend_row,
                                       .asked = sub->asked,
                                       .n_asked = sub->n_asked,
                                       .answer = sub->has_result ? &answer : NULL };
    int r = store_entry_accepted(cache->store, sub->entry->row, sent, &accepted, err);

    CRASH_POINT(SUBMIT_ACCEPTED);
    cache_count(cache, &cache->health.n_submissions, 1);
    if (r < 0) /* the service has it and the disk does not: the log is the last place for the id */
        log_event(LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, "submit"), LOG_TEXT(LOG_REQUEST, id->s),
                  LOG_NUMBER(LOG_ERRNO, err->code));
    else
        CACHE_EVENT(cache, "submitted", CACHE_TEXT("kind", sub->kind->name), CACHE_TEXT("name", sub->entry->name),
                    CACHE_TEXT("id", id->s));
    if (r >= 0 && sub->has_result)
        cache_finished(cache, id);
    cache_changed(cache);
    return r < 0 ? r : 0; /* STORE_ABSENT: deleted meanwhile; the request is kept */
}

/* What was not accepted: later may help, it will not, or nobody knows. */
static int refused(struct cache *cache, const struct submission *sub, enum store_entry_state from,
                   bool may_have_arrived, struct err *err)
{
    (void)err_wrap(err, "%s '%s'", sub->kind->name, sub->entry->name); /* the code stays */
    if (may_have_arrived)
        return settle(cache, sub, from, STORE_ENTRY_FAILED, err);
    if (is_worth_queueing(err->code)) {
        (void)settle(cache, sub, from, STORE_ENTRY_QUEUED, err); /* its reason is in `error`; close() succeeds */
        return 0;
    }
    return settle(cache, sub, from, STORE_ENTRY_REJECTED, err);
}

/* With the intents on disk, of the entry and of what it costs. The id goes there before what became of the money:
 * whoever dies in between must not lose what the service has accepted. */
static int send_intended(struct cache *cache, struct submission *sub, const struct store_sent *sent, struct err *err)
{
    struct request_id id;
    struct cache_spent spent = { .cost = sub->kind->cost };
    struct err why;
    int r = cache_note(cache, sub->kind->send(cache, sub, &id, &spent.was_sent, err), err);

    CRASH_POINT(SUBMIT_SENT);
    why = *err;                                       /* as it is now */
    spent.outcome = sub->has_result ? API_ABSENT : r; /* answered at once: nothing was scheduled, or charged */
    spent.request = r == 0 ? &id : NULL;
    spent.why = r < 0 ? &why : NULL;
    r = r == 0 ? accepted(cache, sub, sent, &id, err)
               : refused(cache, sub, STORE_ENTRY_SUBMITTING, spent.was_sent, err);
    if (sub->price > 0)
        cache_spend_end(cache, sub->spend_row, &spent);
    return r;
}

struct store_spend cache_submission_spend(const struct submission *sub)
{
    return (struct store_spend){ .cost = sub->kind->cost,
                                 .n = sub->price,
                                 .operation = sub->kind->operation,
                                 .name = sub->entry->name,
                                 .entry_row = sub->entry->row,
                                 .who = &sub->entry->who };
}

static int pay_and_send(struct cache *cache, struct submission *sub, const struct store_sent *sent, struct err *err)
{
    const struct store_spend spend = cache_submission_spend(sub);
    int r = sub->price > 0 ? cache_spend_begin(cache, &spend, &sub->spend_row, err) : 0;

    return r == 0 ? send_intended(cache, sub, sent, err) : refused(cache, sub, STORE_ENTRY_SUBMITTING, false, err);
}

static int send_it(struct cache *cache, struct submission *sub, struct store_sent *sent, struct err *err)
{
    int r = sub->kind->prepare ? sub->kind->prepare(cache, sub, err) : 0;

    if (r < 0)
        return refused(cache, sub, STORE_ENTRY_QUEUED, false, err);
    sent->intended = sub->to_fetch;
    sent->n_intended = sub->n_to_fetch;
    r = store_entry_begin(cache->store, sub->entry->row, sent, err);
    if (r == STORE_BUSY) {
        (void)err_set(err, EAGAIN,
                      "it waits for another list that brings some of its samples"); /* the code is in err */
        return refused(cache, sub, STORE_ENTRY_QUEUED, false, err);
    }
    if (r != 0)
        return r < 0 ? r : 0; /* edited or deleted meanwhile: not what the user wants any more */
    CRASH_POINT(SUBMIT_BEGUN);
    cache_changed(cache);
    return pay_and_send(cache, sub, sent, err);
}

/* With the text locked on this host, so that the same text under two names is one request. */
static int show_or_send(struct cache *cache, struct submission *sub, struct store_sent *sent, struct err *err)
{
    int fd = -1;
    int r = text_lock(cache, sent, &fd, err);

    if (r == STORE_BUSY)
        return err_set(err, ECANCELED, "the mount is ending");
    if (r < 0)
        return r;
    r = show_same(cache, sub, sent, err);
    if (r == STORE_ABSENT)
        r = send_it(cache, sub, sent, err);
    else
        cache_changed(cache);
    store_digest_unlock(fd);
    return r;
}

static bool is_the_users(int r)
{
    return r == -EINVAL || r == -EFBIG;
}

static int submit_text(struct cache *cache, struct submission *sub, struct err *err)
{
    struct store_sent sent = { .dir = sub->entry->dir };
    int r = cache_submission_read(cache, sub, err);

    if (r < 0)
        return is_the_users(r) ? settle(cache, sub, STORE_ENTRY_QUEUED, STORE_ENTRY_REJECTED, err) : r;
    sent.text = buf_text(&sub->text);
    sent.n = sub->text.n;
    sent.key = sub->key.n ? buf_text(&sub->key) : NULL;
    sent.key_n = sub->key.n;
    sent.options = buf_text(&sub->printed);
    CRASH_POINT(SUBMIT_QUEUED);
    return show_or_send(cache, sub, &sent, err);
}

/* What another thread or process made of it while we waited for the lock. */
static int verdict_of(const struct store_entry *entry, struct err *err)
{
    bool is_bad = entry->state == STORE_ENTRY_REJECTED || entry->state == STORE_ENTRY_FAILED;

    return is_bad ? err_set(err, entry->code ? entry->code : EREMOTEIO, "%s", entry->error) : 0;
}

/* It says SUBMITTING and we have its lock: whoever was sending it is dead, and the answer is lost. */
static int orphaned(struct cache *cache, const struct store_entry *entry, struct err *err)
{
    struct err failed = { 0 };

    (void)err_set(
        err, EREMOTEIO,
        "interrupted while it was sent: the service may have accepted it, the id is lost"); /* its text is the reason */
    if (store_entry_set_state(cache->store, entry->row, STORE_ENTRY_FAILED, err, &failed) < 0)
        *err = failed;
    tell(cache, entry, STORE_ENTRY_FAILED, err);
    return -err->code;
}

/* A draft is not sent, but whoever writes it is told at once what is wrong with it. */
static int check_draft(struct cache *cache, struct submission *sub, struct err *err)
{
    int r = cache_submission_read(cache, sub, err);

    return is_the_users(r) ? settle(cache, sub, STORE_ENTRY_DRAFT, STORE_ENTRY_DRAFT, err) : r;
}

/* A directory that mkdir() made does not exist when mkdir() failed. */
static int drop_refused(struct cache *cache, int64_t row, int r, struct err *err)
{
    struct store_entry entry;
    struct err ignored = { 0 };

    if (r < 0 && store_entry_get_row(cache->store, row, &entry, &ignored) == 0 && entry.state == STORE_ENTRY_REJECTED &&
        !entry.suffix[0] && !entry.has_request && store_entry_delete(cache->store, row, &ignored) < 0)
        *err = ignored;
    return r;
}

static int submit_locked(struct cache *cache, int64_t row, struct err *err)
{
    struct store_entry entry;
    cleanup_(cache_submission_done) struct submission sub = SUBMISSION_INIT(&entry);
    int r = store_entry_get_row(cache->store, row, &entry, err);

    if (r != 0)
        return r < 0 ? r : 0; /* deleted */
    if (entry.state == STORE_ENTRY_SUBMITTING)
        return orphaned(cache, &entry, err);
    if (entry.state != STORE_ENTRY_QUEUED && entry.state != STORE_ENTRY_DRAFT)
        return verdict_of(&entry, err); /* only what is surely not accepted yet may be sent */
    r = store_entry_text(cache->store, row, &sub.text, err);
    if (r != 0)
        return r == STORE_ABSENT ? 0 : r;
    return entry.state == STORE_ENTRY_DRAFT ? check_draft(cache, &sub, err) : submit_text(cache, &sub, err);
}

int cache_submit(struct cache *cache, int64_t row, struct err *err)
{
    int fd = -1;
    int r;

    lock_assert_none_held();
    r = cache_entry_lock(cache, row, &cache->stop_waiting, &fd, err);
    if (r == STORE_BUSY)
        return err_set(err, ECANCELED, "the mount is ending");
    if (r < 0)
        return r;
    r = drop_refused(cache, row, submit_locked(cache, row, err), err); /* somebody waits for the verdict */
    store_digest_unlock(fd);
    return r;
}

/* Behind everybody's back: what another process or thread has in its hands is left to it. */
static int submit_if_free(struct cache *cache, int64_t row, struct err *err)
{
    static const volatile bool at_once = true;
    int fd = -1;
    int r = cache_entry_lock(cache, row, &at_once, &fd, err);

    if (r != 0)
        return r == STORE_BUSY ? 0 : r;
    r = submit_locked(cache, row, err);
    store_digest_unlock(fd);
    return r;
}

/* ---- what is found on disk ---- */

struct rows {
    enum store_entry_state state;
    int64_t rows[SUBMIT_ROWS_MAX];
    size_t n;
};

static int collect(void *closure, const struct store_entry *entry)
{
    struct rows *rows = closure;

    if (entry->state == rows->state)
        rows->rows[rows->n++] = entry->row;
    return rows->n == SUBMIT_ROWS_MAX; /* the rest comes next time */
}

/* The entries in one state, of all directories. */
static int find_rows(struct cache *cache, enum store_entry_state state, struct rows *rows, struct err *err)
{
    static const enum store_dir dirs[] = { STORE_HUNTS, STORE_EXACT, STORE_FUZZY, STORE_DOWNLOADS };
    int r = 0;

    rows->state = state;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
        r = store_entry_list(cache->store, dirs[i], collect, rows, err);
    return r < 0 ? r : 0;
}

/* What is queued is sent; what a dead process was sending becomes failed. */
static void submit_all(struct cache *cache, enum store_entry_state state, struct rows *rows)
{
    struct err err = { 0 };

    rows->n = 0;
    if (find_rows(cache, state, rows, &err) < 0)
        return; /* the listing of requests just after says what is wrong with the disk */
    for (size_t i = 0; i < rows->n && !atomic_load(&cache->cancelled); i++)
        if (submit_if_free(cache, rows->rows[i], &err) < 0 && err.code != ECANCELED)
            log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "submit"), LOG_NUMBER(LOG_ERRNO, err.code),
                      LOG_TEXT(LOG_TRACE, err.trace));
}

void cache_submit_queued(struct cache *cache)
{
    cleanup_(freep) struct rows *rows = calloc(1, sizeof *rows);

    if (!rows)
        return; /* next time */
    submit_all(cache, STORE_ENTRY_SUBMITTING, rows);
    if (!cache->config.is_offline)
        submit_all(cache, STORE_ENTRY_QUEUED, rows);
}
