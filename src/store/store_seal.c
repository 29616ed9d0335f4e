#include "store/store_seal.h"

#include <endian.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_CHUNK_BYTES = 12,
    AT_PLAIN_BYTES = 16,
    AT_SALT = 24,
    AT_DIGEST = 40,
    AT_RESERVED = 72, /* zeros */
    AT_MAC = SEAL_HEADER_BYTES - SEAL_MAC_BYTES,

    VERSION = 1,
    NONCE_BYTES = 12,
    PURPOSE_BYTES = 4,
};

static const char magic[] = "MQFSEAL1";
static const char purpose_chunks[PURPOSE_BYTES + 1] = "seal";
static const char purpose_header[PURPOSE_BYTES + 1] = "head";

static_assert(AT_DIGEST + DIGEST_BYTES == AT_RESERVED, "the header has no holes");

/* What is authenticated beside a chunk, without padding: digest, index, is_last. */
struct chunk_aad {
    uint8_t digest[DIGEST_BYTES];
    uint8_t index[sizeof(uint64_t)];
    uint8_t is_last;
};
static_assert(sizeof(struct chunk_aad) == DIGEST_BYTES + sizeof(uint64_t) + 1, "no padding");

static void put_u64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof value);
}

static void put_u32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof value);
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof value);
    return le64toh(value);
}

/* HMAC-SHA256 without a key, found once: to find it costs more than to use it. NULL without memory. */
static EVP_MAC_CTX *unkeyed;

static void find_hmac(void)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                  OSSL_PARAM_construct_end() };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    unkeyed = EVP_MAC_CTX_new(mac); /* NULL of NULL */
    if (unkeyed && EVP_MAC_CTX_set_params(unkeyed, params) != 1) {
        EVP_MAC_CTX_free(unkeyed);
        unkeyed = NULL;
    }
    EVP_MAC_free(mac); /* the context has its own reference */
}

CHECKED static int hmac(const void *key, const void *data, size_t n, uint8_t *ret_mac, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    EVP_MAC_CTX *ctx;
    size_t mac_n = 0;
    bool is_done;

    (void)pthread_once(&once, find_hmac); /* cannot fail */
    ctx = unkeyed ? EVP_MAC_CTX_dup(unkeyed) : NULL;
    is_done = ctx && EVP_MAC_init(ctx, key, SEAL_KEY_BYTES, NULL) == 1 && EVP_MAC_update(ctx, data, n) == 1 &&
              EVP_MAC_final(ctx, ret_mac, &mac_n, SEAL_MAC_BYTES) == 1;
    EVP_MAC_CTX_free(ctx); /* wipes it; NULL is fine */
    return is_done ? 0 : err_set(err, ENOMEM, "HMAC-SHA256 failed");
}

int store_seal_fingerprint(const struct secret *key, uint8_t *ret_print, struct err *err)
{
    static const char about[] = "malqueryfs fingerprint of the key";

    return hmac(secret_text(key), about, sizeof about, ret_print, err);
}

CHECKED static int derive(const struct store_seal *seal, const struct secret *key, const char *purpose,
                          uint8_t *ret_key, struct err *err)
{
    uint8_t input[PURPOSE_BYTES + SEAL_SALT_BYTES + DIGEST_BYTES];

    assert(secret_length(key) == SEAL_KEY_BYTES);
    memcpy(input, purpose, PURPOSE_BYTES);
    memcpy(input + PURPOSE_BYTES, seal->salt, SEAL_SALT_BYTES);
    memcpy(input + PURPOSE_BYTES + SEAL_SALT_BYTES, seal->digest.bytes, DIGEST_BYTES);
    return hmac(secret_text(key), input, sizeof input, ret_key, err);
}

/* The digest and the salt are set. */
CHECKED static int derive_both(struct store_seal *seal, const struct secret *key, struct err *err)
{
    int r = derive(seal, key, purpose_chunks, seal->key, err);

    return r < 0 ? r : derive(seal, key, purpose_header, seal->mac_key, err);
}

int store_seal_init(struct store_seal *seal, const struct secret *key, const struct digest *digest, struct err *err)
{
    seal->digest = *digest;
    if (getrandom(seal->salt, sizeof seal->salt, 0) != (ssize_t)sizeof seal->salt)
        return err_sys(err, "no random bytes");
    return derive_both(seal, key, err);
}

void store_seal_done(struct store_seal *seal)
{
    secret_wipe(seal, sizeof *seal);
}

int store_seal_header(const struct store_seal *seal, int64_t plain_bytes, uint8_t *ret_header, struct err *err)
{
    memset(ret_header, 0, SEAL_HEADER_BYTES);
    memcpy(ret_header + AT_MAGIC, magic, sizeof magic - 1);
    put_u32(ret_header + AT_VERSION, VERSION);
    put_u32(ret_header + AT_CHUNK_BYTES, STORE_CHUNK_BYTES);
    put_u64(ret_header + AT_PLAIN_BYTES, (uint64_t)plain_bytes);
    memcpy(ret_header + AT_SALT, seal->salt, SEAL_SALT_BYTES);
    memcpy(ret_header + AT_DIGEST, seal->digest.bytes, DIGEST_BYTES);
    return hmac(seal->mac_key, ret_header, AT_MAC, ret_header + AT_MAC, err);
}

