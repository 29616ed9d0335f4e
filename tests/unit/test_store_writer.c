#include "test_store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct store_writer *begin(struct fixture *fixture, const struct digest *digest)
{
    struct store_writer *writer = NULL;

    assert_int_equal(store_writer_begin(fixture->store, digest, &writer, &fixture->err), 0);
    return writer;
}

static void commit_refuses_a_body_with_another_digest(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_writer *writer = begin(fixture, &digest);

    assert_int_equal(store_writer_write(writer, "wrong", 5, &fixture->err), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), -EBADMSG);
}

static void a_refused_body_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_writer *writer = begin(fixture, &digest);
    int64_t bytes = -1;
    int64_t n = -1;

    assert_int_equal(store_writer_write(writer, "wrong", 5, &fixture->err), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), -EBADMSG);
    fixture_usage(fixture, &bytes, &n);
    assert_int_equal(fixture_count(fixture, "."), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(n, 0);
}

static void a_partial_object_is_never_visible(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(300000, 1, &digest);
    cleanup_(store_writer_freep) struct store_writer *writer = begin(fixture, &digest);
    struct store_object *object = NULL;

    assert_int_equal(store_writer_write(writer, bytes, 300000, &fixture->err), 0);
    assert_false(store_object_exists(fixture->store, &digest));
    assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), STORE_ABSENT);
}

static void a_writer_that_is_freed_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(300000, 1, &digest);
    struct store_writer *writer = begin(fixture, &digest);

    assert_int_equal(store_writer_write(writer, bytes, 300000, &fixture->err), 0);
    assert_int_equal(fixture_count(fixture, "tmp"), 1);
    store_writer_free(writer);
    assert_int_equal(fixture_count(fixture, "."), 0);
}

static void bytes_may_come_in_any_pieces(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    size_t size = (size_t)2 * STORE_CHUNK_BYTES + 5;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(size, 1, &digest);
    cleanup_(freep) uint8_t *got = malloc(size);
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    struct store_writer *writer = begin(fixture, &digest);
    size_t n = 0;

    for (size_t at = 0, step = 0; at < size; at += step, step = (step * 3 + 1) % 70001) {
        step = step < size - at ? step : size - at;
        assert_int_equal(store_writer_write(writer, bytes + at, step, &fixture->err), 0);
    }
    assert_int_equal(store_writer_commit(writer, &fixture->err), 0);
    assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), 0);
    assert_int_equal(store_object_read(object, 0, got, size, &n, &fixture->err), 0);
    assert_int_equal(n, size);
    assert_memory_equal(got, bytes, size);
}

static void plain_bytes_are_not_in_the_file(void **state)
{
    struct fixture *fixture = *state;
    static const char marker[] = "X5O!P%@AP-this-is-the-marker-of-the-test";
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(200000, 1, &digest);
    cleanup_(freep) uint8_t *file = malloc(300000);
    ssize_t n;
    int fd;

    memcpy(bytes + 10, marker, sizeof marker);
    memcpy(bytes + 150000, marker, sizeof marker);
    assert_int_equal(digest_of(bytes, 200000, &digest, NULL), 0);
    fixture_store(fixture, &digest, bytes, 200000);
    fd = open(fixture_path(fixture, &digest).s, O_RDONLY);
    n = read(fd, file, 300000);
    close(fd);
    assert_int_equal(n, 128 + 200000 + 2 * 16);
    assert_null(memmem(file, (size_t)n, marker, sizeof marker - 1));
}

static void the_same_sample_is_sealed_with_another_key_each_time(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(64, 1, &digest);
    uint8_t files[2][128 + 64 + 16];

    for (int i = 0; i < 2; i++) {
        int fd;

        fixture_store(fixture, &digest, bytes, 64);
        fd = open(fixture_path(fixture, &digest).s, O_RDONLY);
        assert_int_equal(read(fd, files[i], sizeof files[i]), sizeof files[i]);
        close(fd);
    }
    assert_memory_not_equal(files[0] + 128, files[1] + 128, 64);
}

