/*
 * Submissions. The order is what makes them safe against a death at any point:
 *
 *   draft on disk  →  checked  →  SUBMITTING on disk (the intent)  →  POST  →  id and SUBMITTED on disk, in one
 * transaction
 *
 * Found SUBMITTING by a process that does not hold the entry's lock, it is ambiguous: the request may have been
 * accepted. It becomes failed and is never sent again without a word from the user, since each hunt costs.
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

enum { SUBMIT_ROWS_MAX = 1000, SUBMIT_OPTIONS_MAX = 1024 };

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

static int entry_lock(struct cache *cache, int64_t row, const volatile bool *cancel, int *ret_fd, struct err *err)
{
    char about[64];
    int n = snprintf(about, sizeof about, "malqueryfs entry %lld", (long long)row);

    return lock_about(cache, about, (size_t)n, cancel, ret_fd, err);
}

static int text_lock(struct cache *cache, const struct store_sent *sent, int *ret_fd, struct err *err)
{
    struct buf about = BUF_INIT(QUERY_RULE_MAX + SUBMIT_OPTIONS_MAX);
    int r;

    buf_printf(&about, "malqueryfs text %d %s ", (int)sent->dir, sent->options);
    buf_append(&about, sent->text, sent->n);
    r = buf_check(&about, err, "a lock");
    if (r == 0)
        r = lock_about(cache, buf_text(&about), about.n, &cache->stop_waiting, ret_fd, err);
    buf_done(&about);
    return r;
}

/* Sets state and words; the caller's error stays what it was. Returns -err->code, or the disk's failure. */
static int settle(struct cache *cache, const struct store_entry *entry, enum store_entry_state state, struct err *err)
{
    struct err failed = { 0 };

    if (store_entry_set_state(cache->store, entry->row, state, err->text, err->trace, &failed) < 0)
        *err = failed;
    cache_changed(cache);
    return -err->code;
}

/* Our own check; `printed` gets the options that will be sent. */
static int check(struct cache *cache, const struct buf *text, struct query_options *options, struct buf *printed,
                 struct err *err)
{
    int r = input_rule_options(buf_text(text), text->n, options, err);

    if (r == 0)
        r = input_rule_check(buf_text(text), text->n, cache->config.yara_check, err);
    input_options_print(options, printed);
    return r < 0 ? r : buf_check(printed, err, "the options");
}

/* Shows the request of an earlier submission with the same text and options. STORE_ABSENT: there is none that helps. */
static int show_same(struct cache *cache, int64_t row, const struct store_sent *sent, struct err *err)
{
    struct store_entry same;
    struct store_request request;
    int r = store_entry_find_same(cache->store, sent, &same, err);

    if (r != 0)
        return r;
    r = store_request_get(cache->store, &same.request, &request, err);
    if (r != 0)
        return r;
    if (request.state == REQUEST_FAILED)
        return STORE_ABSENT;
    r = store_entry_show(cache->store, row, sent, &same.request, err);
    return r < 0 ? r
                 : 0; /* STORE_ABSENT: it was edited or deleted meanwhile, and whoever did that goes on from there */
}

static int accepted(struct cache *cache, const struct store_entry *entry, const struct store_sent *sent,
                    const struct request_id *id, int32_t limit, struct err *err)
{
    struct store_accepted accepted = { .id = id, .kind = QUERY_HUNT, .limit = limit, .now_s = clock_now_s() };
    int r = store_entry_accepted(cache->store, entry->row, sent, &accepted, err);

    cache_count(cache, &cache->health.n_submissions, 1);
    if (r < 0) /* the service has it and the disk does not: the log is the last place for the id */
        log_event(LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, "submit"), LOG_TEXT(LOG_REQUEST, id->s),
                  LOG_NUMBER(LOG_ERRNO, err->code));
    else
        log_event(LOG_LEVEL_INFO, "submitted", LOG_TEXT(LOG_NODE, entry->name), LOG_TEXT(LOG_REQUEST, id->s));
    cache_changed(cache);
    return r < 0 ? r : 0; /* STORE_ABSENT: deleted meanwhile; the request is kept */
}

static int send_rule(struct cache *cache, const struct store_entry *entry, const struct store_sent *sent,
                     const struct query_options *options, struct err *err)
{
    struct request_id id;
    bool may_have_arrived = false;
    int r = store_entry_begin(cache->store, entry->row, sent, err);

    if (r != 0)
        return r < 0 ? r : 0; /* edited or deleted meanwhile: not what the user wants any more */
    cache_changed(cache);
    r = cache_note(cache, api_hunt(cache->api, sent->text, sent->n, options, &id, &may_have_arrived, err), err);
    cache_spent(cache);
    if (r == 0)
        return accepted(cache, entry, sent, &id, options->limit, err);
    (void)err_wrap(err, "hunt '%s'", entry->name); /* the code stays */
    if (may_have_arrived)
        return settle(cache, entry, STORE_ENTRY_FAILED, err);
    if (is_worth_queueing(err->code)) {
        (void)settle(cache, entry, STORE_ENTRY_QUEUED, err); /* its reason is in `error`; close() succeeds */
        return 0;
    }
    return settle(cache, entry, STORE_ENTRY_REJECTED, err);
}

