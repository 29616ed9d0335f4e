#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "store/store_seal.h"
#include "util/text.h"

static const char key_bytes[SEAL_KEY_BYTES + 1] = "0123456789abcdef0123456789abcdef";

struct bench {
    struct secret *key;
    struct digest digest;
    struct store_seal seal;
    EVP_CIPHER *cipher;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_int_equal(secret_new(key_bytes, SEAL_KEY_BYTES, &bench->key, NULL), 0);
    assert_int_equal(digest_of("x", 1, &bench->digest, NULL), 0);
    assert_int_equal(store_seal_init(&bench->seal, bench->key, &bench->digest, NULL), 0);
    bench->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    store_seal_done(&bench->seal);
    secret_free(bench->key);
    EVP_CIPHER_free(bench->cipher);
    free(bench);
    return 0;
}

#define SEAL_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static int run_chunk(const struct bench *bench, const struct store_seal *seal, bool seals, int64_t index, bool is_last,
                     void *data, size_t n, uint8_t *tag)
{
    cleanup_(store_seal_stream_done) struct store_seal_stream stream = { 0 };

    assert_int_equal(store_seal_stream_init(&stream, seal, bench->cipher, seals, NULL), 0);
    assert_int_equal(store_seal_chunk_begin(&stream, index, is_last, NULL), 0);
    assert_int_equal(store_seal_chunk_piece(&stream, data, n, NULL), 0);
    return store_seal_chunk_end(&stream, tag, NULL);
}

/* Seals "hello" as chunk 3, not the last. */
static void seal_hello(const struct bench *bench, char *data, uint8_t *tag)
{
    memcpy(data, "hello", 6);
    assert_int_equal(run_chunk(bench, &bench->seal, true, 3, false, data, 6, tag), 0);
}

static void a_chunk_opens_where_it_was_sealed(void **state)
{
    struct bench *bench = *state;
    uint8_t tag[SEAL_TAG_BYTES];
    char data[6];

    seal_hello(bench, data, tag);
    assert_memory_not_equal(data, "hello", 6);
    assert_int_equal(run_chunk(bench, &bench->seal, false, 3, false, data, 6, tag), 0);
    assert_string_equal(data, "hello");
}

static void a_chunk_does_not_open_at_another_index(void **state)
{
    struct bench *bench = *state;
    uint8_t tag[SEAL_TAG_BYTES];
    char data[6];

    seal_hello(bench, data, tag);
    assert_int_equal(run_chunk(bench, &bench->seal, false, 4, false, data, 6, tag), -EBADMSG);
}

static void a_chunk_does_not_open_as_the_last_one(void **state)
{
    struct bench *bench = *state;
    uint8_t tag[SEAL_TAG_BYTES];
    char data[6];

    seal_hello(bench, data, tag);
    assert_int_equal(run_chunk(bench, &bench->seal, false, 3, true, data, 6, tag), -EBADMSG);
}

static void a_chunk_does_not_open_with_another_salt(void **state)
{
    struct bench *bench = *state;
    struct store_seal other;
    uint8_t tag[SEAL_TAG_BYTES];
    char data[6];

    seal_hello(bench, data, tag);
    assert_int_equal(store_seal_init(&other, bench->key, &bench->digest, NULL), 0);
    assert_int_equal(run_chunk(bench, &other, false, 3, false, data, 6, tag), -EBADMSG);
}

static void the_header_tells_the_length_and_the_keys(void **state)
{
    struct bench *bench = *state;
    uint8_t header[SEAL_HEADER_BYTES];
    struct store_seal back;
    int64_t plain_bytes = 0;

    assert_int_equal(store_seal_header(&bench->seal, 123456789, header, NULL), 0);
    assert_int_equal(store_seal_from_header(&back, bench->key, &bench->digest, header, &plain_bytes, NULL), 0);
    assert_int_equal(plain_bytes, 123456789);
    assert_memory_equal(back.key, bench->seal.key, sizeof back.key);
}

