#include "test_store_fixture.h"

#include <errno.h>

#include "store/store_db.h"

struct database {
    struct fixture *fixture;
    struct store_db db;
    char path[PATH_MAX];
};

static int setup(void **state)
{
    struct database *database = calloc(1, sizeof *database);
    void *fixture = NULL;
    int dir_fd;

    assert_int_equal(fixture_setup(&fixture), 0);
    database->fixture = fixture;
    (void)snprintf(database->path, sizeof database->path, "%s/other.db", database->fixture->dir);
    dir_fd = open(database->fixture->dir, O_DIRECTORY | O_RDONLY);
    lock_init(&database->db.lock, LOCK_STORE);
    assert_int_equal(store_db_open(&database->db, dir_fd, database->path, &database->fixture->err), 0);
    close(dir_fd);
    *state = database;
    return 0;
}

static int teardown(void **state)
{
    struct database *database = *state;
    void *fixture = database->fixture;

    store_db_close(&database->db);
    lock_done(&database->db.lock);
    free(database);
    return fixture_teardown(&fixture);
}

#define DB_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static int exec(struct database *database, const char *sql)
{
    return store_db_exec(&database->db, sql, "test", &database->fixture->err);
}

/* One entry inside a transaction that ends with `r`. */
static int put_entry(struct database *database, int r)
{
    int result;

    lock_acquire(&database->db.lock);
    result = store_db_begin(&database->db, &database->fixture->err);
    if (result == 0) {
        assert_int_equal(exec(database, "INSERT INTO entry (dir, name, suffix, state, created, changed, options, error,"
                                        " trace, text) VALUES (0, 'a', '', 0, 0, 0, '', '', '', x'')"),
                         0);
        result = store_db_end(&database->db, r, &database->fixture->err);
    }
    lock_release(&database->db.lock);
    return result;
}

static bool has_entry(struct database *database)
{
    cleanup_(store_query_done) struct store_query query = store_query(&database->db, SQL_ENTRY_GET);

    store_query_int(&query, 0);
    store_query_text(&query, "a");
    return store_query_step(&query, NULL) == STORE_ROW;
}

static void a_good_end_commits(void **state)
{
    assert_int_equal(put_entry(*state, 0), 0);
    assert_true(has_entry(*state));
}

static void an_outcome_commits_and_comes_back(void **state)
{
    assert_int_equal(put_entry(*state, STORE_EXISTS), STORE_EXISTS);
    assert_true(has_entry(*state));
}

static void an_error_rolls_back_and_comes_back(void **state)
{
    assert_int_equal(put_entry(*state, -ENOENT), -ENOENT);
    assert_false(has_entry(*state));
}

static void a_full_disk_is_enospc(void **state)
{
    struct database *database = *state;

    assert_int_equal(exec(database, "PRAGMA max_page_count = 1"), 0); /* SQLite takes the present size instead */
    assert_int_equal(exec(database, "CREATE TABLE big AS SELECT randomblob(1000000)"), -ENOSPC);
}

static void a_database_that_stays_busy_is_eagain(void **state)
{
    struct database *database = *state;
    sqlite3 *other = NULL;

    (void)sqlite3_busy_timeout(database->db.sqlite, 10);
    assert_int_equal(sqlite3_open(database->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_entry(database, 0), -EAGAIN);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void a_read_only_database_is_erofs(void **state)
{
    struct database *database = *state;

    assert_int_equal(exec(database, "PRAGMA query_only = 1"), 0);
    assert_int_equal(exec(database, "DELETE FROM entry"), -EROFS);
}

static void a_failed_bind_shows_at_the_step(void **state)
{
    struct database *database = *state;
    cleanup_(store_query_done) struct store_query query = store_query(&database->db, SQL_ENTRY_GET_ROW);

    store_query_int(&query, 1);
    store_query_int(&query, 2); /* there is no second parameter */
    assert_true(store_query_step(&query, &database->fixture->err) < 0);
}

static void the_journal_is_a_wal_and_every_commit_is_synced(void **state)
{
    struct database *database = *state;
    static const struct {
        const char *sql;
        const char *value;
    } settings[] = {
        { "PRAGMA journal_mode", "wal" },
        { "PRAGMA synchronous", "2" },
        { "PRAGMA foreign_keys", "1" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        sqlite3_stmt *statement = NULL;

        assert_int_equal(sqlite3_prepare_v2(database->db.sqlite, settings[i].sql, -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(statement, 0), settings[i].value);
        (void)sqlite3_finalize(statement);
    }
}

static void every_statement_has_a_text(void **state)
{
    struct database *database = *state;

    for (int i = 0; i < SQL_COUNT; i++)
        assert_non_null(database->db.statements[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DB_TEST(a_good_end_commits),
        DB_TEST(an_outcome_commits_and_comes_back),
        DB_TEST(an_error_rolls_back_and_comes_back),
        DB_TEST(a_full_disk_is_enospc),
        DB_TEST(a_database_that_stays_busy_is_eagain),
        DB_TEST(a_read_only_database_is_erofs),
        DB_TEST(a_failed_bind_shows_at_the_step),
        DB_TEST(the_journal_is_a_wal_and_every_commit_is_synced),
        DB_TEST(every_statement_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
