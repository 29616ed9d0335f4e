/*
 * search -- what an exact or fuzzy search looks for: byte patterns, and the options of query.h.
 *
 * Ownership  a search owns its patterns and their values until search_done(). A search of zeros is empty.
 * Threads    one at a time.
 */
#pragma once

#include "model/query.h"
#include "util/cleanup.h"
#include "util/err.h"

enum {
    SEARCH_PATTERNS_MAX = 100,        /* in one search */
    SEARCH_TEXT_MAX = QUERY_RULE_MAX, /* bytes of a file that describes one */
    SEARCH_VALUE_MAX = 64 * 1024,     /* bytes of one pattern */
};

struct search {
    struct pattern *patterns;
    size_t n_patterns;
};

/* Adds a copy of `n` bytes. EINVAL: empty, a NUL byte, or more than SEARCH_PATTERNS_MAX of them; EFBIG: too long. */
CHECKED int search_add(struct search *search, enum pattern_kind kind, const char *value, size_t n, struct err *err);
void search_done(struct search *search);

/* "hex", "ascii", "wide" */
const char *pattern_kind_name(enum pattern_kind kind);
CHECKED bool pattern_kind_parse(const char *name, size_t n, enum pattern_kind *ret_kind);
