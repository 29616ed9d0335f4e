/*
 * store_key -- the profile's key: 32 random bytes in state_dir/seal.key, 0600. Internal.
 *
 * Errors     EACCES with the command to run when the file is not ours alone; EIO when it does not hold 32 bytes.
 */
#pragma once

#include "util/secret.h"

/* Reads the key; whichever process comes first makes it. `dir` is only for messages. */
CHECKED int store_key_open(int dir_fd, const char *dir, struct secret **ret_key, struct err *err);
