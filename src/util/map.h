/*
 * map -- an intrusive hash map: entries live inside the caller's structs.
 *
 * Ownership  the map owns its table of buckets, never the entries.
 * Errors     map_add() returns false when there is no memory for the first table; growing is best effort.
 * Threads    the caller's lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/check.h"

struct map_entry {
    struct map_entry *next;
    uint64_t hash;
};

struct map {
    struct map_entry **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t n;         /* entries */
    size_t first;     /* no bucket before this one has an entry; lets map_pop() go over the table once */
};

/* FNV-1a with a final mix; not for untrusted floods of keys. */
uint64_t map_hash(const void *key, size_t n);

/* Mixes a number that is already nearly unique. */
uint64_t map_hash_u64(uint64_t value);

/* The first entry with this hash, NULL if none; walk on with map_next() and compare keys yourself. */
struct map_entry *map_first(const struct map *map, uint64_t hash);
struct map_entry *map_next(const struct map_entry *entry);

CHECKED bool map_add(struct map *map, struct map_entry *entry, uint64_t hash);
void map_remove(struct map *map, struct map_entry *entry);

/* Takes any entry out, for emptying the map; NULL when it is empty. */
struct map_entry *map_pop(struct map *map);

/* Frees the table; the map must be empty or its entries be owned elsewhere. */
void map_done(struct map *map);
