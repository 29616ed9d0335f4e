/*
 * What may be paid for, and what was. An intent is committed before the call leaves and taken out of the budget in the
 * same transaction; so whoever dies in between has spent, as far as anybody can tell, and no two mounts of a profile
 * spend the same unit.
 */
#include <errno.h>

#include "store/store_internal.h"
#include "util/clock.h"

static const char *const cost_words[] = { [COST_DOWNLOADS] = "", [COST_HUNTS] = "hunts " }; /* in budget */

void store_query_caller(struct store_query *query, const struct caller *who)
{
    store_query_int(query, who->uid);
    store_query_int(query, who->pid);
    store_query_text(query, who->program);
}

/* ---- budget ---- */

CHECKED static int left_locked(struct store *store, enum cost cost, int64_t *ret_left, struct err *err)
    REQUIRES(&store->db.lock);

/* A profile that never had a budget has none. */
static int left_locked(struct store *store, enum cost cost, int64_t *ret_left, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_BUDGET_GET);
    int r;

    *ret_left = 0;
    store_query_int(&query, cost);
    r = store_query_step(&query, err);
    if (r == STORE_ROW)
        *ret_left = store_query_column_is_null(&query, 0) ? BUDGET_UNLIMITED : store_query_column_int(&query, 0);
    return r < 0 ? r : 0;
}

int store_budget_get(struct store *store, struct budget *ret_budget, struct err *err)
{
    int r = 0;

    lock_acquire(&store->db.lock);
    for (enum cost cost = 0; r == 0 && cost < COSTS; cost++)
        r = left_locked(store, cost, &ret_budget->left[cost], err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int put_left_locked(struct store *store, enum store_sql sql, enum cost cost, int64_t left,
                                   struct err *err) REQUIRES(&store->db.lock);

static int put_left_locked(struct store *store, enum store_sql sql, enum cost cost, int64_t left, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, sql);

    store_query_int(&query, cost);
    if (left == BUDGET_UNLIMITED)
        store_query_null(&query);
    else
        store_query_int(&query, left);
    return store_query_run(&query, err);
}

int store_budget_begin(struct store *store, const struct budget *first, struct err *err)
{
    int r = 0;

    lock_acquire(&store->db.lock);
    for (enum cost cost = 0; r == 0 && cost < COSTS; cost++)
        r = put_left_locked(store, SQL_BUDGET_BEGIN, cost, first->left[cost], err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int set_locked(struct store *store, enum cost cost, int64_t n, bool is_added, struct err *err)
    REQUIRES(&store->db.lock);

static int set_locked(struct store *store, enum cost cost, int64_t n, bool is_added, struct err *err)
{
    int64_t left = 0;
    int r = is_added ? left_locked(store, cost, &left, err) : 0;

    if (r < 0)
        return r;
    if (left == BUDGET_UNLIMITED || n == BUDGET_UNLIMITED)
        left = BUDGET_UNLIMITED;
    else if (__builtin_add_overflow(left, n, &left) || left < 0 || left == BUDGET_UNLIMITED)
        return err_set(err, EINVAL, "a budget of %s is at least 0, and no larger than anybody needs", cost_names[cost]);
    return put_left_locked(store, is_added ? SQL_BUDGET_RAISE : SQL_BUDGET_SET, cost, left, err);
}

int store_budget_set(struct store *store, enum cost cost, int64_t n, bool is_added, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, set_locked(store, cost, n, is_added, err), err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int say_locked(struct store *store, const char *said, const struct budget *budget, struct err *err)
    REQUIRES(&store->db.lock);

static int say_locked(struct store *store, const char *said, const struct budget *budget, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_BUDGET_SAY);
    bool is_news;
    int r;

    store_query_text(&query, said);
    r = store_query_step(&query, err);
    is_news = r == STORE_ROW;
    if (r == STORE_ROW)
        r = store_query_run(&query, err);
    for (enum cost cost = 0; r == 0 && is_news && cost < COSTS; cost++)
        if (budget->left[cost] >= 0)
            r = put_left_locked(store, SQL_BUDGET_SET, cost, budget->left[cost], err);
    return r;
}

int store_budget_say(struct store *store, const char *said, const struct budget *budget, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, say_locked(store, said, budget, err), err);
    lock_release(&store->db.lock);
    return r;
}

/* ---- intents ---- */

CHECKED static int used_locked(struct store *store, enum cost cost, const struct store_month *month, int64_t *ret_used,
                               struct err *err) REQUIRES(&store->db.lock);

/* The service's number, and what it may not have counted yet. */
static int used_locked(struct store *store, enum cost cost, const struct store_month *month, int64_t *ret_used,
                       struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_SINCE);
    int r;

    store_query_int(&query, cost);
    store_query_int(&query, month->seen);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    *ret_used = month->used + store_query_column_int(&query, 0);
    return 0;
}

CHECKED static int check_left_locked(struct store *store, const struct store_spend *spend, struct err *err)
    REQUIRES(&store->db.lock);

static int check_left_locked(struct store *store, const struct store_spend *spend, struct err *err)
{
    int64_t left;
    int r = left_locked(store, spend->cost, &left, err);

    if (r < 0)
        return r;
    if (left < spend->n)
        return err_set(err, EDQUOT, "%lld %s, and the budget has %lld: `echo %s+%lld > budget` allows more",
                       (long long)spend->n, cost_noun(spend->cost, spend->n), (long long)left, cost_words[spend->cost],
                       (long long)(spend->n - left));
    return 0;
}

CHECKED static int take_locked(struct store *store, const struct store_spend *spend, struct err *err)
    REQUIRES(&store->db.lock);

static int take_locked(struct store *store, const struct store_spend *spend, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_BUDGET_TAKE);

    store_query_int(&query, spend->cost);
    store_query_int(&query, spend->n);
    return store_query_run(&query, err);
}

