/*
 * store_key -- the profile's key: 32 random bytes in state_dir/seal.key, 0600. Internal.
 *
 * Errors     EACCES with the command to run when the file is not ours alone; EIO when it does not hold 32 bytes.
 */
#pragma once

#include <stdbool.h>

#include "util/secret.h"

/*
 * Ties a cache directory to the key that seals it: the first one leaves a fingerprint there. EINVAL when the cache
 * belongs to another key, or holds objects and nobody knows whose: with the wrong key every paid sample would look
 * damaged.
 */
CHECKED int store_key_bind(int cache_fd, const char *dir, const struct secret *key, bool has_objects, struct err *err);

/* Reads the key; whichever process comes first makes it. `dir` is only for messages. */
CHECKED int store_key_open(int dir_fd, const char *dir, struct secret **ret_key, struct err *err);
