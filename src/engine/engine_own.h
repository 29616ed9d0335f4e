/*
 * engine_own -- the files of this program (database, key, credentials, logs), which are never samples.
 *
 * They are told by device and inode: a path may have any number of links on its way, and a file any number of names.
 *
 * Threads    any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "util/err.h"

enum { ENGINE_OWN_MAX = 9 };

struct engine_own_id {
    dev_t device;
    ino_t inode;
};

struct engine_own {
    struct engine_own_id ids[ENGINE_OWN_MAX];
    size_t n;
};

struct engine_own_id engine_own_id_of(const struct stat *st);

/* What lies at ENGINE_OWN_MAX paths now; NULL entries and what does not exist are skipped. */
struct engine_own engine_own_find(const char *const *paths);
bool engine_own_has(const struct engine_own *own, struct engine_own_id id);

/* EINVAL when the file `index`, whose directory exists, lies in `dir` itself: everything beside it would be a sample. A
 * directory further down that has the index is fine, since it is never entered. */
CHECKED int engine_own_check_index(const char *dir, const char *index, struct err *err);
