/*
 * engine_file -- a file below the served directory: opened without following any link, read once for everything.
 *
 * Units      sizes in bytes, *_ns in nanoseconds since the epoch.
 * Ownership  descriptors and facts that come back are the caller's.
 * Errors     as in engine_file_read(); opening: ENOENT, EACCES, ELOOP … as negative errno.
 * Threads    any; a reader belongs to one thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "engine/engine_gram.h"
#include "model/sample.h"

/* What tells whether a file was changed. */
struct engine_stamp {
    int64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
    int64_t inode;
};

struct engine_stamp engine_stamp_of(const struct stat *st);
bool engine_stamp_equal(const struct engine_stamp *a, const struct engine_stamp *b);

/*
 * Opens the regular file `path` (relative, no "..") below `dir_fd`. No component may be a symbolic link; a FIFO or
 * device gives EINVAL and is never waited for.
 */
CHECKED int engine_file_open(int dir_fd, const char *path, int *ret_fd, struct engine_stamp *ret_stamp,
                             struct err *err);

/*
 * What one reading brings. The stamp equals none when the file was changed so shortly before that a change after the
 * reading could leave the times as they are: whoever opens it then hashes it again. label, family and first_seen of
 * `sample` are not set. */
struct engine_facts {
    struct sample sample;
    struct engine_stamp stamp;
    struct engine_gram gram; /* finished; engine_gram_done() it */
};

enum { ENGINE_FILE_SETTLE_MS = 1000 };

enum {
    ENGINE_FILE_CHANGED = 1, /* somebody wrote while we read; try again later */
    ENGINE_FILE_STOPPED,     /* `stop` was set */
};

/* Buffers, digests and a libmagic handle for one thread. */
struct engine_reader;
CHECKED int engine_reader_new(struct engine_reader **ret_reader, struct err *err);
void engine_reader_free(struct engine_reader *reader);
DEFINE_CLEANUP(struct engine_reader *, engine_reader_free)

/* Does this errno say that a path is gone or closed to us, and not that we failed to look? */
bool engine_file_is_lost(int code);

CHECKED int engine_file_read(struct engine_reader *reader, int fd, atomic_bool *stop, struct engine_facts *ret_facts,
                             struct err *err);

/* Only the SHA-256 of what the descriptor has now. */
CHECKED int engine_file_digest(int fd, struct digest *ret_digest, struct err *err);
