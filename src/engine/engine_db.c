#include "engine/engine_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_gram.h"

enum { DB_BUSY_MS = 5000 };

static const char schema_1[] =
    "CREATE TABLE file(path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX file_by_sha256 ON file(sha256, mtime_ns);"
    "CREATE TABLE sample(sha256 BLOB PRIMARY KEY, sha1 TEXT NOT NULL, md5 TEXT NOT NULL, size INTEGER NOT NULL,"
    " filetype TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE gram(sha256 BLOB PRIMARY KEY, bits BLOB NOT NULL);"
    "CREATE TABLE job(id TEXT PRIMARY KEY, kind INTEGER NOT NULL, body TEXT NOT NULL, state INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, elapsed_ms INTEGER NOT NULL DEFAULT 0, results TEXT, reason TEXT);"
    "CREATE INDEX job_by_state ON job(state, created_ms);"
    "CREATE TABLE quota(month TEXT NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(month, kind));";

static const char schema_2[] = "ALTER TABLE job ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;";

/* Maps of grams in pieces, and other grams: every file is read again. Key of a piece: id of the map, times
 * GRAM_PIECES_MAX, and its number. */
static const char schema_3[] =
    "DELETE FROM file; DROP TABLE gram;"
    "CREATE TABLE gram(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, n INTEGER NOT NULL);"
    "CREATE TABLE gram_piece(key INTEGER PRIMARY KEY, bits BLOB NOT NULL);"
    "CREATE TRIGGER gram_gone AFTER DELETE ON gram BEGIN"
    " DELETE FROM gram_piece WHERE key >= old.id * 16384 AND key < (old.id + 1) * 16384; END;";
static_assert(GRAM_PIECES_MAX == 16384, "schema_3 has this number");

/* A row per version of the schema: what leads to it from the one before. Version n is row n - 1. */
static const char *const migrations[] = { schema_1, schema_2, schema_3 };

static const char *const texts[ENGINE_SQL_N] = {
    /* NOLINTBEGIN(bugprone-suspicious-missing-comma): long statements are cut */
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_FILE_STAMP] = "SELECT size, mtime_ns, ctime_ns, inode FROM file WHERE path = ?1",
    [SQL_FILE_PUT] = "INSERT OR REPLACE INTO file(path, size, mtime_ns, ctime_ns, inode, sha256)"
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_FILE_FORGET] = "DELETE FROM file WHERE path = ?1 OR (path >= ?1 || '/' AND path < ?1 || '0')",
    /* In the order of the index, so that each step is a look-up. */
    [SQL_FILE_NEXT] = "SELECT path, size, mtime_ns, ctime_ns, inode FROM file WHERE sha256 = ?1"
                      " AND (mtime_ns, path) > (?2, ?3) ORDER BY mtime_ns, path LIMIT 1",
    [SQL_SAMPLE_PUT] = "INSERT OR REPLACE INTO sample(sha256, sha1, md5, size, filetype) VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_SAMPLE_GET] = "SELECT s.sha256, s.sha1, s.md5, s.size, s.filetype, MIN(f.mtime_ns) FROM sample s"
                       " JOIN file f ON f.sha256 = s.sha256 WHERE s.sha256 = ?1 GROUP BY s.sha256",
    [SQL_SAMPLE_COUNT] = "SELECT COUNT(*) FROM sample",
    [SQL_SAMPLE_SWEEP] = "DELETE FROM sample WHERE NOT EXISTS (SELECT 1 FROM file f WHERE f.sha256 = sample.sha256)",
    [SQL_GRAM_PUT] = "INSERT OR IGNORE INTO gram(sha256, n) VALUES(?1, ?2)",
    [SQL_GRAM_PIECE] = "INSERT INTO gram_piece(key, bits) VALUES(?1, ?2)",
    [SQL_GRAM_SWEEP] = "DELETE FROM gram WHERE NOT EXISTS (SELECT 1 FROM file f WHERE f.sha256 = gram.sha256)",
    [SQL_SEEN_CLEAR] = "DELETE FROM seen",
    [SQL_SEEN_ADD] = "INSERT OR IGNORE INTO seen(path) VALUES(?1)",
    /* ?1 = '' is the whole directory, otherwise only what is below ?1. */
    [SQL_SEEN_SWEEP] = "DELETE FROM file WHERE (?1 = '' OR path = ?1 OR (path >= ?1 || '/' AND path < ?1 || '0'))"
                       " AND path NOT IN (SELECT path FROM seen)",
    [SQL_JOB_PUT] = "INSERT INTO job(id, kind, body, state, created_ms) VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_JOB_GET] = "SELECT kind, body, state, created_ms, elapsed_ms, results, reason FROM job WHERE id = ?1",
    [SQL_JOB_NEXT] = "SELECT id, kind, body, attempts FROM job WHERE state = 0 ORDER BY created_ms, id LIMIT 1",
    [SQL_JOB_ATTEMPT] = "UPDATE job SET attempts = attempts + ?2 WHERE id = ?1",
    [SQL_JOB_FINISH] = "UPDATE job SET state = ?2, elapsed_ms = ?3, results = ?4, reason = ?5 WHERE id = ?1",
    [SQL_JOB_EXPIRE] = "DELETE FROM job WHERE created_ms < ?1",
    [SQL_QUOTA_GET] = "SELECT n FROM quota WHERE month = ?1 AND kind = ?2",
    [SQL_QUOTA_ADD] = "INSERT INTO quota(month, kind, n) VALUES(?1, ?2, ?3)"
                      " ON CONFLICT(month, kind) DO UPDATE SET n = n + ?3",
    /* NOLINTEND(bugprone-suspicious-missing-comma) */
};

