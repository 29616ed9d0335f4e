#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/text.h"

static void check_u64(const char *text, uint64_t max, bool good, uint64_t expected)
{
    uint64_t value = 77;

    if (text_parse_u64(text, max, &value) != good || value != (good ? expected : 77))
        fail_msg("'%s' is taken for %llu", text, (unsigned long long)value);
}

static void numbers_are_digits_only(void **state)
{
    (void)state;
    check_u64("0", 10, true, 0);
    check_u64("0010", 10, true, 10);
    check_u64("", 10, false, 0);
    check_u64("-1", UINT64_MAX, false, 0);
    check_u64("+1", 10, false, 0);
    check_u64(" 1", 10, false, 0);
    check_u64("1 ", 10, false, 0);
    check_u64("1\n", 10, false, 0);
    check_u64("0x10", 100, false, 0);
    check_u64("1e3", 10000, false, 0);
    check_u64("\xd9\xa1", 10, false, 0); /* a digit, but not of ours */
}

static void numbers_stop_at_their_maximum(void **state)
{
    (void)state;
    check_u64("10", 10, true, 10);
    check_u64("11", 10, false, 0);
    check_u64("18446744073709551615", UINT64_MAX, true, UINT64_MAX);
    check_u64("18446744073709551616", UINT64_MAX, false, 0);
    check_u64("99999999999999999999999", UINT64_MAX, false, 0);
}

static void check_bytes(const char *text, bool good, uint64_t expected)
{
    uint64_t value = 77;

    if (text_parse_bytes(text, (uint64_t)TIB, &value) != good || value != (good ? expected : 77))
        fail_msg("'%s' is taken for %llu", text, (unsigned long long)value);
}

static void sizes_are_read_in_every_documented_spelling(void **state)
{
    (void)state;
    check_bytes("128000", true, 128000);
    check_bytes("1.3 KB", true, 1331); /* 1331.2 */
    check_bytes("8mb", true, 8 * 1024 * 1024);
    check_bytes("2GiB", true, 2 * (uint64_t)GIB);
    check_bytes("8G", true, 8 * (uint64_t)GIB);
    check_bytes("0.5 k", true, 512);
    check_bytes("10 B", true, 10);
    check_bytes("1t", true, (uint64_t)TIB);
}

static void sizes_with_anything_else_are_refused(void **state)
{
    (void)state;
    check_bytes("", false, 0);
    check_bytes("KB", false, 0);
    check_bytes("-1KB", false, 0);
    check_bytes(".5KB", false, 0);
    check_bytes("1.KB", false, 0);
    check_bytes("1.2.3KB", false, 0);
    check_bytes("1,3 KB", false, 0);
    check_bytes("1  KB", false, 0);
    check_bytes("1KBs", false, 0);
    check_bytes("1 EB", false, 0);
    check_bytes("0x10", false, 0);
    check_bytes("inf", false, 0);
    check_bytes("nan", false, 0);
}

