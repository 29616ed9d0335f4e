#include "util/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Here they are functions. */
#undef err_set
#undef err_sys
#undef err_wrap

static const struct {
    int code;
    const char *name;
} names[] = {
    /* clang-format off */
    { EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { EINTR, "EINTR" }, { EIO, "EIO" }, { E2BIG, "E2BIG" },
    { EBADF, "EBADF" }, { EAGAIN, "EAGAIN" }, { ENOMEM, "ENOMEM" }, { EACCES, "EACCES" }, { EBUSY, "EBUSY" },
    { EEXIST, "EEXIST" }, { EXDEV, "EXDEV" }, { ENOTDIR, "ENOTDIR" }, { EISDIR, "EISDIR" },
    { EINVAL, "EINVAL" }, { EMFILE, "EMFILE" }, { ENFILE, "ENFILE" }, { EFBIG, "EFBIG" }, { ENOSPC, "ENOSPC" },
    { EROFS, "EROFS" }, { EPIPE, "EPIPE" }, { ERANGE, "ERANGE" }, { ENAMETOOLONG, "ENAMETOOLONG" },
    { ENOSYS, "ENOSYS" }, { ENOTEMPTY, "ENOTEMPTY" }, { ENODATA, "ENODATA" }, { EPROTO, "EPROTO" },
    { EBADMSG, "EBADMSG" }, { EOVERFLOW, "EOVERFLOW" }, { EMSGSIZE, "EMSGSIZE" },
    { EOPNOTSUPP, "EOPNOTSUPP" }, { ENETUNREACH, "ENETUNREACH" }, { ECONNRESET, "ECONNRESET" },
    { ETIMEDOUT, "ETIMEDOUT" }, { ECONNREFUSED, "ECONNREFUSED" }, { EHOSTUNREACH, "EHOSTUNREACH" },
    { EALREADY, "EALREADY" }, { ECONNABORTED, "ECONNABORTED" }, { ESTALE, "ESTALE" }, { EREMOTEIO, "EREMOTEIO" }, { EDQUOT, "EDQUOT" },
    { ECANCELED, "ECANCELED" }, { EKEYREJECTED, "EKEYREJECTED" }, { ENOTCONN, "ENOTCONN" },
    /* clang-format on */
};

static void fill(struct err *err, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void fill(struct err *err, const char *fmt, va_list args)
{
    if (vsnprintf(err->text, sizeof err->text, fmt, args) < 0)
        err->text[0] = '\0';
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list args;

    assert(code > 0);
    if (!err)
        return -code;
    err->code = code;
    err->trace[0] = '\0';
    va_start(args, fmt);
    fill(err, fmt, args);
    va_end(args);
    return -code;
}

int err_sys(struct err *err, const char *fmt, ...)
{
    int code = errno ? errno : EIO;
    va_list args;
    size_t used;

    if (!err)
        return -code;
    err->code = code;
    err->trace[0] = '\0';
    va_start(args, fmt);
    fill(err, fmt, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", strerrordesc_np(code)); /* cut is fine */
    return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char before[ERR_TEXT_MAX];
    va_list args;
    size_t used;

    if (!err)
        return -EIO;
    assert(err->code > 0);
    memcpy(before, err->text, sizeof before);
    va_start(args, fmt);
    fill(err, fmt, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", before); /* cut is fine */
    return -err->code;
}

void err_trace(struct err *err, const char *trace)
{
    size_t n;

    if (!err)
        return;
    for (n = 0; n + 1 < sizeof err->trace && trace[n]; n++)
        err->trace[n] = (char)(trace[n] > ' ' && trace[n] < 0x7f ? trace[n] : '?');
    err->trace[n] = '\0';
}

const char *err_name(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return "E?";
}