/* Whoever has the disk of one cannot even see that another has the same sample. */
static void two_profiles_share_no_block_of_one_sample(void **state)
{
    enum { SIZE = 300000, FILE_BYTES = 128 + SIZE + 3 * 16, CIPHER_BLOCK = 16, DISK_BLOCK = 512 };
    struct fixture *fixture = *state;
    struct fixture other = { 0 };
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = calloc(1, SIZE); /* zeros: all blocks of the sample are the same */
    cleanup_(freep) uint8_t *files = malloc((size_t)2 * FILE_BYTES);
    struct fixture *both[] = { fixture, &other };

    (void)snprintf(other.state, sizeof other.state, "%s/other/state", fixture->dir);
    (void)snprintf(other.cache, sizeof other.cache, "%s/other/cache", fixture->dir);
    other.config = (struct store_config){ .state_dir = other.state, .cache_dir = other.cache };
    assert_int_equal(store_new(&other.config, &other.store, &other.err), 0);
    assert_int_equal(digest_of(bytes, SIZE, &digest, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        int fd;

        fixture_store(both[i], &digest, bytes, SIZE);
        fd = open(fixture_path(both[i], &digest).s, O_RDONLY);
        assert_int_equal(read(fd, files + i * FILE_BYTES, FILE_BYTES), FILE_BYTES);
        close(fd);
    }
    store_free(other.store);
    for (size_t at = 128; at + CIPHER_BLOCK <= FILE_BYTES; at += CIPHER_BLOCK)
        assert_memory_not_equal(files + at, files + FILE_BYTES + at, CIPHER_BLOCK);
    for (size_t at = 0; at + DISK_BLOCK <= FILE_BYTES; at += DISK_BLOCK)
        assert_null(memmem(files + FILE_BYTES, FILE_BYTES, files + at, DISK_BLOCK));
}

static void the_file_is_for_its_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 10, 1);
    struct fixture_path path = fixture_path(fixture, &digest);
    struct stat st;

    assert_int_equal(stat(path.s, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    *strrchr(path.s, '/') = '\0';
    assert_int_equal(stat(path.s, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_leftover_of_a_dead_process_is_removed_at_start(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = fork();

    if (pid == 0) {
        struct digest digest = fixture_digest(1);
        struct store_writer *writer = NULL;

        _exit(store_writer_begin(fixture->store, &digest, &writer, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(fixture_wait(pid), 0);
    assert_int_equal(fixture_count(fixture, "tmp"), 1);
    fixture_reopen(fixture);
    assert_int_equal(fixture_count(fixture, "tmp"), 0);
}

static void a_live_temporary_survives_the_start_of_another_store(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(10, 1, &digest);
    struct store_writer *writer = begin(fixture, &digest);
    struct store *other = NULL;

    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    store_free(other);
    assert_int_equal(store_writer_write(writer, bytes, 10, &fixture->err), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), 0);
    assert_true(store_object_exists(fixture->store, &digest));
}

static void a_failed_write_fails_the_commit_too(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    size_t size = (size_t)3 * STORE_CHUNK_BYTES;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(size, 1, &digest);
    pid_t pid = fork();

    if (pid == 0) { /* a limit of the file size stands for a full disk */
        struct rlimit limit = { .rlim_cur = 200000, .rlim_max = 200000 };
        struct store_writer *writer = NULL;

        (void)signal(SIGXFSZ, SIG_IGN);
        if (store_writer_begin(fixture->store, &digest, &writer, NULL) != 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(1);
        if (store_writer_write(writer, bytes, size, NULL) != -EFBIG)
            _exit(2);
        _exit(store_writer_commit(writer, NULL) == -EFBIG ? 0 : 3);
    }
    assert_int_equal(fixture_wait(pid), 0);
    assert_int_equal(fixture_count(fixture, "."), 0);
}

static void two_stores_see_what_the_other_commits(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *other = NULL;
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    struct digest digest;

    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    digest = fixture_sample(fixture, 1000, 1);
    assert_int_equal(store_object_open(other, &digest, &object, &fixture->err), 0);
    assert_int_equal(store_object_size(object), 1000);
    store_object_unref(steal_ptr(&object));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(commit_refuses_a_body_with_another_digest),
        STORE_TEST(a_refused_body_leaves_nothing_behind),
        STORE_TEST(a_partial_object_is_never_visible),
        STORE_TEST(a_writer_that_is_freed_leaves_nothing_behind),
        STORE_TEST(bytes_may_come_in_any_pieces),
        STORE_TEST(plain_bytes_are_not_in_the_file),
        STORE_TEST(the_same_sample_is_sealed_with_another_key_each_time),
        STORE_TEST(two_profiles_share_no_block_of_one_sample),
        STORE_TEST(the_file_is_for_its_owner_alone),
        STORE_TEST(a_leftover_of_a_dead_process_is_removed_at_start),
        STORE_TEST(a_live_temporary_survives_the_start_of_another_store),
        STORE_TEST(a_failed_write_fails_the_commit_too),
        STORE_TEST(two_stores_see_what_the_other_commits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
