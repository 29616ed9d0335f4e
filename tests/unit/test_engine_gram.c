#include "test_engine_fixture.h"
#include "test_engine_gram.h"

enum { DATA_N = 300000 };

static uint32_t state = 12345;

static uint8_t next_byte(void)
{
    state = state * 1664525 + 1013904223;
    return (uint8_t)(state >> 24);
}

static void make_map(struct engine_gram *gram, const uint8_t *data, size_t n, size_t piece)
{
    assert_int_equal(engine_gram_init(gram, n, NULL), 0);
    for (size_t at = 0; at < n; at += piece)
        engine_gram_add(gram, data + at, n - at < piece ? n - at : piece);
    engine_gram_finish(gram);
}

static const uint8_t *not_known(void *closure, size_t number)
{
    (void)closure;
    (void)number;
    return NULL;
}

static void every_part_of_a_file_may_be_contained(void **unused)
{
    static uint8_t data[DATA_N];
    struct engine_gram gram;

    (void)unused;
    for (size_t i = 0; i < DATA_N; i++)
        data[i] = next_byte();
    make_map(&gram, data, DATA_N, 7777);
    for (size_t at = 0; at + 64 <= DATA_N; at += 101)
        for (size_t n = GRAM_BYTES; n <= 64; n += 5)
            assert_true(may_contain(gram.bits, gram.n, data + at, n));
    engine_gram_done(&gram);
}

static void a_gram_across_two_pieces_is_found(void **unused)
{
    const uint8_t data[] = "abcdefgh";
    struct engine_gram gram;

    (void)unused;
    make_map(&gram, data, 8, 1);
    assert_true(may_contain(gram.bits, gram.n, data, 8));
    engine_gram_done(&gram);
}

static void most_foreign_patterns_are_excluded(void **unused)
{
    static uint8_t data[DATA_N];
    struct engine_gram gram;
    size_t n_wrong = 0;

    (void)unused;
    for (size_t i = 0; i < DATA_N; i++)
        data[i] = next_byte() & 15;
    make_map(&gram, data, DATA_N, 4096);
    for (int i = 0; i < 1000; i++) {
        uint8_t pattern[12];

        for (size_t k = 0; k < sizeof pattern; k++)
            pattern[k] = next_byte() | 16;
        n_wrong += may_contain(gram.bits, gram.n, pattern, sizeof pattern);
    }
    assert_true(n_wrong < 10);
    engine_gram_done(&gram);
}

static void a_file_of_few_grams_has_a_small_map(void **unused)
{
    static const uint8_t zeros[DATA_N];
    struct engine_gram gram;

    (void)unused;
    make_map(&gram, zeros, DATA_N, 4096);
    assert_true(gram.n <= 64);
    assert_true(may_contain(gram.bits, gram.n, zeros, 100));
    assert_false(may_contain(gram.bits, gram.n, "abcdefgh", 8));
    engine_gram_done(&gram);
}

static void a_file_shorter_than_a_gram_contains_no_pattern(void **unused)
{
    struct engine_gram gram;

    (void)unused;
    make_map(&gram, (const uint8_t *)"abc", 3, 3);
    assert_false(may_contain(gram.bits, gram.n, "abcd", 4));
    engine_gram_done(&gram);
}

static void a_map_of_impossible_size_excludes_nothing(void **unused)
{
    const uint8_t map[24] = { 0 };

    (void)unused;
    assert_true(may_contain(map, 24, "abcd", 4));
    assert_true(may_contain(map, 4, "abcd", 4));
    assert_true(may_contain(NULL, 0, "abcd", 4));
    assert_false(may_contain(map, 16, "abcd", 4));
}

static void a_piece_that_is_not_known_excludes_nothing(void **unused)
{
    const struct engine_gram_map map = { .n = 4 * GRAM_PIECE, .piece = not_known };

    (void)unused;
    assert_true(engine_gram_may_contain(&map, (const uint8_t *)"abcdefgh", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_a_file_may_be_contained),
        cmocka_unit_test(a_gram_across_two_pieces_is_found),
        cmocka_unit_test(most_foreign_patterns_are_excluded),
        cmocka_unit_test(a_file_of_few_grams_has_a_small_map),
        cmocka_unit_test(a_file_shorter_than_a_gram_contains_no_pattern),
        cmocka_unit_test(a_map_of_impossible_size_excludes_nothing),
        cmocka_unit_test(a_piece_that_is_not_known_excludes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
