#include "util/map.h"

#include <stdlib.h>

enum { MAP_FIRST_BUCKETS = 64 };

uint64_t map_hash_u64(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53ULL;
    value ^= value >> 33;
    return value;
}

uint64_t map_hash(const void *key, size_t n)
{
    const uint8_t *bytes = key;
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < n; i++) {
        hash ^= bytes[i];
        hash *= 0x100000001b3ULL;
    }
    return map_hash_u64(hash);
}

static struct map_entry **bucket_of(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->n_buckets - 1)];
}

static struct map_entry *match(struct map_entry *entry, uint64_t hash)
{
    while (entry && entry->hash != hash)
        entry = entry->next;
    return entry;
}

struct map_entry *map_first(const struct map *map, uint64_t hash)
{
    return map->n_buckets ? match(*bucket_of(map, hash), hash) : NULL;
}

struct map_entry *map_next(const struct map_entry *entry)
{
    return match(entry->next, entry->hash);
}

static void grow(struct map *map)
{
    size_t n_buckets = map->n_buckets ? map->n_buckets * 2 : MAP_FIRST_BUCKETS;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the buckets are pointers */
    struct map bigger = { .buckets = calloc(n_buckets, sizeof *bigger.buckets), .n_buckets = n_buckets };

    if (!bigger.buckets)
        return;
    for (size_t i = 0; i < map->n_buckets; i++) {
        while (map->buckets[i]) {
            struct map_entry *entry = map->buckets[i];
            struct map_entry **to = bucket_of(&bigger, entry->hash);

            map->buckets[i] = entry->next;
            entry->next = *to;
            *to = entry;
        }
    }
    free(map->buckets);
    map->buckets = bigger.buckets;
    map->n_buckets = n_buckets;
    map->first = 0;
}

bool map_add(struct map *map, struct map_entry *entry, uint64_t hash)
{
    struct map_entry **bucket;

    if (map->n >= map->n_buckets)
        grow(map);
    if (!map->n_buckets)
        return false;
    bucket = bucket_of(map, hash);
    entry->hash = hash;
    entry->next = *bucket;
    *bucket = entry;
    if ((size_t)(bucket - map->buckets) < map->first)
        map->first = (size_t)(bucket - map->buckets);
    map->n++;
    return true;
}

void map_remove(struct map *map, struct map_entry *entry)
{
    struct map_entry **at = bucket_of(map, entry->hash);

    while (*at != entry) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    map->n--;
}

struct map_entry *map_pop(struct map *map)
{
    for (; map->first < map->n_buckets; map->first++) {
        struct map_entry *entry = map->buckets[map->first];

        if (entry) {
            map_remove(map, entry);
            return entry;
        }
    }
    return NULL;
}

void map_done(struct map *map)
{
    free(map->buckets);
    *map = (struct map){ 0 };
}