static void any_flipped_bit_of_the_header_is_found(void **state)
{
    struct bench *bench = *state;
    uint8_t header[SEAL_HEADER_BYTES];
    struct store_seal back;
    int64_t plain_bytes = 0;

    assert_int_equal(store_seal_header(&bench->seal, 1000, header, NULL), 0);
    for (size_t bit = 0; bit < (size_t)8 * SEAL_HEADER_BYTES; bit++) {
        header[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(store_seal_from_header(&back, bench->key, &bench->digest, header, &plain_bytes, NULL),
                         -EBADMSG);
        header[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void the_header_of_another_digest_is_refused(void **state)
{
    struct bench *bench = *state;
    uint8_t header[SEAL_HEADER_BYTES];
    struct store_seal back;
    struct digest other = bench->digest;
    int64_t plain_bytes = 0;

    other.bytes[0] ^= 1;
    assert_int_equal(store_seal_header(&bench->seal, 1000, header, NULL), 0);
    assert_int_equal(store_seal_from_header(&back, bench->key, &other, header, &plain_bytes, NULL), -EBADMSG);
}

/* The format is a promise to caches on disk: a change of any of these needs a new version. */
static void the_header_has_the_documented_layout(void **state)
{
    struct bench *bench = *state;
    uint8_t header[SEAL_HEADER_BYTES];
    static const uint8_t start[24] = { 'M', 'Q', 'F', 'S', 'E',  'A', 'L', '1', 1, 0, 0, 0,
                                       0,   0,   2,   0,   0xe8, 3,   0,   0,   0, 0, 0, 0 };
    static const uint8_t zeros[24] = { 0 };

    assert_int_equal(store_seal_header(&bench->seal, 1000, header, NULL), 0);
    assert_memory_equal(header, start, sizeof start);
    assert_memory_equal(header + 24, bench->seal.salt, SEAL_SALT_BYTES);
    assert_memory_equal(header + 40, bench->digest.bytes, DIGEST_BYTES);
    assert_memory_equal(header + 72, zeros, sizeof zeros);
}

/* Computed by another implementation, written from the page SEALED.md. */
static void keys_and_chunks_are_the_documented_ones(void **state)
{
    struct bench *bench = *state;
    uint8_t header[SEAL_HEADER_BYTES];
    uint8_t tag[SEAL_TAG_BYTES];
    char tag_text[2 * SEAL_TAG_BYTES + 1];
    char mac_text[2 * SEAL_MAC_BYTES + 1];
    char data[6] = "hello";
    int64_t plain_bytes = 0;

    memset(bench->seal.salt, 0xAB, SEAL_SALT_BYTES);
    assert_int_equal(store_seal_header(&bench->seal, 6, header, NULL), 0);
    /* Takes the salt from the header and derives the keys; the MAC was made with those of another salt. */
    assert_int_equal(store_seal_from_header(&bench->seal, bench->key, &bench->digest, header, &plain_bytes, NULL),
                     -EBADMSG);
    assert_int_equal(store_seal_header(&bench->seal, 6, header, NULL), 0);
    assert_int_equal(run_chunk(bench, &bench->seal, true, 0x1234567, true, data, sizeof data, tag), 0);
    text_format_hex(tag, sizeof tag, tag_text);
    text_format_hex(header + SEAL_HEADER_BYTES - SEAL_MAC_BYTES, SEAL_MAC_BYTES, mac_text);
    assert_string_equal(mac_text, "8bd5bf3eaba91700a422a446deb7801af1db75c85d55deddb6ce69de7aea9050");
    assert_string_equal(tag_text, "4587b15c0807f955d64172b7749cf878");
}

static void sizes_on_disk_are_the_documented_ones(void **state)
{
    static const struct {
        int64_t plain;
        int64_t file;
    } cases[] = {
        { 0, 128 },
        { 1, 128 + 1 + 16 },
        { 131072, 128 + 131072 + 16 },
        { 131073, 128 + 131073 + 32 },
        { 262144, 128 + 262144 + 32 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(store_seal_file_bytes(cases[i].plain), cases[i].file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEAL_TEST(a_chunk_opens_where_it_was_sealed),        SEAL_TEST(a_chunk_does_not_open_at_another_index),
        SEAL_TEST(a_chunk_does_not_open_as_the_last_one),    SEAL_TEST(a_chunk_does_not_open_with_another_salt),
        SEAL_TEST(the_header_tells_the_length_and_the_keys), SEAL_TEST(any_flipped_bit_of_the_header_is_found),
        SEAL_TEST(the_header_of_another_digest_is_refused),  SEAL_TEST(the_header_has_the_documented_layout),
        SEAL_TEST(keys_and_chunks_are_the_documented_ones),  cmocka_unit_test(sizes_on_disk_are_the_documented_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
