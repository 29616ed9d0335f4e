#include "test_store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "store/store_internal.h"

enum { OBJECTS = 40, SIZE = 20 * 1000, KILLS_MAX = 400 };

static void path_in_state(const struct fixture *fixture, const char *name, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/%s", fixture->state, name);
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

static void close_store(struct fixture *fixture)
{
    store_free(fixture->store);
    fixture->store = NULL;
}

static void store_many(struct fixture *fixture)
{
    for (unsigned int i = 0; i < OBJECTS; i++)
        (void)fixture_sample(fixture, SIZE, i);
}

static void expect_all_right(struct fixture *fixture)
{
    for (unsigned int i = 0; i < OBJECTS; i++) {
        struct digest digest;
        cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, i, &digest);
        cleanup_(store_object_unrefp) struct store_object *object = NULL;
        uint8_t got[SIZE];
        size_t n = 0;

        if (store_object_open(fixture->store, &digest, &object, &fixture->err) != 0)
            fail_msg("object %u: %s", i, fixture->err.text);
        assert_int_equal(store_object_read(object, 0, got, sizeof got, &n, &fixture->err), 0);
        assert_memory_equal(got, truth, SIZE);
    }
    assert_int_equal(fixture_count(fixture, "damaged"), 0);
}

static struct store_rotated rotate(struct fixture *fixture)
{
    struct store_rotated rotated;

    if (store_rotate(&fixture->config, &rotated, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
    return rotated;
}

static void read_file(const char *path, void *to, size_t n)
{
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, to, n), n);
    close(fd);
}

static void write_file(const char *path, const void *from, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, from, n), n);
    close(fd);
}

static void everything_has_a_new_key_and_the_old_one_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct store_rotated rotated;
    char old_key[32], new_key[32], path[PATH_MAX], next[PATH_MAX];

    path_in_state(fixture, "seal.key", path);
    path_in_state(fixture, "seal.key.next", next);
    store_many(fixture);
    read_file(path, old_key, sizeof old_key);
    close_store(fixture);
    rotated = rotate(fixture);
    assert_int_equal(rotated.n_sealed, OBJECTS);
    assert_int_equal(rotated.n_before, 0);
    assert_int_equal(rotated.n_damaged, 0);
    read_file(path, new_key, sizeof new_key);
    assert_memory_not_equal(old_key, new_key, sizeof old_key);
    assert_false(is_file(next));
    fixture_reopen(fixture);
    expect_all_right(fixture);
    close_store(fixture);
    write_file(path, old_key, sizeof old_key); /* opens nothing any more, and is refused before it tries */
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EINVAL);
}

static void archives_and_recency_are_kept(void **state)
{
    static const struct request_id id = { .s = "00112233-4455-6677-8899-aabbccddeeff" };
    static const struct timespec times[2] = { { .tv_sec = 200, .tv_nsec = 7 }, { .tv_sec = 100, .tv_nsec = 5 } };
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, SIZE, 1);
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    struct store_writer *writer = NULL;
    struct stat st;
    char got[5];
    size_t n = 0;

    assert_int_equal(store_archive_begin(fixture->store, &id, &writer, NULL), 0);
    assert_int_equal(store_writer_write(writer, "bytes", 5, NULL), 0);
    assert_int_equal(store_writer_commit(writer, NULL), 0);
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(fixture, &digest).s, times, 0), 0);
    close_store(fixture);
    assert_int_equal(rotate(fixture).n_sealed, 2);
    assert_int_equal(stat(fixture_path(fixture, &digest).s, &st), 0);
    assert_int_equal(st.st_atim.tv_sec, 200);
    assert_int_equal(st.st_atim.tv_nsec, 7);
    assert_int_equal(st.st_mtim.tv_sec, 100);
    fixture_reopen(fixture);
    assert_int_equal(store_archive_open(fixture->store, &id, &archive, NULL), 0);
    assert_int_equal(store_object_read(archive, 0, got, sizeof got, &n, NULL), 0);
    assert_memory_equal(got, "bytes", 5);
    store_object_unref(steal_ptr(&archive));
}

static void a_cache_that_is_open_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store_rotated rotated;

    store_many(fixture);
    assert_int_equal(store_rotate(&fixture->config, &rotated, &fixture->err), -EBUSY);
    assert_non_null(strstr(fixture->err.text, "unmount"));
    expect_all_right(fixture);
}

static void a_mount_waits_for_the_end(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *alone = NULL;

    close_store(fixture);
    assert_int_equal(store_open(&fixture->config, true, &alone, &fixture->err), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EBUSY);
}

