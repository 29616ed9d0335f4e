/*
 * engine_query -- the body of a request, checked: what to look for, which samples to consider, what to return.
 *
 * Units      sizes in bytes, dates in seconds since the epoch (UTC midnight, both ends inclusive).
 * Ownership  engine_query_done() frees a parsed query.
 * Errors     EINVAL with words for the client; ENGINE_QUERY_TEXT when nothing better can be said.
 * Threads    a query is constant once parsed.
 */
#pragma once

#include "engine/engine_index.h"
#include "engine/engine_json.h"
#include "engine/engine_pattern.h"
#include "model/query.h"

#define ENGINE_QUERY_TEXT "Invalid user input"

enum {
    ENGINE_LIMIT_DEFAULT = 100,  /* results; API page, U8 */
    ENGINE_TYPES_MAX = 64,       /* file types of a filter */
    ENGINE_SAMPLES_MAX = 100000, /* hashes of a multi-download */
};

/* Fields of a sample that can be asked for. */
enum engine_field {
    FIELD_SHA256 = 1 << 0,
    FIELD_SHA1 = 1 << 1,
    FIELD_MD5 = 1 << 2,
    FIELD_FILESIZE = 1 << 3,
    FIELD_LABEL = 1 << 4,
    FIELD_FAMILY = 1 << 5,
    FIELD_FIRST_SEEN = 1 << 6,
    FIELD_FILETYPE = 1 << 7,
    FIELD_ALL = (1 << 8) - 1,
};

struct engine_query {
    enum query_kind kind;
    char *rule;                                        /* hunt */
    struct engine_bytes patterns[ENGINE_PATTERNS_MAX]; /* exact and fuzzy */
    size_t n_patterns;
    struct digest *samples; /* multi-download, each once */
    size_t n_samples;
    int32_t limit;
    unsigned fields;        /* of enum engine_field */
    int64_t min_size_bytes; /* -1: not given */
    int64_t max_size_bytes; /* -1: not given */
    int64_t min_date_s;     /* INT64_MIN: not given */
    int64_t max_date_s;     /* INT64_MAX: not given */
    bool has_types;
    size_t n_types;
    char types[ENGINE_TYPES_MAX][QUERY_TYPE_TEXT + 1];
};

/* Parses a request body for `kind`. The query is to be done even after a failure. */
CHECKED int engine_query_parse(enum query_kind kind, json_object *body, struct engine_query *query, struct err *err);
void engine_query_done(struct engine_query *query);

/* Does a sample pass the filters? */
bool engine_query_admits(const struct engine_query *query, const struct sample *sample);
