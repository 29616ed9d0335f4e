#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static void names_decide_what_can_be_submitted(void **state)
{
    static const struct {
        enum store_dir dir;
        const char *name;
        enum user_name_kind kind;
        const char *base;
    } cases[] = {
        { STORE_HUNTS, "wiper.yar", NAME_FINAL, "wiper" },
        { STORE_HUNTS, "wiper.yara", NAME_FINAL, "wiper" },
        { STORE_HUNTS, "wiper.YAR", NAME_FINAL, "wiper" },
        { STORE_HUNTS, "a b.yar", NAME_FINAL, "a b" },
        { STORE_HUNTS, "sed.yar", NAME_FINAL, "sed" },
        { STORE_HUNTS, "wiper", NAME_NONE, "" },
        { STORE_HUNTS, "wiper.txt", NAME_NONE, "" },
        { STORE_HUNTS, "RULE", NAME_NONE, "" },
        { STORE_HUNTS, "notes.md", NAME_NONE, "" },
        { STORE_HUNTS, ".yar", NAME_SCRATCH, "" },
        { STORE_HUNTS, "", NAME_NONE, "" },
        { STORE_HUNTS, "tab\t.yar", NAME_NONE, "" },
        { STORE_HUNTS, "\xff.yar", NAME_NONE, "" },
        { STORE_HUNTS, "turn\xe2\x80\xaeray.yar", NAME_NONE, "" },
        { STORE_HUNTS, "a.yar.yar", NAME_NONE, "" },
        { STORE_HUNTS, ".defaults", NAME_DEFAULTS, "" },
        { STORE_HUNTS, ".defaults.swp", NAME_SCRATCH, "" },
        { STORE_EXACT, "lazarus.json", NAME_FINAL, "lazarus" },
        { STORE_EXACT, "lazarus.txt", NAME_FINAL, "lazarus" },
        { STORE_EXACT, "lazarus.yar", NAME_NONE, "" },
        { STORE_FUZZY, "lazarus.txt", NAME_FINAL, "lazarus" },
        { STORE_FUZZY, ".defaults", NAME_DEFAULTS, "" },
        { STORE_DOWNLOADS, "case42.txt", NAME_FINAL, "case42" },
        { STORE_DOWNLOADS, "tmp.txt", NAME_FINAL, "tmp" },
        { STORE_DOWNLOADS, "case42.json", NAME_NONE, "" },
        { STORE_DOWNLOADS, ".defaults", NAME_SCRATCH, "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct user_name name;

        if (user_name(cases[i].dir, cases[i].name, &name) != cases[i].kind)
            fail_msg("'%s' is %d", cases[i].name, (int)name.kind);
        assert_string_equal(name.base, cases[i].base);
    }
}

static void temporary_names_of_tools_are_scratch(void **state)
{
    static const char *const scratch[] = {
        ".wiper.yar.swp", "4913",      "sedk3J2x1", "tmpab12cd34",      "wiper.yar~",
        "#wiper.yar#",    ".hidden",   ".x.yar~",   "wiper.yar.X8fj2s", "wiper.yar.tmp",
        ".wiper.yar",     "tmp.Yf3kQ", "XXY0Vbjz",
    };
    struct user_name name;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
        if (user_name(STORE_HUNTS, scratch[i], &name) != NAME_SCRATCH)
            fail_msg("not scratch: %s", scratch[i]);
    assert_int_equal(user_name(STORE_DOWNLOADS, "case.txt.X8fj2s", &name), NAME_SCRATCH);
}

static void a_name_of_more_than_200_bytes_is_never_submitted(void **state)
{
    char text[STORE_NAME_MAX + 8];
    struct user_name name;
    struct err err = { 0 };

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + STORE_NAME_MAX - 4, ".yar", 5);
    assert_int_equal(user_name(STORE_HUNTS, text, &name), NAME_FINAL);
    memset(text, 'a', sizeof text);
    memcpy(text + STORE_NAME_MAX - 3, ".yar", 5);
    assert_int_equal(user_name(STORE_HUNTS, text, &name), NAME_NONE);
    assert_int_equal(user_name_refuse(STORE_HUNTS, text, &err), -ENAMETOOLONG);
}

static void a_refusal_says_what_is_wanted(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(user_name_refuse(STORE_HUNTS, "wiper.txt", &err), -EINVAL);
    assert_non_null(strstr(err.text, ".yar"));
    assert_int_equal(user_name_refuse(STORE_DOWNLOADS, "wiper.yar", &err), -EINVAL);
    assert_non_null(strstr(err.text, ".txt"));
    assert_int_equal(user_name_refuse(STORE_HUNTS, "a.yar.yar", &err), -EINVAL);
    assert_non_null(strstr(err.text, "one suffix"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_decide_what_can_be_submitted),
        cmocka_unit_test(temporary_names_of_tools_are_scratch),
        cmocka_unit_test(a_name_of_more_than_200_bytes_is_never_submitted),
        cmocka_unit_test(a_refusal_says_what_is_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
