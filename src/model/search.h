/*
 * search -- what an exact or fuzzy search looks for: byte patterns. The options beside them are those of query.h.
 *
 * Units      bytes.
 * Ownership  a search owns its patterns and their values until search_done(). A search of zeros is empty.
 * Errors     EINVAL for a pattern that the service would refuse (API page 2.8): an empty one; hex that is not pairs of
 *            digits, blanks between them aside; a text that is not UTF-8 or has a NUL byte; one that looks for fewer
 *            than SEARCH_PATTERN_MIN bytes. EFBIG for a value of more than SEARCH_VALUE_MAX. ENOMEM.
 * Threads    one at a time.
 */
#pragma once

#include "model/query.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

enum {
    SEARCH_PATTERNS_MAX = 100,        /* in one search */
    SEARCH_PATTERN_MIN = 4,           /* bytes that a pattern looks for */
    SEARCH_TEXT_MAX = QUERY_RULE_MAX, /* bytes of a file that describes a search */
    SEARCH_VALUE_MAX = 64 * 1024,     /* bytes of one value as it is written */
};

struct search {
    struct pattern *patterns;
    size_t n_patterns;
};

/* "hex", "ascii", "wide" */
const char *pattern_kind_name(enum pattern_kind kind);
CHECKED bool pattern_kind_parse(const char *name, size_t n, enum pattern_kind *ret_kind);

/*
 * The `n` bytes of a value in their one spelling, which is what the service gets: hex digits run together and in lower
 * case, a text as it is. *ret_value is an empty buffer.
 */
CHECKED int pattern_clean(enum pattern_kind kind, const char *value, size_t n, struct buf *ret_value, struct err *err);

/* Adds the clean value; EINVAL also beyond SEARCH_PATTERNS_MAX. The search is unchanged after a failure. */
CHECKED int search_add(struct search *search, enum pattern_kind kind, const char *value, size_t n, struct err *err);
void search_done(struct search *search);
