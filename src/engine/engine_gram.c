#include "engine/engine_gram.h"

#include <errno.h>
#include <string.h>

enum { GRAM_BITS_PER_BYTE = 16 }; /* of the file, before folding */

/* A multiplicative hash has its best bits above. */
static uint32_t mix(uint64_t gram)
{
    return (uint32_t)(gram * 0x9e3779b97f4a7c15U >> 32);
}

static uint32_t mix_short(uint64_t last)
{
    return mix(last << 32 >> 32);
}

int engine_gram_init(struct engine_gram *gram, uint64_t size_bytes, struct err *err)
{
    size_t n = GRAM_MAP_MIN;

    while (n < GRAM_MAP_MAX && n < size_bytes * GRAM_BITS_PER_BYTE / 8)
        n *= 2;
    *gram = (struct engine_gram){ .n = n, .bits = calloc(1, n) };
    if (!gram->bits)
        return err_set(err, ENOMEM, "no memory for the grams of a file");
    return 0;
}

static void set_bit(uint8_t *bits, uint32_t bit)
{
    bits[bit / 8] = (uint8_t)(bits[bit / 8] | 1U << bit % 8);
}

void engine_gram_add(struct engine_gram *gram, const uint8_t *data, size_t n)
{
    uint32_t mask = (uint32_t)(gram->n * 8 - 1);
    uint64_t last = gram->last;

    for (size_t i = 0; i < n; i++) {
        last = last << 8 | data[i];
        if (gram->n_seen + i + 1 >= GRAM_BYTES)
            set_bit(gram->bits, mix_short(last) & mask);
        if (gram->n_seen + i + 1 >= GRAM_LONG)
            set_bit(gram->bits, mix(last) & mask);
    }
    gram->last = last;
    gram->n_seen += n;
}

static size_t count_bits(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i += sizeof(uint32_t)) {
        uint32_t x;
        uint32_t y;

        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        count += (size_t)__builtin_popcount(x | y);
    }
    return count;
}

void engine_gram_finish(struct engine_gram *gram)
{
    uint8_t *smaller;

    while (gram->n > GRAM_MAP_MIN) {
        size_t half = gram->n / 2;

        if (count_bits(gram->bits, gram->bits + half, half) * 100 > half * 8 * GRAM_FILL_MAX_PERCENT)
            break;
        for (size_t i = 0; i < half; i++)
            gram->bits[i] |= gram->bits[half + i];
        gram->n = half;
    }
    assert(gram->n >= GRAM_MAP_MIN);
    smaller = realloc(gram->bits, gram->n);
    if (smaller) /* shrinking may fail, the larger block is as good */
        gram->bits = smaller;
}

void engine_gram_done(struct engine_gram *gram)
{
    free(gram->bits);
    *gram = (struct engine_gram){ 0 };
}

bool engine_gram_may_contain(const struct engine_gram_map *map, const uint8_t *pattern, size_t n_pattern)
{
    uint32_t mask = (uint32_t)(map->n * 8 - 1);
    size_t n_gram = n_pattern < GRAM_LONG ? GRAM_BYTES : GRAM_LONG;
    uint64_t last = 0;

    if (map->n < GRAM_MAP_MIN || map->n > GRAM_MAP_MAX || (map->n & (map->n - 1)) != 0)
        return true;
    for (size_t i = 0; i < n_pattern; i++) {
        const uint8_t *piece;
        uint32_t bit;

        last = last << 8 | pattern[i];
        if (i + 1 < n_gram)
            continue;
        bit = (n_gram == GRAM_LONG ? mix(last) : mix_short(last)) & mask;
        piece = map->piece(map->closure, bit / 8 / GRAM_PIECE);
        if (piece && !(piece[bit / 8 % GRAM_PIECE] & 1U << bit % 8))
            return false;
    }
    return true;
}
