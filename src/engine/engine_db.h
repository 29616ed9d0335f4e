/*
 * engine_db -- the one SQLite database of an engine: index, jobs and quotas.
 *
 * Units      times in seconds, *_ms in milliseconds, *_ns in nanoseconds since the epoch; sizes in bytes.
 * Ownership  the database owns its statements; engine_db_bind() lends one until the lock is released.
 * Errors     0 success, 1 (engine_db_step only) a row is there, < 0 a negative errno with err filled.
 * Threads    any; whatever uses a statement holds `lock`. Long reads use a connection of engine_db_reader() instead.
 */
#pragma once

#include <sqlite3.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/lock.h"

/* One row per statement, texts in engine_db.c. */
enum engine_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_FILE_STAMP,
    SQL_FILE_PUT,
    SQL_FILE_FORGET,
    SQL_FILE_NEXT,
    SQL_SAMPLE_PUT,
    SQL_SAMPLE_GET,
    SQL_SAMPLE_COUNT,
    SQL_SAMPLE_SWEEP,
    SQL_GRAM_PUT,
    SQL_GRAM_PIECE,
    SQL_GRAM_SWEEP,
    SQL_SEEN_CLEAR,
    SQL_SEEN_ADD,
    SQL_SEEN_SWEEP,
    SQL_JOB_PUT,
    SQL_JOB_GET,
    SQL_JOB_NEXT,
    SQL_JOB_ATTEMPT,
    SQL_JOB_FINISH,
    SQL_JOB_EXPIRE,
    SQL_QUOTA_GET,
    SQL_QUOTA_ADD,
    ENGINE_SQL_N,
};

struct engine_db {
    struct lock lock; /* rank LOCK_ENGINE_INDEX */
    sqlite3 *sql;     /* guarded by lock */
    sqlite3_stmt *stmts[ENGINE_SQL_N];
    char *path;
};

/* Opens or makes the database at `path`, mode 0600. */
CHECKED int engine_db_open(const char *path, struct engine_db **ret_db, struct err *err);
void engine_db_free(struct engine_db *db);
DEFINE_CLEANUP(struct engine_db *, engine_db_free)

/*
 * Resets statement `which` and binds its parameters: one letter of `types` each, t text (NULL allowed), i int64_t,
 * b blob (const void *, size_t). Texts and blobs are borrowed until the statement was stepped.
 */
sqlite3_stmt *engine_db_bind(struct engine_db *db, enum engine_sql which, const char *types, ...) REQUIRES(&db->lock);

/* 1 a row, 0 the end. */
CHECKED int engine_db_step(struct engine_db *db, sqlite3_stmt *stmt, struct err *err) REQUIRES(&db->lock);

/* Steps a statement that returns no rows; resets it. */
CHECKED int engine_db_run(struct engine_db *db, sqlite3_stmt *stmt, struct err *err) REQUIRES(&db->lock);

/* Another connection for reading only, without the lock; sqlite3_close() it. */
CHECKED int engine_db_reader(const struct engine_db *db, sqlite3 **ret_sql, struct err *err);

static inline void sqlite3_closep(sqlite3 **sql)
{
    (void)sqlite3_close(*sql); /* NULL is fine; all statements are finalised by their own cleanup */
}

static inline void sqlite3_finalizep(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); /* repeats the error of the last step, which was checked */
}
