/*
 * budget -- what may be spent: the two things that cost, and how people write numbers of them.
 *
 * Units      downloads and hunts. An exact search costs a hunt (API page 4).
 * Errors     EINVAL with words; outputs are left alone then.
 * Threads    plain values.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"

enum cost { COST_DOWNLOADS, COST_HUNTS, COSTS };

extern const char *const cost_names[COSTS]; /* "downloads", "hunts" */

/* "download" for one, "downloads" else. */
const char *cost_noun(enum cost cost, int64_t n);

#define BUDGET_UNLIMITED INT64_MAX

enum { BUDGET_MAX = 1000000000 }; /* the most that can be set or added at once */

struct budget {
    int64_t left[COSTS]; /* BUDGET_UNLIMITED, or at least 0 */
};

/* One word to the file `budget`. */
struct budget_change {
    enum cost cost;
    int64_t n; /* at least 0, or BUDGET_UNLIMITED */
    bool is_added;
};

/* "25", "+10", "hunts 3", "hunts +3", "downloads 25", "unlimited", "hunts unlimited". */
CHECKED int budget_parse_change(const char *words, struct budget_change *ret_change, struct err *err);

/* The value of the option: "25", "25:3" (downloads and hunts), ":3", "unlimited:3". What is not said stays. */
CHECKED int budget_parse(const char *text, struct budget *budget, struct err *err);

/* A number, or "unlimited". */
void budget_print(struct buf *buf, int64_t left);

/* Of a month: "28/50". The service has no word for a quota without a limit; BUDGET_MAX and more is "1/unlimited". */
void budget_print_quota(struct buf *buf, int64_t count, int64_t limit);
