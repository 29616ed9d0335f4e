/*
 * text -- strict parsing of numbers, sizes and dates, and foreign text made harmless.
 *
 * Units      sizes in bytes (1 KB = 1024), dates in seconds since the epoch, UTC midnight.
 * Errors     parsers return false and leave the output alone unless the whole text is well formed and in range.
 * Threads    any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

enum { TEXT_COMPONENT_MAX = 128 }; /* bytes of a path component made from foreign text, without the NUL */

/* Decimal digits only, no sign, no blanks, at most `max`. */
CHECKED bool text_parse_u64(const char *text, uint64_t max, uint64_t *ret_value);

/* "128000", "1.3 KB", "8mb", "2GiB", "8G": a decimal number, an optional blank, an optional unit in any case. */
CHECKED bool text_parse_bytes(const char *text, uint64_t max, uint64_t *ret_bytes);

/* "2024/01/31" or "2024-01-31", a real day of the years 1970 to 9999. */
CHECKED bool text_parse_date(const char *text, int64_t *ret_s);

/* "1", "yes", "true", "on" and their opposites, any case. */
CHECKED bool text_parse_bool(const char *text, bool *ret_value);

/* A hex string of exactly 2 * n digits, any case, into n bytes. */
CHECKED bool text_parse_hex(const char *text, uint8_t *ret_bytes, size_t n);

/* 2 * n lower-case digits and a NUL. */
void text_format_hex(const uint8_t *bytes, size_t n, char *ret_text);

bool text_is_utf8(const char *text, size_t n);

/* Printable UTF-8 on one line: no control characters, nothing that turns the direction of writing. */
bool text_is_line(const char *text);

/* Bytes of the UTF-8 byte order mark that some editors put before a text: 3, or 0 when there is none. */
size_t text_bom(const char *text, size_t n);

/* Appends `text` on one line: control bytes, backslash and invalid UTF-8 as \xHH, cut after `max` input bytes. */
void text_escape(struct buf *buf, const char *text, size_t max);

/* The same between double quotes, which are escaped too. */
void text_quote(struct buf *buf, const char *text, size_t max);

/*
 * Appends a JSON text with every character beyond ASCII as \uXXXX, for json-c 0.18, which takes none in strict mode.
 * What is not UTF-8, or stands behind a backslash, stays as it is, so that the parser refuses it.
 */
void text_json_ascii(struct buf *buf, const char *text, size_t n);

/*
 * A safe path component from foreign text (family, label, type): no '/', nothing that text_is_line() refuses, at most
 * TEXT_COMPONENT_MAX bytes, never "", "." or "..", no leading dot. ret_text has TEXT_COMPONENT_MAX + 1 bytes.
 */
void text_component(const char *text, char *ret_text);

/* Copies with a cut at `room` - 1 bytes and always a NUL; false when it was cut. */
bool text_copy(char *to, size_t room, const char *from);

/* True when `text` ends in `suffix`. */
bool text_has_suffix(const char *text, const char *suffix);

/* Cuts blanks, CR and LF from both ends, in place; returns the new start. */
char *text_trim(char *text);
