/*
 * store_zip_source -- a sealed object as something that libzip reads, at any offset. Internal.
 *
 * Ownership  store_zip_source_open() hands out sources of libzip, which are libzip's from then on; they must be gone
 *            before the store_zip_source is freed. The object is borrowed for as long.
 * Errors     libzip can lose a failure below a layer of its own and call the data complete. So ask `failed` after all
 *            that libzip has done: what is there is fatal, and the true reason.
 * Threads    one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <zip.h>

#include "store/store.h"

struct store_zip_source {
    struct store_object *object;
    const volatile bool *cancel;     /* read atomically; NULL: never */
    _Atomic int64_t *may_read_bytes; /* by libzip, from now on; beyond it: EFBIG. Perhaps shared; NULL: any number */
    time_t mtime_s;                  /* what libzip is told */
    struct err failed;               /* the first failure; it sticks */
    zip_error_t error;               /* the same for libzip */
    int64_t offset;
    int64_t chunk_index; /* of what is in `chunk`, -1 for nothing */
    size_t chunk_n;
    char chunk[STORE_CHUNK_BYTES];
};

CHECKED int store_zip_source_new(struct store_object *object, struct store_zip_source **ret_source, struct err *err);

/* Wipes the bytes it holds. */
void store_zip_source_free(struct store_zip_source *source);
DEFINE_CLEANUP(struct store_zip_source *, store_zip_source_free)

/* A source of libzip; NULL without memory. */
zip_source_t *store_zip_source_open(struct store_zip_source *source);
