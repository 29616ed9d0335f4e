/*
 * store_db -- one SQLite connection behind one lock, its prepared statements, transactions and errors. Internal.
 *
 * A statement is used through a struct store_query on the stack, which resets it at the end of its scope:
 *
 *     cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_GET);
 *
 *     store_query_blob(&query, digest->bytes, DIGEST_BYTES);   values are bound in order, ?1, ?2, …
 *     r = store_query_step(&query, err);                       STORE_ROW, 0 at the end, or an error
 *
 * Ownership  bound texts and blobs are borrowed until the query is done.
 * Errors     binding never fails loudly: the first failure sticks and the step reports it. SQLite's codes become errnos
 *            here and nowhere else.
 * Threads    everything but open and close needs db->lock.
 */
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/lock.h"

enum { STORE_ROW = 1, STORE_DB_BUSY_MS = 5000 };
enum { STORE_DB_STEP_MS = 20, STORE_DB_SHORT_STEPS = 10 }; /* of a wait for another process; the first are shorter */

/* Every statement; the texts are in store_sql.c. */
enum store_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_DATA_VERSION,
    SQL_SAMPLE_GET,
    SQL_SAMPLE_PUT,
    SQL_SAMPLE_PUT_ABSENT,
    SQL_SAMPLE_PUT_GONE,
    SQL_SAMPLE_PUT_ERROR,
    SQL_SAMPLE_CLEAR_ERROR,
    SQL_SAMPLE_LIST,
    SQL_ENTRY_PUT,
    SQL_ENTRY_GET,
    SQL_ENTRY_GET_ROW,
    SQL_ENTRY_TEXT,
    SQL_ENTRY_TEXT_SIZE,
    SQL_ENTRY_SET_STATE,
    SQL_ENTRY_BEGIN,
    SQL_ENTRY_SHOW,
    SQL_ENTRY_ACCEPTED,
    SQL_ENTRY_RENAME,
    SQL_ENTRY_QUEUE,
    SQL_ENTRY_NOTE,
    SQL_ENTRY_REFUSED,
    SQL_ENTRY_DELETE,
    SQL_ENTRY_LIST,
    SQL_DEFAULTS_GET,
    SQL_DEFAULTS_PUT,
    SQL_BUDGET_GET,
    SQL_BUDGET_BEGIN,
    SQL_BUDGET_SET,
    SQL_BUDGET_RAISE,
    SQL_BUDGET_SAY,
    SQL_BUDGET_TAKE,
    SQL_BUDGET_GIVE,
    SQL_SPEND_ADD,
    SQL_SPEND_SINCE,
    SQL_SPEND_GET,
    SQL_SPEND_ACCEPTED,
    SQL_SPEND_SETTLE,
    SQL_SPEND_MONTH,
    SQL_SPEND_SEEN,
    SQL_SPEND_TRIES,
    SQL_SPEND_FORGIVE,
    SQL_SPEND_OPEN,
    SQL_AUDIT_GET,
    SQL_AUDIT_PUT,
    SQL_AUDIT_LINES,
    SQL_AUDIT_DENIED,
    SQL_SENT_PUT,
    SQL_SENT_FIND,
    SQL_SENT_TEXT,
    SQL_SENT_OPTIONS,
    SQL_REQUEST_PUT,
    SQL_REQUEST_GET,
    SQL_REQUEST_GET_ROW,
    SQL_REQUEST_FINISH,
    SQL_REQUEST_LIST,
    SQL_REQUEST_LIST_UNFINISHED,
    SQL_REQUEST_LIST_ENTRY,
    SQL_REQUEST_LIST_SAMPLE,
    SQL_REQUEST_NOTE,
    SQL_REQUEST_REFUSED,
    SQL_REQUEST_DELETE,
    SQL_REQUEST_UNSHOW,
    SQL_REQUEST_IS_MULTI,
    SQL_ASKED_ADD,
    SQL_ASKED_REASON,
    SQL_ASKED_LIST,
    SQL_INTENDED_ADD,
    SQL_INTENDED_DROP,
    SQL_ASKED_UNDER_WAY,
    SQL_SAMPLE_ROW,
    SQL_RAW_PUT,
    SQL_RAW_GET,
    SQL_RESULT_ADD,
    SQL_RESULT_PAGE,
    SQL_RESULT_FAMILIES,
    SQL_RESULT_LABELS,
    SQL_RESULT_TYPES,
    SQL_RESULT_YEARS,
    SQL_RESULT_HAS,
    SQL_COUNT,
};

