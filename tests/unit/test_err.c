#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/err.h"

static void setting_returns_the_negative_code(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(err_set(&err, EDQUOT, "%d downloads left", 0), -EDQUOT);
    assert_int_equal(err.code, EDQUOT);
    assert_string_equal(err.text, "0 downloads left");
}

static void setting_starts_anew(void **state)
{
    struct err err = { 0 };

    (void)state;
    (void)err_set(&err, EPROTO, "first"); /* the second one counts */
    err_trace(&err, "abc");
    (void)err_set(&err, EACCES, "second"); /* looked at below */
    assert_int_equal(err.code, EACCES);
    assert_string_equal(err.text, "second");
    assert_string_equal(err.trace, "");
}

static void words_may_be_unwanted(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, EDQUOT, "x"), -EDQUOT);
    errno = ENOENT;
    assert_int_equal(err_sys(NULL, "x"), -ENOENT);
    err_trace(NULL, "x");
}

static void errno_is_described(void **state)
{
    struct err err = { 0 };

    (void)state;
    errno = ENOENT;
    assert_int_equal(err_sys(&err, "open '%s'", "a"), -ENOENT);
    assert_string_equal(err.text, "open 'a': No such file or directory");
}

static void a_failure_without_errno_is_still_one(void **state)
{
    struct err err = { 0 };

    (void)state;
    errno = 0;
    assert_int_equal(err_sys(&err, "x"), -EIO);
    assert_int_equal(err.code, EIO);
}

static void wrapping_keeps_the_code_and_the_trace(void **state)
{
    struct err err = { 0 };

    (void)state;
    (void)err_set(&err, ETIMEDOUT, "no answer"); /* wrapped below */
    err_trace(&err, "6b1c0f2e");
    errno = ENOENT; /* must not matter */
    assert_int_equal(err_wrap(&err, "metadata of %s", "9f86"), -ETIMEDOUT);
    assert_int_equal(err.code, ETIMEDOUT);
    assert_string_equal(err.text, "metadata of 9f86: no answer");
    assert_string_equal(err.trace, "6b1c0f2e");
}

static void texts_are_cut_and_end(void **state)
{
    struct err err = { 0 };
    char text[2 * ERR_TEXT_MAX];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(&err, EINVAL, "%s", text); /* looked at below */
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    errno = EINVAL;
    (void)err_sys(&err, "%s", text); /* looked at below */
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void wrapping_cuts_the_cause_and_not_the_place(void **state)
{
    struct err err = { 0 };
    char text[2 * ERR_TEXT_MAX];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(&err, EINVAL, "%s", text); /* wrapped below */
    assert_int_equal(err_wrap(&err, "line 3"), -EINVAL);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "line 3: aaa", 11);
    assert_int_equal(err_wrap(&err, "%s", text), -EINVAL); /* no room for the cause at all */
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void traces_hold_printable_bytes_only(void **state)
{
    struct err err = { 0 };
    char text[2 * ERR_TRACE_MAX];

    (void)state;
    err_trace(&err, "a b\nc\xff\x7f");
    assert_string_equal(err.trace, "a?b?c??");
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_trace(&err, text);
    assert_int_equal(strlen(err.trace), ERR_TRACE_MAX - 1);
}

/* Design section 3 and every code that api.h and store.h promise. */
static void every_errno_of_ours_has_a_name(void **state)
{
    static const struct {
        int code;
        const char *name;
    } ours[] = {
        { EDQUOT, "EDQUOT" },       { EACCES, "EACCES" },       { EKEYREJECTED, "EKEYREJECTED" },
        { ENOENT, "ENOENT" },       { ENODATA, "ENODATA" },     { EINVAL, "EINVAL" },
        { EAGAIN, "EAGAIN" },       { EPROTO, "EPROTO" },       { ENETUNREACH, "ENETUNREACH" },
        { ETIMEDOUT, "ETIMEDOUT" }, { EREMOTEIO, "EREMOTEIO" }, { EBADMSG, "EBADMSG" },
        { ENOSPC, "ENOSPC" },       { EINTR, "EINTR" },         { EROFS, "EROFS" },
        { EFBIG, "EFBIG" },         { ECANCELED, "ECANCELED" }, { ENAMETOOLONG, "ENAMETOOLONG" },
        { ENOTSUP, "EOPNOTSUPP" },  { ENOMEM, "ENOMEM" },       { EIO, "EIO" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        assert_string_equal(err_name(ours[i].code), ours[i].name);
    assert_string_equal(err_name(99999), "E?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_returns_the_negative_code),
        cmocka_unit_test(setting_starts_anew),
        cmocka_unit_test(words_may_be_unwanted),
        cmocka_unit_test(errno_is_described),
        cmocka_unit_test(a_failure_without_errno_is_still_one),
        cmocka_unit_test(wrapping_keeps_the_code_and_the_trace),
        cmocka_unit_test(texts_are_cut_and_end),
        cmocka_unit_test(wrapping_cuts_the_cause_and_not_the_place),
        cmocka_unit_test(traces_hold_printable_bytes_only),
        cmocka_unit_test(every_errno_of_ours_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
