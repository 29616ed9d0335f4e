#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "input/input.h"
#include "util/buf.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define UPPER_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* The digests in order, one letter each; "!" and the message when the list is refused. */
static const char *read_list(const char *text, size_t n)
{
    static char result[ERR_TEXT_MAX + 1];
    struct input_hashes hashes = { 0 };
    struct err err = { 0 };
    size_t at = 0;

    if (input_hashes(text, n, &hashes, &err) < 0) {
        (void)snprintf(result, sizeof result, "!%s", err.text);
        return result;
    }
    for (size_t i = 0; i < hashes.n; i++)
        result[at++] = digest_format(&hashes.digests[i]).s[0];
    result[at] = '\0';
    free(hashes.digests);
    return result;
}

static void every_spelling_is_understood(void **state)
{
    static const struct {
        const char *text;
        const char *wanted;
    } cases[] = {
        { HASH_A "\n" HASH_B "\n", "ab" },
        { HASH_B "\r\n\r\n" UPPER_A, "ba" },
        { "# a case\n  " HASH_A "\t\n#" HASH_B "\n", "a" },
        { HASH_A "  name.exe\n" HASH_B " *other.exe\n", "ab" },
        { "*" HASH_A "\n\\" HASH_B "  new\\nline\n", "ab" },
        { "SHA256 (/bin/true) = " HASH_A "\n", "a" },
        { HASH_A "\n" UPPER_A "\n" HASH_B "\n" HASH_A "\n", "ab" },
        { "\xef\xbb\xbf" HASH_A, "a" },
        { HASH_A "# a remark\n", "a" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(read_list(cases[i].text, strlen(cases[i].text)), cases[i].wanted);
}

static void anything_else_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        { HASH_A "\nhello\n", "line 2: 'hello' is no SHA-256" },
        { HASH_A "x\n", "line 1: " },
        { "\n\n0123456789abcdef0123456789abcdef\n", "line 3: 32 hex digits are an MD5" },
        { "0123456789abcdef0123456789abcdef01234567\n", "line 1: 40 hex digits are a SHA-1" },
        { "# none\n\n", "a list without any hash" },
        { "", "a list without any hash" },
        { "\x1b[2J\n", "line 1: '\\x1b[2J'" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *got = read_list(cases[i].text, strlen(cases[i].text));

        if (got[0] != '!' || !strstr(got, cases[i].says))
            fail_msg("'%s' where '%s' is wanted", got, cases[i].says);
    }
    assert_int_equal(read_list(HASH_A "\0" HASH_B, 2 * DIGEST_TEXT + 1)[0], '!');
}

static void a_list_has_a_limit(void **state)
{
    struct buf text = BUF_INIT(INPUT_HASHES_MAX * (DIGEST_TEXT + 1) + 1000);
    struct input_hashes hashes = { 0 };

    (void)state;
    for (int i = 0; i < INPUT_HASHES_MAX; i++)
        buf_printf(&text, "%064x\n", i);
    assert_int_equal(input_hashes(buf_text(&text), text.n, &hashes, NULL), 0);
    assert_int_equal(hashes.n, INPUT_HASHES_MAX);
    free(hashes.digests);
    buf_puts(&text, HASH_A "\n");
    assert_int_equal(input_hashes(buf_text(&text), text.n, &hashes, NULL), -EFBIG);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_is_understood),
        cmocka_unit_test(anything_else_is_refused_with_its_line),
        cmocka_unit_test(a_list_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
