/*
 * local -- a private malqueryd for `malqueryfs --local DIR`.
 *
 * Ownership  the engine lives as long as the struct; it also ends when this process dies (its standard input closes).
 * Threads    one.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/secret.h"

enum { LOCAL_URL_MAX = 256 };

struct local {
    pid_t pid;
    int alive_fd; /* its standard input */
    int words_fd; /* memory that has its standard error; -1: it shares ours */
    char dir[64]; /* of the socket */
    char url[LOCAL_URL_MAX];
};

/* The name of the profile for DIR: its own for each directory, the same in every mount. */
CHECKED int local_profile(const char *dir, char *ret_name, size_t room, struct err *err);

/* Starts it, with credentials made for this once, and waits until it listens. `keep_stderr`: it may go on writing to
 * ours; otherwise a pipe that waits for our end would wait for the engine too. */
CHECKED int local_start(const char *dir, const char *index_dir, bool keep_stderr, struct local *local,
                        struct secret **ret_id, struct secret **ret_secret, struct err *err);

/* Asks it to end and returns at once, so that it does so while we end ourselves; local_stop() waits, and loses patience
 * soon: its files are safe at any moment. */
void local_end(struct local *local);
void local_stop(struct local *local);
