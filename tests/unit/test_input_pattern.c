#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "input/input.h"
#include "model/search.h"

static void names_are_patterns(void **state)
{
    static const struct {
        const char *name;
        enum pattern_kind kind;
        const char *value;
    } cases[] = {
        { "ascii:trickbot", PATTERN_ASCII, "trickbot" },         { "ascii: a b:c", PATTERN_ASCII, " a b:c" },
        { "wide:kernel32%2Edll", PATTERN_WIDE, "kernel32.dll" }, { "hex:7F 45 4c 46", PATTERN_HEX, "7f454c46" },
        { "ascii:100%25%2f", PATTERN_ASCII, "100%/" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct search search = { 0 };

        assert_int_equal(input_pattern_name(cases[i].name, &search, NULL), 0);
        assert_int_equal(search.n_patterns, 1);
        assert_int_equal(search.patterns[0].kind, cases[i].kind);
        assert_string_equal(search.patterns[0].value, cases[i].value);
        search_done(&search);
    }
}

static void other_names_are_refused(void **state)
{
    static const char *const names[] = { "trickbot",  "ascii",      "ascii:",    "Ascii:abcd",
                                         "utf8:abcd", "hex:abc",    "hex:wxyz",  "ascii:abc%zz",
                                         "ascii:ab%", "ascii:ab%2", "wide:%00a", "ascii:%ffabc" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct search search = { 0 };
        struct err err = { 0 };

        if (input_pattern_name(names[i], &search, &err) != -EINVAL)
            fail_msg("'%s' is taken", names[i]);
        assert_int_equal(search.n_patterns, 0);
    }
}

static void lines_are_patterns_and_options(void **state)
{
    static const char text[] = "\xef\xbb\xbf# malquery: limit=5 max_size=1KB\r\n\r\nascii:  two words \r\n"
                               "hex: 4d 5A 90 00\n# malquery: filter_filetypes=pe32\nwide: C:\\100%";
    struct query_options options = QUERY_OPTIONS_NONE;
    struct search search = { 0 };

    (void)state;
    assert_int_equal(input_pattern_lines(text, sizeof text - 1, &search, &options, NULL), 0);
    assert_int_equal(search.n_patterns, 3);
    assert_string_equal(search.patterns[0].value, "two words");
    assert_string_equal(search.patterns[1].value, "4d5a9000");
    assert_string_equal(search.patterns[2].value, "C:\\100%"); /* no escapes here */
    assert_int_equal(options.limit, 5);
    assert_int_equal(options.max_size_bytes, 1024);
    assert_int_equal(options.n_filetypes, 1);
    search_done(&search);
}

static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        { "ascii: fine\nutf8: what\n", "line 2: a pattern is written" },
        { "ascii: fine\n\nhex: 123\n", "line 3: " },
        { "# malquery: limit=0\nascii: fine\n", "line 1: 'limit=0'" },
        { "# MalQuery: limit=5\nascii: fine\n", "line 1: options are written '# malquery: name=value'" },
        { "# malquery: min_size=2 max_size=1\nascii: fine\n", "min_size is larger" },
        { "# nothing\n", "no pattern" },
        { "", "no pattern" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct query_options options = QUERY_OPTIONS_NONE;
        struct search search = { 0 };
        struct err err = { 0 };

        assert_int_equal(input_pattern_lines(cases[i].text, strlen(cases[i].text), &search, &options, &err), -EINVAL);
        if (!strstr(err.text, cases[i].says))
            fail_msg("'%s' where '%s' is wanted", err.text, cases[i].says);
        assert_int_equal(options.limit, QUERY_LIMIT_DEFAULT);
        search_done(&search);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_patterns),
        cmocka_unit_test(other_names_are_refused),
        cmocka_unit_test(lines_are_patterns_and_options),
        cmocka_unit_test(bad_lines_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