CHECKED static int add_locked(struct store *store, const struct store_spend *spend, int64_t *ret_row, struct err *err)
    REQUIRES(&store->db.lock);

static int add_locked(struct store *store, const struct store_spend *spend, int64_t *ret_row, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_ADD);
    int r;

    store_query_int(&query, clock_now_s());
    store_query_int(&query, spend->cost);
    store_query_int(&query, spend->n);
    store_query_text(&query, spend->operation);
    store_query_text(&query, spend->name);
    if (spend->digest)
        store_query_blob(&query, spend->digest->bytes, DIGEST_BYTES);
    else
        store_query_null(&query);
    store_query_int(&query, spend->entry_row);
    store_query_caller(&query, spend->who);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    *ret_row = store_query_column_int(&query, 0);
    return store_query_run(&query, err);
}

CHECKED static int begin_locked(struct store *store, const struct store_spend *spend, const struct store_month *month,
                                int64_t *ret_row, int64_t *ret_used, struct err *err) REQUIRES(&store->db.lock);

static int begin_locked(struct store *store, const struct store_spend *spend, const struct store_month *month,
                        int64_t *ret_row, int64_t *ret_used, struct err *err)
{
    int r = used_locked(store, spend->cost, month, ret_used, err);

    if (r < 0)
        return r;
    if (month->limit > 0 && spend->n > month->limit - month->reserve - *ret_used)
        return STORE_SPENT;
    r = check_left_locked(store, spend, err);
    if (r == 0 && ret_row)
        r = take_locked(store, spend, err);
    return r < 0 || !ret_row ? r : add_locked(store, spend, ret_row, err);
}

int store_spend_begin(struct store *store, const struct store_spend *spend, const struct store_month *month,
                      int64_t *ret_row, int64_t *ret_used, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, begin_locked(store, spend, month, ret_row, ret_used, err), err);
    lock_release(&store->db.lock);
    return r;
}

/* ---- what became of them ---- */

CHECKED static int give_back_locked(struct store *store, int64_t row, struct err *err) REQUIRES(&store->db.lock);

static int give_back_locked(struct store *store, int64_t row, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_BUDGET_GIVE);

    store_query_int(&query, row);
    return store_query_run(&query, err);
}

CHECKED static int forgive_locked(struct store *store, const void *digest, size_t n, struct err *err)
    REQUIRES(&store->db.lock);

static int forgive_locked(struct store *store, const void *digest, size_t n, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_FORGIVE);

    store_query_blob(&query, digest, n);
    return store_query_run(&query, err);
}

/* Cost and kind of an intent, and whether there is one. */
struct intent {
    bool is_open;
    bool has_digest;
    enum cost cost;
    struct digest digest;
};

CHECKED static int find_open_locked(struct store *store, int64_t row, struct intent *ret_intent, struct err *err)
    REQUIRES(&store->db.lock);

static int find_open_locked(struct store *store, int64_t row, struct intent *ret_intent, struct err *err)
{
    enum { COLUMN_COST, COLUMN_DIGEST };
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_GET);
    int r;

    *ret_intent = (struct intent){ 0 };
    store_query_int(&query, row);
    r = store_query_step(&query, err);
    if (r != STORE_ROW)
        return r;
    ret_intent->is_open = true;
    ret_intent->cost = (enum cost)store_query_column_int(&query, COLUMN_COST);
    ret_intent->has_digest = !store_query_column_is_null(&query, COLUMN_DIGEST);
    if (ret_intent->has_digest)
        store_query_column_digest(&query, COLUMN_DIGEST, &ret_intent->digest);
    return 0;
}