static void what_is_damaged_is_counted_and_set_aside(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, SIZE, 1);
    struct store_rotated rotated;
    int fd;

    (void)fixture_sample(fixture, SIZE, 2);
    close_store(fixture);
    fd = open(fixture_path(fixture, &digest).s, O_WRONLY);
    assert_int_equal(pwrite(fd, "damage", 6, SIZE / 2), 6);
    close(fd);
    rotated = rotate(fixture);
    assert_int_equal(rotated.n_sealed, 1);
    assert_int_equal(rotated.n_damaged, 1);
    assert_int_equal(fixture_count(fixture, "damaged"), 1);
}

static void plain_samples_need_no_key(void **state)
{
    struct fixture *fixture = *state;

    fixture->config.kind = STORE_PLAIN;
    fixture_reopen(fixture);
    store_many(fixture);
    close_store(fixture);
    assert_int_equal(rotate(fixture).n_sealed, 0);
    fixture_reopen(fixture);
    expect_all_right(fixture);
}

/* Killed between the last two steps: the cache names the new key alone, and it lacks its name. */
static void a_start_finishes_what_lacks_the_last_step(void **state)
{
    struct fixture *fixture = *state;
    char old_key[32], path[PATH_MAX], next[PATH_MAX];

    path_in_state(fixture, "seal.key", path);
    path_in_state(fixture, "seal.key.next", next);
    store_many(fixture);
    read_file(path, old_key, sizeof old_key);
    close_store(fixture);
    (void)rotate(fixture);
    assert_int_equal(rename(path, next), 0);
    write_file(path, old_key, sizeof old_key);
    fixture_reopen(fixture);
    assert_false(is_file(next));
    expect_all_right(fixture);
}

/* With one key of two, what has the other one would look damaged. True when the cache needs both. */
static bool is_refused_without_the_new_key(struct fixture *fixture, const char *next)
{
    char print[PATH_MAX], away[PATH_MAX];
    struct stat st;

    (void)snprintf(print, sizeof print, "%s/sealed-by", fixture->cache);
    (void)snprintf(away, sizeof away, "%s/away", fixture->dir);
    assert_int_equal(stat(print, &st), 0);
    if (st.st_size == 32)
        return false; /* nothing was sealed with it, or everything */
    assert_int_equal(rename(next, away), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EINVAL);
    assert_int_equal(rename(away, next), 0);
    return true;
}

/* What is stored between a kill and the next try, too. */
static void expect_usable(struct fixture *fixture, unsigned int round)
{
    struct digest digest;
    struct store_object *object = NULL;

    fixture_reopen(fixture);
    expect_all_right(fixture);
    digest = fixture_sample(fixture, 100, 1000 + round);
    close_store(fixture);
    fixture_reopen(fixture);
    assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), 0);
    store_object_unref(object);
    close_store(fixture);
}

static void a_kill_at_any_moment_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    char next[PATH_MAX];
    unsigned int n_interrupted = 0;
    unsigned int delay_us = 0;
    bool is_done = false;

    path_in_state(fixture, "seal.key.next", next);
    store_many(fixture);
    close_store(fixture);
    for (unsigned int round = 0; !is_done && round < KILLS_MAX; round++) {
        struct timespec delay;
        struct store_rotated rotated;
        pid_t pid = fork();
        int status = 0;

        if (pid == 0)
            _exit(store_rotate(&fixture->config, &rotated, NULL) == 0 ? 0 : 1);
        delay_us += 500 + round * 37 % 500; /* every time a little later, so that it comes to an end */
        delay = (struct timespec){ .tv_sec = delay_us / 1000000, .tv_nsec = delay_us % 1000000 * 1000 };
        (void)nanosleep(&delay, NULL);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        is_done = WIFEXITED(status);
        if (is_done)
            assert_int_equal(WEXITSTATUS(status), 0);
        n_interrupted += is_file(next) && is_refused_without_the_new_key(fixture, next);
        if (round % 4 == 0 || is_done)
            expect_usable(fixture, round);
    }
    assert_true(is_done);
    assert_true(n_interrupted > 0); /* else the kills came too early or too late to say anything */
    assert_false(is_file(next));
    fixture_reopen(fixture);
    expect_all_right(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(everything_has_a_new_key_and_the_old_one_is_gone),
        STORE_TEST(archives_and_recency_are_kept),
        STORE_TEST(a_cache_that_is_open_is_refused),
        STORE_TEST(a_mount_waits_for_the_end),
        STORE_TEST(what_is_damaged_is_counted_and_set_aside),
        STORE_TEST(plain_samples_need_no_key),
        STORE_TEST(a_start_finishes_what_lacks_the_last_step),
        STORE_TEST(a_kill_at_any_moment_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
