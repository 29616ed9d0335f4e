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

CHECKED static int charge_locked(struct engine_db *db, enum engine_quota_kind kind, const char *month, int64_t n,
                                 int64_t limit, struct err *err) REQUIRES(&db->lock);
static int charge_locked(struct engine_db *db, enum engine_quota_kind kind, const char *month, int64_t n, int64_t limit,
                         struct err *err)
{
    int64_t spent = 0;
    int r = spent_locked(db, kind, month, &spent, err);

    if (r < 0)
        return r;
    if (n > 0 && (n > limit || spent > limit - n))
        return ENGINE_QUOTA_EXCEEDED;
    return engine_db_run(db, engine_db_bind(db, SQL_QUOTA_ADD, "tii", month, (int64_t)kind, n), err);
}

int engine_quota_charge(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t n, int64_t limit,
                        struct err *err)
{
    struct clock_text month = month_of(now_s);
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db, engine_db_bind(db, SQL_BEGIN, ""), err);
    if (r == 0) {
        r = charge_locked(db, kind, month.s, n, limit, err);
        if (r == 0)
            r = engine_db_run(db, engine_db_bind(db, SQL_COMMIT, ""), err);
        if (r != 0)
            (void)engine_db_run(db, engine_db_bind(db, SQL_ROLLBACK, ""), NULL); /* the first error counts */
    }
    lock_release(&db->lock);
    return r;
}

int engine_quota_refund(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t n, struct err *err)
{
    return engine_quota_charge(db, kind, now_s, -n, INT64_MAX, err);
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
