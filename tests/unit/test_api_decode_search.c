#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_internal.h"
#include "model/search.h"

#define PATTERN "{\"type\":\"hex\",\"value\":\"4D5A9000\"}"
#define BODY(options) "{\"patterns\":[" PATTERN "],\"options\":{" options "}}"

enum { LINES_MAX = 4096 };

/* A heap copy of exactly `n` bytes, so that ASan sees a byte too many. */
static int decode(const char *text, size_t n, struct search *search, struct buf *options, struct err *err)
{
    cleanup_(freep) char *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, text, n);
    return api_decode_search(copy, n, search, options, err);
}

static void expect_options(const char *text, const char *lines)
{
    cleanup_(search_done) struct search search = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(LINES_MAX);
    struct err err = { 0 };

    if (decode(text, strlen(text), &search, &options, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(search.n_patterns, 1);
    assert_string_equal(buf_text(&options), lines);
}

static void expect_one(const char *text, enum pattern_kind kind, const char *value)
{
    cleanup_(search_done) struct search search = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(LINES_MAX);
    struct err err = { 0 };

    if (decode(text, strlen(text), &search, &options, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(search.n_patterns, 1);
    assert_int_equal(search.patterns[0].kind, kind);
    assert_string_equal(search.patterns[0].value, value);
    assert_int_equal(options.n, 0);
}

static void expect_code(const char *text, size_t n, int code, const char *words)
{
    struct search search = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(LINES_MAX);
    struct err err = { 0 };

    if (decode(text, n, &search, &options, &err) != -code)
        fail_msg("not %d for: %.200s", code, text);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(strchr(err.text, '\n'));
    assert_null(search.patterns); /* nothing was handed out */
    assert_int_equal(search.n_patterns, 0);
    assert_int_equal(options.n, 0);
}

static void expect_refused(const char *text, const char *words)
{
    expect_code(text, strlen(text), EINVAL, words);
}

/* ---- patterns ---- */

static void patterns_come_back_clean_and_in_order(void **state)
{
    static const char text[] = "{ \"patterns\": [\n { \"type\": \"hex\", \"value\": \"4D 5a 90 00\" },\n"
                               " { \"value\": \" Trick\\nBot \", \"type\": \"ascii\" },\n"
                               " { \"type\": \"wide\", \"value\": \"\\u00e4\\/\\ud83d\\ude00\" } ] }\r\n";
    cleanup_(search_done) struct search search = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(LINES_MAX);

    (void)state;
    assert_int_equal(decode(text, strlen(text), &search, &options, NULL), 0);
    assert_int_equal(search.n_patterns, 3);
    assert_int_equal(search.patterns[0].kind, PATTERN_HEX);
    assert_string_equal(search.patterns[0].value, "4d5a9000");
    assert_int_equal(search.patterns[1].kind, PATTERN_ASCII);
    assert_string_equal(search.patterns[1].value, " Trick\nBot ");
    assert_int_equal(search.patterns[2].kind, PATTERN_WIDE);
    assert_string_equal(search.patterns[2].value, "\u00e4/\U0001f600");
    assert_int_equal(options.n, 0);
}

static void what_is_encoded_reads_back(void **state)
{
    static const struct pattern patterns[] = { { PATTERN_HEX, "00ff00ff" },
                                               { PATTERN_ASCII, "\x01\t\n\x1f\"\\/\x7f" },
                                               { PATTERN_WIDE, "\u00e4\uffff\U0010ffff" } };
    cleanup_(search_done) struct search search = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(LINES_MAX);
    cleanup_(buf_done) struct buf body = BUF_INIT(API_BODY_MAX);

    (void)state;
    assert_int_equal(api_encode_search(&body, QUERY_FUZZY, patterns, 3, NULL, NULL), 0);
    assert_int_equal(decode(body.data, body.n, &search, &options, NULL), 0);
    assert_int_equal(search.n_patterns, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(search.patterns[i].kind, patterns[i].kind);
        assert_string_equal(search.patterns[i].value, patterns[i].value);
    }
}

static void a_byte_order_mark_does_not_count(void **state)
{
    (void)state;
    expect_one("\xef\xbb\xbf{\"patterns\":[" PATTERN "]}", PATTERN_HEX, "4d5a9000");
    expect_refused("\xef\xbb\xbf\xef\xbb\xbf{\"patterns\":[" PATTERN "]}", "line 1: ");
}

static void a_search_without_patterns_is_refused(void **state)
{
    (void)state;
    expect_refused("{}", "there are no patterns");
    expect_refused("{\"options\":{\"limit\":5}}", "there are no patterns");
    expect_refused("{\"patterns\":[]}", "there are no patterns");
}

static void patterns_of_another_shape_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } bad[] = {
        { "{\"patterns\":null}", "patterns: a list" },
        { "{\"patterns\":" PATTERN "}", "patterns: a list" },
        { "{\"patterns\":\"4d5a9000\"}", "patterns: a list" },
        { "{\"patterns\":[\"4d5a9000\"]}", "pattern 1: an object" },
        { "{\"patterns\":[" PATTERN ",null]}", "pattern 2: an object" },
        { "{\"patterns\":[[" PATTERN "]]}", "pattern 1: an object" },
        { "{\"patterns\":[{}]}", "pattern 1: 'type' and 'value'" },
        { "{\"patterns\":[{\"type\":\"hex\"}]}", "pattern 1: 'type' and 'value'" },
        { "{\"patterns\":[{\"value\":\"4d5a9000\"}]}", "pattern 1: 'type' and 'value'" },
        { "{\"patterns\":[{\"type\":\"hex\",\"value\":12345678}]}", "as strings" },
        { "{\"patterns\":[{\"type\":\"hex\",\"value\":[\"4d5a9000\"]}]}", "as strings" },
        { "{\"patterns\":[{\"type\":0,\"value\":\"4d5a9000\"}]}", "as strings" },
        { "{\"patterns\":[{\"type\":\"HEX\",\"value\":\"4d5a9000\"}]}", "'HEX': a type is hex, ascii or wide" },
        { "{\"patterns\":[{\"type\":\"\",\"value\":\"4d5a9000\"}]}", "a type is hex" },
        { "{\"patterns\":[" PATTERN ",{\"type\":\"hex\",\"value\":\"4d5a\"}]}", "pattern 2: a pattern of 2 bytes" },
        { "{\"patterns\":[{\"type\":\"hex\",\"value\":\"4d??9000\"}]}", "pattern 1: a hex pattern has only" },
        { "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"\"}]}", "pattern 1: an empty" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_refused(bad[i].text, bad[i].words);
}

/* ---- members ---- */

static void unknown_members_are_named(void **state)
{
    (void)state;
    expect_refused("{\"patterns\":[" PATTERN "],\"Options\":{}}", "'Options': a search has no such member");
    expect_refused("{\"patterns\":[" PATTERN "],\"\":1}", "'': a search has no such member");
    expect_refused("{\"patterns\":[{\"type\":\"hex\",\"value\":\"4d5a9000\",\"nocase\":true}]}",
                   "pattern 1: 'nocase': a pattern has no such member");
    expect_refused("{\"patterns\":[" PATTERN "],\"a\\nb\\u001b\":1}", "'a\\x0ab\\x1b'"); /* on one line */
}

static void members_of_other_requests_are_told_where_they_belong(void **state)
{
    (void)state;
    expect_refused("{\"yara_rule\":\"rule a { condition: true }\"}", "hunts/");
    expect_refused("{\"samples\":[\"00\"]}", "downloads/");
}

/* json-c would keep the last one: a filter, or half of the patterns, would be lost and the search paid for. */
static void a_member_that_is_there_twice_is_refused(void **state)
{
    (void)state;
    expect_refused("{\"patterns\":[" PATTERN "],\"patterns\":[" PATTERN "]}", "same name");
    expect_refused("{\"patterns\":[" PATTERN "],\"options\":{\"limit\":5},\"options\":{}}", "same name");
    expect_refused(BODY("\"limit\":5,\"limit\":6"), "same name");
    expect_refused(BODY("\"limit\":5,\"li\\u006dit\":6"), "same name");
    expect_refused("{\"patterns\":[{\"type\":\"hex\",\"type\":\"hex\",\"value\":\"4d5a9000\"}]}", "same name");
}

static void colons_in_strings_are_no_members(void **state)
{
    (void)state;
    expect_one("{\"patterns\":[{\"type\":\"ascii\",\"value\":\"a:b,\\\"c:{[\"}]}", PATTERN_ASCII, "a:b,\"c:{[");
}

/* ---- options ---- */

static void options_come_back_as_lines(void **state)
{
    (void)state;
    expect_options(BODY("\"limit\":5"), "limit=5\n");
    expect_options(BODY("\"min_size\":\"1.3 KB\",\"min_date\":\"2024\\/01\\/31\""),
                   "min_size=1.3 KB\nmin_date=2024/01/31\n");
    expect_options(BODY("\"submitted_by_customer\":true"), "submitted_by_customer=true\n");
    expect_options(BODY("\"submitted_by_customer\":false"), "submitted_by_customer=false\n");
    expect_options(BODY("\"filter_filetypes\":[\"pe32\",\"PE64\"]"), "filter_filetypes=pe32,PE64\n");
    expect_options(BODY("\"filter_filetypes\":[]"), "filter_filetypes=\n");
    expect_options(BODY("\"max_size\":0"), "max_size=0\n");
    expect_options(BODY(""), "");
}

/* Whether there is such an option is not known here, but nothing can become another line or another option. */
static void names_of_options_are_words(void **state)
{
    static const char *const bad[] = { "",         "limit=5", "limit=5\\nmin_size", "#limit", " limit",
                                       "limit\\t", "Limit",   "l\u00e4mit",         "limit1" };

    (void)state;
    expect_options(BODY("\"colour\":\"red\""), "colour=red\n");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(LINES_MAX);

        buf_printf(&text, "{\"patterns\":[" PATTERN "],\"options\":{\"%s\":1}}", bad[i]);
        expect_refused(buf_text(&text), "options: ");
    }
    expect_refused(BODY("\"limit\\t\":5"), "options: 'limit\\x09': there is no such option");
}

static void values_of_options_are_one_line(void **state)
{
    (void)state;
    expect_refused(BODY("\"limit\":\"5\\nmin_size=1\""), "options: 'limit': a control character");
    expect_refused(BODY("\"limit\":\"5\\r\""), "a control character");
    expect_refused(BODY("\"limit\":\"5\\u007f\""), "a control character");
    expect_refused(BODY("\"filter_filetypes\":[\"pe32\",\"pdf\\nlimit=1\"]"), "a control character");
    expect_refused(BODY("\"limit\":\"5\\u0000\""), "line 1: a NUL byte");
}

static void values_of_another_type_are_refused(void **state)
{
    static const char *const bad[] = {
        BODY("\"limit\":null"),
        BODY("\"limit\":{}"),
        BODY("\"limit\":{\"limit\":5}"),
        BODY("\"limit\":5.0"),
        BODY("\"limit\":1e3"),
        BODY("\"limit\":NaN"),
        BODY("\"limit\":-Infinity"),
        BODY("\"filter_filetypes\":[1]"),
        BODY("\"filter_filetypes\":[[\"pe32\"]]"),
        BODY("\"filter_filetypes\":[null]"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_refused(bad[i], "options: '");
}

/* The service's limit is an int32: what comes back must not be a smaller number than the user wrote. */
/* json-c takes it for the nearest one that it knows, from 0.18 on it refuses it. */
static void expect_beyond(const char *text, const char *lines)
{
    cleanup_(search_done) struct search search = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(LINES_MAX);
    struct err err = { 0 };

    if (decode(text, strlen(text), &search, &options, &err) == 0)
        assert_string_equal(buf_text(&options), lines);
    else
        expect_refused(text, "line 1: number expected");
}

static void a_number_beyond_all_ranges_stays_there(void **state)
{
    (void)state;
    expect_beyond(BODY("\"max_size\":99999999999999999999"), "max_size=18446744073709551615\n");
    expect_options(BODY("\"max_size\":9223372036854775808"), "max_size=9223372036854775808\n");
    expect_beyond(BODY("\"max_size\":-99999999999999999999"), "max_size=-9223372036854775808\n");
}

static void options_are_an_object(void **state)
{
    (void)state;
    expect_refused("{\"patterns\":[" PATTERN "],\"options\":[]}", "options: an object");
    expect_refused("{\"patterns\":[" PATTERN "],\"options\":null}", "options: an object");
    expect_refused("{\"patterns\":[" PATTERN "],\"options\":\"limit=5\"}", "options: an object");
}

static void filter_meta_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused(BODY("\"filter_meta\":[\"sha256\"]"), "options: 'filter_meta': leave it out, all metadata");
}

static void lines_are_appended_and_have_a_limit(void **state)
{
    static const char text[] = BODY("\"limit\":5");
    cleanup_(search_done) struct search search = { 0 };
    struct search none = { 0 };
    cleanup_(buf_done) struct buf options = BUF_INIT(20);

    (void)state;
    buf_puts(&options, "min_size=1\n");
    assert_int_equal(decode(text, strlen(text), &search, &options, NULL), 0);
    assert_string_equal(buf_text(&options), "min_size=1\nlimit=5\n");
    assert_int_equal(decode(text, strlen(text), &none, &options, NULL), -EFBIG);
    assert_null(none.patterns);
}

/* ---- the text ---- */

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } bad[] = {
        { "", "line 1: unexpected end" },
        { "   \n", "line 2: unexpected end" },
        { "{\"patterns\":[" PATTERN, "line 1: unexpected end" },
        { "{\"patterns\":[" PATTERN "],}", "line 1: " },
        { "{\n  \"patterns\": [,]\n}", "line 2: unexpected character (column 16)" },
        { "{\"patterns\":[" PATTERN "]} x", "line 1: unexpected character (column 50)" },
        { "{\"patterns\":[" PATTERN "]}{}", "line 1: unexpected character" },
        { "{'patterns':[" PATTERN "]}", "line 1: JSON has double quotes and no comments (column 2)" },
        { "// limit\n{\"patterns\":[" PATTERN "]}", "line 1: JSON has double quotes and no comments (column 1)" },
        { "{\"patterns\":[" PATTERN "]\n/* ] */}", "line 2: JSON has double quotes" },
        { "{patterns:[" PATTERN "]}", "line 1: quoted object property name expected" },
        { BODY("\"limit\":TRUE"), "line 1: boolean expected" },
        { BODY("\"limit\":05"), "line 1: number expected" },
        { "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"\\q...\"}]}", "line 1: invalid string sequence" },
        { "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"\\u12\"}]}", "line 1: invalid string sequence" },
        { "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"abcd\\", "line 1: unexpected end" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_refused(bad[i].text, bad[i].words);
}

static void another_value_than_an_object_is_refused(void **state)
{
    static const char *const bad[] = { "[]", "\"text\"", "[" PATTERN "]" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_refused(bad[i], "the body of a search is an object");
    expect_refused("5", "line 1: "); /* a number and a word end only with what follows */
    expect_refused("null", "line 1: ");
}

static void the_text_is_strict_utf8(void **state)
{
    static const char *const bad[] = {
        "abcd\xff", "abcd\xc3", "\xc0\xaf...", "\xed\xa0\x80...", "\xf4\x90\x80\x80",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(LINES_MAX);

        buf_printf(&text, "{\"patterns\":[\n{\"type\":\"ascii\",\"value\":\"%s\"}]}", bad[i]);
        expect_refused(buf_text(&text), "line 2: not UTF-8");
    }
}

static void a_nul_byte_is_refused_wherever_it_is(void **state)
{
    static const char behind[] = "{\"patterns\":[" PATTERN "]}\0,\"patterns\":1}";
    static const char inside[] = "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"abcd\0efg\"}]}";

    (void)state;
    expect_code(behind, sizeof behind - 1, EINVAL, "line 1: a NUL byte");
    expect_code(inside, sizeof inside - 1, EINVAL, "line 1: a NUL byte");
    expect_refused("{\"patterns\":[{\"type\":\"ascii\",\"value\":\"abcd\\u0000\"}]}", "give such a pattern as hex");
    expect_refused("{\"patterns\\u0000x\":[" PATTERN "]}", "a NUL byte"); /* json-c would see "patterns" */
    expect_one("{\"patterns\":[{\"type\":\"ascii\",\"value\":\"\\\\u0000\"}]}", PATTERN_ASCII, "\\u0000");
}

/* json-c makes U+FFFD of them, and the search would look for that. */
static void half_a_surrogate_pair_is_refused(void **state)
{
    static const char *const bad[] = { "\\ud800",        "abc\\uDFFF", "\\ud800\\ud800",  "\\ud800\\u0041",
                                       "\\udc00\\ud800", "\\ud800\\n", "\\ud800\\\\udc00" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(LINES_MAX);

        buf_printf(&text, "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"%s\"}]}", bad[i]);
        expect_refused(buf_text(&text), "half a surrogate pair");
    }
}

static void control_characters_in_strings_are_escaped(void **state)
{
    (void)state;
    expect_refused("{\"patterns\":[{\"type\":\"ascii\",\"value\":\"ab\ncd\"}]}", "line 1: a control character");
    expect_refused("{\"patterns\":[{\"type\":\"ascii\",\"value\":\"ab\tcd\"}]}", "line 1: a control character");
    expect_refused("{\"patterns\":[{\"type\":\"ascii\",\"value\":\"ab\\\ncd\"}]}", "line 1: a control character");
    expect_one("{\n\t\"patterns\":[\r\n" PATTERN "]}", PATTERN_HEX, "4d5a9000"); /* between values they are blanks */
}

/* ---- limits ---- */

static void a_text_has_a_limit(void **state)
{
    static char text[SEARCH_TEXT_MAX + 1] = "{\"patterns\":[" PATTERN "]}";

    (void)state;
    memset(text + strlen(text), ' ', sizeof text - strlen(text));
    expect_code(text, SEARCH_TEXT_MAX + 1, EFBIG, "1048576 are allowed");
    text[SEARCH_TEXT_MAX] = '\0';
    expect_one(text, PATTERN_HEX, "4d5a9000");
}

static void a_value_has_a_limit(void **state)
{
    static char text[SEARCH_VALUE_MAX + 100] = "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"";
    size_t n = strlen(text);

    (void)state;
    memset(text + n, 'a', SEARCH_VALUE_MAX + 1);
    memcpy(text + n + SEARCH_VALUE_MAX + 1, "\"}]}", sizeof "\"}]}");
    expect_code(text, strlen(text), EFBIG, "pattern 1: a pattern of more than 65536 bytes");
}

static void patterns_have_a_limit(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(SEARCH_TEXT_MAX);

    (void)state;
    buf_puts(&text, "{\"patterns\":[");
    for (int i = 0; i < SEARCH_PATTERNS_MAX; i++)
        buf_puts(&text, PATTERN ",");
    buf_puts(&text, PATTERN "]}");
    expect_refused(buf_text(&text), "pattern 101: more than 100 patterns");
}

static void many_small_values_are_not_built(void **state)
{
    cleanup_(buf_done) struct buf objects = BUF_INIT(SEARCH_TEXT_MAX);
    cleanup_(buf_done) struct buf values = BUF_INIT(SEARCH_TEXT_MAX);

    (void)state;
    buf_puts(&objects, "{\"patterns\":[");
    buf_puts(&values, "{\"patterns\":[");
    for (int i = 0; i < 100 * 1000; i++) {
        buf_puts(&objects, "{}");
        buf_puts(&values, "0,");
    }
    expect_code(objects.data, objects.n, EFBIG, "too many values");
    expect_code(values.data, values.n, EFBIG, "too many values");
}

static void depth_has_a_limit(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(SEARCH_TEXT_MAX);

    (void)state;
    buf_puts(&text, "{\"patterns\":");
    for (int i = 0; i < API_JSON_DEPTH; i++)
        buf_putc(&text, '[');
    expect_refused(buf_text(&text), "line 1: nesting too deep");
}

static void any_cut_of_a_body_is_refused(void **state)
{
    static const char text[] = "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"\\ud83d\\ude00\u00e4\\\\\"}],"
                               "\"options\":{\"limit\":5,\"filter_filetypes\":[\"pe32\"]}}";

    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++)
        expect_code(text, n, EINVAL, "line 1: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_come_back_clean_and_in_order),
        cmocka_unit_test(what_is_encoded_reads_back),
        cmocka_unit_test(a_byte_order_mark_does_not_count),
        cmocka_unit_test(a_search_without_patterns_is_refused),
        cmocka_unit_test(patterns_of_another_shape_are_refused),
        cmocka_unit_test(unknown_members_are_named),
        cmocka_unit_test(members_of_other_requests_are_told_where_they_belong),
        cmocka_unit_test(a_member_that_is_there_twice_is_refused),
        cmocka_unit_test(colons_in_strings_are_no_members),
        cmocka_unit_test(options_come_back_as_lines),
        cmocka_unit_test(names_of_options_are_words),
        cmocka_unit_test(values_of_options_are_one_line),
        cmocka_unit_test(values_of_another_type_are_refused),
        cmocka_unit_test(a_number_beyond_all_ranges_stays_there),
        cmocka_unit_test(options_are_an_object),
        cmocka_unit_test(filter_meta_is_refused_with_the_reason),
        cmocka_unit_test(lines_are_appended_and_have_a_limit),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(another_value_than_an_object_is_refused),
        cmocka_unit_test(the_text_is_strict_utf8),
        cmocka_unit_test(a_nul_byte_is_refused_wherever_it_is),
        cmocka_unit_test(half_a_surrogate_pair_is_refused),
        cmocka_unit_test(control_characters_in_strings_are_escaped),
        cmocka_unit_test(a_text_has_a_limit),
        cmocka_unit_test(a_value_has_a_limit),
        cmocka_unit_test(patterns_have_a_limit),
        cmocka_unit_test(many_small_values_are_not_built),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(any_cut_of_a_body_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
