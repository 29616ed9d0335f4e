#include "test_engine_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include <zip.h>

#include "engine/engine_zip.h"
#include "util/clock.h"

enum { WAIT_MS = 20000, MEMBERS = 2 };

static const char *const contents[MEMBERS] = { "hello\n", "" };

struct bench {
    struct fixture fixture;
    char dir[PATH_MAX];
    struct engine_db *db;
    struct engine_index *index;
    struct digest digests[MEMBERS + 1]; /* the last one is unknown */
};

static void bench_init(struct bench *bench)
{
    struct engine_index_config config = { .n_threads = 1 };

    *bench = (struct bench){ .db = NULL };
    fixture_init(&bench->fixture);
    (void)snprintf(bench->dir, PATH_MAX, "%s", fixture_path(&bench->fixture, "zoo"));
    assert_int_equal(mkdir(bench->dir, 0700), 0);
    fixture_text(&bench->fixture, "zoo/0", contents[0]);
    fixture_text(&bench->fixture, "zoo/1", contents[1]);
    for (int i = 0; i < MEMBERS; i++)
        assert_int_equal(digest_of(contents[i], strlen(contents[i]), &bench->digests[i], NULL), 0);
    config.dir = bench->dir;
    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
    assert_int_equal(engine_index_new(bench->db, &config, &bench->index, NULL), 0);
    assert_true(engine_index_wait(bench->index, WAIT_MS));
}

static void bench_done(struct bench *bench)
{
    engine_index_free(bench->index);
    engine_db_free(bench->db);
    fixture_done(&bench->fixture);
}

static zip_t *open_archive(int fd)
{
    char path[64];
    int code = 0;
    zip_t *zip;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    assert_non_null(zip);
    return zip;
}

static void expect_member(zip_t *zip, const struct digest *digest, const char *content, const char *password)
{
    const struct digest_text name = digest_format(digest);
    char data[64] = "";
    zip_file_t *file = zip_fopen_encrypted(zip, name.s, 0, password);

    assert_non_null(file);
    assert_int_equal(zip_fread(file, data, sizeof data), strlen(content));
    assert_string_equal(data, content);
    assert_int_equal(zip_fclose(file), 0);
}

static void check_method(enum engine_zip_method method, unsigned encryption)
{
    struct engine_zip_config config = { .method = method, .password = "infected" };
    struct bench bench;
    struct stat st;
    zip_stat_t entry;
    struct engine_archive archive = { .fd = -1 };
    zip_t *zip;

    bench_init(&bench);
    config.dir = bench.fixture.dir;
    assert_int_equal(engine_zip_make(bench.index, &config, bench.digests, MEMBERS + 1, &archive, NULL), 0);
    assert_int_equal(fstat(archive.fd, &st), 0);
    assert_int_equal(archive.size_bytes, st.st_size);
    assert_int_equal(st.st_nlink, 0); /* no name is left */
    zip = open_archive(archive.fd);
    assert_int_equal(zip_get_num_entries(zip, 0), MEMBERS); /* the unknown one is left out */
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(zip_stat_index(zip, (zip_uint64_t)i, 0, &entry), 0);
        assert_int_equal(entry.encryption_method, encryption);
        assert_int_equal(entry.comp_method, ZIP_CM_STORE);
        expect_member(zip, &bench.digests[i], contents[i], "infected");
    }
    zip_discard(zip);
    close(archive.fd);
    bench_done(&bench);
}

static void zipcrypto_archives_can_be_read(void **unused)
{
    (void)unused;
    check_method(ZIP_METHOD_ZIPCRYPTO, ZIP_EM_TRAD_PKWARE);
}

static void aes_archives_can_be_read(void **unused)
{
    (void)unused;
    check_method(ZIP_METHOD_AES, ZIP_EM_AES_256);
}

static void nothing_to_pack_is_no_archive(void **unused)
{
    struct engine_zip_config config = { .password = "infected" };
    struct bench bench;
    struct engine_archive archive = { .fd = -1 };

    (void)unused;
    bench_init(&bench);
    config.dir = bench.fixture.dir;
    assert_int_equal(engine_zip_make(bench.index, &config, &bench.digests[MEMBERS], 1, &archive, NULL),
                     ENGINE_ZIP_EMPTY);
    assert_int_equal(archive.fd, -1);
    bench_done(&bench);
}

static void leftovers_of_an_earlier_run_are_removed_when_old(void **unused)
{
    struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    struct fixture fixture;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "archive-old", "x");
    fixture_text(&fixture, "archive-new", "x");
    fixture_text(&fixture, "other", "x");
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(&fixture, "archive-old"), times, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(&fixture, "other"), times, 0), 0);
    engine_zip_clean(fixture.dir);
    assert_int_equal(access(fixture_path(&fixture, "archive-old"), F_OK), -1);
    assert_int_equal(access(fixture_path(&fixture, "archive-new"), F_OK), 0);
    assert_int_equal(access(fixture_path(&fixture, "other"), F_OK), 0);
    fixture_done(&fixture);
}

static void methods_have_names(void **unused)
{
    enum engine_zip_method method = ZIP_METHOD_ZIPCRYPTO;

    (void)unused;
    assert_true(engine_zip_parse_method("aes", &method));
    assert_int_equal(method, ZIP_METHOD_AES);
    assert_true(engine_zip_parse_method("zipcrypto", &method));
    assert_int_equal(method, ZIP_METHOD_ZIPCRYPTO);
    assert_false(engine_zip_parse_method("rar", &method));
}

/* An hour later whenever somebody looks. */
static int64_t hasty_now_s(void)
{
    static atomic_int_fast64_t now_s = 1700000000;

    return atomic_fetch_add(&now_s, 3600);
}

static int64_t real_mono_ms(void)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void the_time_of_a_member_is_the_same_whenever_it_is_asked(void **unused)
{
    const struct clock_source hasty = { .now_s = hasty_now_s, .mono_ms = real_mono_ms };

    (void)unused;
    clock_source_set(&hasty);
    check_method(ZIP_METHOD_ZIPCRYPTO, ZIP_EM_TRAD_PKWARE);
    clock_source_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zipcrypto_archives_can_be_read),
        cmocka_unit_test(aes_archives_can_be_read),
        cmocka_unit_test(nothing_to_pack_is_no_archive),
        cmocka_unit_test(leftovers_of_an_earlier_run_are_removed_when_old),
        cmocka_unit_test(methods_have_names),
        cmocka_unit_test(the_time_of_a_member_is_the_same_whenever_it_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
