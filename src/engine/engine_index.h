/*
 * engine_index -- which samples are in the served directory, kept current.
 *
 * A thread of its own walks the directory, reads what changed since the last run (size, times, inode) on all cores, and
 * then follows inotify. Identical files are one sample. What cannot be read is left out.
 *
 * Units      sizes in bytes, waits in milliseconds, dates in seconds since the epoch (UTC midnight).
 * Ownership  ret_* is the caller's: descriptors to close, lists for engine_samples_done().
 * Errors     ENGINE_INDEX_ABSENT: not a sample of this directory, or changed since and not read again yet. What hinders
 * us from looking (descriptors, memory, rights, a broken disk) is a negative errno instead. Threads    any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine_db.h"
#include "engine/engine_gram.h"
#include "engine/engine_labels.h"
#include "engine/engine_own.h"
#include "model/sample.h"

enum { ENGINE_INDEX_ABSENT = 1 };

struct engine_index_config {
    const char *dir;      /* absolute, links resolved */
    const char *labels;   /* path of the labels, NULL: none */
    bool may_lack_labels; /* the labels may come later, or never */
    size_t n_threads;
    bool has_watch;
    int retry_ms; /* after a pass that failed */
    /* Paths of what is ours and no sample, by whatever name it is found; NULL entries are skipped. */
    const char *excludes[ENGINE_OWN_MAX];
};

struct engine_index;

/* Starts the thread; the database and the config's texts must live longer. */
CHECKED int engine_index_new(struct engine_db *db, const struct engine_index_config *config,
                             struct engine_index **ret_index, struct err *err);

/* Stops the thread; readers in other threads must be gone. */
void engine_index_free(struct engine_index *index);
DEFINE_CLEANUP(struct engine_index *, engine_index_free)

/* Waits for the end of the first pass; false on timeout and when the index is stopping. */
bool engine_index_wait(struct engine_index *index, int64_t wait_ms);

/* Files that were read since the start: 0 after a restart with nothing changed. */
size_t engine_index_n_read(const struct engine_index *index);

CHECKED int engine_index_find(struct engine_index *index, const struct digest *digest, struct sample *ret_sample,
                              struct err *err);

/* What is ours now and no sample, for who opens many. */
struct engine_own engine_index_own(const struct engine_index *index);

/*
 * Opens a file with this content. The stamp must be that of the indexing, or the bytes are hashed again: what is opened
 * has the digest. `own`: what counts as ours; NULL: what is ours now.
 */
CHECKED int engine_index_open(struct engine_index *index, const struct digest *digest, const struct engine_own *own,
                              int *ret_fd, int64_t *ret_size_bytes, struct err *err);

struct engine_samples {
    struct sample *items;
    size_t n;
    size_t room;
};

/* The bytes of a pattern. */
struct engine_bytes {
    uint8_t *data;
    size_t n;
};

/* All samples that may contain all patterns, newest first_seen first. */
CHECKED int engine_index_list(struct engine_index *index, const struct engine_bytes *patterns, size_t n_patterns,
                              struct engine_samples *ret_samples, struct err *err);
void engine_samples_done(struct engine_samples *samples);
