/*
 * query -- what a search asks for, its options (HuntOptions, API page section 2.5), and what a request came to.
 *
 * Units      sizes in bytes, dates in seconds since the epoch (UTC midnight); *_NONE fields mean "not given".
 * Ownership  a query is a plain value but for `text`, which is borrowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/digest.h"

enum query_kind {
    QUERY_HUNT,  /* YARA rule; asynchronous, costs a hunt */
    QUERY_EXACT, /* byte patterns; asynchronous, costs a hunt */
    QUERY_FUZZY, /* byte patterns; answers at once and without an id, free */
    QUERY_MULTI, /* multi-download; asynchronous, costs a download per hash */
};

enum {
    QUERY_LIMIT_DEFAULT = 1000, /* results; design section 2 */
    QUERY_LIMIT_MAX = 10000,    /* API page, U8 */
    QUERY_TYPES_MAX = 28,       /* API page section 2.10 */
    QUERY_TYPE_TEXT = 15,
    QUERY_RULE_MAX = 1024 * 1024, /* bytes of rule text; design section 2 */
    REQUEST_ID_TEXT = 36,
};

/* The 28 file types that MalQuery filters by, lower case, in the order of API page section 2.10. */
extern const char *const query_filetypes[QUERY_TYPES_MAX];

struct query_options {
    int32_t limit;                /* always sent */
    int64_t min_size_bytes;       /* -1: not given */
    int64_t max_size_bytes;       /* -1: not given */
    int64_t min_date_s;           /* INT64_MIN: not given */
    int64_t max_date_s;           /* INT64_MIN: not given */
    int8_t submitted_by_customer; /* -1: not given, 0, 1 */
    size_t n_filetypes;
    char filetypes[QUERY_TYPES_MAX][QUERY_TYPE_TEXT + 1]; /* lower case */
};

#define QUERY_OPTIONS_NONE                                                                                             \
    {                                                                                                                  \
        .limit = QUERY_LIMIT_DEFAULT, .min_size_bytes = -1, .max_size_bytes = -1, .min_date_s = INT64_MIN,             \
        .max_date_s = INT64_MIN, .submitted_by_customer = -1                                                           \
    }

enum pattern_kind { PATTERN_HEX, PATTERN_ASCII, PATTERN_WIDE };

struct pattern {
    enum pattern_kind kind;
    const char *value; /* hex digits, or the text itself */
};

/* The request id as MalQuery writes it: 8-4-4-4-12 hex digits, not an RFC 4122 UUID (API page, 0.3 point 10). */
struct request_id {
    char s[REQUEST_ID_TEXT + 1]; /* lower case */
};

CHECKED bool request_id_parse(const char *text, struct request_id *ret_id);

/* Ids that we made begin with this; nobody asks the service about them. */
#define REQUEST_ID_LOCAL "00000000-"
bool request_id_is_local(const struct request_id *id);

struct query_stats {
    int32_t clean;
    int32_t malware;
    int32_t pua;
    int32_t total;
    int32_t unknown;
};

enum request_state {
    REQUEST_INPROGRESS,
    REQUEST_DONE,
    REQUEST_FAILED,
};

/* "inprogress", "done", "failed" */
const char *request_state_name(enum request_state state);