static void sizes_stop_at_their_maximum(void **state)
{
    uint64_t value = 77;

    (void)state;
    check_bytes("1025G", false, 0);
    check_bytes("1.0001T", false, 0);
    check_bytes("99999999999999999999999999 TB", false, 0);
    assert_true(text_parse_bytes("18446744073709551615", UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_false(text_parse_bytes("18446744073709551616", UINT64_MAX, &value));
    assert_false(text_parse_bytes("16777216T", UINT64_MAX, &value)); /* 2^64 */
}

/* Beyond 2^53 a double cannot tell neighbours apart. */
static void a_size_one_over_a_large_maximum_is_refused(void **state)
{
    uint64_t value = 77;

    (void)state;
    assert_true(text_parse_bytes("1152921504606846976", 1ULL << 60, &value));
    assert_false(text_parse_bytes("1152921504606846977", 1ULL << 60, &value));
}

static void check_date(const char *text, bool good, int64_t expected)
{
    int64_t value = 77;

    if (text_parse_date(text, &value) != good || value != (good ? expected : 77))
        fail_msg("'%s' is taken for %lld", text, (long long)value);
}

static void dates_are_midnight_utc(void **state)
{
    (void)state;
    check_date("1970-01-01", true, 0);
    check_date("2024/01/31", true, 1706659200);
    check_date("2024-01-31", true, 1706659200);
    check_date("2024/02/29", true, 1709164800);
    check_date("9999-12-31", true, 253402214400);
}

static void days_that_no_calendar_has_are_refused(void **state)
{
    (void)state;
    check_date("2024/02/30", false, 0);
    check_date("2023/02/29", false, 0);
    check_date("2024/04/31", false, 0);
    check_date("2024/13/01", false, 0);
    check_date("2024/00/01", false, 0);
    check_date("2024/01/00", false, 0);
    check_date("2024/01/32", false, 0);
    check_date("1969/12/31", false, 0);
    check_date("0000/01/01", false, 0);
}

static void dates_in_another_shape_are_refused(void **state)
{
    (void)state;
    check_date("", false, 0);
    check_date("2024/01-31", false, 0);
    check_date("2024-01/31", false, 0);
    check_date("2024.01.31", false, 0);
    check_date("2024/1/31", false, 0);
    check_date("31/01/2024", false, 0);
    check_date("2024/01/31 ", false, 0);
    check_date("2024/ 1/31", false, 0);
    check_date("2024/-1/31", false, 0);
    check_date("+024/01/31", false, 0);
    check_date("2024-01-31T00:00:00Z", false, 0);
}

static void booleans_have_four_words_each(void **state)
{
    static const char *const yes[] = { "1", "yes", "TRUE", "On" };
    static const char *const no[] = { "0", "No", "false", "OFF" };
    static const char *const neither[] = { "", "2", "y", "yes ", "truee" };
    bool value = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        value = false;
        assert_true(text_parse_bool(yes[i], &value) && value);
        value = true;
        assert_true(text_parse_bool(no[i], &value) && !value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
        assert_false(text_parse_bool(neither[i], &value));
}

static void hex_has_an_exact_length(void **state)
{
    uint8_t bytes[2] = { 1, 2 };
    char text[5];

    (void)state;
    assert_false(text_parse_hex("dead0", bytes, 2));
    assert_false(text_parse_hex("dea", bytes, 2));
    assert_false(text_parse_hex("", bytes, 2));
    assert_false(text_parse_hex("dea ", bytes, 2));
    assert_false(text_parse_hex("0xde", bytes, 2));
    assert_memory_equal(bytes, "\1\2", 2); /* left alone */
    assert_true(text_parse_hex("dEaD", bytes, 2));
    assert_memory_equal(bytes, "\xde\xad", 2);
    text_format_hex(bytes, 2, text);
    assert_string_equal(text, "dead");
}

static void utf8_is_the_shortest_form_of_a_character(void **state)
{
    static const char *const good[] = { "", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9b", "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = {
        "\x80",             /* a continuation without a start */
        "\xc3",             /* a start without a continuation */
        "\xc3(",            /* the same, followed by something else */
        "\xc0\xaf",         /* '/' in two bytes */
        "\xe0\x80\xaf",     /* in three */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf4\x90\x80\x80", /* beyond the last character */
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void check_escape(const char *text, size_t max, const char *expected)
{
    struct buf buf = BUF_INIT(1000);

    text_escape(&buf, text, max);
    assert_string_equal(buf_text(&buf), expected);
    buf_done(&buf);
}

static void a_byte_order_mark_has_three_bytes(void **state)
{
    (void)state;
    assert_int_equal(text_bom("\xef\xbb\xbfx", 4), 3);
    assert_int_equal(text_bom("\xef\xbb\xbf", 3), 3);
    assert_int_equal(text_bom("\xef\xbb\xbf", 2), 0); /* the third is not ours */
    assert_int_equal(text_bom("x\xef\xbb\xbf", 4), 0);
    assert_int_equal(text_bom("", 0), 0);
}

static void escaping_leaves_one_harmless_line(void **state)
{
    (void)state;
    check_escape("plain \xc3\xa9", 100, "plain \xc3\xa9");
    check_escape("a\nb\tc\x1b[2J\x7f", 100, "a\\x0ab\\x09c\\x1b[2J\\x7f");
    check_escape("say \"hi\\\"", 100, "say \"hi\\x5c\"");
    check_escape("\xff\xc3", 100, "\\xff\\xc3");
}

static void escaping_cuts_its_input(void **state)
{
    (void)state;
    check_escape("abcdef", 3, "abc");
    check_escape("abcdef", 0, "");
    check_escape("ab\xc3\xa9", 3, "ab\\xc3"); /* half a character is not valid any more */
}

static void check_component(const char *text, const char *expected)
{
    char component[TEXT_COMPONENT_MAX + 1];

    text_component(text, component);
    assert_string_equal(component, expected);
}

static void components_are_never_special_names(void **state)
{
    (void)state;
    check_component("", "_");
    check_component(".", "_");
    check_component("..", "_.");
    check_component(".hidden", "_hidden");
    check_component("a.b", "a.b");
}

static void components_hold_no_slash_and_no_control_byte(void **state)
{
    (void)state;
    check_component("a/b", "a_b");
    check_component("/", "_");
    check_component("../../etc/passwd", "_._.._etc_passwd");
    check_component("a\nb\x1b\x7f", "a_b__");
    check_component("Win32.Trojan (a+b)", "Win32.Trojan (a+b)");
}

static void components_are_valid_utf8(void **state)
{
    (void)state;
    check_component("caf\xc3\xa9", "caf\xc3\xa9");
    check_component("caf\xc3", "caf_");
    check_component("\xc0\xaf", "__");
    check_component("\xed\xa0\x80", "___");
}

static void long_components_are_cut_between_characters(void **state)
{
    char text[301] = "x";
    char component[TEXT_COMPONENT_MAX + 1];

    (void)state;
    for (size_t i = 1; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2); /* odd offsets: a plain cut at 128 would halve one */
    text[299] = '\0';
    text_component(text, component);
    assert_int_equal(strlen(component), TEXT_COMPONENT_MAX - 1);
    assert_true(text_is_utf8(component, strlen(component)));

    memset(text, 'y', 300);
    text[300] = '\0';
    text_component(text, component);
    assert_int_equal(strlen(component), TEXT_COMPONENT_MAX);
}

static void copying_says_when_it_cut(void **state)
{
    char to[4];

    (void)state;
    assert_true(text_copy(to, sizeof to, "abc"));
    assert_string_equal(to, "abc");
    assert_false(text_copy(to, sizeof to, "abcd"));
    assert_string_equal(to, "abc");
    assert_false(text_copy(to, 1, "a"));
    assert_string_equal(to, "");
}

static void suffixes_are_compared_at_the_end(void **state)
{
    (void)state;
    assert_true(text_has_suffix("wiper.yar", ".yar"));
    assert_true(text_has_suffix(".yar", ".yar"));
    assert_false(text_has_suffix("yar", ".yar"));
    assert_false(text_has_suffix("wiper.yara", ".yar"));
    assert_true(text_has_suffix("x", ""));
}

static void trimming_cuts_both_ends_only(void **state)
{
    char text[] = " \t a b\r\n";
    char blank[] = " \r\n";

    (void)state;
    assert_string_equal(text_trim(text), "a b");
    assert_string_equal(text_trim(blank), "");
}

static void json_in_ascii_says_the_same(void **unused)
{
    static const char *const texts[][2] = {
        { "", "" },
        { "{\"a\": [1, \"b\\n\"]}", "{\"a\": [1, \"b\\n\"]}" },
        { "\"\u00e4\u20ac\uffff\"", "\"\\u00e4\\u20ac\\uffff\"" },
        { "\"\U00010000\U0010ffff\"", "\"\\ud800\\udc00\\udbff\\udfff\"" },
        { "\"\\\\\u00e4\"", "\"\\\\\\u00e4\"" }, /* a backslash, and then the character */
        { "\"\\\u00e4\"", "\"\\\u00e4\"" },      /* no escape: stays for the parser to refuse */
        { "\xff\xc3", "\xff\xc3" },
        { "\\", "\\" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        cleanup_(buf_done) struct buf ascii = BUF_INIT(64);

        text_json_ascii(&ascii, texts[i][0], strlen(texts[i][0]));
        assert_string_equal(buf_text(&ascii), texts[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(numbers_stop_at_their_maximum),
        cmocka_unit_test(sizes_are_read_in_every_documented_spelling),
        cmocka_unit_test(sizes_with_anything_else_are_refused),
        cmocka_unit_test(sizes_stop_at_their_maximum),
        cmocka_unit_test(a_size_one_over_a_large_maximum_is_refused),
        cmocka_unit_test(dates_are_midnight_utc),
        cmocka_unit_test(days_that_no_calendar_has_are_refused),
        cmocka_unit_test(dates_in_another_shape_are_refused),
        cmocka_unit_test(booleans_have_four_words_each),
        cmocka_unit_test(hex_has_an_exact_length),
        cmocka_unit_test(utf8_is_the_shortest_form_of_a_character),
        cmocka_unit_test(a_byte_order_mark_has_three_bytes),
        cmocka_unit_test(escaping_leaves_one_harmless_line),
        cmocka_unit_test(escaping_cuts_its_input),
        cmocka_unit_test(components_are_never_special_names),
        cmocka_unit_test(components_hold_no_slash_and_no_control_byte),
        cmocka_unit_test(components_are_valid_utf8),
        cmocka_unit_test(long_components_are_cut_between_characters),
        cmocka_unit_test(copying_says_when_it_cut),
        cmocka_unit_test(suffixes_are_compared_at_the_end),
        cmocka_unit_test(trimming_cuts_both_ends_only),
        cmocka_unit_test(json_in_ascii_says_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
