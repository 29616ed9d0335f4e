#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "input/input.h"
#include "util/buf.h"

static struct query_options parse(const char *text)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct err err = { 0 };

    if (input_rule_options(text, strlen(text), &options, &err) != 0)
        fail_msg("%s", err.text);
    return options;
}

static void expect_limit(const char *text, int32_t limit)
{
    struct query_options options = parse(text);

    if (options.limit != limit)
        fail_msg("limit %d instead of %d in: %s", options.limit, limit, text);
}

static void expect_refused(const char *text, const char *words)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct err err = { 0 };

    if (input_rule_options(text, strlen(text), &options, &err) != -EINVAL)
        fail_msg("accepted: %s", text);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_int_equal(options.limit, QUERY_LIMIT_DEFAULT); /* nothing was changed */
    assert_int_equal(options.n_filetypes, 0);
}

/* ---- where options are looked for ---- */

static void a_comment_line_sets_every_option(void **state)
{
    struct query_options options =
        parse("// malquery: limit=50 filter_filetypes=pe32,PE64 min_size=1 max_size=800KB\n"
              "// malquery: min_date=2024/01/01 max_date=2024-12-31 submitted_by_customer=yes\n"
              "rule a { condition: true }");

    (void)state;
    assert_int_equal(options.limit, 50);
    assert_int_equal(options.n_filetypes, 2);
    assert_string_equal(options.filetypes[0], "pe32");
    assert_string_equal(options.filetypes[1], "pe64");
    assert_int_equal(options.min_size_bytes, 1);
    assert_int_equal(options.max_size_bytes, 800 * KIB);
    assert_int_equal(options.min_date_s, 1704067200);
    assert_int_equal(options.max_date_s, 1735603200);
    assert_int_equal(options.submitted_by_customer, 1);
}

static void defaults_stay_where_nothing_is_said(void **state)
{
    (void)state;
    expect_limit("rule a { condition: true }", QUERY_LIMIT_DEFAULT);
}

static void a_later_word_wins(void **state)
{
    (void)state;
    expect_limit("// malquery: limit=5 limit=6\n// malquery: limit=7", 7);
}

static void a_comment_may_follow_code(void **state)
{
    (void)state;
    expect_limit("rule a { condition: true } //malquery: limit=5\r\n", 5);
}

static void another_comment_means_nothing(void **state)
{
    (void)state;
    expect_limit("// see malquery: limit=5\n// malquery hunts are dear\n/* MalQuery finds it */", QUERY_LIMIT_DEFAULT);
}

static void what_only_looks_like_options_is_refused(void **state)
{
    (void)state;
    expect_refused("// malquery limit=5", "line 1");
    expect_refused("\n// Malquery: limit=5", "line 2");
    expect_refused("\n\n/* malquery: limit=3\n*/", "line 3");
}

static void a_block_comment_means_nothing(void **state)
{
    (void)state;
    expect_limit("/* // malquery: limit=5\n// malquery: limit=6\n*/ rule a { condition: true }", QUERY_LIMIT_DEFAULT);
}

static void after_a_block_comment_options_count_again(void **state)
{
    (void)state;
    expect_limit("/***/ // malquery: limit=5", 5);
}

static void a_block_comment_does_not_start_inside_a_line_comment(void **state)
{
    (void)state;
    expect_limit("// /* \n// malquery: limit=5", 5);
}

static void a_string_means_nothing(void **state)
{
    (void)state;
    expect_limit("$a = \"// malquery: limit=5\"", QUERY_LIMIT_DEFAULT);
    expect_limit("$a = \"\\\"// malquery: limit=5\"", QUERY_LIMIT_DEFAULT);
    expect_limit("$a = \"/*\" // malquery: limit=5", 5);
}

static void a_string_ends_after_an_escaped_backslash(void **state)
{
    (void)state;
    expect_limit("$a = \"\\\\\" // malquery: limit=5", 5);
}

static void a_broken_string_ends_with_its_line(void **state)
{
    (void)state;
    expect_limit("$a = \"open\n// malquery: limit=5", 5);
}

static void a_regular_expression_means_nothing(void **state)
{
    (void)state;
    expect_limit("$a = /http:\\/\\/ malquery: limit=5/", QUERY_LIMIT_DEFAULT);
    expect_limit("$a = /[\"]/ // malquery: limit=5", 5);
    expect_limit("pe.imports(/x\\/*/, /y/) // malquery: limit=6", 6);
}

static void a_hex_string_may_hold_a_comment(void **state)
{
    (void)state;
    expect_limit("$a = { 4D 5A // malquery: limit=5\n ?? }", 5);
}

static void words_may_correct_the_defaults_in_any_order(void **state)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    static const char text[] = "// malquery: max_size=5 min_size=1";

    (void)state;
    options.min_size_bytes = 10;
    assert_int_equal(input_rule_options(text, strlen(text), &options, NULL), 0);
    assert_int_equal(options.max_size_bytes, 5);
}

