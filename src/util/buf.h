/*
 * buf -- a growable byte buffer with a mandatory limit.
 *
 * Units      bytes.
 * Ownership  the buffer owns its memory until buf_done() or buf_take(). A buf of zeros is empty with limit 0.
 * Errors     appending never fails loudly: the first failure sticks (ENOMEM, or EFBIG beyond the limit), later appends
 *            do nothing, and buf_check() reports it once at the end.
 * Threads    one at a time.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"
#include "util/err.h"

struct buf {
    char *data;  /* NUL-terminated whenever it is not NULL */
    size_t n;    /* bytes used, the NUL not counted */
    size_t room; /* bytes allocated */
    size_t max;  /* limit of n */
    int code;    /* sticky: 0, ENOMEM or EFBIG */
};

#define BUF_INIT(limit_bytes)                                                                                          \
    {                                                                                                                  \
        .max = (limit_bytes)                                                                                           \
    }

void buf_append(struct buf *buf, const void *data, size_t n);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF(2, 3);

/* Makes room for `n` more bytes and returns where they go, NULL on failure; buf_commit() then counts them. */
char *buf_reserve(struct buf *buf, size_t n);
void buf_commit(struct buf *buf, size_t n);

/* Sets the length: cuts, or extends with zero bytes. */
void buf_resize(struct buf *buf, size_t n);

/* Empties the buffer and clears a sticky failure; the memory is kept. */
void buf_clear(struct buf *buf);

/* The text so far, "" when empty; never NULL. */
const char *buf_text(const struct buf *buf);

/* 0, or the sticky failure as an error that names `what`. */
CHECKED int buf_check(const struct buf *buf, struct err *err, const char *what);

/* Moves the memory to the caller (free()); the buffer is empty afterwards. NULL when empty. */
char *buf_take(struct buf *buf, size_t *ret_n);

void buf_done(struct buf *buf);
