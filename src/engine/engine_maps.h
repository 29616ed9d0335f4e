/*
 * engine_maps -- the maps of grams in the database, in pieces of which a search reads only what it needs.
 *
 * Errors     0 or a negative errno with err filled.
 */
#pragma once

#include "engine/engine_db.h"
#include "engine/engine_gram.h"
#include "engine/engine_index.h"

/* Within a transaction. What is known of these bytes already stays: the same bytes have the same map. */
CHECKED int engine_maps_put_locked(struct engine_db *db, const struct digest *digest, const struct engine_gram *gram,
                                   struct err *err) REQUIRES(&db->lock);

/*
 * For one connection of engine_db_reader() and one search: while it lives, statements have the function
 * may_contain(gram.id, gram.n), which is 0 only when no sample with that map can contain all patterns. NULL as an
 * argument, no such map, excludes nothing. The patterns are borrowed; free it before the connection is closed.
 */
struct engine_maps;
CHECKED int engine_maps_new(sqlite3 *sql, const struct engine_bytes *patterns, size_t n_patterns,
                            struct engine_maps **ret_maps, struct err *err);
void engine_maps_free(struct engine_maps *maps); /* NULL is fine */
DEFINE_CLEANUP(struct engine_maps *, engine_maps_free)
