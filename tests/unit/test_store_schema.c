#include "test_store_fixture.h"

#include <errno.h>

#include "store/store_schema.h"

static void open_memory(struct store_db *db)
{
    assert_int_equal(sqlite3_open(":memory:", &db->sqlite), SQLITE_OK);
}

static int ask_number(struct store_db *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int number;

    assert_int_equal(sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    return number;
}

static void an_empty_database_becomes_the_newest(void **state)
{
    struct store_db db = { 0 };

    (void)state;
    open_memory(&db);
    assert_int_equal(store_schema_migrate(&db, NULL), 0);
    assert_int_equal(ask_number(&db, "PRAGMA user_version"), store_schema_newest());
    assert_int_equal(ask_number(&db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN"
                                     " ('sample', 'entry', 'request', 'sent', 'raw', 'result')"),
                     6);
    store_db_close(&db);
}

static void migrating_again_changes_nothing(void **state)
{
    struct store_db db = { 0 };
    int before;

    (void)state;
    open_memory(&db);
    assert_int_equal(store_schema_migrate(&db, NULL), 0);
    before = ask_number(&db, "PRAGMA schema_version");
    assert_int_equal(store_schema_migrate(&db, NULL), 0);
    assert_int_equal(ask_number(&db, "PRAGMA schema_version"), before);
    store_db_close(&db);
}

static void a_newer_database_is_refused(void **state)
{
    struct store_db db = { 0 };
    struct err err = { 0 };
    char sql[64];

    (void)state;
    open_memory(&db);
    (void)snprintf(sql, sizeof sql, "PRAGMA user_version = %d", store_schema_newest() + 1);
    assert_int_equal(store_db_exec(&db, sql, "test", NULL), 0);
    assert_int_equal(store_schema_migrate(&db, &err), -EOPNOTSUPP);
    assert_int_equal(ask_number(&db, "SELECT count(*) FROM sqlite_schema"), 0);
    store_db_close(&db);
}

static void a_migration_that_fails_leaves_nothing(void **state)
{
    struct store_db db = { 0 };

    (void)state;
    open_memory(&db);
    assert_int_equal(store_db_exec(&db, "CREATE TABLE result (x)", "test", NULL), 0); /* the last one will not fit */
    assert_true(store_schema_migrate(&db, NULL) < 0);
    assert_int_equal(ask_number(&db, "PRAGMA user_version"), 0);
    assert_int_equal(ask_number(&db, "SELECT count(*) FROM sqlite_schema WHERE name = 'sample'"), 0);
    store_db_close(&db);
}

static void a_reopened_database_keeps_its_rows(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = { .dir = STORE_HUNTS, .name = "a" };

    assert_int_equal(store_entry_put(fixture->store, &entry, "x", 1, &fixture->err), 0);
    fixture_reopen(fixture);
    assert_int_equal(store_entry_get(fixture->store, STORE_HUNTS, "a", &entry, &fixture->err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_database_becomes_the_newest), cmocka_unit_test(migrating_again_changes_nothing),
        cmocka_unit_test(a_newer_database_is_refused),          cmocka_unit_test(a_migration_that_fails_leaves_nothing),
        STORE_TEST(a_reopened_database_keeps_its_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