static int fail(sqlite3 *sql, struct err *err, const char *what)
{
    int code = sqlite3_errcode(sql) == SQLITE_FULL ? ENOSPC : EIO;

    return err_set(err, code, "%s: %s", what, sqlite3_errmsg(sql));
}

CHECKED static int set_up(sqlite3 *sql, struct err *err)
{
    static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                                  "CREATE TEMP TABLE seen(path TEXT PRIMARY KEY) WITHOUT ROWID;";

    (void)sqlite3_busy_timeout(sql, DB_BUSY_MS); /* cannot fail on an open connection */
    if (sqlite3_exec(sql, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return fail(sql, err, "index database");
    return 0;
}

CHECKED static int read_version(sqlite3 *sql, int *ret_version, struct err *err)
{
    cleanup_(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(sql, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        return fail(sql, err, "index database version");
    *ret_version = sqlite3_column_int(stmt, 0);
    return 0;
}

/* Two programs may open a new database at once: the version is read and raised in one transaction. */
CHECKED static int migrate(sqlite3 *sql, struct err *err)
{
    char text[64];
    int version = 0;
    int r;

    if (sqlite3_exec(sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return fail(sql, err, "index database");
    r = read_version(sql, &version, err);
    if (r < 0)
        return r;
    if (version > (int)ARRAY_SIZE(migrations))
        return err_set(err, EINVAL, "the index is of a newer version (%d)", version);
    for (; version < (int)ARRAY_SIZE(migrations); version++)
        if (sqlite3_exec(sql, migrations[version], NULL, NULL, NULL) != SQLITE_OK)
            return fail(sql, err, "index schema");
    (void)sqlite3_snprintf(sizeof text, text, "PRAGMA user_version = %d; COMMIT", version); /* fits */
    if (sqlite3_exec(sql, text, NULL, NULL, NULL) != SQLITE_OK)
        return fail(sql, err, "index schema");
    return 0;
}

CHECKED static int prepare_all(struct engine_db *db, struct err *err)
{
    for (size_t i = 0; i < ENGINE_SQL_N; i++)
        if (sqlite3_prepare_v3(db->sql, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmts[i], NULL) != SQLITE_OK)
            return fail(db->sql, err, "index statement");
    return 0;
}

int engine_db_open(const char *path, struct engine_db **ret_db, struct err *err)
{
    cleanup_(engine_db_freep) struct engine_db *db = calloc(1, sizeof *db);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    int r;

    if (!db)
        return err_set(err, ENOMEM, "no memory for the index");
    lock_init(&db->lock, LOCK_ENGINE_INDEX);
    db->path = strdup(path);
    if (!db->path)
        return err_set(err, ENOMEM, "no memory for the index");
    if (sqlite3_open_v2(path, &db->sql, flags, NULL) != SQLITE_OK)
        return err_set(err, EIO, "open index '%s': %s", path, db->sql ? sqlite3_errmsg(db->sql) : "no memory");
    r = set_up(db->sql, err);
    if (r < 0)
        return err_wrap(err, "'%s'", path);
    r = migrate(db->sql, err);
    if (r < 0)
        return err_wrap(err, "'%s'", path);
    r = prepare_all(db, err);
    if (r < 0)
        return r;
    *ret_db = steal_ptr(&db);
    return 0;
}

void engine_db_free(struct engine_db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < ENGINE_SQL_N; i++)
        sqlite3_finalizep(&db->stmts[i]);
    sqlite3_closep(&db->sql);
    lock_done(&db->lock);
    free(db->path);
    free(db);
}

sqlite3_stmt *engine_db_bind(struct engine_db *db, enum engine_sql which, const char *types, ...)
{
    sqlite3_stmt *stmt = db->stmts[which];
    va_list args;
    int r = SQLITE_OK;

    (void)sqlite3_reset(stmt); /* repeats an old error that was checked then */
    va_start(args, types);
    /* NOLINTBEGIN(clang-analyzer-valist.Uninitialized): clang-tidy 14 loses the va_start() in the loop */
    for (int at = 1; *types && r == SQLITE_OK; types++, at++) {
        if (*types == 'i') {
            r = sqlite3_bind_int64(stmt, at, va_arg(args, int64_t));
        } else if (*types == 't') {
            r = sqlite3_bind_text(stmt, at, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else {
            const void *data = va_arg(args, const void *);

            r = sqlite3_bind_blob64(stmt, at, data, va_arg(args, size_t), SQLITE_STATIC);
        }
    }
    /* NOLINTEND(clang-analyzer-valist.Uninitialized) */
    va_end(args);
    assert(r == SQLITE_OK || r == SQLITE_NOMEM || r == SQLITE_TOOBIG); /* anything else is a wrong call */
    return stmt;
}

int engine_db_step(struct engine_db *db, sqlite3_stmt *stmt, struct err *err)
{
    switch (sqlite3_step(stmt)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        (void)sqlite3_reset(stmt); /* it just succeeded */
        return 0;
    default:
        (void)fail(db->sql, err, "index database"); /* the code comes back below */
        (void)sqlite3_reset(stmt);                  /* repeats the error */
        return err ? -err->code : -EIO;
    }
}

int engine_db_run(struct engine_db *db, sqlite3_stmt *stmt, struct err *err)
{
    int r = engine_db_step(db, stmt, err);

    if (r > 0)
        (void)sqlite3_reset(stmt); /* a row nobody wants */
    return r < 0 ? r : 0;
}

int engine_db_reader(const struct engine_db *db, sqlite3 **ret_sql, struct err *err)
{
    cleanup_(sqlite3_closep) sqlite3 *sql = NULL;

    if (sqlite3_open_v2(db->path, &sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return err_set(err, EIO, "open index '%s' for reading", db->path);
    (void)sqlite3_busy_timeout(sql, DB_BUSY_MS); /* cannot fail on an open connection */
    *ret_sql = steal_ptr(&sql);
    return 0;
}