CHECKED static int put_settled_locked(struct store *store, int64_t row, const struct store_settled *settled,
                                      struct err *err) REQUIRES(&store->db.lock);

static int put_settled_locked(struct store *store, int64_t row, const struct store_settled *settled, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_SETTLE);

    store_query_int(&query, row);
    store_query_int(&query, settled->state);
    store_query_known(&query, settled->request ? settled->request->s : NULL);
    store_query_int(&query, settled->is_verified);
    store_query_int(&query, settled->why ? settled->why->code : 0);
    store_query_text(&query, settled->why ? settled->why->text : "");
    store_query_text(&query, settled->why ? settled->why->trace : "");
    return store_query_run(&query, err);
}

CHECKED static int put_month_locked(struct store *store, int64_t row, enum cost cost, const struct store_month *month,
                                    struct err *err) REQUIRES(&store->db.lock);

/* The quota after the call, which is among what was spent by now. */
static int put_month_locked(struct store *store, int64_t row, enum cost cost, const struct store_month *month,
                            struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_MONTH);
    int64_t used = 0;
    int r = used_locked(store, cost, month, &used, err);

    if (r < 0 || month->limit == 0)
        return r;
    store_query_int(&query, row);
    store_query_int(&query, used);
    store_query_int(&query, month->limit);
    return store_query_run(&query, err);
}

CHECKED static int settle_locked(struct store *store, int64_t row, const struct store_settled *settled, struct err *err)
    REQUIRES(&store->db.lock);

static int settle_locked(struct store *store, int64_t row, const struct store_settled *settled, struct err *err)
{
    struct intent intent;
    int r = find_open_locked(store, row, &intent, err);

    if (r < 0 || !intent.is_open)
        return r;
    r = put_settled_locked(store, row, settled, err);
    if (r == 0 && settled->state == STORE_SPEND_FREE)
        r = give_back_locked(store, row, err);
    if (r == 0 && settled->is_verified && intent.has_digest)
        r = forgive_locked(store, intent.digest.bytes, DIGEST_BYTES, err);
    return r < 0 ? r : put_month_locked(store, row, intent.cost, &settled->month, err);
}

int store_spend_settle(struct store *store, int64_t row, const struct store_settled *settled, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, settle_locked(store, row, settled, err), err);
    lock_release(&store->db.lock);
    return r;
}

int store_spend_seen(struct store *store, int64_t *ret_seen, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_SEEN);

        r = store_query_step(&query, err);
        if (r == STORE_ROW)
            *ret_seen = store_query_column_int(&query, 0);
    }
    lock_release(&store->db.lock);
    return r < 0 ? r : 0;
}

int store_spend_tries(struct store *store, const struct digest *digest, int *ret_n, struct err *ret_last,
                      struct err *err)
{
    enum { COLUMN_CODE, COLUMN_ERROR, COLUMN_TRACE, COLUMN_N };
    int r;

    *ret_n = 0;
    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_TRIES);

        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        r = store_query_step(&query, err);
        if (r == STORE_ROW) {
            *ret_n = (int)store_query_column_int(&query, COLUMN_N);
            ret_last->code = (int)store_query_column_int(&query, COLUMN_CODE);
            store_query_column_text(&query, COLUMN_ERROR, ret_last->text, sizeof ret_last->text);
            store_query_column_text(&query, COLUMN_TRACE, ret_last->trace, sizeof ret_last->trace);
        }
    }
    lock_release(&store->db.lock);
    return r < 0 ? r : 0;
}

int store_spend_forgive(struct store *store, const struct digest *digest, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = forgive_locked(store, digest->bytes, DIGEST_BYTES, err);
    lock_release(&store->db.lock);
    return r;
}

int store_spend_open(struct store *store, struct store_intent *ret_intents, size_t max, size_t *ret_n, struct err *err)
{
    enum { COLUMN_ROW, COLUMN_ENTRY, COLUMN_DIGEST, COLUMN_IS_ACCEPTED };
    size_t n = 0;
    int r = 0;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_OPEN);

        store_query_int(&query, (int64_t)max);
        while (n < max && (r = store_query_step(&query, err)) == STORE_ROW) {
            struct store_intent *intent = &ret_intents[n++];

            *intent = (struct store_intent){ .row = store_query_column_int(&query, COLUMN_ROW),
                                             .entry_row = store_query_column_int(&query, COLUMN_ENTRY),
                                             .is_accepted = store_query_column_int(&query, COLUMN_IS_ACCEPTED) != 0,
                                             .has_digest = !store_query_column_is_null(&query, COLUMN_DIGEST) };
            if (intent->has_digest)
                store_query_column_digest(&query, COLUMN_DIGEST, &intent->digest);
        }
    }
    lock_release(&store->db.lock);
    *ret_n = n;
    return r < 0 ? r : 0;
}