/* ---- what is refused ---- */

static void an_unknown_name_is_refused_with_its_line(void **state)
{
    (void)state;
    expect_refused("\n/*\n*/\n// malquery: limt=5", "line 4: 'limt': there is no such option");
}

static void a_word_without_a_value_is_refused(void **state)
{
    (void)state;
    expect_refused("// malquery: limit", "name=value");
    expect_refused("// malquery: limit = 5", "name=value");
}

static void a_failure_leaves_the_options_alone(void **state)
{
    (void)state;
    expect_refused("// malquery: limit=5 filter_filetypes=pe32 nonsense=1", "nonsense");
}

static void bad_values_are_refused(void **state)
{
    static const char *const words[] = {
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=",
        "limit=5x",
        "filter_filetypes=",
        "filetypes=",
        "filter_filetypes=,",
        "filter_filetypes=pe32,",
        "filetypes=pe 32",
        "min_size=",
        "min_size=-1",
        "min_size=many",
        "max_size=1XB",
        "max_size=99999999999999999999",
        "min_date=",
        "min_date=2024",
        "min_date=2024/02/30",
        "min_date=1/2/24",
        "max_date=2024/01-01",
        "max_date=yesterday",
        "submitted_by_customer=",
        "submitted_by_customer=2",
        "submitted_by_customer=maybe",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        struct query_options options = QUERY_OPTIONS_NONE;
        struct query_options before = options;
        struct err err = { 0 };

        if (input_option(words[i], &options, &err) != -EINVAL)
            fail_msg("accepted: %s", words[i]);
        assert_true(err.text[0]);
        assert_memory_equal(&options, &before, sizeof options);
    }
}

static void the_limits_of_the_limit_are_accepted(void **state)
{
    struct query_options options = QUERY_OPTIONS_NONE;

    (void)state;
    assert_int_equal(input_option("limit=1", &options, NULL), 0);
    assert_int_equal(input_option("limit=10000", &options, NULL), 0);
    assert_int_equal(options.limit, 10000);
}

static void an_unknown_file_type_is_named(void **state)
{
    (void)state;
    expect_refused("// malquery: filter_filetypes=pe32,exe,dll", "'exe'");
}

static void sizes_in_the_wrong_order_are_refused(void **state)
{
    (void)state;
    expect_refused("// malquery: min_size=2KB max_size=1KB", "min_size is larger than max_size");
}

static void dates_in_the_wrong_order_are_refused(void **state)
{
    (void)state;
    expect_refused("// malquery: min_date=2024/02/01 max_date=2024/01/31", "min_date is later than max_date");
}

static void equal_bounds_are_accepted(void **state)
{
    struct query_options options = parse("// malquery: min_size=5 max_size=5 min_date=2024/01/01 max_date=2024/01/01");

    (void)state;
    assert_int_equal(options.min_size_bytes, options.max_size_bytes);
}

static void a_nul_byte_in_a_word_is_refused(void **state)
{
    static const char text[] = "// malquery: limit=5\0junk";
    struct query_options options = QUERY_OPTIONS_NONE;

    (void)state;
    assert_int_equal(input_rule_options(text, sizeof text - 1, &options, NULL), -EINVAL);
}

static void an_endless_word_is_refused(void **state)
{
    char text[2000] = "// malquery: ";
    struct query_options options = QUERY_OPTIONS_NONE;
    size_t n = strlen(text);

    (void)state;
    memset(text + n, 'x', sizeof text - n);
    assert_int_equal(input_rule_options(text, sizeof text, &options, NULL), -EINVAL);
}

static void a_scanner_stops_at_the_end_of_any_cut(void **state)
{
    static const char text[] = "/* x */ \"a\\\"b\" /r\\/e/ // malquery: limit=5 limit=6";

    (void)state;
    for (size_t n = 0; n < sizeof text; n++) { /* a heap copy each, so that ASan sees a byte too many */
        struct query_options options = QUERY_OPTIONS_NONE;
        cleanup_(freep) char *cut = malloc(n + 1);
        cleanup_(freep) char *exact = n ? memcpy(malloc(n), text, n) : NULL;
        int r = input_rule_options(exact ? exact : "", n, &options, NULL);

        memcpy(cut, text, n);
        cut[n] = '\0';
        if (r == 0)
            assert_in_range(options.limit, 5, QUERY_LIMIT_DEFAULT);
        else
            assert_non_null(strstr(cut, "malquery: l"));
    }
}

/* ---- lists ---- */

static void the_alias_of_file_types_is_accepted(void **state)
{
    (void)state;
    assert_string_equal(parse("// malquery: filetypes=java.arc").filetypes[0], "java.arc");
}

static void a_file_type_counts_once(void **state)
{
    (void)state;
    assert_int_equal(parse("// malquery: filetypes=pdf,PDF,pdf").n_filetypes, 1);
}

