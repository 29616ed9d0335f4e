#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/search.h"

static int add(struct search *search, enum pattern_kind kind, const char *value, struct err *err)
{
    return search_add(search, kind, value, strlen(value), err);
}

static void expect_clean(enum pattern_kind kind, const char *value, const char *clean)
{
    cleanup_(search_done) struct search search = { 0 };
    struct err err = { 0 };

    if (add(&search, kind, value, &err) != 0)
        fail_msg("'%s': %s", value, err.text);
    assert_int_equal(search.n_patterns, 1);
    assert_int_equal(search.patterns[0].kind, kind);
    assert_string_equal(search.patterns[0].value, clean);
}

static void expect_refused(enum pattern_kind kind, const char *value, size_t n, const char *words)
{
    struct search search = { 0 };
    struct err err = { 0 };

    if (search_add(&search, kind, value, n, &err) != -EINVAL)
        fail_msg("accepted: '%s'", value);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_int_equal(search.n_patterns, 0);
    assert_null(search.patterns);
}

static void hex_has_one_spelling(void **state)
{
    (void)state;
    expect_clean(PATTERN_HEX, "4D5a9000", "4d5a9000");
    expect_clean(PATTERN_HEX, " 4d 5A\t90\r\n0 0 ", "4d5a9000");
}

static void texts_stay_as_they_are(void **state)
{
    (void)state;
    expect_clean(PATTERN_ASCII, " Trick\nBot ", " Trick\nBot ");
    expect_clean(PATTERN_WIDE, "ABcd", "ABcd");
}

static void hex_without_pairs_of_digits_is_refused(void **state)
{
    static const char *const bad[] = { "4d5a90001", "4d 5a 90 0" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_refused(PATTERN_HEX, bad[i], strlen(bad[i]), "even number");
}

static void hex_with_anything_else_is_refused(void **state)
{
    static const char *const bad[] = { "4d5a??00",   "4d5a9000 (01|02)", "0x4d5a9000", "\\x4d\\x5a\\x90\\x00",
                                       "{4d5a9000}", "4d,5a,90,00",      "4d5a900g",   "4d5a9000\xc2\xa0" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_refused(PATTERN_HEX, bad[i], strlen(bad[i]), "only hex digits");
    expect_refused(PATTERN_HEX, "4d5a9000\0", 9, "only hex digits");
}

static void an_empty_pattern_is_refused(void **state)
{
    (void)state;
    expect_refused(PATTERN_ASCII, "", 0, "empty");
    expect_refused(PATTERN_HEX, "    ", 4, "0 bytes");
}

static void a_nul_byte_in_a_text_is_refused(void **state)
{
    (void)state;
    expect_refused(PATTERN_ASCII, "abc\0defg", 8, "give such a pattern as hex");
    expect_refused(PATTERN_WIDE, "abcdefg\0", 8, "give such a pattern as hex");
}

static void a_text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    expect_refused(PATTERN_ASCII, "abcd\xff", 5, "UTF-8");
    expect_refused(PATTERN_WIDE, "abcd\xc3", 5, "UTF-8");
}

static void a_pattern_looks_for_at_least_four_bytes(void **state)
{
    (void)state;
    expect_clean(PATTERN_HEX, "4d5a9000", "4d5a9000");
    expect_refused(PATTERN_HEX, "4d5a90", 6, "3 bytes: at least 4");
    expect_clean(PATTERN_ASCII, "abcd", "abcd");
    expect_refused(PATTERN_ASCII, "abc", 3, "3 bytes: at least 4");
    expect_clean(PATTERN_WIDE, "ab", "ab");
    expect_refused(PATTERN_WIDE, "a", 1, "2 bytes: at least 4");
}

/* Two bytes for a character up to U+FFFF, however many it has in UTF-8; four for one beyond. */
static void wide_bytes_are_counted_in_utf16(void **state)
{
    (void)state;
    expect_refused(PATTERN_WIDE, "\u00e4", strlen("\u00e4"), "2 bytes");
    expect_refused(PATTERN_WIDE, "\u20ac", strlen("\u20ac"), "2 bytes");
    expect_clean(PATTERN_WIDE, "\u00e4\u20ac", "\u00e4\u20ac");
    expect_clean(PATTERN_WIDE, "\U0001f600", "\U0001f600");
}

static void a_value_has_a_limit(void **state)
{
    cleanup_(freep) char *value = malloc(SEARCH_VALUE_MAX + 1);
    cleanup_(search_done) struct search search = { 0 };

    (void)state;
    memset(value, 'a', SEARCH_VALUE_MAX + 1);
    assert_int_equal(search_add(&search, PATTERN_ASCII, value, SEARCH_VALUE_MAX + 1, NULL), -EFBIG);
    assert_int_equal(search_add(&search, PATTERN_HEX, value, SEARCH_VALUE_MAX + 1, NULL), -EFBIG);
    assert_int_equal(search.n_patterns, 0);
    assert_int_equal(search_add(&search, PATTERN_ASCII, value, SEARCH_VALUE_MAX, NULL), 0);
    assert_int_equal(strlen(search.patterns[0].value), SEARCH_VALUE_MAX);
}

static void patterns_keep_their_order_and_have_a_limit(void **state)
{
    cleanup_(search_done) struct search search = { 0 };
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i < SEARCH_PATTERNS_MAX; i++)
        assert_int_equal(add(&search, i % 2 ? PATTERN_WIDE : PATTERN_HEX, i % 2 ? "wide" : "01020304", NULL), 0);
    assert_int_equal(add(&search, PATTERN_HEX, "01020304", &err), -EINVAL);
    assert_string_equal(err.text, "more than 100 patterns");
    assert_int_equal(search.n_patterns, SEARCH_PATTERNS_MAX);
    assert_string_equal(search.patterns[0].value, "01020304");
    assert_string_equal(search.patterns[99].value, "wide");
}

