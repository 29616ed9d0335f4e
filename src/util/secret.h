/*
 * secret -- memory for credentials: wiped when freed, kept out of swap and cores where the kernel allows it, and an
 * opaque type, so that no format string can print it by accident.
 *
 * Ownership  x_new and x_free; secret_text() is borrowed.
 * Threads    any for reading.
 */
#pragma once

#include <stddef.h>

#include "util/cleanup.h"
#include "util/err.h"

enum { SECRET_MAX = 16 * 1024 }; /* bytes; a token has about 1,100 */

struct secret;

/* Copies `n` bytes of text. */
CHECKED int secret_new(const char *text, size_t n, struct secret **ret_secret, struct err *err);

/* Takes the value of an environment variable and wipes it there. *ret_secret is NULL when it is not set or empty. */
CHECKED int secret_from_env(const char *name, struct secret **ret_secret, struct err *err);

/* `n_bytes` random bytes as lower-case hex. */
CHECKED int secret_random(size_t n_bytes, struct secret **ret_secret, struct err *err);

/* The text, NUL-terminated. */
const char *secret_text(const struct secret *secret);
size_t secret_length(const struct secret *secret);

void secret_free(struct secret *secret);
DEFINE_CLEANUP(struct secret *, secret_free)

/* Overwrites memory in a way that the compiler keeps. */
void secret_wipe(void *data, size_t n);
