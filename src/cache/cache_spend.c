/*
 * Spending: nothing that costs leaves before the store has the intent, and every intent is settled: by us when the call
 * came back, else by whoever finds it with its lock free. Quotas are asked before the first call, after every one, and
 * when they are old; asking is free.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"
#include "util/fault.h"
#include "util/log.h"

enum { SPEND_OPEN_MAX = 256 };

/* The last `percent` of a month, rounded up: a tenth of 5 is 1. */
static int64_t reserve_of(int64_t limit, int percent)
{
    return (limit / 100) * percent + ((limit % 100) * percent + 99) / 100;
}

static struct store_month month_of(struct cache *cache, enum cost cost)
{
    const struct cache_quotas *quotas = &cache->quotas;
    struct store_month month = { 0 };
    bool is_hunts = cost == COST_HUNTS;

    lock_acquire(&cache->lock);
    if (cache->has_quotas) {
        month.limit = is_hunts ? quotas->hunt_limit : quotas->download_limit;
        month.used = is_hunts ? quotas->hunt_count : quotas->download_count;
        month.seen = cache->quotas_seen;
        month.reserve = month.limit > 0 ? reserve_of(month.limit, atomic_load(&cache->reserve_percent)) : 0;
    }
    lock_release(&cache->lock);
    return month;
}

static bool is_old(struct cache *cache)
{
    bool old;

    lock_acquire(&cache->lock);
    old = !clock_is_fresh(cache->quotas.asked_s, CACHE_QUOTAS_FRESH_S) &&
          !clock_is_fresh(cache->quotas.tried_s, CACHE_QUOTAS_FRESH_S);
    lock_release(&cache->lock);
    return old;
}

static int refuse_month(struct cache *cache, const struct store_spend *spend, const struct store_month *month,
                        int64_t used, struct err *err)
{
    struct cache_quotas quotas = { 0 };
    int64_t left = month->limit > used ? month->limit - used : 0;

    (void)cache_quotas(cache, &quotas, NULL); /* there is an answer: the limit came from it */
    if (spend->n <= left)
        return err_set(err, EDQUOT,
                       "%lld %s, and of the %lld that the month's quota leaves %lld are kept (-o reserve=%d)",
                       (long long)spend->n, cost_noun(spend->cost, spend->n), (long long)left,
                       (long long)month->reserve, atomic_load(&cache->reserve_percent));
    return err_set(err, EDQUOT, "%lld %s, and %lld of the month's quota of %lld are left until %s", (long long)spend->n,
                   cost_noun(spend->cost, spend->n), (long long)left, (long long)month->limit, quotas.refresh_time);
}

static int begin(struct cache *cache, const struct store_spend *spend, int64_t *ret_row, struct err *err)
{
    struct err ignored = { 0 };
    struct store_month month;
    bool has_asked = false;
    int64_t used = 0;
    int r;

    if (is_old(cache)) /* a failure shows in `status`; without an answer the service itself decides */
        has_asked = cache_fetch_quotas(cache, &ignored) == 0;
    for (;;) {
        month = month_of(cache, spend->cost);
        r = store_spend_begin(cache->store, spend, &month, ret_row, &used, err);
        if (r != STORE_SPENT || has_asked || used == month.used)
            break;
        has_asked = true; /* some of it may have come to nothing since */
        if (cache_fetch_quotas(cache, &ignored) < 0)
            break;
    }
    if (r == STORE_SPENT)
        r = refuse_month(cache, spend, &month, used, err);
    if (r == -EDQUOT)
        cache_refused(cache, err);
    return r;
}

int cache_spend_look(struct cache *cache, const struct store_spend *spend, struct err *err)
{
    return begin(cache, spend, NULL, err);
}

int cache_spend_begin(struct cache *cache, const struct store_spend *spend, int64_t *ret_row, struct err *err)
{
    int r = begin(cache, spend, ret_row, err);

    CRASH_POINT(SPEND_BEGUN);
    return r;
}

/* What could not be noted is found again. EAGAIN: another process has the database, and we are in a hurry. */
static void tell(const char *op, const struct err *err)
{
    log_event(err->code == EAGAIN ? LOG_LEVEL_WARN : LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, op),
              LOG_NUMBER(LOG_ERRNO, err->code));
}

static void audit(struct cache *cache)
{
    struct err err = { 0 };

    if (store_audit_flush(cache->store, &err) < 0)
        tell("audit", &err);
}

static void settle(struct cache *cache, int64_t row, const struct store_settled *settled)
{
    struct err err = { 0 };

    if (store_spend_settle(cache->store, row, settled, &err) < 0) /* it counts as spent */
        tell("settle", &err);
    CRASH_POINT(SPEND_SETTLED);
    audit(cache);
}

void cache_spend_end(struct cache *cache, int64_t row, const struct cache_spent *spent)
{
    struct store_settled settled = {
        .state = STORE_SPEND_FREE,
        .request = spent->request,
        .is_verified = spent->is_verified,
        .why = spent->why,
        .month = month_of(cache, spent->cost),
    };

    if (spent->outcome == 0)
        settled.state = STORE_SPEND_PAID;
    else if (spent->was_sent)
        settled.state = STORE_SPEND_UNSURE;
    settle(cache, row, &settled);
    if (settled.state != STORE_SPEND_FREE || spent->outcome == -EDQUOT)
        cache_spent(cache);
}

/* Takes what is said to be under way; STORE_BUSY: it is. */
static int lock_intent(struct cache *cache, const struct store_intent *intent, int *ret_fd, struct err *err)
{
    static const volatile bool at_once = true;

    return intent->has_digest ? store_digest_lock(cache->store, &intent->digest, &at_once, ret_fd, err)
                              : cache_entry_lock(cache, intent->entry_row, &at_once, ret_fd, err);
}

void cache_spend_settle_orphans(struct cache *cache)
{
    struct store_intent intents[SPEND_OPEN_MAX];
    struct err err = { 0 };
    struct err why = { 0 };
    const struct store_settled unsure = { .state = STORE_SPEND_UNSURE, .why = &why };
    const struct store_settled paid = { .state = STORE_SPEND_PAID };
    size_t n = 0;

    (void)err_set(&why, EREMOTEIO,
                  "interrupted while it was under way: it may have been charged"); /* its text counts */
    if (store_spend_open(cache->store, intents, SPEND_OPEN_MAX, &n, &err) < 0)
        tell("settle", &err);
    for (size_t i = 0; i < n; i++) {
        int fd = -1;

        if (lock_intent(cache, &intents[i], &fd, &err) != 0)
            continue; /* somebody has it in hand, or it is looked at again */
        settle(cache, intents[i].row, intents[i].is_accepted ? &paid : &unsure); /* settled meanwhile: left alone */
        store_digest_unlock(fd);
    }
    audit(cache);
}
