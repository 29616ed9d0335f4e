#include "test_engine_fixture.h"
#include "test_engine_yara.h"

#include <errno.h>

/* Does `rule` match a file of these bytes? */
static bool matches(const char *rule, const void *data, size_t n)
{
    cleanup_(engine_rules_freep) struct engine_rules *rules = NULL;
    cleanup_(engine_scanner_freep) struct engine_scanner *scanner = NULL;
    struct fixture fixture;
    bool is_match = false;
    int fd;

    fixture_init(&fixture);
    fixture_write(&fixture, "f", data, n);
    fd = open(fixture_path(&fixture, "f"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(engine_rules_new(rule, &rules, NULL), 0);
    assert_int_equal(engine_scanner_new(rules, 60, &scanner, NULL), 0);
    assert_int_equal(engine_scanner_scan(scanner, fd, &is_match, NULL), 0);
    close(fd);
    fixture_done(&fixture);
    return is_match;
}

static void one_public_rule_of_several_is_enough(void **unused)
{
    (void)unused;
    assert_true(matches("rule a { condition: false } rule b { strings: $x = \"abc\" condition: $x }", "xabcx", 5));
    assert_false(matches("rule a { condition: false } rule b { strings: $x = \"abc\" condition: $x }", "xab", 3));
}

static void a_private_rule_alone_is_no_match(void **unused)
{
    (void)unused;
    assert_false(matches("private rule a { condition: true }", "x", 1));
    assert_true(matches("private rule a { condition: true } rule b { condition: a }", "x", 1));
}

static void rules_need_no_strings_and_may_import(void **unused)
{
    (void)unused;
    assert_true(matches("import \"hash\" rule a { condition: hash.sha256(0, filesize) == "
                        "\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\" }",
                        "hello\n", 6));
    assert_false(matches("import \"hash\" rule a { condition: hash.md5(0, filesize) == \"0\" }", "hello\n", 6));
}

static void an_empty_file_can_be_scanned(void **unused)
{
    (void)unused;
    assert_true(matches("rule a { condition: filesize == 0 }", "", 0));
    assert_false(matches("rule a { strings: $a = \"x\" condition: $a }", "", 0));
}

static void a_rule_that_does_not_compile_names_the_line(void **unused)
{
    struct engine_rules *rules = NULL;
    struct err err = { 0 };

    (void)unused;
    assert_int_equal(engine_rules_new("rule a {\n condition:\n  nonsense }", &rules, &err), -EINVAL);
    assert_non_null(strstr(err.text, "line 3"));
    assert_non_null(strstr(err.text, "nonsense"));
    assert_null(rules);
}

static void includes_and_empty_texts_are_refused(void **unused)
{
    static const char *const bad[] = { "include \"/etc/passwd\"\nrule a { condition: true }", "", "// only a comment",
                                       "import \"pe\"", "rule a { condition: true } rule a { condition: true }" };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct engine_rules *rules = NULL;
        struct err err = { 0 };

        if (engine_rules_new(bad[i], &rules, &err) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_public_rule_of_several_is_enough),
        cmocka_unit_test(a_private_rule_alone_is_no_match),
        cmocka_unit_test(rules_need_no_strings_and_may_import),
        cmocka_unit_test(an_empty_file_can_be_scanned),
        cmocka_unit_test(a_rule_that_does_not_compile_names_the_line),
        cmocka_unit_test(includes_and_empty_texts_are_refused),
    };

    return cmocka_run_group_tests(tests, start_yara, end_yara);
}
