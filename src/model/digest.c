#include "model/digest.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "util/text.h"

struct digest_stream {
    EVP_MD_CTX *ctx;
};

bool digest_parse(const char *text, struct digest *ret_digest)
{
    return text_parse_hex(text, ret_digest->bytes, DIGEST_BYTES);
}

struct digest_text digest_format(const struct digest *digest)
{
    struct digest_text text;

    text_format_hex(digest->bytes, DIGEST_BYTES, text.s);
    return text;
}

struct digest_text digest_short(const struct digest *digest)
{
    struct digest_text text = digest_format(digest);

    text.s[DIGEST_SHORT] = '\0';
    return text;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

int digest_compare(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES);
}

bool digest_is_of_nothing(const struct digest *digest)
{
    static const struct digest of_nothing = { { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
                                                0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
                                                0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 } };

    return digest_equal(digest, &of_nothing);
}

int digest_of(const void *data, size_t n, struct digest *ret_digest, struct err *err)
{
    struct digest digest;

    if (EVP_Digest(data, n, digest.bytes, NULL, EVP_sha256(), NULL) != 1)
        return err_set(err, ENOMEM, "SHA-256 failed");
    *ret_digest = digest;
    return 0;
}

int digest_stream_new(struct digest_stream **ret_stream, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *stream = calloc(1, sizeof *stream);

    if (!stream)
        return err_set(err, ENOMEM, "no memory for a SHA-256");
    stream->ctx = EVP_MD_CTX_new();
    if (!stream->ctx || EVP_DigestInit_ex(stream->ctx, EVP_sha256(), NULL) != 1)
        return err_set(err, ENOMEM, "SHA-256 failed to start");
    *ret_stream = steal_ptr(&stream);
    return 0;
}

int digest_stream_add(struct digest_stream *stream, const void *data, size_t n, struct err *err)
{
    if (EVP_DigestUpdate(stream->ctx, data, n) != 1)
        return err_set(err, ENOMEM, "SHA-256 failed");
    return 0;
}

int digest_stream_end(struct digest_stream *stream, struct digest *ret_digest, struct err *err)
{
    struct digest digest;

    if (EVP_DigestFinal_ex(stream->ctx, digest.bytes, NULL) != 1)
        return err_set(err, ENOMEM, "SHA-256 failed to end");
    *ret_digest = digest;
    return 0;
}

void digest_stream_free(struct digest_stream *stream)
{
    if (!stream)
        return;
    EVP_MD_CTX_free(stream->ctx);
    free(stream);
}
