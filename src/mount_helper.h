/*
 * mount_helper -- what mount(8) says when it calls us as mount.malqueryfs, and what it wants to hear:
 *
 *   mount.malqueryfs SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]
 *
 * Errors     0, or a negative errno with err filled. Threads: one, before others start.
 */
#pragma once

#include "config.h"

/* True when argv[0] is the name that mount(8) calls. */
bool mount_helper_is_called(const char *argv0);

CHECKED int mount_helper_parse(int argc, char **argv, struct config *config, struct err *err);

/* An exit code of ours as one of mount(8): 0, 1 usage, 32 the mount failed. */
int mount_helper_exit_code(int code);

/* Becomes the user, by name or number, with all groups; HOME is theirs then, and no XDG_* of another one is left, nor
 * CREDENTIALS_DIRECTORY. */
CHECKED int mount_helper_become(const char *user, struct err *err);
