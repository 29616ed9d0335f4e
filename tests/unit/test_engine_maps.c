#include "test_engine_fixture.h"

#include "engine/engine_maps.h"

enum { DATA_N = 300000, PATTERN_N = 12 };

static const char old_index[] =
    "CREATE TABLE file(path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE sample(sha256 BLOB PRIMARY KEY, sha1 TEXT NOT NULL, md5 TEXT NOT NULL, size INTEGER NOT NULL,"
    " filetype TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE gram(sha256 BLOB PRIMARY KEY, bits BLOB NOT NULL);"
    "CREATE TABLE job(id TEXT PRIMARY KEY, kind INTEGER NOT NULL, body TEXT NOT NULL, state INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, elapsed_ms INTEGER NOT NULL DEFAULT 0, results TEXT, reason TEXT,"
    " attempts INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE quota(month TEXT NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(month, kind));"
    "INSERT INTO file VALUES('a', 6, 1, 1, 1, x'00');"
    "INSERT INTO gram VALUES(x'00', x'0000000000000000');"
    "INSERT INTO quota VALUES('2026-11', 1, 7);"
    "PRAGMA user_version = 2";

struct bench {
    struct fixture fixture;
    struct engine_db *db;
};

static uint8_t many[DATA_N]; /* a map of many pieces */

static void open_index(struct bench *bench)
{
    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
}

static void bench_init(struct bench *bench)
{
    fixture_init(&bench->fixture);
    open_index(bench);
}

static void bench_done(struct bench *bench)
{
    engine_db_free(bench->db);
    fixture_done(&bench->fixture);
}

static void run(struct bench *bench, const char *text)
{
    assert_int_equal(sqlite3_exec(bench->db->sql, text, NULL, NULL, NULL), SQLITE_OK);
}

static void map_of(const uint8_t *data, size_t n, struct engine_gram *ret_gram)
{
    assert_int_equal(engine_gram_init(ret_gram, n, NULL), 0);
    engine_gram_add(ret_gram, data, n);
    engine_gram_finish(ret_gram);
}

static void put(struct bench *bench, const uint8_t *data, size_t n)
{
    struct engine_gram gram;
    struct digest digest;

    map_of(data, n, &gram);
    assert_int_equal(digest_of(data, n, &digest, NULL), 0);
    lock_acquire(&bench->db->lock);
    assert_int_equal(engine_maps_put_locked(bench->db, &digest, &gram, NULL), 0);
    lock_release(&bench->db->lock);
    engine_gram_done(&gram);
}

/* A number from the database that a connection for reading sees; may_contain() looks for these patterns. */
static int64_t answer(const struct bench *bench, const char *text, const struct engine_bytes *patterns, size_t n)
{
    cleanup_(sqlite3_closep) sqlite3 *sql = NULL;
    cleanup_(engine_maps_freep) struct engine_maps *maps = NULL;
    cleanup_(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;

    assert_int_equal(engine_db_reader(bench->db, &sql, NULL), 0);
    assert_int_equal(engine_maps_new(sql, patterns, n, &maps, NULL), 0);
    assert_int_equal(sqlite3_prepare_v2(sql, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    return sqlite3_column_int64(stmt, 0);
}

static int64_t count(const struct bench *bench, const char *table)
{
    char text[64];

    (void)snprintf(text, sizeof text, "SELECT COUNT(*) FROM %s", table); /* fits */
    return answer(bench, text, NULL, 0);
}

/* How many maps do not exclude the pattern. */
static int64_t candidates(const struct bench *bench, const void *pattern, size_t n)
{
    const struct engine_bytes one = { .data = (uint8_t *)(uintptr_t)pattern, .n = n };

    return answer(bench, "SELECT COUNT(*) FROM gram WHERE may_contain(id, n)", &one, 1);
}

static void a_map_of_many_pieces_knows_all_that_is_in_its_file(void **unused)
{
    uint8_t foreign[PATTERN_N] = "not in there";
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    put(&bench, many, DATA_N);
    put(&bench, (const uint8_t *)"hello\n", 6);
    assert_true(count(&bench, "gram_piece") > 10);
    for (size_t at = 0; at + PATTERN_N <= DATA_N; at += DATA_N / 100)
        assert_int_equal(candidates(&bench, many + at, PATTERN_N), 1);
    assert_int_equal(candidates(&bench, many, DATA_N), 1); /* all of its grams */
    assert_int_equal(candidates(&bench, foreign, sizeof foreign), 0);
    assert_int_equal(candidates(&bench, "hello", 5), 1);
    bench_done(&bench);
}

static void every_pattern_counts(void **unused)
{
    struct engine_bytes both[] = { { .data = (uint8_t[]){ "hello" }, .n = 5 }, { .data = many, .n = PATTERN_N } };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    put(&bench, many, DATA_N);
    put(&bench, (const uint8_t *)"hello\n", 6);
    assert_int_equal(answer(&bench, "SELECT COUNT(*) FROM gram WHERE may_contain(id, n)", both, 2), 0);
    bench_done(&bench);
}

static void what_is_not_known_excludes_nothing(void **unused)
{
    const struct engine_bytes foreign = { .data = (uint8_t[]){ "not in there" }, .n = PATTERN_N };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    put(&bench, many, DATA_N);
    assert_int_equal(answer(&bench, "SELECT may_contain(NULL, NULL)", &foreign, 1), 1);
    run(&bench, "DELETE FROM gram_piece");
    assert_int_equal(candidates(&bench, foreign.data, foreign.n), 1);
    bench_done(&bench);
}

static void the_same_bytes_are_kept_once_and_go_with_their_pieces(void **unused)
{
    struct bench bench;
    int64_t n;

    (void)unused;
    bench_init(&bench);
    put(&bench, many, DATA_N);
    n = count(&bench, "gram_piece");
    put(&bench, many, DATA_N);
    assert_int_equal(count(&bench, "gram_piece"), n);
    put(&bench, (const uint8_t *)"hello\n", 6);
    run(&bench, "DELETE FROM gram WHERE id = 1");
    assert_int_equal(count(&bench, "gram"), 1);
    assert_int_equal(count(&bench, "gram_piece"), 1);
    bench_done(&bench);
}

static void an_older_index_is_read_anew(void **unused)
{
    struct bench bench;
    sqlite3 *sql = NULL;

    (void)unused;
    fixture_init(&bench.fixture);
    assert_int_equal(sqlite3_open(fixture_path(&bench.fixture, "index.db"), &sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, old_index, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_closep(&sql);
    open_index(&bench);
    assert_int_equal(count(&bench, "file"), 0); /* unknown, so its bytes are */
    assert_int_equal(count(&bench, "gram"), 0);
    assert_int_equal(count(&bench, "quota"), 1);
    put(&bench, (const uint8_t *)"hello\n", 6);
    assert_int_equal(candidates(&bench, "hello", 5), 1);
    bench_done(&bench);
}

static int make_bytes(void **unused)
{
    uint32_t state = 12345;

    (void)unused;
    for (size_t i = 0; i < DATA_N; i++) {
        state = state * 1664525 + 1013904223;
        many[i] = (uint8_t)(state >> 24);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_of_many_pieces_knows_all_that_is_in_its_file),
        cmocka_unit_test(every_pattern_counts),
        cmocka_unit_test(what_is_not_known_excludes_nothing),
        cmocka_unit_test(the_same_bytes_are_kept_once_and_go_with_their_pieces),
        cmocka_unit_test(an_older_index_is_read_anew),
    };

    return cmocka_run_group_tests(tests, make_bytes, NULL);
}
