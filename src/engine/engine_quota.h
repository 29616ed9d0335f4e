/*
 * engine_quota -- what was spent this month (UTC), kept in the database.
 *
 * Errors     ENGINE_QUOTA_EXCEEDED: not enough left, nothing was charged.
 * Threads    any; several programs may share the database.
 */
#pragma once

#include "engine/engine_db.h"

enum { ENGINE_QUOTA_EXCEEDED = 1 };

/* The numbers are stored in databases. */
enum engine_quota_kind { QUOTA_HUNTS = 0, QUOTA_DOWNLOADS = 1, ENGINE_QUOTA_KINDS };

CHECKED int engine_quota_spent(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t *ret_n,
                               struct err *err);

/* What something costs. */
struct engine_price {
    enum engine_quota_kind kind;
    int64_t n;
    int64_t limit; /* of the month */
};

/* Would the month's sum be at most the limit? */
bool engine_quota_covers(const struct engine_price *price, int64_t spent);

/* Charges a price when it is covered. */
CHECKED int engine_quota_charge(struct engine_db *db, const struct engine_price *price, int64_t now_s, struct err *err);

/* The same as a part of the caller's transaction, so that nothing is charged without what was bought. */
CHECKED int engine_quota_charge_locked(struct engine_db *db, const struct engine_price *price, int64_t now_s,
                                       struct err *err) REQUIRES(&db->lock);

/* The first instant of the next month, UTC. */
int64_t engine_quota_refresh_s(int64_t now_s);