extern const char *const store_sql_texts[SQL_COUNT];

struct store_db {
    struct lock lock; /* rank LOCK_STORE; guards all below */
    sqlite3 *sqlite;
    sqlite3_stmt *statements[SQL_COUNT];
    int64_t version;      /* grows, see store_version() */
    int64_t data_version; /* SQLite's, as last seen */
    atomic_bool is_hurried;
    atomic_int steps_left; /* of all waits together, once it is hurried */
};

/* Opens or makes the file (0600), migrates it and prepares every statement. `db` was all zeros. */
CHECKED int store_db_open(struct store_db *db, int dir_fd, const char *path, struct err *err);

/* From now on other processes are waited for `wait_ms` in all. From any thread, without the lock. */
void store_db_hurry(struct store_db *db, int wait_ms);

/* Accepts a half-open one. */
void store_db_close(struct store_db *db);

/* The error that the connection reports now, with what we were doing. */
int store_db_fail(const struct store_db *db, struct err *err, const char *what);

/* Runs a text of statements without results. */
CHECKED int store_db_exec(struct store_db *db, const char *sql, const char *what, struct err *err);

/* A write transaction, and its end: commits when `r` >= 0, else rolls back. Returns r, or why the commit failed. */
CHECKED int store_db_begin(struct store_db *db, struct err *err) REQUIRES(&db->lock);
CHECKED int store_db_end(struct store_db *db, int r, struct err *err) REQUIRES(&db->lock);

/* Lets store_version() grow: an entry or a request has changed. */
void store_db_changed(struct store_db *db) REQUIRES(&db->lock);

struct store_query {
    const struct store_db *db;
    sqlite3_stmt *statement;
    int n_bound;
    int code; /* sticky; SQLITE_OK */
};

struct store_query store_query(const struct store_db *db, enum store_sql sql);
void store_query_done(struct store_query *query);

void store_query_int(struct store_query *query, int64_t value);
void store_query_null(struct store_query *query);
void store_query_blob(struct store_query *query, const void *data, size_t n);

/* NULL binds "". */
void store_query_text(struct store_query *query, const char *text);

/* NULL and "" bind NULL. */
void store_query_known(struct store_query *query, const char *text);

/* STORE_ROW, or 0 at the end. */
CHECKED int store_query_step(struct store_query *query, struct err *err);

/* Runs to the end and drops what comes back. */
CHECKED int store_query_run(struct store_query *query, struct err *err);

/* Runs a change of rows that says RETURNING: STORE_ABSENT when there was none, else store_version() grows. */
CHECKED int store_db_change(struct store_db *db, struct store_query *query, struct err *err) REQUIRES(&db->lock);

/* The same for a statement that gives row ?1 the text ?2; takes the lock itself. */
CHECKED int store_db_put_text(struct store_db *db, enum store_sql sql, int64_t row, const char *text, struct err *err);

int64_t store_query_column_int(const struct store_query *query, int column);
bool store_query_column_is_null(const struct store_query *query, int column);

/* Copies a text, cut at `room` - 1; "" for NULL. */
void store_query_column_text(const struct store_query *query, int column, char *to, size_t room);

/* Appends a text or blob. */
void store_query_append_text(const struct store_query *query, int column, struct buf *to);

/*
 * Appends the only column of the only row to a buffer; STORE_ABSENT without a row. For texts and raw answers. Takes the
 * lock itself.
 */
CHECKED int store_db_blob(struct store_db *db, enum store_sql sql, int64_t row, struct buf *ret_bytes, struct err *err);
