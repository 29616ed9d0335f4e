#include "test_engine_fixture.h"
#include "test_engine_gram.h"

#include <errno.h>
#include <time.h>

#include "engine/engine_file.h"
#include "util/clock.h"

static atomic_bool go_on;

static int dir_of(const struct fixture *fixture)
{
    int fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static int try_open(int dir_fd, const char *path)
{
    struct engine_stamp stamp;
    int fd = -1;
    int r = engine_file_open(dir_fd, path, &fd, &stamp, NULL);

    if (r == 0)
        close(fd);
    return r;
}

/* Waits until a file that was just written is old enough to be told by its times. */
static void settle(void)
{
    const struct timespec wait = { .tv_sec = ENGINE_FILE_SETTLE_MS / 1000, .tv_nsec = 100 * 1000 * 1000 };

    (void)nanosleep(&wait, NULL);
}

static void nothing_outside_the_directory_is_opened(void **unused)
{
    struct fixture fixture;
    int dir_fd;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(mkdir(fixture_path(&fixture, "in"), 0700), 0);
    fixture_text(&fixture, "secret", "x");
    fixture_text(&fixture, "in/file", "x");
    assert_int_equal(symlink("../secret", fixture_path(&fixture, "in/link")), 0);
    assert_int_equal(symlink("..", fixture_path(&fixture, "in/up")), 0);
    dir_fd = open(fixture_path(&fixture, "in"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(try_open(dir_fd, "file"), 0);
    assert_int_equal(try_open(dir_fd, "link"), -ELOOP);
    assert_int_equal(try_open(dir_fd, "up/secret"), -ENOTDIR);
    assert_int_equal(try_open(dir_fd, "../secret"), -EINVAL);
    assert_int_equal(try_open(dir_fd, "./file"), -EINVAL);
    assert_int_equal(try_open(dir_fd, "/etc/passwd"), -EINVAL);
    assert_int_equal(try_open(dir_fd, ""), -EINVAL);
    close(dir_fd);
    fixture_done(&fixture);
}

static void what_is_no_regular_file_is_refused_without_waiting(void **unused)
{
    struct fixture fixture;
    int dir_fd;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(mkfifo(fixture_path(&fixture, "fifo"), 0600), 0);
    assert_int_equal(mkdir(fixture_path(&fixture, "sub"), 0700), 0);
    dir_fd = dir_of(&fixture);
    assert_int_equal(try_open(dir_fd, "fifo"), -EINVAL);
    assert_int_equal(try_open(dir_fd, "sub"), -EINVAL);
    close(dir_fd);
    fixture_done(&fixture);
}

static void one_reading_brings_all_digests_and_the_type(void **unused)
{
    cleanup_(engine_reader_freep) struct engine_reader *reader = NULL;
    struct engine_facts facts;
    struct engine_stamp stamp;
    struct digest digest;
    struct fixture fixture;
    int dir_fd;
    int fd;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "f", "hello\n");
    settle();
    dir_fd = dir_of(&fixture);
    assert_int_equal(engine_reader_new(&reader, NULL), 0);
    for (int i = 0; i < 2; i++) { /* a reader is used again */
        assert_int_equal(engine_file_open(dir_fd, "f", &fd, &stamp, NULL), 0);
        assert_int_equal(engine_file_read(reader, fd, &go_on, &facts, NULL), 0);
        assert_string_equal(digest_format(&facts.sample.digest).s,
                            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_string_equal(facts.sample.sha1, "f572d396fae9206628714fb2ce00f72e94f2258f");
        assert_string_equal(facts.sample.md5, "b1946ac92492d2347c6235b4d2611184");
        assert_string_equal(facts.sample.filetype, "TEXT");
        assert_int_equal(facts.sample.size_bytes, 6);
        assert_true(engine_stamp_equal(&facts.stamp, &stamp));
        assert_true(may_contain(facts.gram.bits, facts.gram.n, "ello", 4));
        assert_false(may_contain(facts.gram.bits, facts.gram.n, "12345678", 8));
        assert_int_equal(engine_file_digest(fd, &digest, NULL), 0);
        assert_true(digest_equal(&digest, &facts.sample.digest));
        engine_gram_done(&facts.gram);
        close(fd);
    }
    close(dir_fd);
    fixture_done(&fixture);
}

static void a_file_that_was_just_written_gets_a_stamp_that_never_matches(void **unused)
{
    cleanup_(engine_reader_freep) struct engine_reader *reader = NULL;
    struct engine_facts facts;
    struct engine_stamp stamp;
    struct fixture fixture;
    int dir_fd;
    int fd;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "f", "hello\n");
    dir_fd = dir_of(&fixture);
    assert_int_equal(engine_reader_new(&reader, NULL), 0);
    assert_int_equal(engine_file_open(dir_fd, "f", &fd, &stamp, NULL), 0);
    assert_int_equal(engine_file_read(reader, fd, &go_on, &facts, NULL), 0);
    assert_false(engine_stamp_equal(&facts.stamp, &stamp));
    assert_int_equal(facts.stamp.mtime_ns, stamp.mtime_ns);
    engine_gram_done(&facts.gram);
    close(fd);
    close(dir_fd);
    fixture_done(&fixture);
}

static void a_stop_ends_the_reading(void **unused)
{
    cleanup_(engine_reader_freep) struct engine_reader *reader = NULL;
    atomic_bool stop = true;
    struct engine_facts facts;
    struct engine_stamp stamp;
    struct fixture fixture;
    int dir_fd;
    int fd;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "f", "hello\n");
    dir_fd = dir_of(&fixture);
    assert_int_equal(engine_reader_new(&reader, NULL), 0);
    assert_int_equal(engine_file_open(dir_fd, "f", &fd, &stamp, NULL), 0);
    assert_int_equal(engine_file_read(reader, fd, &stop, &facts, NULL), ENGINE_FILE_STOPPED);
    close(fd);
    close(dir_fd);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_outside_the_directory_is_opened),
        cmocka_unit_test(what_is_no_regular_file_is_refused_without_waiting),
        cmocka_unit_test(one_reading_brings_all_digests_and_the_type),
        cmocka_unit_test(a_file_that_was_just_written_gets_a_stamp_that_never_matches),
        cmocka_unit_test(a_stop_ends_the_reading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