/* Only the salt and the length are read; then the header that we would have written must be there, byte by byte. */
int store_seal_from_header(struct store_seal *seal, const struct secret *key, const struct digest *digest,
                           const uint8_t *header, int64_t *ret_plain_bytes, struct err *err)
{
    uint8_t expected[SEAL_HEADER_BYTES];
    uint64_t plain_bytes = get_u64(header + AT_PLAIN_BYTES);
    int r;

    if (plain_bytes > SEAL_PLAIN_MAX)
        return err_set(err, EBADMSG, "an impossible length in the header");
    seal->digest = *digest;
    memcpy(seal->salt, header + AT_SALT, SEAL_SALT_BYTES);
    r = derive_both(seal, key, err);
    if (r == 0)
        r = store_seal_header(seal, (int64_t)plain_bytes, expected, err);
    if (r < 0)
        return r;
    if (CRYPTO_memcmp(expected, header, SEAL_HEADER_BYTES) != 0)
        return err_set(err, EBADMSG, "the header was not sealed with our key");
    *ret_plain_bytes = (int64_t)plain_bytes;
    return 0;
}

int64_t store_seal_file_bytes(int64_t plain_bytes)
{
    int64_t n_chunks = (plain_bytes + STORE_CHUNK_BYTES - 1) / STORE_CHUNK_BYTES;

    return SEAL_HEADER_BYTES + plain_bytes + n_chunks * SEAL_TAG_BYTES;
}

int64_t store_seal_chunk_offset(int64_t index)
{
    return SEAL_HEADER_BYTES + index * SEAL_CHUNK_BYTES;
}

size_t store_seal_chunk_plain(int64_t plain_bytes, int64_t index)
{
    int64_t left = plain_bytes - index * STORE_CHUNK_BYTES;

    return left < STORE_CHUNK_BYTES ? (size_t)left : STORE_CHUNK_BYTES;
}

int store_seal_stream_init(struct store_seal_stream *stream, const struct store_seal *seal, const EVP_CIPHER *cipher,
                           bool seals, struct err *err)
{
    *stream = (struct store_seal_stream){ .seal = seal, .seals = seals, .ctx = EVP_CIPHER_CTX_new() };
    if (!stream->ctx || EVP_CipherInit_ex2(stream->ctx, cipher, seal->key, NULL, seals, NULL) != 1)
        return err_set(err, ENOMEM, "AES-256-GCM failed to start");
    return 0;
}

void store_seal_stream_done(struct store_seal_stream *stream)
{
    EVP_CIPHER_CTX_free(stream->ctx); /* wipes it; NULL is fine */
    stream->ctx = NULL;
}

int store_seal_chunk_begin(struct store_seal_stream *stream, int64_t index, bool is_last, struct err *err)
{
    /* A counter never repeats a nonce: the salt makes the key unique to this one file. */
    uint8_t nonce[NONCE_BYTES] = { 0 };
    struct chunk_aad aad = { .is_last = is_last };
    int n = 0;

    put_u64(nonce, (uint64_t)index);
    put_u64(aad.index, (uint64_t)index);
    memcpy(aad.digest, stream->seal->digest.bytes, DIGEST_BYTES);
    if (EVP_CipherInit_ex2(stream->ctx, NULL, NULL, nonce, -1, NULL) != 1 ||
        EVP_CipherUpdate(stream->ctx, NULL, &n, (const unsigned char *)&aad, sizeof aad) != 1)
        return err_set(err, ENOMEM, "AES-256-GCM failed to start a chunk");
    return 0;
}

int store_seal_chunk_piece(struct store_seal_stream *stream, void *data, size_t n, struct err *err)
{
    int done = 0;

    assert(n <= STORE_CHUNK_BYTES);
    if (EVP_CipherUpdate(stream->ctx, data, &done, data, (int)n) != 1 || (size_t)done != n)
        return err_set(err, ENOMEM, "AES-256-GCM failed");
    return 0;
}

int store_seal_chunk_end(struct store_seal_stream *stream, uint8_t *tag, struct err *err)
{
    uint8_t nothing[SEAL_TAG_BYTES];
    int n = 0;

    if (!stream->seals && EVP_CIPHER_CTX_ctrl(stream->ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, tag) != 1)
        return err_set(err, ENOMEM, "AES-256-GCM refused a tag");
    if (EVP_CipherFinal_ex(stream->ctx, nothing, &n) != 1)
        return err_set(err, EBADMSG, "a chunk was not sealed with our key");
    if (stream->seals && EVP_CIPHER_CTX_ctrl(stream->ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, tag) != 1)
        return err_set(err, ENOMEM, "AES-256-GCM gave no tag");
    return 0;
}