static void a_search_that_is_done_is_empty(void **state)
{
    struct search search = { 0 };

    (void)state;
    assert_int_equal(add(&search, PATTERN_ASCII, "text", NULL), 0);
    search_done(&search);
    assert_int_equal(search.n_patterns, 0);
    search_done(&search); /* twice does no harm */
}

static void kinds_have_names(void **state)
{
    static const enum pattern_kind kinds[] = { PATTERN_HEX, PATTERN_ASCII, PATTERN_WIDE };

    (void)state;
    assert_string_equal(pattern_kind_name(PATTERN_HEX), "hex");
    assert_string_equal(pattern_kind_name(PATTERN_ASCII), "ascii");
    assert_string_equal(pattern_kind_name(PATTERN_WIDE), "wide");
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *name = pattern_kind_name(kinds[i]);
        enum pattern_kind kind = PATTERN_HEX;

        assert_true(pattern_kind_parse(name, strlen(name), &kind));
        assert_int_equal(kind, kinds[i]);
    }
}

static void other_names_are_no_kinds(void **state)
{
    static const char *const bad[] = { "", "HEX", "Ascii", "hexx", "he", "string", "hex " };
    enum pattern_kind kind;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(pattern_kind_parse(bad[i], strlen(bad[i]), &kind));
    assert_true(pattern_kind_parse("hex: 4d", 3, &kind)); /* n decides, not a NUL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_has_one_spelling),
        cmocka_unit_test(texts_stay_as_they_are),
        cmocka_unit_test(hex_without_pairs_of_digits_is_refused),
        cmocka_unit_test(hex_with_anything_else_is_refused),
        cmocka_unit_test(an_empty_pattern_is_refused),
        cmocka_unit_test(a_nul_byte_in_a_text_is_refused),
        cmocka_unit_test(a_text_that_is_not_utf8_is_refused),
        cmocka_unit_test(a_pattern_looks_for_at_least_four_bytes),
        cmocka_unit_test(wide_bytes_are_counted_in_utf16),
        cmocka_unit_test(a_value_has_a_limit),
        cmocka_unit_test(patterns_keep_their_order_and_have_a_limit),
        cmocka_unit_test(a_search_that_is_done_is_empty),
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(other_names_are_no_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
