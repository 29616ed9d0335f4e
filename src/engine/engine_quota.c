#include "engine/engine_quota.h"

#include <stdio.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

enum { MONTH_TEXT = 7 }; /* 2026-03 */

static struct clock_text month_of(int64_t now_s)
{
    struct clock_text text = clock_iso(now_s);

    text.s[MONTH_TEXT] = '\0';
    return text;
}

CHECKED static int spent_locked(struct engine_db *db, enum engine_quota_kind kind, const char *month, int64_t *ret_n,
                                struct err *err) REQUIRES(&db->lock);
static int spent_locked(struct engine_db *db, enum engine_quota_kind kind, const char *month, int64_t *ret_n,
                        struct err *err)
{
    sqlite3_stmt *stmt = engine_db_bind(db, SQL_QUOTA_GET, "ti", month, (int64_t)kind);
    int r = engine_db_step(db, stmt, err);

    if (r < 0)
        return r;
    *ret_n = r == 1 ? sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_reset(stmt); /* the step succeeded */
    return 0;
}

int engine_quota_spent(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t *ret_n,
                       struct err *err)
{
    struct clock_text month = month_of(now_s);
    int r;

    lock_acquire(&db->lock);
    r = spent_locked(db, kind, month.s, ret_n, err);
    lock_release(&db->lock);
    return r;
}

int engine_quota_charge_locked(struct engine_db *db, const struct engine_price *price, int64_t now_s, struct err *err)
{
    struct clock_text month = month_of(now_s);
    int64_t spent = 0;
    int r = spent_locked(db, price->kind, month.s, &spent, err);

    if (r < 0)
        return r;
    if (!engine_quota_covers(price, spent))
        return ENGINE_QUOTA_EXCEEDED;
    return engine_db_run(db, engine_db_bind(db, SQL_QUOTA_ADD, "tii", month.s, (int64_t)price->kind, price->n), err);
}

bool engine_quota_covers(const struct engine_price *price, int64_t spent)
{
    return price->n <= 0 || (price->n <= price->limit && spent <= price->limit - price->n);
}

int engine_quota_charge(struct engine_db *db, const struct engine_price *price, int64_t now_s, struct err *err)
{
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db, engine_db_bind(db, SQL_BEGIN, ""), err);
    if (r == 0) {
        r = engine_quota_charge_locked(db, price, now_s, err);
        if (r == 0)
            r = engine_db_run(db, engine_db_bind(db, SQL_COMMIT, ""), err);
        if (r != 0)
            (void)engine_db_run(db, engine_db_bind(db, SQL_ROLLBACK, ""), NULL); /* the first error counts */
    }
    lock_release(&db->lock);
    return r;
}

int64_t engine_quota_refresh_s(int64_t now_s)
{
    struct clock_text now = clock_iso(now_s);
    char first[CLOCK_ISO_MAX + 16];
    int month = (now.s[5] - '0') * 10 + (now.s[6] - '0');
    int year = clock_year(now_s);
    int64_t s = now_s;

    (void)snprintf(first, sizeof first, "%04d-%02d-01", month == 12 ? year + 1 : year, month % 12 + 1); /* fits */
    return text_parse_date(first, &s) ? s : now_s;
}
