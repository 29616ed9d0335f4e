#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/digest.h"

#define OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OF_MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void known_vectors_come_out(void **state)
{
    struct digest digest = { 0 };

    (void)state;
    assert_int_equal(digest_of("", 0, &digest, NULL), 0);
    assert_string_equal(digest_format(&digest).s, OF_NOTHING);
    assert_int_equal(digest_of(NULL, 0, &digest, NULL), 0);
    assert_string_equal(digest_format(&digest).s, OF_NOTHING);
    assert_true(digest_is_of_nothing(&digest));
    assert_int_equal(digest_of("abc", 3, &digest, NULL), 0);
    assert_false(digest_is_of_nothing(&digest));
    assert_string_equal(digest_format(&digest).s, OF_ABC);
}

static void pieces_make_the_same_digest_as_the_whole(void **state)
{
    cleanup_(digest_stream_freep) struct digest_stream *stream = NULL;
    struct digest digest = { 0 };
    char piece[1000];

    (void)state;
    memset(piece, 'a', sizeof piece);
    assert_int_equal(digest_stream_new(&stream, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(digest_stream_add(stream, piece, 0, NULL), 0);
        assert_int_equal(digest_stream_add(stream, piece, sizeof piece, NULL), 0);
    }
    assert_int_equal(digest_stream_end(stream, &digest, NULL), 0);
    assert_string_equal(digest_format(&digest).s, OF_MILLION_A);
}

static void a_stream_of_nothing_is_the_empty_digest(void **state)
{
    cleanup_(digest_stream_freep) struct digest_stream *stream = NULL;
    struct digest digest = { 0 };

    (void)state;
    assert_int_equal(digest_stream_new(&stream, NULL), 0);
    assert_int_equal(digest_stream_end(stream, &digest, NULL), 0);
    assert_string_equal(digest_format(&digest).s, OF_NOTHING);
}

static void upper_case_is_the_same_digest(void **state)
{
    struct digest lower = { 0 };
    struct digest upper = { 0 };

    (void)state;
    assert_true(digest_parse(OF_ABC, &lower));
    assert_true(digest_parse("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", &upper));
    assert_true(digest_equal(&lower, &upper));
    assert_string_equal(digest_format(&upper).s, OF_ABC);
}

static void only_64_hex_digits_are_a_digest(void **state)
{
    static const char *const bad[] = {
        "",
        "ba7816bf",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",    /* 63 */
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",  /* 65 */
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag",   /* not hex */
        " ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  /* a blank before */
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n", /* a newline behind */
        "a9993e364706816aba3e25717850c26c9cd0d89d",                           /* SHA-1 */
    };
    struct digest digest = { { 1 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(digest_parse(bad[i], &digest));
    assert_int_equal(digest.bytes[0], 1);
}

static void digests_are_ordered_as_their_texts(void **state)
{
    struct digest empty = { 0 };
    struct digest abc = { 0 };

    (void)state;
    assert_true(digest_parse(OF_NOTHING, &empty));
    assert_true(digest_parse(OF_ABC, &abc));
    assert_true(digest_compare(&abc, &empty) < 0);
    assert_true(digest_compare(&empty, &abc) > 0);
    assert_int_equal(digest_compare(&abc, &abc), 0);
    assert_false(digest_equal(&abc, &empty));
}

static void messages_show_the_first_digits(void **state)
{
    struct digest digest = { 0 };

    (void)state;
    assert_true(digest_parse(OF_ABC, &digest));
    assert_string_equal(digest_short(&digest).s, "ba7816bf8f01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors_come_out),
        cmocka_unit_test(pieces_make_the_same_digest_as_the_whole),
        cmocka_unit_test(a_stream_of_nothing_is_the_empty_digest),
        cmocka_unit_test(upper_case_is_the_same_digest),
        cmocka_unit_test(only_64_hex_digits_are_a_digest),
        cmocka_unit_test(digests_are_ordered_as_their_texts),
        cmocka_unit_test(messages_show_the_first_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
