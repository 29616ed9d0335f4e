/*
 * engine_archive -- archives of multi-downloads, made when the job runs and kept for who fetches them.
 *
 * What is kept has no name on the disk, so that nothing of it is left when the program ends in whatever way, and is
 * encrypted like every archive. It is a copy: what is not kept (it was too large, others came since, the program was
 * started again) is made anew from the samples.
 *
 * Units      bytes; seconds since the epoch.
 * Ownership  ret_archive is the caller's.
 * Errors     ENGINE_ZIP_EMPTY: none of the samples can be read any more.
 * Threads    any.
 */
#pragma once

#include "engine/engine_zip.h"
#include "model/query.h"

enum { ENGINE_ARCHIVES_MAX = 16 }; /* kept at once: each is a descriptor, … */
#define ENGINE_ARCHIVES_BYTES GIB  /* … all together, in malqueryd */

struct engine_archives;

/* Keeps at most `max_bytes`. The index and `zip` must live longer. */
CHECKED int engine_archives_new(struct engine_index *index, const struct engine_zip_config *zip, int64_t max_bytes,
                                struct engine_archives **ret_archives, struct err *err);
void engine_archives_free(struct engine_archives *archives);
DEFINE_CLEANUP(struct engine_archives *, engine_archives_free)

/* The archive that is kept for this request, or one that is made now. */
CHECKED int engine_archives_open(struct engine_archives *archives, const struct request_id *id,
                                 const struct digest *samples, size_t n, struct engine_archive *ret_archive,
                                 struct err *err);

/* Makes the archive of a request beforehand, unless it is too large to be kept. */
CHECKED int engine_archives_prepare(struct engine_archives *archives, const struct request_id *id,
                                    const struct digest *samples, size_t n, struct err *err);

/* Lets go what was made before `before_s`. */
void engine_archives_expire(struct engine_archives *archives, int64_t before_s);
