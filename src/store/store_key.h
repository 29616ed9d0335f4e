/*
 * store_key -- the profile's key: 32 random bytes in state_dir/seal.key, 0600; while it is being changed the new one is
 * beside it, in seal.key.next. Internal.
 *
 * Errors     EACCES with the command to run when the file is not ours alone; EIO when it does not hold 32 bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/secret.h"

/*
 * A cache directory has the fingerprints of the keys that its objects may have been sealed with: one, or two while the
 * key is being changed. The last one is that of the key that seals what is new. 0 prints: none was left yet.
 */
enum { STORE_KEY_PRINTS_MAX = 2, STORE_KEY_PRINT_BYTES = 32 };
struct store_key_prints {
    uint8_t bytes[STORE_KEY_PRINTS_MAX][STORE_KEY_PRINT_BYTES];
    size_t n;
};
CHECKED int store_key_prints(int cache_fd, const char *dir, struct store_key_prints *ret_prints, struct err *err);

/* Leaves those of these keys instead, all or none. */
CHECKED int store_key_leave_prints(int cache_fd, const struct secret *const *keys, size_t n, struct err *err);

/*
 * Ties a cache directory to the keys (NULL at the end) that open it: the first one leaves its fingerprint there.
 * *ret_key is the one that seals. EINVAL when the cache names another key, or holds objects and nobody knows whose:
 * with a wrong key every paid sample would look damaged.
 */
CHECKED int store_key_bind(int cache_fd, const char *dir, struct secret *const *keys, bool has_objects,
                           const struct secret **ret_key, struct err *err);

/* Reads the key; whichever process comes first makes it. `dir` is only for messages. */
CHECKED int store_key_open(int dir_fd, const char *dir, struct secret **ret_key, struct err *err);

/* True when there is a key, right or not. */
bool store_key_exists(int dir_fd);

/* The key that is going to be the key. STORE_ABSENT: none, the key is not being changed. */
CHECKED int store_key_open_next(int dir_fd, const char *dir, struct secret **ret_key, struct err *err);

/* Makes it, or reads the one of an earlier try. */
CHECKED int store_key_make_next(int dir_fd, const char *dir, struct secret **ret_key, struct err *err);

/* It is the key from now on; the old one is gone. Fine when somebody else was faster. */
CHECKED int store_key_adopt_next(int dir_fd, struct err *err);
