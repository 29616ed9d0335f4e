/* fuzz_dir -- a directory for a target that keeps files: in memory, since every run syncs. It is of one process. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz_check.h"

enum { PATH_ROOM = 64 };

static char dir[] = "/dev/shm/mqfs-fuzz-XXXXXX";

static inline void dir_new(void)
{
    check(mkdtemp(dir));
}

/* The path of `name` in it, which fits. */
static inline const char *dir_path(const char *name, char path[static PATH_ROOM])
{
    int n = snprintf(path, PATH_ROOM, "%s/%s", dir, name);

    check(n > 0 && n < PATH_ROOM);
    return path;
}

static inline int dir_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void dir_free(void)
{
    (void)nftw(dir, dir_remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what stays is in memory */
}
