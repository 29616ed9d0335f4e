/*
 * digest -- SHA-256 as a type: parse, print, compare, compute.
 *
 * Errors     digest_parse() returns false for anything but 64 hex digits; hashing fails only without memory.
 * Threads    values are free; a digest_stream belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT = 64, DIGEST_SHORT = 12 };

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

struct digest_text {
    char s[DIGEST_TEXT + 1];
};

/* Exactly 64 hex digits, any case. */
CHECKED bool digest_parse(const char *text, struct digest *ret_digest);

/* Lower case. */
struct digest_text digest_format(const struct digest *digest);

/* The first 12 digits, for messages. */
struct digest_text digest_short(const struct digest *digest);

bool digest_equal(const struct digest *a, const struct digest *b);
int digest_compare(const struct digest *a, const struct digest *b);

/* The digest of no bytes. */
bool digest_is_of_nothing(const struct digest *digest);

/* SHA-256 of one block of memory. */
CHECKED int digest_of(const void *data, size_t n, struct digest *ret_digest, struct err *err);

/* SHA-256 of bytes that come in pieces. */
struct digest_stream;
CHECKED int digest_stream_new(struct digest_stream **ret_stream, struct err *err);
CHECKED int digest_stream_add(struct digest_stream *stream, const void *data, size_t n, struct err *err);
CHECKED int digest_stream_end(struct digest_stream *stream, struct digest *ret_digest, struct err *err);
void digest_stream_free(struct digest_stream *stream);
DEFINE_CLEANUP(struct digest_stream *, digest_stream_free)
