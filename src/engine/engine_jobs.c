#include "engine/engine_jobs.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/engine_render.h"
#include "engine/engine_search.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

enum { IDLE_MS = 60 * 1000, INDEX_STEP_MS = 500 };

/* Jobs run one after the other: none may keep the others waiting for good. */
enum { JOB_MAX_MS = 60 * 60 * 1000, FILE_MAX_S = 60 };

enum { ATTEMPTS_MAX = 2 }; /* of a job whose run the program did not survive */

struct engine_jobs {
    struct engine_db *db;
    struct engine_index *index;
    struct engine_jobs_config config;
    atomic_bool stop;
    bool has_thread;
    pthread_t thread;
    struct lock lock; /* rank LOCK_ENGINE */
    struct cond changed;
    bool has_work; /* guarded by lock */
};

struct work {
    struct request_id id;
    enum query_kind kind;
    char *body;
    int64_t n_attempts; /* before this one */
};

/* The wall clock in milliseconds: for the age of a job over restarts. */
static int64_t wall_ms(void)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with a valid clock and address */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 1 there is work, 0 none. */
CHECKED static int next_work(struct engine_jobs *jobs, struct work *work, struct err *err)
{
    struct engine_db *db = jobs->db;
    sqlite3_stmt *stmt;
    int r;

    lock_acquire(&db->lock);
    stmt = engine_db_bind(db, SQL_JOB_NEXT, "");
    r = engine_db_step(db, stmt, err);
    if (r == 1) {
        (void)text_copy(work->id.s, sizeof work->id.s, (const char *)sqlite3_column_text(stmt, 0)); /* ours: fits */
        work->kind = (enum query_kind)sqlite3_column_int(stmt, 1);
        work->body = strdup((const char *)sqlite3_column_text(stmt, 2));
        work->n_attempts = sqlite3_column_int64(stmt, 3);
        (void)sqlite3_reset(stmt); /* the step succeeded */
    }
    lock_release(&db->lock);
    if (r == 1 && !work->body)
        return err_set(err, ENOMEM, "no memory for a job");
    return r;
}

/* On disk before the job runs: one that brings the program down must not do so at every start. */
CHECKED static int count_attempt(struct engine_jobs *jobs, const struct work *work, int64_t n, struct err *err)
{
    struct engine_db *db = jobs->db;
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db, engine_db_bind(db, SQL_JOB_ATTEMPT, "ti", work->id.s, n), err);
    lock_release(&db->lock);
    return r;
}

/* How a job ended. */
struct outcome {
    enum request_state state;
    int64_t elapsed_ms;
    const char *results; /* NULL after a failure, and of a multi-download */
    const char *reason;  /* NULL after a success */
};

CHECKED static int finish(struct engine_jobs *jobs, const struct work *work, const struct outcome *o, struct err *err)
{
    struct engine_db *db = jobs->db;
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db,
                      engine_db_bind(db, SQL_JOB_FINISH, "tiitt", work->id.s, (int64_t)o->state, o->elapsed_ms,
                                     o->results, o->reason),
                      err);
    lock_release(&db->lock);
    return r;
}

static void query_done(struct engine_query **query)
{
    if (*query)
        engine_query_done(*query);
    free(*query);
}

/* An archive that could not be made is tried again when it is fetched, and who fetches is told why. */
static void pack(struct engine_jobs *jobs, const struct work *work, const struct engine_query *query)
{
    struct err err = { 0 };

    if (!jobs->config.archives)
        return;
    if (engine_archives_prepare(jobs->config.archives, &work->id, query->samples, query->n_samples, &err) < 0)
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "archive"), LOG_TEXT(LOG_REQUEST, work->id.s),
                  LOG_NUMBER(LOG_ERRNO, err.code));
}

/* Runs a search and renders its results as { "stats", "resources" }. */
CHECKED static int search(struct engine_jobs *jobs, const struct engine_query *query, json_object **ret_results,
                          struct err *err)
{
    cleanup_(json_object_putp) json_object *results = json_object_new_object();
    cleanup_(engine_samples_done) struct engine_samples samples = { 0 };
    const struct engine_search_config config = { .n_threads = jobs->config.n_threads,
                                                 .stop = &jobs->stop,
                                                 .deadline_ms = clock_mono_ms() + JOB_MAX_MS,
                                                 .file_s = FILE_MAX_S };
    int r = engine_search_run(jobs->index, query, &config, &samples, err);

    if (r < 0)
        return r;
    engine_json_put(results, "stats", engine_render_stats(&samples, query->fields, samples.n));
    engine_json_put(results, "resources", engine_render_samples(&samples, query->fields, VIEW_POLL));
    *ret_results = steal_ptr(&results);
    return 0;
}

