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

/* Charges `n` units when the month's sum then is at most `limit`. */
CHECKED int engine_quota_charge(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t n,
                                int64_t limit, struct err *err);

/* Gives units back that were charged for nothing. */
CHECKED int engine_quota_refund(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t n,
                                struct err *err);

/* The first instant of the next month, UTC. */
int64_t engine_quota_refresh_s(int64_t now_s);
