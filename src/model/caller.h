/*
 * caller -- the process on whose behalf something is done, as far as the kernel and /proc told; for the audit.
 *
 * Threads    a plain value.
 */
#pragma once

#include <sys/types.h>

enum { CALLER_PROGRAM_MAX = 63 };

struct caller {
    uid_t uid;
    pid_t pid;                            /* a thread, or its group; 0: not visible from here */
    char program[CALLER_PROGRAM_MAX + 1]; /* name of the executable, UTF-8; "" when nobody knows */
};
