#include "store/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "store/store_fault.h"
#include "store/store_files.h"
#include "store/store_schema.h"
#include "util/cleanup.h"
#include "util/text.h"

static const struct {
    int sqlite;
    int code;
} errnos[] = {
    /* clang-format off */
    { SQLITE_FULL, ENOSPC }, { SQLITE_IOERR, EIO }, { SQLITE_BUSY, EAGAIN }, { SQLITE_LOCKED, EAGAIN },
    { SQLITE_READONLY, EROFS }, { SQLITE_CORRUPT, EIO }, { SQLITE_NOTADB, EIO }, { SQLITE_NOMEM, ENOMEM },
    { SQLITE_PERM, EACCES }, { SQLITE_AUTH, EACCES }, { SQLITE_TOOBIG, EFBIG },
    { SQLITE_INTERRUPT, EINTR },
    /* clang-format on */
};

static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA foreign_keys = ON;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA temp_store = MEMORY;";

static int errno_of(int sqlite)
{
    for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
        if (errnos[i].sqlite == (sqlite & 0xff)) /* the rest of an extended code is detail */
            return errnos[i].code;
    return EIO;
}

int store_db_fail(const struct store_db *db, struct err *err, const char *what)
{
    int sqlite = db->sqlite ? sqlite3_extended_errcode(db->sqlite) : SQLITE_NOMEM;

    return err_set(err, errno_of(sqlite), "state database: %s: %s", what,
                   db->sqlite ? sqlite3_errmsg(db->sqlite) : "no memory");
}

int store_db_exec(struct store_db *db, const char *sql, const char *what, struct err *err)
{
    if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_db_fail(db, err, what);
    return 0;
}

/* SQLite gives its side files the mode of the database, so that one must be right from the first moment. */
CHECKED static int make_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_sys(err, "open '%s'", path);
    close(fd);
    return 0;
}

/* Another process has what we need. Steps and not a clock, which a test may hold still. */
static int wait_for_others(void *closure, int n_before)
{
    enum { STEPS_MAX = STORE_DB_SHORT_STEPS + STORE_DB_BUSY_MS / STORE_DB_STEP_MS, NS_PER_MS = 1000 * 1000 };
    struct store_db *db = closure;
    int step_ms = n_before < STORE_DB_SHORT_STEPS ? n_before + 1 : STORE_DB_STEP_MS;
    const struct timespec step = { .tv_nsec = (long)step_ms * NS_PER_MS };

    if (n_before >= STEPS_MAX || (atomic_load(&db->is_hurried) && atomic_fetch_sub(&db->steps_left, 1) <= 0))
        return 0;
    (void)nanosleep(&step, NULL); /* a signal only shortens the step */
    return 1;
}

void store_db_hurry(struct store_db *db, int wait_ms)
{
    atomic_store(&db->steps_left, wait_ms / STORE_DB_STEP_MS);
    atomic_store(&db->is_hurried, true);
}

CHECKED static int open_and_migrate(struct store_db *db, const char *path, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int r;

    r = make_file(path, err);
    if (r < 0)
        return r;
    if (sqlite3_open_v2(path, &db->sqlite, flags, store_fault_vfs()) != SQLITE_OK)
        return store_db_fail(db, err, "open");
    (void)sqlite3_busy_handler(db->sqlite, wait_for_others, db); /* fails on an invalid handle only */
    r = store_db_exec(db, settings, "settings", err);
    if (r < 0)
        return r;
    return store_schema_migrate(db, err);
}

CHECKED static int prepare_all(struct store_db *db, struct err *err)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int r =
            sqlite3_prepare_v3(db->sqlite, store_sql_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);

        if (r != SQLITE_OK)
            return store_db_fail(db, err, "prepare");
    }
    return 0;
}

int store_db_open(struct store_db *db, int dir_fd, const char *path, struct err *err)
{
    cleanup_(closep) int lock_fd = -1;
    int r;

    /* The switch to WAL fails at once when two processes try it together, whatever the busy timeout says. */
    lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_fd < 0)
        return err_sys(err, "open 'lock' beside '%s'", path);
    r = store_files_lock(lock_fd, STORE_FILES_WAIT, err);
    if (r < 0)
        return r;
    r = open_and_migrate(db, path, err);
    if (r < 0)
        return err_wrap(err, "'%s'", path);
    return prepare_all(db, err);
}

void store_db_close(struct store_db *db)
{
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(db->statements[i]); /* repeats the last step's failure, reported then */
    (void)sqlite3_close(db->sqlite);               /* all statements are finalized: cannot be busy */
    db->sqlite = NULL;
}

CHECKED static int run(struct store_db *db, enum store_sql sql, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(db, sql);

    return store_query_run(&query, err);
}

