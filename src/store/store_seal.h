/*
 * store_seal -- the format of a sealed object: header, keys, chunks (SEALED.md has the page). Internal.
 *
 * Units      bytes.
 * Ownership  struct store_seal and struct store_seal_stream are storage of the caller; done wipes them.
 * Errors     EBADMSG: the bytes are not what was sealed. ENOMEM: OpenSSL could not.
 * Threads    a seal is constant after init; a stream belongs to one thread.
 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/digest.h"
#include "store/store.h"
#include "util/secret.h"

enum {
    SEAL_HEADER_BYTES = 128,
    SEAL_KEY_BYTES = 32,
    SEAL_SALT_BYTES = 16,
    SEAL_TAG_BYTES = 16,
    SEAL_MAC_BYTES = 32,
    SEAL_CHUNK_BYTES = STORE_CHUNK_BYTES + SEAL_TAG_BYTES, /* of a full chunk on disk */
};
#define SEAL_PLAIN_MAX TIB /* no sample is larger; keeps sums of untrusted lengths far from overflow */

/* The keys of one object. */
struct store_seal {
    struct digest digest;
    uint8_t salt[SEAL_SALT_BYTES];
    uint8_t key[SEAL_KEY_BYTES];     /* of the chunks */
    uint8_t mac_key[SEAL_KEY_BYTES]; /* of the header */
};

/* Derives the keys of a new object from the profile's key and a fresh salt. */
CHECKED int store_seal_init(struct store_seal *seal, const struct secret *key, const struct digest *digest,
                            struct err *err);
void store_seal_done(struct store_seal *seal);

/* Writes SEAL_HEADER_BYTES. */
CHECKED int store_seal_header(const struct store_seal *seal, int64_t plain_bytes, uint8_t *ret_header, struct err *err);

/* Derives the keys of the object that has this header, after every byte of it was checked; EBADMSG. */
CHECKED int store_seal_from_header(struct store_seal *seal, const struct secret *key, const struct digest *digest,
                                   const uint8_t *header, int64_t *ret_plain_bytes, struct err *err);

/* What a cache remembers of the key that seals it: SEAL_KEY_BYTES that tell nothing about the key. */
CHECKED int store_seal_fingerprint(const struct secret *key, uint8_t *ret_print, struct err *err);

/* Size of the file that holds `plain_bytes`, and where its chunk `index` starts. */
int64_t store_seal_file_bytes(int64_t plain_bytes);
int64_t store_seal_chunk_offset(int64_t index);

/* Plain bytes of chunk `index`. */
size_t store_seal_chunk_plain(int64_t plain_bytes, int64_t index);

/* Seals or opens chunks with the key of one object. */
struct store_seal_stream {
    const struct store_seal *seal;
    EVP_CIPHER_CTX *ctx;
    bool seals; /* else opens */
};
CHECKED int store_seal_stream_init(struct store_seal_stream *stream, const struct store_seal *seal,
                                   const EVP_CIPHER *cipher, bool seals, struct err *err);
void store_seal_stream_done(struct store_seal_stream *stream);

/* Chunk `index`: begin, its bytes in place in any number of pieces, then the tag is written (sealing) or checked. */
CHECKED int store_seal_chunk_begin(struct store_seal_stream *stream, int64_t index, bool is_last, struct err *err);
CHECKED int store_seal_chunk_piece(struct store_seal_stream *stream, void *data, size_t n, struct err *err);
CHECKED int store_seal_chunk_end(struct store_seal_stream *stream, uint8_t *tag, struct err *err);
