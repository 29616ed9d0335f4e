#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"
#include "model/search.h"
#include "util/buf.h"

/* ---- names ---- */

static void expect_name(const char *name, enum pattern_kind kind, const char *value)
{
    cleanup_(search_done) struct search search = { 0 };
    struct err err = { 0 };

    if (input_pattern_name(name, &search, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(search.n_patterns, 1);
    assert_int_equal(search.patterns[0].kind, kind);
    assert_string_equal(search.patterns[0].value, value);
}

static void expect_no_name(const char *name, const char *words)
{
    struct search search = { 0 };
    struct err err = { 0 };

    if (input_pattern_name(name, &search, &err) != -EINVAL)
        fail_msg("accepted: %s", name);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(search.patterns);
}

static void a_name_is_a_kind_and_a_value(void **state)
{
    (void)state;
    expect_name("ascii:trickbot", PATTERN_ASCII, "trickbot");
    expect_name("wide:trickbot", PATTERN_WIDE, "trickbot");
    expect_name("hex:4d5a9000", PATTERN_HEX, "4d5a9000");
    expect_name("hex:4D 5A 90 00", PATTERN_HEX, "4d5a9000");
    expect_name("ascii:a:b:c", PATTERN_ASCII, "a:b:c"); /* the first colon counts */
    expect_name("ascii:\u00e4\u00f6", PATTERN_ASCII, "\u00e4\u00f6");
}

static void other_kinds_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "trickbot",
        "ascii",
        ":trickbot",
        "ASCII:trickbot",
        "Hex:4d5a9000",
        "hex ",
        "text:trickbot",
        " ascii:trickbot",
        "ascii :trickbot",
        "asciitrickbot:x",
        "hexa:4d5a9000",
        "hex%3a4d5a9000",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_no_name(bad[i], "a pattern is named ascii:");
}

static void an_escape_is_a_byte_of_any_kind(void **state)
{
    (void)state;
    expect_name("wide:a%2Fb", PATTERN_WIDE, "a/b");
    expect_name("ascii:a%2fbc", PATTERN_ASCII, "a/bc");
    expect_name("ascii:100%25", PATTERN_ASCII, "100%");
    expect_name("ascii:%c3%a4%0A%7f", PATTERN_ASCII, "\u00e4\n\x7f");
    expect_name("hex:4d%205a%39%30 00", PATTERN_HEX, "4d5a9000");
    expect_name("ascii:%2541bc", PATTERN_ASCII, "%41bc"); /* read once */
}

static void a_bare_percent_sign_is_refused(void **state)
{
    static const char *const bad[] = { "ascii:100%",  "ascii:100%2",  "ascii:%zzabc", "ascii:%2gabc",
                                       "ascii:%%25a", "ascii:abc% 2", "hex:%4",       "ascii:abc%2 " };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_no_name(bad[i], "write %25 for a percent sign");
}

static void an_escaped_nul_is_refused(void **state)
{
    (void)state;
    expect_no_name("ascii:abc%00def", "give such a pattern as hex");
    expect_no_name("wide:%00abcdef", "give such a pattern as hex");
    expect_no_name("hex:4d5a9000%00", "give such a pattern as hex");
}

static void every_byte_of_a_name_counts(void **state)
{
    (void)state;
    expect_name("ascii: trick bot\t ", PATTERN_ASCII, " trick bot\t ");
    expect_name("ascii:%20trick bot%20", PATTERN_ASCII, " trick bot ");
    expect_name("hex: 4d 5a 90 00", PATTERN_HEX, "4d5a9000");
    expect_no_name("ascii:   ", "3 bytes: at least 4");
}

static void a_name_with_a_bad_value_is_refused(void **state)
{
    (void)state;
    expect_no_name("ascii:", "an empty pattern");
    expect_no_name("ascii:abc", "3 bytes: at least 4");
    expect_no_name("hex:4d 5a", "2 bytes: at least 4");
    expect_no_name("hex:4d5a9", "even number");
    expect_no_name("hex:4d ?? 90 00", "no wildcards");
    expect_no_name("ascii:%ff%fe%fd%fc", "give other bytes as hex");
}

static void a_refused_name_is_shown_on_one_line(void **state)
{
    (void)state;
    expect_no_name("bad\nname\x1b[0m", "'bad\\x0aname\\x1b[0m'");
}

/* ---- files ---- */

/* A heap copy of exactly `n` bytes, so that ASan sees a byte too many. */
static int read_bytes(const char *text, size_t n, struct search *search, struct query_options *options, struct err *err)
{
    cleanup_(freep) char *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, text, n);
    return input_pattern_lines(copy, n, search, options, err);
}

