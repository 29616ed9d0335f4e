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

#include "rule/rule.h"
#include "util/clock.h"
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

/* The host-wide lock of an entry, so that one process sends it and the others can tell that one does. */
static int entry_lock(struct cache *cache, int64_t row, const volatile bool *cancel, int *ret_fd, struct err *err)
{
    char key[64];
    struct digest digest;
    int n = snprintf(key, sizeof key, "malqueryfs entry %lld", (long long)row);
    int r = digest_of(key, (size_t)n, &digest, err);

    if (r < 0)
        return r;
    return store_digest_lock(cache->store, &digest, cancel, ret_fd, err);
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

/* Our own check; on success entry->options has what will be sent. */
static int check(struct cache *cache, struct store_entry *entry, const struct buf *text, struct query_options *options,
                 struct err *err)
{
    struct buf printed = BUF_INIT(sizeof entry->options - 1);
    int r = rule_options(buf_text(text), text->n, options, err);

    if (r == 0)
        r = rule_check(buf_text(text), text->n, cache->config.yara_check, err);
    rule_options_print(options, &printed);
    if (r == 0)
        r = buf_check(&printed, err, "the options");
    if (r == 0)
        (void)text_copy(entry->options, sizeof entry->options, buf_text(&printed)); /* the limits are equal */
    buf_done(&printed);
    return r;
}

/* Shows the request of an earlier submission with the same text and options. STORE_ABSENT: there is none that helps. */
static int show_same(struct cache *cache, struct store_entry *entry, const struct buf *text, struct err *err)
{
    struct store_entry same;
    struct store_request request;
    int r = store_entry_find_same(cache->store, entry->dir, buf_text(text), text->n, entry->options, &same, err);

    if (r != 0)
        return r;
    r = store_request_get(cache->store, &same.request, &request, err);
    if (r != 0)
        return r;
    if (request.state == REQUEST_FAILED)
        return STORE_ABSENT;
    entry->state = STORE_ENTRY_SUBMITTED;
    entry->has_request = true;
    entry->request = same.request;
    entry->error[0] = '\0';
    return store_entry_put(cache->store, entry, buf_text(text), text->n, err);
}

static int accepted(struct cache *cache, const struct store_entry *entry, const struct request_id *id, int32_t limit,
                    struct err *err)
{
    int r = store_entry_accepted(cache->store, entry->row, id, QUERY_HUNT, limit, clock_now_s(), err);

    cache_count(cache, &cache->health.n_submissions, 1);
    if (r < 0) /* the service has it and the disk does not: the log is the last place for the id */
        log_event(LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, "submit"), LOG_TEXT(LOG_REQUEST, id->s),
                  LOG_NUMBER(LOG_ERRNO, err->code));
    else
        log_event(LOG_LEVEL_INFO, "submitted", LOG_TEXT(LOG_NODE, entry->name), LOG_TEXT(LOG_REQUEST, id->s));
    cache_changed(cache);
    return r < 0 ? r : 0; /* STORE_ABSENT: deleted meanwhile; the request is kept */
}

static int send_rule(struct cache *cache, struct store_entry *entry, const struct buf *text,
                     const struct query_options *options, struct err *err)
{
    struct request_id id;
    bool sent = false;
    int r = store_entry_set_state(cache->store, entry->row, STORE_ENTRY_SUBMITTING, NULL, NULL, err);

    if (r < 0)
        return r;
    cache_changed(cache);
    r = cache_note(cache, api_hunt(cache->api, buf_text(text), text->n, options, &id, &sent, err), err);
    if (r == 0)
        return accepted(cache, entry, &id, options->limit, err);
    (void)err_wrap(err, "hunt '%s'", entry->name); /* the code stays */
    if (sent)
        return settle(cache, entry, STORE_ENTRY_FAILED, err);
    if (is_worth_queueing(err->code)) {
        (void)settle(cache, entry, STORE_ENTRY_QUEUED, err); /* its reason is in `error`; close() succeeds */
        return 0;
    }
    return settle(cache, entry, STORE_ENTRY_REJECTED, err);
}

static int submit_text(struct cache *cache, struct store_entry *entry, const struct buf *text, struct err *err)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    int r = check(cache, entry, text, &options, err);

    if (r == -EINVAL || r == -EFBIG)
        return settle(cache, entry, STORE_ENTRY_REJECTED, err);
    if (r < 0)
        return r;
    r = show_same(cache, entry, text, err);
    if (r <= 0) {
        cache_changed(cache);
        return r;
    }
    r = store_entry_put(cache->store, entry, buf_text(text), text->n, err); /* the options, exactly */
    if (r < 0)
        return r;
    return send_rule(cache, entry, text, &options, err);
}

static int submit_locked(struct cache *cache, int64_t row, struct err *err)
{
    struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct store_entry entry;
    int r = store_entry_get_row(cache->store, row, &entry, err);

    if (r == STORE_ABSENT || (r == 0 && entry.state == STORE_ENTRY_SUBMITTED))
        return 0; /* deleted, or another thread was faster */
    if (r == 0)
        r = store_entry_text(cache->store, row, &text, err);
    if (r == 0)
        r = submit_text(cache, &entry, &text, err);
    buf_done(&text);
    return r;
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
