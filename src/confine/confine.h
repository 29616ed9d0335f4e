/*
 * confine -- gives up, for good, whatever serving needs no more. Called once, after mounting and before any thread
 * starts: most of it holds for the calling thread and those that it makes.
 *
 * What the kernel lacks is left out and said in the report; what it has must succeed.
 *
 * Ownership  texts are borrowed for the call.
 * Errors     0 or a negative errno with err filled; half confined then: end the process.
 * Threads    the only one.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "util/err.h"

enum { CONFINE_REPORT_MAX = 160 };

struct confine_config {
    const char *state_dir; /* may be written, like the next; absolute, and they exist */
    const char *cache_dir;
    const char *ca_file;    /* may be read; NULL: the system's certificates only */
    const char *socket_dir; /* of the private engine, to be taken away at the end; NULL: there is none */
    pid_t child;            /* the private engine, which may be ended with a signal; 0: there is none */
};

struct confine_report {
    char text[CONFINE_REPORT_MAX]; /* landlock=abi7 seccomp=on no_new_privs=on capabilities=none dumpable=no */
    bool is_whole;                 /* the kernel had everything */
};

CHECKED int confine(const struct confine_config *config, struct confine_report *ret_report, struct err *err);