static struct query_options read_good(const char *text, struct search *search)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct err err = { 0 };

    if (read_bytes(text, strlen(text), search, &options, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return options;
}

static void expect_line(const char *text, enum pattern_kind kind, const char *value)
{
    cleanup_(search_done) struct search search = { 0 };

    (void)read_good(text, &search);
    assert_int_equal(search.n_patterns, 1);
    assert_int_equal(search.patterns[0].kind, kind);
    assert_string_equal(search.patterns[0].value, value);
}

static void expect_code(const char *text, size_t n, int code, const char *words)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct query_options before = options;
    struct search search = { 0 };
    struct err err = { 0 };

    if (read_bytes(text, n, &search, &options, &err) != -code)
        fail_msg("not %d for: %.200s", code, text);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(search.patterns); /* nothing was changed */
    assert_memory_equal(&options, &before, sizeof options);
}

static void expect_refused(const char *text, const char *words)
{
    expect_code(text, strlen(text), EINVAL, words);
}

static void lines_are_patterns_in_their_order(void **state)
{
    cleanup_(search_done) struct search search = { 0 };
    struct query_options options = read_good("hex: 4D 5A 90 00\nascii: trickbot\n\nwide:config.ini", &search);

    (void)state;
    assert_int_equal(search.n_patterns, 3);
    assert_int_equal(search.patterns[0].kind, PATTERN_HEX);
    assert_string_equal(search.patterns[0].value, "4d5a9000");
    assert_int_equal(search.patterns[1].kind, PATTERN_ASCII);
    assert_string_equal(search.patterns[1].value, "trickbot");
    assert_int_equal(search.patterns[2].kind, PATTERN_WIDE);
    assert_string_equal(search.patterns[2].value, "config.ini");
    assert_int_equal(options.limit, QUERY_LIMIT_DEFAULT);
}

static void a_value_in_a_file_is_literal(void **state)
{
    (void)state;
    expect_line("ascii: a%2Fb\\n\"c\" # d", PATTERN_ASCII, "a%2Fb\\n\"c\" # d");
    expect_line("ascii: a\tb  c", PATTERN_ASCII, "a\tb  c");
    expect_line("ascii: hex: 4d5a9000", PATTERN_ASCII, "hex: 4d5a9000");
}

static void blanks_around_a_value_do_not_count(void **state)
{
    (void)state;
    expect_line("ascii:trickbot", PATTERN_ASCII, "trickbot");
    expect_line("ascii: trickbot", PATTERN_ASCII, "trickbot");
    expect_line("ascii:  \t trickbot \t ", PATTERN_ASCII, "trickbot"); /* values lined up in a column */
    expect_line("\t ascii: trickbot\n", PATTERN_ASCII, "trickbot");
}

static void lines_of_windows_are_accepted(void **state)
{
    cleanup_(search_done) struct search search = { 0 };
    struct query_options options =
        read_good("\xef\xbb\xbfhex: 4d5a9000\r\n# malquery: limit=5\r\n\r\nascii: text\r\n", &search);

    (void)state;
    assert_int_equal(search.n_patterns, 2);
    assert_string_equal(search.patterns[0].value, "4d5a9000");
    assert_string_equal(search.patterns[1].value, "text");
    assert_int_equal(options.limit, 5);
}

static void a_byte_order_mark_counts_only_at_the_start(void **state)
{
    (void)state;
    expect_refused("ascii: text\n\xef\xbb\xbfhex: 4d5a9000", "line 2: ");
    expect_refused("\xef\xbb\xbf\xef\xbb\xbfhex: 4d5a9000", "line 1: ");
    expect_refused("\xef\xbb\xbf", "there are no patterns");
}

static void comments_and_blank_lines_mean_nothing(void **state)
{
    (void)state;
    expect_line("# hex: 00000000\n  \t# ascii: text\n#\n\n   \nascii: trickbot\n#", PATTERN_ASCII, "trickbot");
}

static void other_lines_are_refused_with_their_number(void **state)
{
    static const char *const bad[] = {
        "trickbot", "HEX: 4d5a9000",  "hex : 4d5a9000", "hex 4d5a9000",      "hex",    ": 4d5a9000",
        "// hex",   "text: trickbot", "ascii=trickbot", "{\"patterns\":[]}", "; text", "%68ex: 4d5a9000",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(1000);

        buf_printf(&text, "ascii: text\r\n\n# comment\n%s\nascii: text\n", bad[i]);
        expect_refused(buf_text(&text), "line 4: ");
        expect_refused(buf_text(&text), "neither hex: …, ascii: …, wide: … nor a # comment");
    }
}

