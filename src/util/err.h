/*
 * err -- why something failed: a number for programs, words for people, a trace id for the service desk.
 *
 * Ownership  a struct err lives on the stack of the thread that serves the request; nothing is allocated or freed.
 * Errors     functions return 0, a positive outcome named in their header, or a negative errno with err filled.
 * Threads    a struct err belongs to one thread.
 */
#pragma once

#include "util/check.h"

enum { ERR_TRACE_MAX = 64, ERR_TEXT_MAX = 256 };

struct err {
    int code;                  /* errno value; 0 until something fails */
    char trace[ERR_TRACE_MAX]; /* trace id the service gave, "" when the fault is ours */
    char text[ERR_TEXT_MAX];   /* one line, no capital, no full stop, cut if too long */
};

/* A failure is never 0. Said in code, so that static analysis follows the paths that a caller can take. */
static inline int err_failure(int r)
{
    if (r >= 0)
        __builtin_unreachable();
    return r;
}

/* Starts an error and returns -code. `err` may be NULL when nobody wants the words. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF(3, 4);

/* The same, from errno, with its description at the end. */
int err_sys(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* Prefixes what we were doing to an error that is already set; returns its -code. The code is in `err`: without one it
 * is -EIO. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

#define err_set(...) err_failure(err_set(__VA_ARGS__))
#define err_sys(...) err_failure(err_sys(__VA_ARGS__))
#define err_wrap(...) err_failure(err_wrap(__VA_ARGS__))

/* Notes the service's trace id; foreign bytes are replaced. */
void err_trace(struct err *err, const char *trace);

/* The symbolic name of an errno ("EDQUOT"); "E?" for one that malqueryfs never uses. */
const char *err_name(int code);