static void a_later_list_replaces_an_earlier_one(void **state)
{
    struct query_options options = parse("// malquery: filetypes=pdf,doc filetypes=xls");

    (void)state;
    assert_int_equal(options.n_filetypes, 1);
    assert_string_equal(options.filetypes[0], "xls");
}

static void all_file_types_fit(void **state)
{
    cleanup_(buf_done) struct buf word = BUF_INIT(1000);
    struct query_options options = QUERY_OPTIONS_NONE;

    (void)state;
    for (size_t i = 0; i < QUERY_TYPES_MAX; i++)
        buf_printf(&word, "%s%s", i ? "," : "// malquery: filetypes=", query_filetypes[i]);
    assert_int_equal(input_rule_options(word.data, word.n, &options, NULL), 0);
    assert_int_equal(options.n_filetypes, QUERY_TYPES_MAX);
}

/* ---- printing ---- */

static void print_gives_the_strictest_spelling(void **state)
{
    struct query_options options =
        parse("// malquery: submitted_by_customer=no max_date=2024-12-31 min_date=2024-01-01 "
              "max_size=1.5KB min_size=0 filetypes=PE64,pe32 limit=050");
    cleanup_(buf_done) struct buf text = BUF_INIT(1000);

    (void)state;
    input_options_print(&options, &text);
    assert_string_equal(buf_text(&text), "limit=50\n"
                                         "filter_filetypes=pe64,pe32\n"
                                         "min_size=0\n"
                                         "max_size=1536\n"
                                         "min_date=2024/01/01\n"
                                         "max_date=2024/12/31\n"
                                         "submitted_by_customer=false\n");
}

static void print_leaves_out_what_is_not_set(void **state)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    cleanup_(buf_done) struct buf text = BUF_INIT(1000);

    (void)state;
    input_options_print(&options, &text);
    assert_string_equal(buf_text(&text), "limit=1000\n");
}

static void what_is_printed_reads_back(void **state)
{
    struct query_options options = parse("// malquery: limit=5 filetypes=pdf,doc min_size=1 max_size=2GB "
                                         "min_date=1999/12/31 max_date=2024/01/01 submitted_by_customer=1");
    struct query_options back = QUERY_OPTIONS_NONE;
    cleanup_(buf_done) struct buf text = BUF_INIT(1000);

    (void)state;
    input_options_print(&options, &text);
    for (char *word = text.data, *end; *word; word = end + 1) {
        end = strchr(word, '\n');
        *end = '\0';
        assert_int_equal(input_option(word, &back, NULL), 0);
    }
    assert_memory_equal(&back, &options, sizeof back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_comment_line_sets_every_option),
        cmocka_unit_test(defaults_stay_where_nothing_is_said),
        cmocka_unit_test(a_later_word_wins),
        cmocka_unit_test(a_comment_may_follow_code),
        cmocka_unit_test(another_comment_means_nothing),
        cmocka_unit_test(what_only_looks_like_options_is_refused),
        cmocka_unit_test(a_block_comment_means_nothing),
        cmocka_unit_test(after_a_block_comment_options_count_again),
        cmocka_unit_test(a_block_comment_does_not_start_inside_a_line_comment),
        cmocka_unit_test(a_string_means_nothing),
        cmocka_unit_test(a_string_ends_after_an_escaped_backslash),
        cmocka_unit_test(a_broken_string_ends_with_its_line),
        cmocka_unit_test(a_regular_expression_means_nothing),
        cmocka_unit_test(a_hex_string_may_hold_a_comment),
        cmocka_unit_test(words_may_correct_the_defaults_in_any_order),
        cmocka_unit_test(an_unknown_name_is_refused_with_its_line),
        cmocka_unit_test(a_word_without_a_value_is_refused),
        cmocka_unit_test(a_failure_leaves_the_options_alone),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(the_limits_of_the_limit_are_accepted),
        cmocka_unit_test(an_unknown_file_type_is_named),
        cmocka_unit_test(sizes_in_the_wrong_order_are_refused),
        cmocka_unit_test(dates_in_the_wrong_order_are_refused),
        cmocka_unit_test(equal_bounds_are_accepted),
        cmocka_unit_test(a_nul_byte_in_a_word_is_refused),
        cmocka_unit_test(an_endless_word_is_refused),
        cmocka_unit_test(a_scanner_stops_at_the_end_of_any_cut),
        cmocka_unit_test(the_alias_of_file_types_is_accepted),
        cmocka_unit_test(a_file_type_counts_once),
        cmocka_unit_test(a_later_list_replaces_an_earlier_one),
        cmocka_unit_test(all_file_types_fit),
        cmocka_unit_test(print_gives_the_strictest_spelling),
        cmocka_unit_test(print_leaves_out_what_is_not_set),
        cmocka_unit_test(what_is_printed_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