static void bad_values_are_refused_with_their_number(void **state)
{
    (void)state;
    expect_refused("ascii: text\nhex: 4d 5a 9\n", "line 2: a hex pattern has an even number of digits");
    expect_refused("\nhex: 4d ?? 90 00", "line 2: a hex pattern has only hex digits");
    expect_refused("hex: 4d 5a 90 # three", "line 1: a hex pattern has only hex digits"); /* values are literal */
    expect_refused("hex: 4d 5a 90", "line 1: a pattern of 3 bytes");
    expect_refused("ascii:", "line 1: an empty pattern");
    expect_refused("ascii:   \t", "line 1: an empty pattern");
}

static void a_file_without_patterns_is_refused(void **state)
{
    (void)state;
    expect_refused("", "there are no patterns");
    expect_refused("\n\n \n", "there are no patterns");
    expect_refused("# malquery: limit=5\n# nothing else\n", "there are no patterns");
}

/* ---- options ---- */

static void options_stand_in_comments(void **state)
{
    cleanup_(search_done) struct search search = { 0 };
    struct query_options options =
        read_good("# malquery: limit=5 filter_filetypes=pe32\n#malquery: min_size=1KB\nascii: text\n"
                  "  #  malquery:\tlimit=6  submitted_by_customer=yes ",
                  &search);

    (void)state;
    assert_int_equal(search.n_patterns, 1);
    assert_int_equal(options.limit, 6); /* a later word wins, also behind a pattern */
    assert_int_equal(options.n_filetypes, 1);
    assert_string_equal(options.filetypes[0], "pe32");
    assert_int_equal(options.min_size_bytes, 1024);
    assert_int_equal(options.submitted_by_customer, 1);
}

static void defaults_stay_where_nothing_is_said(void **state)
{
    static const char text[] = "ascii: text\n# malquery: min_size=1";
    struct query_options options = QUERY_OPTIONS_NONE;
    cleanup_(search_done) struct search search = { 0 };

    (void)state;
    options.limit = 77;
    options.min_size_bytes = 10;
    options.max_size_bytes = 5; /* out of order until the line is read */
    assert_int_equal(input_pattern_lines(text, strlen(text), &search, &options, NULL), 0);
    assert_int_equal(options.limit, 77);
    assert_int_equal(options.min_size_bytes, 1);
    assert_int_equal(options.max_size_bytes, 5);
}

static void bad_options_are_refused_with_their_number(void **state)
{
    (void)state;
    expect_refused("ascii: text\n# malquery: limt=5", "line 2: 'limt': there is no such option");
    expect_refused("# malquery: limit=0\nascii: text", "line 1: 'limit=0': a number from 1 to 10000");
    expect_refused("# malquery: limit\nascii: text", "line 1: 'limit': options are written name=value");
    expect_refused("ascii: text\n# malquery: min_size=5 max_size=4", "min_size is larger than max_size");
}

static void what_only_looks_like_options_is_refused(void **state)
{
    (void)state;
    expect_refused("ascii: text\n# malquery limit=5", "line 2: options are written '# malquery: name=value'");
    expect_refused("# Malquery: limit=5\nascii: text", "line 1: options are written");
    expect_line("# malquery finds it\n# see malquery: limit=5\nascii: text", PATTERN_ASCII, "text");
}

/* ---- hostile files ---- */

static void a_nul_byte_is_refused_wherever_it_is(void **state)
{
    static const char in_value[] = "ascii: text\nascii: te\0xt\n";
    static const char in_comment[] = "# a\0b\nascii: text\n";
    static const char utf_16[] = "h\0e\0x\0:\0004\0d\0\r\0\n\0";

    (void)state;
    expect_code(in_value, sizeof in_value - 1, EINVAL, "line 2: a NUL byte");
    expect_code(in_comment, sizeof in_comment - 1, EINVAL, "line 1: a NUL byte");
    expect_code(utf_16, sizeof utf_16 - 1, EINVAL, "line 1: a NUL byte: is this a text in UTF-8?");
}

static void bytes_that_are_not_utf8_are_refused(void **state)
{
    (void)state;
    expect_refused("ascii: text\nascii: \xff\xfe\xfd\xfc", "line 2: not UTF-8: give other bytes as hex");
    expect_refused("# caf\xe9\nascii: text", "line 1: not UTF-8");
    expect_refused("\xff\xfe", "line 1: not UTF-8");
}