int store_db_begin(struct store_db *db, struct err *err)
{
    return run(db, SQL_BEGIN, err);
}

int store_db_end(struct store_db *db, int r, struct err *err)
{
    if (r >= 0) {
        int committed = run(db, SQL_COMMIT, err);

        if (committed == 0)
            return r;
        r = committed;
    }
    if (!sqlite3_get_autocommit(db->sqlite)) /* some failures have rolled back already */
        (void)run(db, SQL_ROLLBACK, NULL);   /* the first cause is reported */
    return r;
}

void store_db_changed(struct store_db *db)
{
    db->version++;
}

struct store_query store_query(const struct store_db *db, enum store_sql sql)
{
    return (struct store_query){ .db = db, .statement = db->statements[sql] };
}

void store_query_done(struct store_query *query)
{
    (void)sqlite3_reset(query->statement);          /* repeats the step's failure */
    (void)sqlite3_clear_bindings(query->statement); /* cannot fail */
}

static void bound(struct store_query *query, int code)
{
    if (query->code == SQLITE_OK)
        query->code = code;
}

void store_query_int(struct store_query *query, int64_t value)
{
    bound(query, sqlite3_bind_int64(query->statement, ++query->n_bound, value));
}

void store_query_null(struct store_query *query)
{
    bound(query, sqlite3_bind_null(query->statement, ++query->n_bound));
}

void store_query_blob(struct store_query *query, const void *data, size_t n)
{
    /* A NULL pointer would bind NULL. */
    bound(query, sqlite3_bind_blob64(query->statement, ++query->n_bound, n ? data : "", n, SQLITE_STATIC));
}

void store_query_text(struct store_query *query, const char *text)
{
    bound(query, sqlite3_bind_text(query->statement, ++query->n_bound, text ? text : "", -1, SQLITE_STATIC));
}

void store_query_known(struct store_query *query, const char *text)
{
    if (text && *text)
        store_query_text(query, text);
    else
        store_query_null(query);
}

int store_query_step(struct store_query *query, struct err *err)
{
    int code = query->code;
    bool is_read_only;

    if (code != SQLITE_OK)
        return err_set(err, errno_of(code), "state database: %s", sqlite3_errstr(code));
    errno = 0;
    code = sqlite3_step(query->statement);
    if (code == SQLITE_ROW)
        return STORE_ROW;
    if (code == SQLITE_DONE)
        return 0;
    is_read_only = errno == EROFS; /* the kernel's word, when it has turned a disk read-only: for SQLite an I/O error */
    return err_set(err, is_read_only ? EROFS : errno_of(code), "state database: %s", sqlite3_errmsg(query->db->sqlite));
}

int store_query_run(struct store_query *query, struct err *err)
{
    int r;

    do
        r = store_query_step(query, err);
    while (r == STORE_ROW);
    return r;
}

int64_t store_query_column_int(const struct store_query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

bool store_query_column_is_null(const struct store_query *query, int column)
{
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

void store_query_column_text(const struct store_query *query, int column, char *to, size_t room)
{
    const unsigned char *text = sqlite3_column_text(query->statement, column);

    (void)text_copy(to, room, text ? (const char *)text : ""); /* written from a field of the same size */
}

int store_db_change(struct store_db *db, struct store_query *query, struct err *err)
{
    int first = store_query_step(query, err);
    int r = first == STORE_ROW ? store_query_run(query, err) : first;

    if (r < 0)
        return r;
    if (first != STORE_ROW)
        return STORE_ABSENT;
    store_db_changed(db);
    return 0;
}

int store_db_put_text(struct store_db *db, enum store_sql sql, int64_t row, const char *text, struct err *err)
{
    int r;

    lock_acquire(&db->lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(db, sql);

        store_query_int(&query, row);
        store_query_text(&query, text);
        r = store_db_change(db, &query, err);
    }
    lock_release(&db->lock);
    return r;
}

void store_query_append_text(const struct store_query *query, int column, struct buf *to)
{
    const void *bytes = sqlite3_column_blob(query->statement, column); /* before the length: may convert */

    buf_append(to, bytes ? bytes : "", (size_t)sqlite3_column_bytes(query->statement, column));
}

int store_db_blob(struct store_db *db, enum store_sql sql, int64_t row, struct buf *ret_bytes, struct err *err)
{
    int r;

    lock_acquire(&db->lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(db, sql);

        store_query_int(&query, row);
        r = store_query_step(&query, err);
        if (r == STORE_ROW)
            store_query_append_text(&query, 0, ret_bytes);
    }
    lock_release(&db->lock);
    if (r < 0)
        return r;
    return r == STORE_ROW ? buf_check(ret_bytes, err, "a text of the state database") : STORE_ABSENT;
}
