/*
 * engine_zip -- the archive of a multi-download: stored members named by their hash, encrypted.
 *
 * Ownership  the descriptor of an archive is the caller's; the archive has no name any more.
 * Errors     ENGINE_ZIP_EMPTY: none of the samples can be read any more.
 * Threads    any.
 */
#pragma once

#include <stdatomic.h>

#include "engine/engine_index.h"

enum { ENGINE_ZIP_EMPTY = 1 };

enum engine_zip_method { ZIP_METHOD_ZIPCRYPTO, ZIP_METHOD_AES };

struct engine_zip_config {
    enum engine_zip_method method;
    const char *password;
    const char *dir;         /* for the temporary file */
    const atomic_bool *stop; /* ends it with ECANCELED; NULL: never */
};

struct engine_archive {
    int fd;
    int64_t size_bytes;
};

CHECKED int engine_zip_make(struct engine_index *index, const struct engine_zip_config *config,
                            const struct digest *samples, size_t n, struct engine_archive *ret_archive,
                            struct err *err);

/* "zipcrypto" or "aes"; false otherwise. */
CHECKED bool engine_zip_parse_method(const char *text, enum engine_zip_method *ret_method);

/* Removes archives that an earlier run left in `dir`. */
void engine_zip_clean(const char *dir);