/* A file of an old Macintosh would be one line: perhaps a comment, and nothing of it would be looked for. */
static void a_carriage_return_inside_a_line_is_refused(void **state)
{
    (void)state;
    expect_refused("# comment\rascii: text\r", "line 1: a carriage return inside the line");
    expect_refused("ascii: text\nascii: te\rxt\r\n", "line 2: a carriage return inside the line");
    expect_line("ascii: text\r\r\n", PATTERN_ASCII, "text");
}

static void a_long_value_is_refused_with_its_number(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(2 * SEARCH_VALUE_MAX);

    (void)state;
    buf_puts(&text, "ascii: text\nascii: ");
    buf_resize(&text, text.n + SEARCH_VALUE_MAX + 1);
    memset(text.data + strlen(text.data), 'a', SEARCH_VALUE_MAX + 1);
    expect_code(text.data, text.n, EFBIG, "line 2: a pattern of more than 65536 bytes");
    text.data[0] = '#';
    text.data[11] = ' '; /* a long comment does no harm, but there is no pattern then */
    expect_code(text.data, text.n, EINVAL, "there are no patterns");
}

static void patterns_have_a_limit(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(SEARCH_TEXT_MAX);
    cleanup_(search_done) struct search search = { 0 };
    struct query_options options = QUERY_OPTIONS_NONE;

    (void)state;
    for (int i = 0; i < SEARCH_PATTERNS_MAX; i++)
        buf_puts(&text, "ascii: text\n");
    assert_int_equal(input_pattern_lines(text.data, text.n, &search, &options, NULL), 0);
    assert_int_equal(search.n_patterns, SEARCH_PATTERNS_MAX);
    buf_puts(&text, "ascii: text\n");
    expect_refused(text.data, "line 101: more than 100 patterns");
}

static void a_file_has_a_limit(void **state)
{
    static char text[SEARCH_TEXT_MAX + 1] = "ascii: text\n";

    (void)state;
    memset(text + strlen(text), '\n', sizeof text - strlen(text));
    expect_code(text, sizeof text, EFBIG, "1048576 are allowed");
    text[SEARCH_TEXT_MAX] = '\0';
    expect_line(text, PATTERN_ASCII, "text");
}

static void any_cut_of_a_file_is_read_to_its_end(void **state)
{
    static const char text[] = "\xef\xbb\xbf# malquery: limit=5\r\n\tascii: text\r\nhex:4d 5a 90 00 \n#";

    (void)state;
    for (size_t n = 0; n < sizeof text; n++) {
        struct query_options options = QUERY_OPTIONS_NONE;
        cleanup_(search_done) struct search search = { 0 };
        int r = read_bytes(text, n, &search, &options, NULL);

        assert_true(r == 0 || (r == -EINVAL && search.n_patterns == 0));
        assert_int_equal(options.limit, r == 0 ? 5 : QUERY_LIMIT_DEFAULT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_a_kind_and_a_value),
        cmocka_unit_test(other_kinds_are_refused),
        cmocka_unit_test(an_escape_is_a_byte_of_any_kind),
        cmocka_unit_test(a_bare_percent_sign_is_refused),
        cmocka_unit_test(an_escaped_nul_is_refused),
        cmocka_unit_test(every_byte_of_a_name_counts),
        cmocka_unit_test(a_name_with_a_bad_value_is_refused),
        cmocka_unit_test(a_refused_name_is_shown_on_one_line),
        cmocka_unit_test(lines_are_patterns_in_their_order),
        cmocka_unit_test(a_value_in_a_file_is_literal),
        cmocka_unit_test(blanks_around_a_value_do_not_count),
        cmocka_unit_test(lines_of_windows_are_accepted),
        cmocka_unit_test(a_byte_order_mark_counts_only_at_the_start),
        cmocka_unit_test(comments_and_blank_lines_mean_nothing),
        cmocka_unit_test(other_lines_are_refused_with_their_number),
        cmocka_unit_test(bad_values_are_refused_with_their_number),
        cmocka_unit_test(a_file_without_patterns_is_refused),
        cmocka_unit_test(options_stand_in_comments),
        cmocka_unit_test(defaults_stay_where_nothing_is_said),
        cmocka_unit_test(bad_options_are_refused_with_their_number),
        cmocka_unit_test(what_only_looks_like_options_is_refused),
        cmocka_unit_test(a_nul_byte_is_refused_wherever_it_is),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(a_carriage_return_inside_a_line_is_refused),
        cmocka_unit_test(a_long_value_is_refused_with_its_number),
        cmocka_unit_test(patterns_have_a_limit),
        cmocka_unit_test(a_file_has_a_limit),
        cmocka_unit_test(any_cut_of_a_file_is_read_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
