/*
 * engine_pattern -- byte patterns of a search: decoded, looked for in files, written as a rule.
 *
 * Ownership  engine_bytes_done() frees decoded bytes.
 * Errors     a bad pattern is EINVAL with words for the client.
 * Threads    any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/engine_index.h"
#include "util/buf.h"

enum {
    ENGINE_PATTERN_MIN = GRAM_BYTES, /* bytes after decoding; API page, U9 */
    ENGINE_PATTERN_MAX = 64 * 1024,  /* bytes after decoding */
    ENGINE_PATTERNS_MAX = 100,       /* patterns of a search */
};

/* The bytes of `value` as `type` (hex, ascii or wide) says; wide is UTF-16, little endian. */
CHECKED int engine_pattern_decode(const char *type, const char *value, struct engine_bytes *ret_bytes, struct err *err);
void engine_bytes_done(struct engine_bytes *bytes);

/* True when the file contains every pattern. */
CHECKED int engine_pattern_scan(int fd, const struct engine_bytes *patterns, size_t n, atomic_bool *stop,
                                bool *ret_match, struct err *err);

/* The rule that the service makes of an exact search. */
void engine_pattern_rule(const struct engine_bytes *patterns, size_t n, struct buf *rule);
