/*
 * engine_search -- runs a query over the index on all cores.
 *
 * Ownership  ret_* is the caller's, engine_samples_done().
 * Errors     ECANCELED when `stop` was set; EINVAL when the rule does not compile; ETIMEDOUT after the deadline, and
 * when files took longer than allowed. A file that cannot be examined is an error: nobody knows what is in it. One that
 * is gone is no match. Threads    any.
 */
#pragma once

#include "engine/engine_query.h"

struct engine_search_config {
    size_t n_threads;
    atomic_bool *stop;
    int64_t deadline_ms; /* monotonic */
    int file_s;          /* per file, for rules */
};

/* Hunt and exact search: the newest matches, `limit` at most, newest first. */
CHECKED int engine_search_run(struct engine_index *index, const struct engine_query *query,
                              const struct engine_search_config *config, struct engine_samples *ret_samples,
                              struct err *err);

/* Fuzzy search: samples whose maps have all grams of all patterns (engine_gram.h); *ret_total counts all, ret_samples
 * has `limit` at most. */
CHECKED int engine_search_fuzzy(struct engine_index *index, const struct engine_query *query,
                                struct engine_samples *ret_samples, size_t *ret_total, struct err *err);
