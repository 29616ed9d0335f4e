/*
 * engine_walk -- the directories and regular files below a path, one after the other, without following links.
 *
 * What is gone or closed to us is left out; what we fail to read is left out and noted. A directory is opened only by
 * the call after the one that returned it, so that the caller can watch it first.
 *
 * Ownership  an entry is valid until the next call.
 * Threads    one at a time.
 */
#pragma once

#include <stdbool.h>

#include "engine/engine_file.h"
#include "engine/engine_own.h"

enum { ENGINE_WALK_DEPTH_MAX = 128, ENGINE_WALK_PATH_MAX = 4095 };

struct engine_walk_entry {
    const char *path; /* relative to the served directory, "" for itself */
    bool is_dir;
    struct engine_stamp stamp;
    struct engine_own_id id;
};

struct engine_walk;

/* Starts at `path`, "" for everything; the path itself is the first entry. */
CHECKED int engine_walk_new(int dir_fd, const char *path, struct engine_walk **ret_walk, struct err *err);
void engine_walk_free(struct engine_walk *walk);
DEFINE_CLEANUP(struct engine_walk *, engine_walk_free)

/* False at the end. */
bool engine_walk_next(struct engine_walk *walk, struct engine_walk_entry *ret_entry);

/* 0 when all that is there was returned: then what was not returned is gone. Otherwise the errno of a failure. */
int engine_walk_code(const struct engine_walk *walk);

/* Leaves out what is in the directory that was the last entry. */
void engine_walk_skip(struct engine_walk *walk);