/* Of a multi-download there are no results. */
CHECKED static int do_work(struct engine_jobs *jobs, const struct work *work, json_object **ret_results,
                           struct err *err)
{
    cleanup_(json_object_putp) json_object *body = NULL;
    cleanup_(query_done) struct engine_query *query = calloc(1, sizeof *query);
    int r;

    if (!query)
        return err_set(err, ENOMEM, "no memory for a query");
    r = engine_json_parse(work->body, strlen(work->body), &body, err);
    if (r == 0)
        r = engine_query_parse(work->kind, body, query, err);
    if (r < 0)
        return r;
    if (work->kind != QUERY_MULTI)
        return search(jobs, query, ret_results, err);
    pack(jobs, work, query);
    return 0;
}

/* False when the end of the job could not be stored. */
static bool run_work(struct engine_jobs *jobs, const struct work *work)
{
    cleanup_(json_object_putp) json_object *results = NULL;
    struct outcome outcome = { .state = REQUEST_DONE };
    int64_t start_ms = clock_mono_ms();
    struct err err = { 0 };
    bool is_stored = true;
    int r = count_attempt(jobs, work, 1, &err);

    if (r == 0 && work->n_attempts >= ATTEMPTS_MAX)
        r = err_set(&err, EINTR, "interrupted again and again");
    if (r == 0)
        r = do_work(jobs, work, &results, &err);
    if (atomic_load(&jobs->stop)) {
        (void)count_attempt(jobs, work, -1, NULL); /* a wanted end; it stays unfinished for the next start */
        return true;
    }
    outcome.elapsed_ms = clock_mono_ms() - start_ms;
    if (r == 0) {
        outcome.results = results ? json_object_to_json_string_ext(results, JSON_C_TO_STRING_PLAIN) : NULL;
        r = finish(jobs, work, &outcome, &err);
    }
    if (r < 0) {
        outcome.state = REQUEST_FAILED;
        outcome.results = NULL;
        outcome.reason = err.text;
        is_stored = finish(jobs, work, &outcome, NULL) == 0; /* the first error counts */
    }
    log_event(r < 0 ? LOG_LEVEL_ERR : LOG_LEVEL_INFO, err.code ? err.text : "job finished",
              LOG_TEXT(LOG_REQUEST, work->id.s), LOG_NUMBER(LOG_MS, outcome.elapsed_ms));
    return is_stored;
}

static void expire(struct engine_jobs *jobs)
{
    struct engine_db *db = jobs->db;

    if (jobs->config.archives)
        engine_archives_expire(jobs->config.archives, clock_now_s() - jobs->config.retention_s);
    lock_acquire(&db->lock);
    /* What stays is not shown either: engine_jobs_get() looks at the age. */
    (void)engine_db_run(db, engine_db_bind(db, SQL_JOB_EXPIRE, "i", wall_ms() - jobs->config.retention_s * 1000), NULL);
    lock_release(&db->lock);
}

static void wait_for_work(struct engine_jobs *jobs)
{
    lock_acquire(&jobs->lock);
    if (!jobs->has_work && !atomic_load(&jobs->stop))
        (void)cond_wait_ms(&jobs->changed, &jobs->lock, IDLE_MS); /* early or late, the caller looks again */
    jobs->has_work = false;
    lock_release(&jobs->lock);
}

static void *run(void *argument)
{
    struct engine_jobs *jobs = argument;

    while (!atomic_load(&jobs->stop) && !engine_index_wait(jobs->index, INDEX_STEP_MS))
        ;
    while (!atomic_load(&jobs->stop)) {
        struct work work = { .body = NULL };
        struct err err = { 0 };
        bool goes_on = false;
        int r;

        expire(jobs);
        r = next_work(jobs, &work, &err);
        if (r == 1)
            goes_on = run_work(jobs, &work);
        free(work.body);
        if (r < 0)
            log_event(LOG_LEVEL_ERR, err.text, LOG_TEXT(LOG_OP, "jobs"), LOG_NUMBER(LOG_ERRNO, err.code));
        if (!goes_on)
            wait_for_work(jobs);
    }
    return NULL;
}

int engine_jobs_new(struct engine_db *db, struct engine_index *index, const struct engine_jobs_config *config,
                    struct engine_jobs **ret_jobs, struct err *err)
{
    cleanup_(engine_jobs_freep) struct engine_jobs *jobs = calloc(1, sizeof *jobs);
    int r;

