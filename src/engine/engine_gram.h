/*
 * engine_gram -- which sequences of four and of eight bytes a file contains, as a bit map that never says no wrongly.
 *
 * Every run of four bytes sets one bit, and every run of eight. A pattern of eight bytes or more is looked for by its
 * runs of eight: a large program has nearly every four letters of any word somewhere. The map is halved (upper half
 * folded onto the lower) while it stays sparse, so that its size follows the number of different grams, not the size of
 * the file.
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
    GRAM_BYTES = 4,                 /* length of a short gram, and so the shortest pattern */
    GRAM_LONG = 8,                  /* of a long one */
    GRAM_MAP_MIN = 8,               /* bytes */
    GRAM_MAP_MAX = 8 * 1024 * 1024, /* bytes; a smaller one is full at files of 30 MiB, and excludes nothing */
    GRAM_FILL_MAX_PERCENT = 30,     /* a map is not folded beyond this */
    GRAM_PIECE = 512,               /* bytes of a map that are kept and asked for together */
    GRAM_PIECES_MAX = GRAM_MAP_MAX / GRAM_PIECE,
};

struct engine_gram {
    uint8_t *bits;
    size_t n;        /* bytes of the map */
    uint64_t last;   /* the last eight bytes */
    uint64_t n_seen; /* bytes so far */
};

/* Starts a map for a file of about `size_bytes`; `gram` may be reused after engine_gram_done(). */
CHECKED int engine_gram_init(struct engine_gram *gram, uint64_t size_bytes, struct err *err);
void engine_gram_add(struct engine_gram *gram, const uint8_t *data, size_t n);

/* Folds; bits and n then are the result. */
void engine_gram_finish(struct engine_gram *gram);
void engine_gram_done(struct engine_gram *gram);

/* A finished map that is asked for piece by piece: most files are excluded by the first one or two grams. */
struct engine_gram_map {
    size_t n; /* bytes of the whole map */
    /* The bytes from `number` * GRAM_PIECE on: a piece, or all of a map that is smaller. Borrowed until the next call;
     * NULL: they are not known. */
    const uint8_t *(*piece)(void *closure, size_t number);
    void *closure;
};

/* False only when no file with this map can contain the pattern. A size that no map has, and pieces that are not known,
 * exclude nothing. */
bool engine_gram_may_contain(const struct engine_gram_map *map, const uint8_t *pattern, size_t n_pattern);
