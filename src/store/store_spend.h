/*
 * store_spend -- what may be paid for, what was, and for whom: budget, ledger, audit. A part of store.h, whose words on
 * units, errors, threads and durability hold here too; include that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/budget.h"
#include "model/caller.h"
#include "model/digest.h"
#include "model/query.h"
#include "util/err.h"

struct store;

/* ---- the budget ---- */

/* What this profile may still spend; shared by its mounts, kept across them. */
CHECKED int store_budget_get(struct store *store, struct budget *ret_budget, struct err *err);

/* Gives a profile that never had a budget its first one. */
CHECKED int store_budget_begin(struct store *store, const struct budget *first, struct err *err);

/* Sets what is left, or adds to it: then adding to BUDGET_UNLIMITED changes nothing. EINVAL: below 0 or too much. */
CHECKED int store_budget_set(struct store *store, enum cost cost, int64_t n, bool is_added, struct err *err);

/*
 * What a mount was told (`said`, "" for nothing) counts when it is not what the last one was told: then every number of
 * `budget` that is at least 0 is set. So whoever mounts again and again, or restarts after a crash, gets no new budget
 * each time.
 */
CHECKED int store_budget_say(struct store *store, const char *said, const struct budget *budget, struct err *err);

/* ---- the ledger ---- */

enum store_spend_state {
    STORE_SPEND_OPEN,   /* intent: it may be on its way. Counts as spent */
    STORE_SPEND_PAID,   /* the service did it */
    STORE_SPEND_UNSURE, /* it left, and what came back does not say: counts as spent */
    STORE_SPEND_FREE,   /* surely not charged: given back to the budget */
};

/* A call that costs quota. */
struct store_spend {
    enum cost cost;
    int64_t n;                   /* units */
    const char *operation;       /* "hunt", "download", … */
    const char *name;            /* of the entry, "" for a single sample */
    const struct digest *digest; /* of a single sample, else NULL */
    int64_t entry_row;           /* 0 for a single sample */
    const struct caller *who;
};

/* What the month allows, as last heard; all 0 when nobody knows. */
struct store_month {
    int64_t used, limit; /* the service's numbers; 0 as limit: not known */
    int64_t reserve;     /* units that are kept */
    int64_t seen;        /* store_spend_seen() from before the service was asked */
};

/*
 * The intent, on disk before the call leaves, and out of the budget. EDQUOT: the budget does not have it. STORE_SPENT:
 * the month does not, with what was spent since it was heard; *ret_used says how much that makes. Without ret_row
 * (NULL) it only says what it would say, and nothing is written.
 */
enum { STORE_SPENT = 4 };
CHECKED int store_spend_begin(struct store *store, const struct store_spend *spend, const struct store_month *month,
                              int64_t *ret_row, int64_t *ret_used, struct err *err);

/* What became of it. */
struct store_settled {
    enum store_spend_state state;
    const struct request_id *request; /* NULL: none, or that of store_entry_accepted() */
    bool is_verified;                 /* bytes came, and they are the right ones */
    const struct err *why;            /* NULL: all is well */
    struct store_month month;         /* for "quota after" */
};

/* Settles it once; the budget gets back what was free. An intent that is settled already is left alone. */
CHECKED int store_spend_settle(struct store *store, int64_t row, const struct store_settled *settled, struct err *err);

/* Grows with every call that is settled. */
CHECKED int store_spend_seen(struct store *store, int64_t *ret_seen, struct err *err);

/* How often a single sample was paid for, or may have been, without arriving; the last reason. Paying for one that
 * arrives, or store_spend_forgive(), begins anew. */
CHECKED int store_spend_tries(struct store *store, const struct digest *digest, int *ret_n, struct err *ret_last,
                              struct err *err);
CHECKED int store_spend_forgive(struct store *store, const struct digest *digest, struct err *err);

/* Intents that are not settled: the calls that are under way, and those of processes that died. At most `max`. */
struct store_intent {
    int64_t row;
    int64_t entry_row;
    bool is_accepted; /* the id of its request is on disk: it is paid */
    bool has_digest;
    struct digest digest;
};
CHECKED int store_spend_open(struct store *store, struct store_intent *ret_intents, size_t max, size_t *ret_n,
                             struct err *err);

/* ---- the audit ---- */

/*
 * Brings audit.jsonl in the state directory up to date: every settled call once, in the order in which they were
 * settled, whichever process settled it and whatever died in between (src/store/AUDIT.md). Cheap when there is nothing
 * to do. Gives up after a second while another process has the file: the next flush, of either, writes it all.
 */
CHECKED int store_audit_flush(struct store *store, struct err *err);

/* One line for what was refused to somebody; not synced. Waits for another process that has the file, for a second at
 * most and not again for a while; then it is written all the same. */
CHECKED int store_audit_denied(struct store *store, const struct digest *digest, const struct caller *who,
                               const char *why, struct err *err);
