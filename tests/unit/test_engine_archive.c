#include "test_engine_fixture.h"

#include "engine/engine_archive.h"
#include "util/clock.h"

enum { WAIT_MS = 20000 };

struct bench {
    struct fixture fixture;
    char dir[PATH_MAX];
    struct engine_zip_config zip;
    struct engine_db *db;
    struct engine_index *index;
    struct engine_archives *archives;
    struct digest digest; /* of the one sample */
};

static void bench_init(struct bench *bench, int64_t max_bytes)
{
    struct engine_index_config config = { .n_threads = 1 };

    *bench = (struct bench){ .zip = { .password = "infected" } };
    fixture_init(&bench->fixture);
    (void)snprintf(bench->dir, PATH_MAX, "%s", fixture_path(&bench->fixture, "zoo"));
    assert_int_equal(mkdir(bench->dir, 0700), 0);
    fixture_text(&bench->fixture, "zoo/a", "hello\n");
    assert_int_equal(digest_of("hello\n", 6, &bench->digest, NULL), 0);
    config.dir = bench->dir;
    bench->zip.dir = bench->fixture.dir;
    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
    assert_int_equal(engine_index_new(bench->db, &config, &bench->index, NULL), 0);
    assert_true(engine_index_wait(bench->index, WAIT_MS));
    assert_int_equal(engine_archives_new(bench->index, &bench->zip, max_bytes, &bench->archives, NULL), 0);
}

static void bench_done(struct bench *bench)
{
    engine_archives_free(bench->archives);
    engine_index_free(bench->index);
    engine_db_free(bench->db);
    fixture_done(&bench->fixture);
}

static struct request_id id_of(int number)
{
    struct request_id id;

    (void)snprintf(id.s, sizeof id.s, "%08d-0000-4000-8000-000000000000", number);
    return id;
}

static void prepare(struct bench *bench, int number)
{
    const struct request_id id = id_of(number);

    assert_int_equal(engine_archives_prepare(bench->archives, &id, &bench->digest, 1, NULL), 0);
}

/* Its sample is gone, so what can still be opened is what was kept. */
static bool is_kept(struct bench *bench, int number)
{
    const struct request_id id = id_of(number);
    struct engine_archive archive = { .fd = -1 };
    struct stat st;
    int r;

    (void)unlink(fixture_path(&bench->fixture, "zoo/a"));
    r = engine_archives_open(bench->archives, &id, &bench->digest, 1, &archive, NULL);
    if (r == 0) {
        assert_int_equal(fstat(archive.fd, &st), 0);
        assert_int_equal(st.st_size, archive.size_bytes);
        assert_int_equal(st.st_nlink, 0); /* no name */
        assert_int_equal(close(archive.fd), 0);
        return true;
    }
    assert_int_equal(r, ENGINE_ZIP_EMPTY);
    return false;
}

static void what_was_made_is_there_as_often_as_it_is_fetched(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench, GIB);
    prepare(&bench, 1);
    assert_true(is_kept(&bench, 1));
    assert_true(is_kept(&bench, 1));
    assert_false(is_kept(&bench, 2));
    bench_done(&bench);
}

static void what_is_not_kept_is_made_when_it_is_fetched(void **unused)
{
    const struct request_id id = id_of(1);
    struct engine_archive archive = { .fd = -1 };
    struct bench bench;

    (void)unused;
    bench_init(&bench, 5); /* one less than the sample has */
    prepare(&bench, 1);
    assert_int_equal(engine_archives_open(bench.archives, &id, &bench.digest, 1, &archive, NULL), 0);
    assert_true(archive.size_bytes > 6);
    assert_int_equal(close(archive.fd), 0);
    assert_false(is_kept(&bench, 1));
    bench_done(&bench);
}

static void the_oldest_make_room_for_the_newest(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench, GIB);
    for (int i = 0; i <= ENGINE_ARCHIVES_MAX; i++)
        prepare(&bench, i);
    assert_false(is_kept(&bench, 0));
    for (int i = 1; i <= ENGINE_ARCHIVES_MAX; i++)
        assert_true(is_kept(&bench, i));
    bench_done(&bench);
}

static void all_together_have_a_size(void **unused)
{
    const struct request_id id = id_of(1);
    struct engine_archive archive = { .fd = -1 };
    struct bench bench;

    (void)unused;
    bench_init(&bench, GIB);
    assert_int_equal(engine_archives_open(bench.archives, &id, &bench.digest, 1, &archive, NULL), 0);
    assert_int_equal(close(archive.fd), 0);
    bench_done(&bench);
    bench_init(&bench, archive.size_bytes * 2 + 1);
    for (int i = 0; i < 3; i++)
        prepare(&bench, i);
    assert_false(is_kept(&bench, 0));
    assert_true(is_kept(&bench, 1));
    assert_true(is_kept(&bench, 2));
    bench_done(&bench);
}

static void what_is_old_goes(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench, GIB);
    prepare(&bench, 1);
    engine_archives_expire(bench.archives, clock_now_s() - 3600);
    assert_true(is_kept(&bench, 1));
    engine_archives_expire(bench.archives, clock_now_s() + 3600);
    assert_false(is_kept(&bench, 1));
    bench_done(&bench);
}

static void a_program_that_ends_does_not_wait_for_an_archive(void **unused)
{
    const struct request_id id = id_of(1);
    atomic_bool stop = true;
    struct bench bench;

    (void)unused;
    bench_init(&bench, GIB);
    bench.zip.stop = &stop;
    assert_true(engine_archives_prepare(bench.archives, &id, &bench.digest, 1, NULL) < 0);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_is_there_as_often_as_it_is_fetched),
        cmocka_unit_test(what_is_not_kept_is_made_when_it_is_fetched),
        cmocka_unit_test(the_oldest_make_room_for_the_newest),
        cmocka_unit_test(all_together_have_a_size),
        cmocka_unit_test(what_is_old_goes),
        cmocka_unit_test(a_program_that_ends_does_not_wait_for_an_archive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
