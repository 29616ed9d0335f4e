#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/clock.h"
#include "util/map.h"

struct item {
    struct map_entry entry;
    int value;
};

static const struct item *find(const struct map *map, uint64_t hash, int value)
{
    for (struct map_entry *at = map_first(map, hash); at; at = map_next(at)) {
        const struct item *item = container_of(at, struct item, entry);

        if (item->value == value)
            return item;
    }
    return NULL;
}

static void an_empty_map_has_nothing(void **state)
{
    struct map map = { 0 };

    (void)state;
    assert_null(map_first(&map, 0));
    assert_null(map_pop(&map));
    map_done(&map);
}

static void every_entry_is_found_after_growing(void **state)
{
    enum { N = 1000 };
    struct map map = { 0 };
    struct item *items = calloc(N, sizeof *items);

    (void)state;
    assert_non_null(items);
    for (int i = 0; i < N; i++) {
        items[i].value = i;
        assert_true(map_add(&map, &items[i].entry, map_hash(&i, sizeof i)));
    }
    assert_int_equal(map.n, N);
    assert_true(map.n_buckets >= N / 2);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(find(&map, map_hash(&i, sizeof i), i), &items[i]);
    map_done(&map);
    free(items);
}

static void entries_with_the_same_hash_are_told_apart(void **state)
{
    struct map map = { 0 };
    struct item items[5] = { 0 };

    (void)state;
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        assert_true(map_add(&map, &items[i].entry, 42));
    }
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(find(&map, 42, i), &items[i]);
    map_done(&map);
}

static void another_hash_in_the_same_bucket_is_not_returned(void **state)
{
    struct map map = { 0 };
    struct item a = { .value = 1 };
    struct item b = { .value = 2 };

    (void)state;
    assert_true(map_add(&map, &a.entry, 5));
    assert_true(map_add(&map, &b.entry, 5 + map.n_buckets));
    assert_ptr_equal(map_first(&map, 5), &a.entry);
    assert_null(map_next(&a.entry));
    assert_null(map_first(&map, 5 + 2 * map.n_buckets));
    map_done(&map);
}

static void removing_takes_out_one_of_many(void **state)
{
    struct map map = { 0 };
    struct item items[3] = { { .value = 0 }, { .value = 1 }, { .value = 2 } };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(map_add(&map, &items[i].entry, 7));
    map_remove(&map, &items[1].entry); /* the middle of its chain */
    assert_null(find(&map, 7, 1));
    assert_non_null(find(&map, 7, 0));
    assert_non_null(find(&map, 7, 2));
    assert_int_equal(map.n, 2);
    map_remove(&map, &items[0].entry); /* an end */
    map_remove(&map, &items[2].entry);
    assert_null(map_first(&map, 7));
    assert_int_equal(map.n, 0);
    map_done(&map);
}

static void a_removed_entry_can_be_added_again(void **state)
{
    struct map map = { 0 };
    struct item a = { .value = 1 };

    (void)state;
    assert_true(map_add(&map, &a.entry, 7));
    map_remove(&map, &a.entry);
    assert_true(map_add(&map, &a.entry, 8));
    assert_null(map_first(&map, 7));
    assert_ptr_equal(map_first(&map, 8), &a.entry);
    map_done(&map);
}

static void popping_gives_every_entry_once(void **state)
{
    enum { N = 500 };
    struct map map = { 0 };
    struct item *items = calloc(N, sizeof *items);
    struct map_entry *entry;
    int n = 0;

    (void)state;
    assert_non_null(items);
    for (int i = 0; i < N; i++)
        assert_true(map_add(&map, &items[i].entry, map_hash(&i, sizeof i)));
    while ((entry = map_pop(&map))) {
        struct item *item = container_of(entry, struct item, entry);

        assert_int_equal(item->value, 0);
        item->value = 1;
        n++;
    }
    assert_int_equal(n, N);
    assert_int_equal(map.n, 0);
    map_done(&map);
    free(items);
}

/* A mount has two seconds to end, whatever it remembers. */
static void a_large_map_is_emptied_at_once(void **state)
{
    enum { N = 100000 };
    struct map map = { 0 };
    struct item *items = calloc(N, sizeof *items);
    int64_t start_ms;

    (void)state;
    assert_non_null(items);
    for (int i = 0; i < N; i++)
        assert_true(map_add(&map, &items[i].entry, map_hash(&i, sizeof i)));
    start_ms = clock_mono_ms();
    while (clock_mono_ms() - start_ms < 1000 && map_pop(&map))
        continue;
    assert_int_equal(map.n, 0);
    map_done(&map);
    free(items);
}

static void hashes_of_neighbours_differ_in_their_low_bits(void **state)
{
    unsigned hits[64] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < 6400; i++)
        hits[map_hash_u64(i) % 64]++;
    for (int i = 0; i < 64; i++)
        assert_in_range(hits[i], 50, 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(every_entry_is_found_after_growing),
        cmocka_unit_test(entries_with_the_same_hash_are_told_apart),
        cmocka_unit_test(another_hash_in_the_same_bucket_is_not_returned),
        cmocka_unit_test(removing_takes_out_one_of_many),
        cmocka_unit_test(a_removed_entry_can_be_added_again),
        cmocka_unit_test(popping_gives_every_entry_once),
        cmocka_unit_test(a_large_map_is_emptied_at_once),
        cmocka_unit_test(hashes_of_neighbours_differ_in_their_low_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
