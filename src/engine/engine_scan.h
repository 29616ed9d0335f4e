/*
 * engine_scan -- brings the database up to date with what is below one path of the served directory.
 *
 * Threads    one at a time; it uses as many as it was told to read files.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/engine_db.h"
#include "engine/engine_watch.h"

struct engine_scan_config {
    int dir_fd; /* borrowed */
    size_t n_threads;
    struct engine_watch *watch; /* gets every directory that is found */
    atomic_bool *stop;
    const char *const *excludes; /* ENGINE_OWN_MAX paths that are no samples, directories with all in them */
};

struct engine_scan;

CHECKED int engine_scan_new(struct engine_db *db, const struct engine_scan_config *config,
                            struct engine_scan **ret_scan, struct err *err);
void engine_scan_free(struct engine_scan *scan);
DEFINE_CLEANUP(struct engine_scan *, engine_scan_free)

/*
 * Reads what is new or changed below `path` ("" is everything) and forgets what is gone. Cut short by `stop`. After a
 * failure to read, rows stay as they are and the caller tries again later.
 */
CHECKED int engine_scan_refresh(struct engine_scan *scan, const char *path, struct err *err);

/* Files read since the start. */
size_t engine_scan_n_read(const struct engine_scan *scan);
