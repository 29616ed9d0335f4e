#include "util/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BUF_FIRST_ROOM = 64 };

char *buf_reserve(struct buf *buf, size_t n)
{
    size_t want;
    size_t room = buf->room ? buf->room : BUF_FIRST_ROOM;
    char *grown;

    if (buf->code)
        return NULL;
    if (n > buf->max || buf->n > buf->max - n) {
        buf->code = EFBIG;
        return NULL;
    }
    want = buf->n + n + 1;
    if (want <= buf->room)
        return buf->data + buf->n;
    while (room < want)
        room = room > SIZE_MAX / 2 ? want : room * 2;
    grown = realloc(buf->data, room);
    if (!grown) {
        buf->code = ENOMEM;
        return NULL;
    }
    buf->data = grown;
    buf->room = room;
    buf->data[buf->n] = '\0';
    return buf->data + buf->n;
}

void buf_commit(struct buf *buf, size_t n)
{
    assert(buf->n + n < buf->room);
    buf->n += n;
    buf->data[buf->n] = '\0';
}

void buf_append(struct buf *buf, const void *data, size_t n)
{
    char *to = buf_reserve(buf, n);

    if (!to)
        return;
    if (n)
        memcpy(to, data, n);
    buf_commit(buf, n);
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_list again;
    char *to;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        buf->code = buf->code ? buf->code : EFBIG; /* the text of one call is larger than an int counts */
    to = n < 0 ? NULL : buf_reserve(buf, (size_t)n);
    if (to) {
        (void)vsnprintf(to, (size_t)n + 1, fmt, again); /* measured just above */
        buf_commit(buf, (size_t)n);
    }
    va_end(again);
}

void buf_resize(struct buf *buf, size_t n)
{
    size_t more;
    char *to;

    if (n <= buf->n) {
        buf->n = n;
        if (buf->data)
            buf->data[n] = '\0';
        return;
    }
    more = n - buf->n;
    to = buf_reserve(buf, more);
    if (!to)
        return;
    memset(to, 0, more);
    buf_commit(buf, more);
}

void buf_clear(struct buf *buf)
{
    buf->n = 0;
    buf->code = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

int buf_check(const struct buf *buf, struct err *err, const char *what)
{
    if (buf->code == EFBIG)
        return err_set(err, EFBIG, "%s is larger than %zu bytes", what, buf->max);
    if (buf->code)
        return err_set(err, buf->code, "no memory for %s", what);
    return 0;
}

char *buf_take(struct buf *buf, size_t *ret_n)
{
    char *data = buf->data;

    if (ret_n)
        *ret_n = buf->n;
    buf->data = NULL;
    buf->n = 0;
    buf->room = 0;
    return data;
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->n = 0;
    buf->room = 0;
}
