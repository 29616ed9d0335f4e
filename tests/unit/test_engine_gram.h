/* A map of grams that is in memory, asked as a search asks one of the index. */
#pragma once

#include "engine/engine_gram.h"

static inline const uint8_t *piece_of(void *closure, size_t number)
{
    return (const uint8_t *)closure + number * GRAM_PIECE;
}

static inline bool may_contain(const uint8_t *bits, size_t n_bits, const void *pattern, size_t n_pattern)
{
    const struct engine_gram_map map = { .n = n_bits, .piece = piece_of, .closure = (void *)(uintptr_t)bits };

    return engine_gram_may_contain(&map, pattern, n_pattern);
}
