/*
 * engine_gram -- which sequences of four bytes a file contains, as a small bit map that never says no wrongly.
 *
 * Every run of four bytes sets one bit. The map is halved (upper half folded onto the lower) while it stays sparse, so
 * that its size follows the number of different grams, not the size of the file.
 *
 * Units      bytes; a finished map is 8 bytes or more, a power of two.
 * Threads    one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"

enum {
    GRAM_BYTES = 4,             /* length of a gram, and so the shortest pattern */
    GRAM_MAP_MIN = 8,           /* bytes */
    GRAM_MAP_MAX = 1024 * 1024, /* bytes */
    GRAM_FILL_MAX_PERCENT = 30, /* a map is not folded beyond this */
};

struct engine_gram {
    uint8_t *bits;
    size_t n;        /* bytes of the map */
    uint32_t last;   /* the last four bytes */
    uint64_t n_seen; /* bytes so far */
};

/* Starts a map for a file of about `size_bytes`; `gram` may be reused after engine_gram_done(). */
CHECKED int engine_gram_init(struct engine_gram *gram, uint64_t size_bytes, struct err *err);
void engine_gram_add(struct engine_gram *gram, const uint8_t *data, size_t n);

/* Folds; bits and n then are the result. */
void engine_gram_finish(struct engine_gram *gram);
void engine_gram_done(struct engine_gram *gram);

/* False only when no file with this map can contain the pattern. `n_map` that is no size of a map: true. */
bool engine_gram_may_contain(const uint8_t *map, size_t n_map, const uint8_t *pattern, size_t n_pattern);
