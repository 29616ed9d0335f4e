/*
 * engine_jobs -- asynchronous requests: kept in the database, run one after the other, each on all cores.
 *
 * A job that was not finished when the program ended is run again by the next one, but not more than twice after the
 * program broke down. None runs longer than an hour. That of a multi-download makes its archive.
 *
 * Units      *_ms in milliseconds, *_s in seconds.
 * Ownership  engine_job_done() frees what engine_jobs_get() brought.
 * Errors     ENGINE_JOBS_ABSENT: no such id, or expired.
 * Threads    any.
 */
#pragma once

#include "engine/engine_archive.h"
#include "engine/engine_index.h"
#include "engine/engine_query.h"
#include "engine/engine_quota.h"

enum { ENGINE_JOBS_ABSENT = 1 };

struct engine_jobs_config {
    size_t n_threads;
    int64_t delay_ms;                 /* how long a job stays in progress, at least */
    int64_t retention_s;              /* how long it is known, and its archive kept at most */
    struct engine_archives *archives; /* must live longer; NULL: none is made before it is fetched */
};

struct engine_jobs;

/* Starts the thread; database and index must live longer. */
CHECKED int engine_jobs_new(struct engine_db *db, struct engine_index *index, const struct engine_jobs_config *config,
                            struct engine_jobs **ret_jobs, struct err *err);

/* Stops the thread; a running job is left for the next start. */
void engine_jobs_free(struct engine_jobs *jobs);
DEFINE_CLEANUP(struct engine_jobs *, engine_jobs_free)

/*
 * Takes a job over and charges its price, both or neither; it is on disk when the id comes back. `body` is the JSON of
 * the request, which was checked. ENGINE_QUOTA_EXCEEDED: the quota does not cover the price.
 */
CHECKED int engine_jobs_submit(struct engine_jobs *jobs, enum query_kind kind, const char *body,
                               const struct engine_price *price, struct request_id *ret_id, struct err *err);

struct engine_job {
    enum query_kind kind;
    enum request_state state;
    json_object *body;
    json_object *results;      /* { "stats": …, "resources": … }, NULL for a multi-download and before the end */
    char reason[ERR_TEXT_MAX]; /* of a failure */
    int64_t elapsed_ms;
};

CHECKED int engine_jobs_get(struct engine_jobs *jobs, const struct request_id *id, struct engine_job *ret_job,
                            struct err *err);
void engine_job_done(struct engine_job *job);