    if (!jobs)
        return err_set(err, ENOMEM, "no memory for jobs");
    jobs->db = db;
    jobs->index = index;
    jobs->config = *config;
    lock_init(&jobs->lock, LOCK_ENGINE);
    cond_init(&jobs->changed);
    r = pthread_create(&jobs->thread, NULL, run, jobs);
    if (r != 0)
        return err_set(err, r, "no thread for jobs");
    jobs->has_thread = true;
    *ret_jobs = steal_ptr(&jobs);
    return 0;
}

static void wake(struct engine_jobs *jobs)
{
    lock_acquire(&jobs->lock);
    jobs->has_work = true;
    cond_broadcast(&jobs->changed);
    lock_release(&jobs->lock);
}

void engine_jobs_free(struct engine_jobs *jobs)
{
    if (!jobs)
        return;
    atomic_store(&jobs->stop, true);
    wake(jobs);
    if (jobs->has_thread)
        (void)pthread_join(jobs->thread, NULL); /* a thread of ours, joined once: cannot fail */
    cond_done(&jobs->changed);
    lock_done(&jobs->lock);
    free(jobs);
}

int engine_jobs_submit(struct engine_jobs *jobs, enum query_kind kind, const char *body,
                       const struct engine_price *price, struct request_id *ret_id, struct err *err)
{
    struct engine_db *db = jobs->db;
    struct request_id id = engine_render_id();
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db, engine_db_bind(db, SQL_BEGIN, ""), err);
    if (r == 0) {
        r = engine_quota_charge_locked(db, price, clock_now_s(), err);
        if (r == 0)
            r = engine_db_run(db,
                              engine_db_bind(db, SQL_JOB_PUT, "titii", id.s, (int64_t)kind, body,
                                             (int64_t)REQUEST_INPROGRESS, wall_ms()),
                              err);
        if (r == 0)
            r = engine_db_run(db, engine_db_bind(db, SQL_COMMIT, ""), err);
        if (r != 0)
            (void)engine_db_run(db, engine_db_bind(db, SQL_ROLLBACK, ""), NULL); /* the first error counts */
    }
    lock_release(&db->lock);
    if (r != 0)
        return r;
    wake(jobs);
    *ret_id = id;
    return 0;
}

CHECKED static int parse_column(sqlite3_stmt *stmt, int column, json_object **ret_value, struct err *err)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    if (!text)
        return 0;
    return engine_json_parse(text, (size_t)sqlite3_column_bytes(stmt, column), ret_value, err);
}

CHECKED static int job_of_row(struct engine_jobs *jobs, sqlite3_stmt *stmt, struct engine_job *job, struct err *err)
{
    int64_t age_ms = wall_ms() - sqlite3_column_int64(stmt, 3);
    const char *reason = (const char *)sqlite3_column_text(stmt, 6);
    int r;

    if (age_ms > jobs->config.retention_s * 1000)
        return ENGINE_JOBS_ABSENT;
    job->kind = (enum query_kind)sqlite3_column_int(stmt, 0);
    job->state = (enum request_state)sqlite3_column_int(stmt, 2);
    job->elapsed_ms = sqlite3_column_int64(stmt, 4);
    if (age_ms < jobs->config.delay_ms)
        job->state = REQUEST_INPROGRESS;
    (void)text_copy(job->reason, sizeof job->reason, reason ? reason : ""); /* a cut reason is still one */
    r = parse_column(stmt, 1, &job->body, err);
    return r < 0 ? r : parse_column(stmt, 5, &job->results, err);
}

int engine_jobs_get(struct engine_jobs *jobs, const struct request_id *id, struct engine_job *ret_job, struct err *err)
{
    cleanup_(engine_job_done) struct engine_job job = { .kind = QUERY_HUNT };
    struct engine_db *db = jobs->db;
    sqlite3_stmt *stmt;
    int r;

    lock_acquire(&db->lock);
    stmt = engine_db_bind(db, SQL_JOB_GET, "t", id->s);
    r = engine_db_step(db, stmt, err);
    if (r == 1) {
        r = job_of_row(jobs, stmt, &job, err);
        (void)sqlite3_reset(stmt); /* the step succeeded */
    } else if (r == 0) {
        r = ENGINE_JOBS_ABSENT;
    }
    lock_release(&db->lock);
    if (r != 0)
        return r;
    *ret_job = job;
    job = (struct engine_job){ .kind = QUERY_HUNT };
    return 0;
}

void engine_job_done(struct engine_job *job)
{
    json_object_putp(&job->body);
    json_object_putp(&job->results);
    *job = (struct engine_job){ .kind = QUERY_HUNT };
}
