#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"

static int check(const char *text, struct err *err)
{
    return input_rule_check(text, strlen(text), true, err);
}

static void expect_refused(const char *text, const char *words)
{
    struct err err = { 0 };

    assert_int_equal(check(text, &err), -EINVAL);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void expect_accepted(const char *text)
{
    struct err err = { 0 };

    if (check(text, &err) != 0)
        fail_msg("%s", err.text);
}

static void one_rule_is_accepted(void **state)
{
    (void)state;
    expect_accepted("rule a { strings: $s = \"x\" condition: $s }");
}

static void a_rule_without_a_final_nul_is_accepted(void **state)
{
    static const char text[] = "rule a { condition: true }garbage";

    (void)state;
    assert_int_equal(input_rule_check(text, strlen("rule a { condition: true }"), true, NULL), 0);
}

static void modules_are_accepted(void **state)
{
    (void)state;
    expect_accepted("import \"pe\"\nimport \"hash\"\nimport \"math\"\n"
                    "rule a { condition: pe.is_pe and math.entropy(0, filesize) > 1.0 and hash.md5(0, 1) != \"\" }");
}

static void a_syntax_error_gives_its_line(void **state)
{
    (void)state;
    expect_refused("rule a {\n  strings:\n    $s = = \"x\"\n  condition: $s }", "line 3: syntax error");
}

static void the_first_error_is_reported(void **state)
{
    (void)state;
    expect_refused("rule a { condition: $x }\nrule a { condition: $y }", "line 1: ");
}

static void an_undefined_string_is_named(void **state)
{
    (void)state;
    expect_refused("rule a {\n condition:\n $nowhere }", "$nowhere");
}

static void two_rules_are_refused_by_name(void **state)
{
    (void)state;
    expect_refused("rule a { condition: true } rule b { condition: true }", "2 rules (a, b)");
}

static void private_helpers_beside_one_rule_are_accepted(void **state)
{
    (void)state;
    expect_accepted(
        "private rule p { condition: true } private rule q { condition: true } rule a { condition: p and q }");
}

static void private_rules_alone_are_refused(void **state)
{
    (void)state;
    expect_refused("private rule p { condition: true }", "only private");
}

static void a_text_without_a_rule_is_refused(void **state)
{
    (void)state;
    expect_refused("// nothing\nimport \"pe\"\n", "there is no rule");
    expect_refused("", "there is no rule");
}

static void an_include_is_refused_with_its_line(void **state)
{
    (void)state;
    expect_refused("\ninclude \"/etc/passwd\"\nrule a { condition: true }", "line 2: includes are not allowed");
}

static void an_include_in_a_comment_is_accepted(void **state)
{
    (void)state;
    expect_accepted("// include \"x\"\nrule a { condition: true }");
}

static void a_nul_byte_is_refused_with_its_line(void **state)
{
    static const char text[] = "rule a {\n\0 condition: true }";
    struct err err = { 0 };

    (void)state;
    assert_int_equal(input_rule_check(text, sizeof text - 1, true, &err), -EINVAL);
    assert_string_equal(err.text, "line 2: a NUL byte");
}

static void without_compiling_a_nul_byte_is_refused_too(void **state)
{
    (void)state;
    assert_int_equal(input_rule_check("a\0b", 3, false, NULL), -EINVAL);
}

static void without_compiling_errors_pass(void **state)
{
    (void)state;
    assert_int_equal(input_rule_check("no rule at all", 14, false, NULL), 0);
}

static void the_size_limit_is_exact(void **state)
{
    char *text = malloc(QUERY_RULE_MAX + 1);

    (void)state;
    memset(text, ' ', QUERY_RULE_MAX + 1);
    assert_int_equal(input_rule_check(text, QUERY_RULE_MAX, false, NULL), 0);
    assert_int_equal(input_rule_check(text, QUERY_RULE_MAX + 1, false, NULL), -EINVAL);
    free(text);
}

static void text_that_is_not_utf8_is_accepted(void **state)
{
    (void)state;
    expect_accepted("// \xff\xfe\nrule a { condition: true }");
}

static void a_message_has_no_control_bytes(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(check("rule a { condition: pe.\x1b[31m }", &err), -EINVAL);
    for (const char *at = err.text; *at; at++)
        assert_true((unsigned char)*at >= ' ');
}

static void *check_often(void *closure)
{
    (void)closure;
    for (int i = 0; i < 50; i++) {
        struct err err = { 0 };

        if (check("rule a { strings: $s = /a[bc]+/ condition: $s }", NULL) != 0 || check("rule {", &err) != -EINVAL ||
            strncmp(err.text, "line 1:", 7) != 0)
            return &check_often;
    }
    return NULL;
}

static void threads_check_at_the_same_time(void **state)
{
    pthread_t threads[4];
    void *failed;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static int setup(void **state)
{
    (void)state;
    return input_setup(NULL);
}

static int teardown(void **state)
{
    (void)state;
    input_teardown();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rule_is_accepted),
        cmocka_unit_test(a_rule_without_a_final_nul_is_accepted),
        cmocka_unit_test(modules_are_accepted),
        cmocka_unit_test(a_syntax_error_gives_its_line),
        cmocka_unit_test(the_first_error_is_reported),
        cmocka_unit_test(an_undefined_string_is_named),
        cmocka_unit_test(two_rules_are_refused_by_name),
        cmocka_unit_test(private_helpers_beside_one_rule_are_accepted),
        cmocka_unit_test(private_rules_alone_are_refused),
        cmocka_unit_test(a_text_without_a_rule_is_refused),
        cmocka_unit_test(an_include_is_refused_with_its_line),
        cmocka_unit_test(an_include_in_a_comment_is_accepted),
        cmocka_unit_test(a_nul_byte_is_refused_with_its_line),
        cmocka_unit_test(without_compiling_a_nul_byte_is_refused_too),
        cmocka_unit_test(without_compiling_errors_pass),
        cmocka_unit_test(the_size_limit_is_exact),
        cmocka_unit_test(text_that_is_not_utf8_is_accepted),
        cmocka_unit_test(a_message_has_no_control_bytes),
        cmocka_unit_test(threads_check_at_the_same_time),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
