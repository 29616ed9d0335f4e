#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"
#include "util/buf.h"

#define A "d207ccf1eabcc9453288896d963f1a1c558c427abfe9305d7328e3a6fb06f6ee"
#define B "41A1D7B98D0CE3259270C9A8F26FE8899CCA402CBA69EF8E5C70449FAEA8B714"
#define B_LOWER "41a1d7b98d0ce3259270c9a8f26fe8899cca402cba69ef8e5c70449faea8b714"
#define MD5 "0b189ab69d40e782fe827c63e1cc6f06"
#define SHA1 "85be23059c9abb3370586dc49dbd8f1ced05df8e"

/* A heap copy of exactly `n` bytes, so that ASan sees a byte too many. */
static int read_bytes(const char *text, size_t n, struct input_hashes *hashes, struct err *err)
{
    cleanup_(freep) char *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, text, n);
    return input_hashes(copy, n, hashes, err);
}

static void expect_list(const char *text, const char *first, const char *second)
{
    struct input_hashes hashes = { 0 };
    struct err err = { 0 };

    if (read_bytes(text, strlen(text), &hashes, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(hashes.n, second ? 2 : 1);
    assert_string_equal(digest_format(&hashes.digests[0]).s, first);
    if (second)
        assert_string_equal(digest_format(&hashes.digests[1]).s, second);
    free(hashes.digests);
}

static void expect_hash(const char *text)
{
    expect_list(text, A, NULL);
}

static void expect_code(const char *text, size_t n, int code, const char *words)
{
    struct input_hashes hashes = { 0 };
    struct err err = { 0 };

    if (read_bytes(text, n, &hashes, &err) != -code)
        fail_msg("not %d for: %.200s", code, text);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(hashes.digests);
}

static void expect_refused(const char *text, const char *words)
{
    expect_code(text, strlen(text), EINVAL, words);
}

/* ---- what is understood ---- */

static void a_hash_stands_alone_in_any_case(void **state)
{
    (void)state;
    expect_list(A "\n" B "\n", A, B_LOWER);
    expect_list(B "\n" A, B_LOWER, A); /* in their order */
    expect_hash("\t " A " \t");
}

static void lines_of_sha256sum_are_understood(void **state)
{
    (void)state;
    expect_hash(A "  sample.exe\n");
    expect_hash(A " *sample.exe\n");
    expect_hash("\\" A "  back\\\\slash\\n.exe\n");
    expect_hash("\\" A " *back\\\\slash.exe\n");
    expect_hash(A "  with  two blanks and # no comment\n");
    expect_hash(A "  " A "\n"); /* the SHA256SUMS of a directory of samples */
    expect_hash(A "  \xff\xfe is a name too\n");
    expect_hash(A "\t\tsample.exe\n");
}

static void lines_of_sha256sum_with_a_tag_are_understood(void **state)
{
    (void)state;
    expect_hash("SHA256 (sample.exe) = " A "\n");
    expect_hash("SHA256 (a (b) = c) = " A "\n");
    expect_hash("SHA256 (" B ") = " A "\n");
    expect_hash("SHA256 () = " A "\n");
    expect_hash("\\SHA256 (back\\\\slash) = " A "\n");
}

static void an_asterisk_before_a_hash_is_passed_over(void **state)
{
    (void)state;
    expect_hash("*" A "\n");
    expect_hash("*" A "  name\n");
}

static void comments_and_blank_lines_mean_nothing(void **state)
{
    (void)state;
    expect_hash("# " B "\n\n  \t\n  #" B "\n" A "\n#");
    expect_hash(A " # " B);
    expect_hash(A "# comment");
    expect_hash(A "\t#");
    expect_hash("SHA256 (x) = " A " # " B);
}

static void lines_of_windows_are_accepted(void **state)
{
    (void)state;
    expect_list("\xef\xbb\xbf" A "\r\n\r\n# comment\r\n" B "  name\r\n", A, B_LOWER);
    expect_refused(A "\n\xef\xbb\xbf" B, "line 2: ");
}

static void the_first_of_equal_hashes_counts(void **state)
{
    (void)state;
    expect_list(B "\n" A "\n" B_LOWER "\n" A "  name\nSHA256 (x) = " B "\n", B_LOWER, A);
}

static void a_list_may_end_without_a_line_feed(void **state)
{
    (void)state;
    expect_list(A "\n" B, A, B_LOWER);
}

/* ---- what is refused ---- */

static void other_sums_are_named(void **state)
{
    static const struct {
        const char *sum;
        const char *words;
    } sums[] = {
        { MD5, "line 3: 32 hex digits are an MD5; MalQuery knows samples by SHA-256" },
        { MD5 "  sample.exe", "line 3: 32 hex digits are an MD5" },
        { SHA1, "line 3: 40 hex digits are a SHA-1; MalQuery knows samples by SHA-256" },
        { SHA1 " *sample.exe", "line 3: 40 hex digits are a SHA-1" },
        { SHA1 "0123456789abcdef", "line 3: 56 hex digits are a SHA-224" },
        { MD5 MD5 MD5, "line 3: 96 hex digits are a SHA-384" },
        { MD5 MD5 MD5 MD5, "line 3: 128 hex digits are a SHA-512" },
        { A "0", "line 3: 65 hex digits: a SHA-256 has 64" },
        { "cafe", "line 3: 4 hex digits: a SHA-256 has 64" },
        { "SHA256 (x) = " MD5, "line 3: 32 hex digits are an MD5" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(1000);

        buf_printf(&text, A "\n\n%s\n" B "\n", sums[i].sum);
        expect_refused(buf_text(&text), sums[i].words);
    }
}

static void anything_else_is_refused_with_its_number(void **state)
{
    static const char *const bad[] = {
        "sha256",
        "sample.exe  " A,
        "0x" A,
        "\"" A "\"",
        "'" A "'",
        "** " A,
        "* " A,
        "\\",
        "*",
        "**" A,
        "SHA256 " A,
        "SHA256(x)= " A,
        "SHA256 (x) =" A,
        "SHA256 (x) = ",
        "sha256 (x) = " A,
        "MD5 (x) = " MD5,
        "SHA512/256 (x) = " A,
        "BLAKE2b-256 (x) = " A,
        "d207ccf1eabcc9453288896d963f1a1c558c427abfe9305d7328e3a6fb06f6eg",
        A "," B,
        A ";",
        "\xc2\xa0" A,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(1000);

        buf_printf(&text, A "\r\n# two\n%s\n" B "\n", bad[i]);
        expect_refused(buf_text(&text), "line 3: ");
        expect_refused(buf_text(&text), "this is no SHA-256");
    }
}

/* Else the second of two hashes in a line would be lost without a word. */
static void what_follows_a_hash_is_a_name_or_a_comment(void **state)
{
    static const char *const bad[] = { A " " B, A "\t" B, A " name", A " *", "SHA256 (x) = " A "  name", A " , x" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_(buf_done) struct buf text = BUF_INIT(1000);

        buf_printf(&text, A "\n%s\n", bad[i]);
        expect_refused(buf_text(&text), "line 2: only a comment or, as sha256sum writes it, a name may follow");
    }
}

static void a_list_without_hashes_is_refused(void **state)
{
    (void)state;
    expect_refused("", "there are no hashes");
    expect_refused("\n \n", "there are no hashes");
    expect_refused("# " A "\n", "there are no hashes");
    expect_refused("\xef\xbb\xbf", "there are no hashes");
}

static void a_refused_line_is_shown_cut_and_on_one_line(void **state)
{
    char text[1000];

    (void)state;
    expect_refused("bad\x1b[0m", "'bad\\x1b[0m'");
    memset(text, 'x', sizeof text);
    expect_code(text, sizeof text, EINVAL, "xxxx': this is no SHA-256");
}

/* ---- hostile lists ---- */

static void a_nul_byte_is_refused_wherever_it_is(void **state)
{
    static const char in_name[] = A "\n" A "  na\0me\n";
    static const char in_comment[] = "#\0\n" A;
    static const char behind[] = A "\0" B;
    static const char utf_16[] = "\xff\xfe"
                                 "d\0002\0000\0007\0\r\0\n\0";

    (void)state;
    expect_code(in_name, sizeof in_name - 1, EINVAL, "line 2: a NUL byte");
    expect_code(in_comment, sizeof in_comment - 1, EINVAL, "line 1: a NUL byte");
    expect_code(behind, sizeof behind - 1, EINVAL, "line 1: a NUL byte");
    expect_code(utf_16, sizeof utf_16 - 1, EINVAL, "line 1: a NUL byte: is this a text in UTF-8?");
}

static void a_carriage_return_inside_a_line_is_refused(void **state)
{
    (void)state;
    expect_refused("# list\r" A "\r" B "\r", "line 1: a carriage return inside the line");
    expect_refused(A "\n" A "\r" B "\n", "line 2: a carriage return inside the line");
}

static void put_hash(struct buf *text, unsigned number)
{
    buf_printf(text, "%08x%056x\n", number * 2654435761U, number); /* not in the order of a sort */
}

static void different_hashes_have_a_limit(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(4 * MIB);
    struct input_hashes hashes = { 0 };

    (void)state;
    for (unsigned i = 0; i < INPUT_HASHES_MAX; i++)
        put_hash(&text, i);
    for (unsigned i = 0; i < INPUT_HASHES_MAX; i++)
        put_hash(&text, i); /* the same again does not count */
    assert_int_equal(input_hashes(text.data, text.n, &hashes, NULL), 0);
    assert_int_equal(hashes.n, INPUT_HASHES_MAX);
    for (unsigned i = 0; i < INPUT_HASHES_MAX; i++) {
        struct digest_text digits = digest_format(&hashes.digests[i]);

        assert_int_equal(strtoul(digits.s + 56, NULL, 16), i);
    }
    free(hashes.digests);
    put_hash(&text, INPUT_HASHES_MAX);
    expect_code(text.data, text.n, EFBIG, "10001 hashes: 10000 are allowed");
}

static void any_cut_of_a_list_is_read_to_its_end(void **state)
{
    static const char text[] = "\xef\xbb\xbf" A "\r\n\\" B "  na\\me\n*" A "\nSHA256 (x) = " B " #\n#";

    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct input_hashes hashes = { 0 };
        int r = read_bytes(text, n, &hashes, NULL);

        assert_true(r == 0 ? hashes.n >= 1 && hashes.n <= 2 : r == -EINVAL && !hashes.digests);
        free(hashes.digests);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_stands_alone_in_any_case),
        cmocka_unit_test(lines_of_sha256sum_are_understood),
        cmocka_unit_test(lines_of_sha256sum_with_a_tag_are_understood),
        cmocka_unit_test(an_asterisk_before_a_hash_is_passed_over),
        cmocka_unit_test(comments_and_blank_lines_mean_nothing),
        cmocka_unit_test(lines_of_windows_are_accepted),
        cmocka_unit_test(the_first_of_equal_hashes_counts),
        cmocka_unit_test(a_list_may_end_without_a_line_feed),
        cmocka_unit_test(other_sums_are_named),
        cmocka_unit_test(anything_else_is_refused_with_its_number),
        cmocka_unit_test(what_follows_a_hash_is_a_name_or_a_comment),
        cmocka_unit_test(a_list_without_hashes_is_refused),
        cmocka_unit_test(a_refused_line_is_shown_cut_and_on_one_line),
        cmocka_unit_test(a_nul_byte_is_refused_wherever_it_is),
        cmocka_unit_test(a_carriage_return_inside_a_line_is_refused),
        cmocka_unit_test(different_hashes_have_a_limit),
        cmocka_unit_test(any_cut_of_a_list_is_read_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
