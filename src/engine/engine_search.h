/*
 * engine_search -- runs a query over the index on all cores.
 *
 * Ownership  ret_* is the caller's, engine_samples_done().
 * Errors     ECANCELED when `stop` was set; EINVAL when the rule does not compile.
 * Threads    any.
 */
#pragma once

#include "engine/engine_query.h"

/* Hunt and exact search: the newest matches, `limit` at most, newest first. */
CHECKED int engine_search_run(struct engine_index *index, const struct engine_query *query, size_t n_threads,
                              atomic_bool *stop, struct engine_samples *ret_samples, struct err *err);

/* Fuzzy search: samples that have all grams of all patterns; *ret_total counts all, ret_samples has `limit` at most. */
CHECKED int engine_search_fuzzy(struct engine_index *index, const struct engine_query *query,
                                struct engine_samples *ret_samples, size_t *ret_total, struct err *err);