/* With the text locked on this host, so that the same text under two names is one hunt. */
static int show_or_send(struct cache *cache, const struct store_entry *entry, const struct store_sent *sent,
                        const struct query_options *options, struct err *err)
{
    int fd = -1;
    int r = text_lock(cache, sent, &fd, err);

    if (r == STORE_BUSY)
        return err_set(err, ECANCELED, "the mount is ending");
    if (r < 0)
        return r;
    r = show_same(cache, entry->row, sent, err);
    if (r == STORE_ABSENT)
        r = send_rule(cache, entry, sent, options, err);
    else
        cache_changed(cache);
    store_digest_unlock(fd);
    return r;
}

static int submit_text(struct cache *cache, const struct store_entry *entry, const struct buf *text, struct err *err)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct buf printed = BUF_INIT(SUBMIT_OPTIONS_MAX);
    int r = check(cache, text, &options, &printed, err);

    if (r == 0) {
        struct store_sent sent = {
            .dir = entry->dir, .text = buf_text(text), .n = text->n, .options = buf_text(&printed)
        };

        r = show_or_send(cache, entry, &sent, &options, err);
    } else if (r == -EINVAL || r == -EFBIG) {
        r = settle(cache, entry, STORE_ENTRY_REJECTED, err);
    }
    buf_done(&printed);
    return r;
}

/* What another thread or process made of it while we waited for the lock. */
static int verdict_of(const struct store_entry *entry, struct err *err)
{
    if (entry->state == STORE_ENTRY_REJECTED)
        return err_set(err, EINVAL, "%s", entry->error);
    if (entry->state == STORE_ENTRY_FAILED)
        return err_set(err, EREMOTEIO, "%s", entry->error);
    return 0;
}

/* A draft is not sent, but whoever writes it is told at once what is wrong with it. */
static int check_draft(struct cache *cache, const struct store_entry *entry, struct err *err)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct buf printed = BUF_INIT(SUBMIT_OPTIONS_MAX);
    int r = store_entry_text(cache->store, entry->row, &text, err);

    if (r == 0)
        r = check(cache, &text, &options, &printed, err);
    if (r == -EINVAL || r == -EFBIG)
        r = settle(cache, entry, STORE_ENTRY_DRAFT, err);
    buf_done(&text);
    buf_done(&printed);
    return r;
}

static int submit_locked(struct cache *cache, int64_t row, struct err *err)
{
    struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct store_entry entry;
    int r = store_entry_get_row(cache->store, row, &entry, err);

    if (r != 0)
        return r < 0 ? r : 0; /* deleted */
    if (entry.state == STORE_ENTRY_DRAFT)
        return check_draft(cache, &entry, err);
    if (entry.state != STORE_ENTRY_QUEUED) /* only what is surely not accepted yet may be sent */
        return verdict_of(&entry, err);
    r = store_entry_text(cache->store, row, &text, err);
    if (r == 0)
        r = submit_text(cache, &entry, &text, err);
    buf_done(&text);
    return r == STORE_ABSENT ? 0 : r;
}

int cache_submit(struct cache *cache, int64_t row, struct err *err)
{
    int fd = -1;
    int r;

    lock_assert_none_held();
    r = entry_lock(cache, row, &cache->stop_waiting, &fd, err);
    if (r == STORE_BUSY)
        return err_set(err, ECANCELED, "the mount is ending");
    if (r < 0)
        return r;
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

/* An entry that says SUBMITTING: failed, unless a living process holds its lock. */
static int recover(struct cache *cache, int64_t row, struct err *err)
{
    static const volatile bool at_once = true;
    struct store_entry entry;
    int fd = -1;
    int r = entry_lock(cache, row, &at_once, &fd, err);

    if (r != 0)
        return r == STORE_BUSY ? 0 : r;
    r = store_entry_get_row(cache->store, row, &entry, err);
    if (r == 0 && entry.state == STORE_ENTRY_SUBMITTING)
        r = store_entry_set_state(cache->store, row, STORE_ENTRY_FAILED,
                                  "interrupted while it was sent: the service may have accepted it, the id is lost",
                                  NULL, err);
    store_digest_unlock(fd);
    return r < 0 ? r : 0;
}

int cache_submit_recover(struct cache *cache, struct err *err)
{
    cleanup_(freep) struct rows *rows = calloc(1, sizeof *rows);
    int r;

    if (!rows)
        return err_set(err, ENOMEM, "no memory for the recovery of submissions");
    rows->state = STORE_ENTRY_SUBMITTING;
    r = store_entry_list(cache->store, STORE_HUNTS, collect, rows, err);
    for (size_t i = 0; r >= 0 && i < rows->n; i++)
        r = recover(cache, rows->rows[i], err);
    return r < 0 ? r : 0;
}

void cache_submit_queued(struct cache *cache)
{
    cleanup_(freep) struct rows *rows = calloc(1, sizeof *rows);
    struct err err = { 0 };

    if (!rows)
        return; /* next time */
    rows->state = STORE_ENTRY_QUEUED;
    if (store_entry_list(cache->store, STORE_HUNTS, collect, rows, &err) < 0)
        return; /* the listing of requests just after says what is wrong with the disk */
    for (size_t i = 0; i < rows->n && !atomic_load(&cache->cancelled); i++) {
        if (cache_submit(cache, rows->rows[i], &err) < 0 && err.code != ECANCELED)
            log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "submit"), LOG_NUMBER(LOG_ERRNO, err.code),
                      LOG_TEXT(LOG_TRACE, err.trace));
    }
}
