#include "test_store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_BYTES = 128, TAG_BYTES = 16, SEALED_CHUNK = STORE_CHUNK_BYTES + TAG_BYTES };

static const size_t sizes[] = { 0, 1, 4096, 131071, 131072, 131073, MIB + 7 };

static void expect_read(struct store_object *object, const uint8_t *truth, size_t size, int64_t offset, size_t n)
{
    cleanup_(freep) uint8_t *got = malloc(n + 1);
    size_t expected = (size_t)offset >= size ? 0 : size - (size_t)offset < n ? size - (size_t)offset : n;
    size_t got_n = 12345;

    got[n] = 0xA5;
    assert_int_equal(store_object_read(object, offset, got, n, &got_n, NULL), 0);
    assert_int_equal(got_n, expected);
    if (expected > 0)
        assert_memory_equal(got, truth + offset, expected);
    assert_int_equal(got[n], 0xA5);
}

static void reads_at_every_border_equal_the_truth(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t offsets[] = {
        0, 1, 4095, 65537, 131070, 131071, 131072, 131073, 262143, MIB - 1, MIB, MIB + 6
    };
    static const size_t lengths[] = { 0, 1, 2, 4096, 131071, 131072, 131073, 300001, 2 * MIB };

    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        struct digest digest;
        cleanup_(freep) uint8_t *truth = fixture_bytes(sizes[s], (unsigned int)s, &digest);
        cleanup_(store_object_unrefp) struct store_object *object = NULL;

        fixture_store(fixture, &digest, truth, sizes[s]);
        object = fixture_open(fixture, &digest);
        for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
            for (size_t l = 0; l < ARRAY_SIZE(lengths); l++)
                expect_read(object, truth, sizes[s], offsets[o], lengths[l]);
    }
}

static void size_is_that_of_the_sample(void **state)
{
    struct fixture *fixture = *state;

    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        struct digest digest = fixture_sample(fixture, sizes[s], (unsigned int)s);
        cleanup_(store_object_unrefp) struct store_object *object = fixture_open(fixture, &digest);

        assert_int_equal(store_object_size(object), sizes[s]);
    }
}

static void reads_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(200000, 1, &digest);
    cleanup_(store_object_unrefp) struct store_object *object = NULL;

    fixture_store(fixture, &digest, truth, 200000);
    fixture_reopen(fixture);
    object = fixture_open(fixture, &digest);
    expect_read(object, truth, 200000, 0, 200000);
    store_object_unref(steal_ptr(&object));
}

static void an_unknown_digest_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_object *object = NULL;

    assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), STORE_ABSENT);
    assert_int_equal(fixture->err.code, 0);
    assert_null(object);
}

static void a_negative_offset_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 10, 1);
    cleanup_(store_object_unrefp) struct store_object *object = fixture_open(fixture, &digest);
    char byte;
    size_t n = 0;

    assert_int_equal(store_object_read(object, -1, &byte, 1, &n, &fixture->err), -EINVAL);
}

static void the_same_digest_is_the_same_object(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 10, 1);
    cleanup_(store_object_unrefp) struct store_object *first = fixture_open(fixture, &digest);
    cleanup_(store_object_unrefp) struct store_object *second = fixture_open(fixture, &digest);

    assert_ptr_equal(first, second);
}

static void a_reference_outlives_the_first_unref(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(10, 1, &digest);
    struct store_object *object;
    struct store_object *more;

    fixture_store(fixture, &digest, truth, 10);
    object = fixture_open(fixture, &digest);
    more = store_object_ref(object);
    store_object_unref(object);
    expect_read(more, truth, 10, 0, 10);
    store_object_unref(more);
}

static void an_open_object_survives_its_removal(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(10, 1, &digest);
    cleanup_(store_object_unrefp) struct store_object *object = NULL;

    fixture_store(fixture, &digest, truth, 10);
    object = fixture_open(fixture, &digest);
    assert_int_equal(unlink(fixture_path(fixture, &digest).s), 0);
    expect_read(object, truth, 10, 0, 10);
}

/* ---- damage ---- */

/* Opens and reads all; 0 only when every byte was right, else the errno. */
static int try_all(struct fixture *fixture, const struct digest *digest, const uint8_t *truth, size_t size)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    cleanup_(freep) uint8_t *got = calloc(1, size + 1);
    size_t n = 0;
    int r = store_object_open(fixture->store, digest, &object, &fixture->err);

    if (r == 0)
        r = store_object_read(object, 0, got, size, &n, &fixture->err);
    if (r == 0) {
        assert_int_equal(n, size);
        assert_memory_equal(got, truth, size);
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        assert_int_equal(got[i], 0); /* nothing that was not proven is left in the caller's buffer */
    return -r;
}

static void expect_flip_found(struct fixture *fixture, size_t size, int64_t at)
{
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(size, 7, &digest);

    fixture_store(fixture, &digest, truth, size);
    fixture_flip(fixture_path(fixture, &digest).s, at);
    assert_int_equal(try_all(fixture, &digest, truth, size), EIO);
}

static void any_flipped_byte_of_a_small_object_is_found(void **state)
{
    for (int64_t at = 0; at < HEADER_BYTES + 40 + TAG_BYTES; at++)
        expect_flip_found(*state, 40, at);
}

static void a_flipped_byte_of_any_chunk_is_found(void **state)
{
    static const int64_t places[] = {
        HEADER_BYTES,
        HEADER_BYTES + STORE_CHUNK_BYTES - 1,
        HEADER_BYTES + STORE_CHUNK_BYTES, /* its tag */
        HEADER_BYTES + SEALED_CHUNK - 1,
        HEADER_BYTES + SEALED_CHUNK,
        HEADER_BYTES + 2 * SEALED_CHUNK,
        HEADER_BYTES + 2 * SEALED_CHUNK + 99 + TAG_BYTES,
    };

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        expect_flip_found(*state, 2 * STORE_CHUNK_BYTES + 100, places[i]);
}

static void a_flipped_byte_outside_the_read_range_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 100000, 1);
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    uint8_t byte = 0;
    size_t n = 0;

    fixture_flip(fixture_path(fixture, &digest).s, HEADER_BYTES + 99999);
    object = fixture_open(fixture, &digest);
    assert_int_equal(store_object_read(object, 50000, &byte, 1, &n, &fixture->err), -EIO);
    assert_int_equal(byte, 0);
}

static void every_truncation_is_found(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t lengths[] = { 0,
                                       1,
                                       HEADER_BYTES - 1,
                                       HEADER_BYTES,
                                       HEADER_BYTES + SEALED_CHUNK,
                                       HEADER_BYTES + SEALED_CHUNK + 1,
                                       HEADER_BYTES + 2 * SEALED_CHUNK - 1 };

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct digest digest;
        cleanup_(freep) uint8_t *truth = fixture_bytes((size_t)2 * STORE_CHUNK_BYTES, 1, &digest);

        fixture_store(fixture, &digest, truth, (size_t)2 * STORE_CHUNK_BYTES);
        assert_int_equal(truncate(fixture_path(fixture, &digest).s, lengths[i]), 0);
        assert_int_equal(try_all(fixture, &digest, truth, (size_t)2 * STORE_CHUNK_BYTES), EIO);
    }
}

static void appended_bytes_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(100, 1, &digest);

    fixture_store(fixture, &digest, truth, 100);
    assert_int_equal(truncate(fixture_path(fixture, &digest).s, HEADER_BYTES + 100 + TAG_BYTES + 1), 0);
    assert_int_equal(try_all(fixture, &digest, truth, 100), EIO);
}

static void truncation_of_an_open_object_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 100, 1);
    cleanup_(store_object_unrefp) struct store_object *object = fixture_open(fixture, &digest);
    char got[100];
    size_t n = 0;

    assert_int_equal(truncate(fixture_path(fixture, &digest).s, HEADER_BYTES + 50), 0);
    assert_int_equal(store_object_read(object, 0, got, sizeof got, &n, &fixture->err), -EIO);
}

static void swapped_chunks_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    size_t size = (size_t)3 * STORE_CHUNK_BYTES;
    cleanup_(freep) uint8_t *truth = fixture_bytes(size, 1, &digest);
    cleanup_(freep) uint8_t *first = malloc(SEALED_CHUNK);
    cleanup_(freep) uint8_t *second = malloc(SEALED_CHUNK);
    int fd;

    fixture_store(fixture, &digest, truth, size);
    fd = open(fixture_path(fixture, &digest).s, O_RDWR);
    assert_int_equal(pread(fd, first, SEALED_CHUNK, HEADER_BYTES), SEALED_CHUNK);
    assert_int_equal(pread(fd, second, SEALED_CHUNK, HEADER_BYTES + SEALED_CHUNK), SEALED_CHUNK);
    assert_int_equal(pwrite(fd, second, SEALED_CHUNK, HEADER_BYTES), SEALED_CHUNK);
    assert_int_equal(pwrite(fd, first, SEALED_CHUNK, HEADER_BYTES + SEALED_CHUNK), SEALED_CHUNK);
    close(fd);
    assert_int_equal(try_all(fixture, &digest, truth, size), EIO);
}

static void a_chunk_of_an_older_copy_of_the_same_sample_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(1000, 1, &digest);
    uint8_t old[1000 + TAG_BYTES];
    int fd;

    fixture_store(fixture, &digest, truth, 1000);
    fd = open(fixture_path(fixture, &digest).s, O_RDWR);
    assert_int_equal(pread(fd, old, sizeof old, HEADER_BYTES), sizeof old);
    close(fd);
    fixture_store(fixture, &digest, truth, 1000); /* again, with another salt */
    fd = open(fixture_path(fixture, &digest).s, O_RDWR);
    assert_int_equal(pwrite(fd, old, sizeof old, HEADER_BYTES), sizeof old);
    close(fd);
    assert_int_equal(try_all(fixture, &digest, truth, 1000), EIO);
}

static void swapped_files_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest one;
    struct digest two;
    cleanup_(freep) uint8_t *first = fixture_bytes(500, 1, &one);
    cleanup_(freep) uint8_t *second = fixture_bytes(500, 2, &two);
    struct fixture_path path_one = fixture_path(fixture, &one);
    struct fixture_path path_two = fixture_path(fixture, &two);

    fixture_store(fixture, &one, first, 500);
    fixture_store(fixture, &two, second, 500);
    assert_int_equal(renameat2(AT_FDCWD, path_one.s, AT_FDCWD, path_two.s, RENAME_EXCHANGE), 0);
    assert_int_equal(try_all(fixture, &one, first, 500), EIO);
    assert_int_equal(try_all(fixture, &two, second, 500), EIO);
}

static void a_damaged_object_is_set_aside_and_then_absent(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(100, 1, &digest);

    fixture_store(fixture, &digest, truth, 100);
    fixture_flip(fixture_path(fixture, &digest).s, HEADER_BYTES);
    assert_int_equal(try_all(fixture, &digest, truth, 100), EIO);
    assert_non_null(strstr(fixture->err.text, "set aside"));
    assert_int_equal(fixture_count(fixture, "damaged"), 1);
    assert_false(store_object_exists(fixture->store, &digest));
}

static void damage_is_remembered_over_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    struct digest other = fixture_digest(3);
    cleanup_(freep) uint8_t *truth = fixture_bytes(100, 1, &digest);

    fixture_store(fixture, &digest, truth, 100);
    assert_false(store_object_is_damaged(fixture->store, &digest));
    fixture_flip(fixture_path(fixture, &digest).s, HEADER_BYTES);
    assert_int_equal(try_all(fixture, &digest, truth, 100), EIO);
    fixture_reopen(fixture);
    assert_true(store_object_is_damaged(fixture->store, &digest));
    assert_false(store_object_is_damaged(fixture->store, &other));
}

static void a_good_copy_ends_the_damage(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(100, 1, &digest);

    fixture_store(fixture, &digest, truth, 100);
    fixture_flip(fixture_path(fixture, &digest).s, HEADER_BYTES);
    assert_int_equal(try_all(fixture, &digest, truth, 100), EIO);
    fixture_store(fixture, &digest, truth, 100);
    assert_false(store_object_is_damaged(fixture->store, &digest));
    assert_int_equal(fixture_count(fixture, "damaged"), 0);
}

static void a_new_copy_replaces_a_damaged_one_that_is_open(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(100, 1, &digest);
    cleanup_(store_object_unrefp) struct store_object *damaged = NULL;
    char got[100];
    size_t n = 0;

    fixture_store(fixture, &digest, truth, 100);
    damaged = fixture_open(fixture, &digest);
    fixture_flip(fixture_path(fixture, &digest).s, HEADER_BYTES);
    assert_int_equal(store_object_read(damaged, 0, got, sizeof got, &n, NULL), -EIO);
    fixture_store(fixture, &digest, truth, 100);
    assert_int_equal(try_all(fixture, &digest, truth, 100), 0);
    assert_int_equal(store_object_read(damaged, 0, got, sizeof got, &n, NULL), -EIO);
    assert_true(store_object_exists(fixture->store, &digest)); /* the old one's damage is not the new one's */
}

static void another_key_opens_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(100, 1, &digest);
    char path[PATH_MAX];

    fixture_store(fixture, &digest, truth, 100);
    (void)snprintf(path, sizeof path, "%s/seal.key", fixture->state);
    assert_int_equal(unlink(path), 0);
    store_free(fixture->store);
    fixture->store = NULL;
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EINVAL);
    (void)snprintf(path, sizeof path, "%s/sealed-by", fixture->cache); /* nor without the cache's mark */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EINVAL);
    assert_int_equal(fixture_count(fixture, "damaged"), 0); /* and nothing was set aside */
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 50 };

static void *open_read_close(void *closure)
{
    struct fixture *fixture = closure;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(300000, 1, &digest);
    cleanup_(freep) uint8_t *got = malloc(300000);

    for (int i = 0; i < ROUNDS; i++) {
        struct store_object *object = NULL;
        size_t n = 0;

        if (store_object_open(fixture->store, &digest, &object, NULL) != 0 ||
            store_object_read(object, 0, got, 300000, &n, NULL) != 0 || memcmp(got, truth, 300000) != 0)
            return fixture;
        store_object_unref(object);
    }
    return NULL;
}

static void threads_share_an_object(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    void *failed = NULL;

    (void)fixture_sample(fixture, 300000, 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_read_close, fixture), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

/* ---- what was closed is kept open ---- */

static int n_open(const char *path)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++) {
        char link[64];
        char target[PATH_MAX + 32] = "";

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0)
            n += strncmp(target, path, strlen(path)) == 0; /* perhaps "(deleted)" */
    }
    return n;
}

/* True when somebody else could evict it. */
static bool may_go(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    bool may = fcntl(fd, F_OFD_SETLK, &lock) == 0;

    close(fd);
    return may;
}

static struct digest opened_once(struct fixture *fixture)
{
    struct digest digest = fixture_sample(fixture, STORE_CHUNK_BYTES, 1);

    store_object_unref(fixture_open(fixture, &digest));
    return digest;
}

static void what_was_closed_is_kept_open_and_others_may_evict_it(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);
    struct fixture_path path = fixture_path(fixture, &digest);
    struct store_object *object;

    assert_int_equal(n_open(path.s), 1);
    store_object_tidy(fixture->store);
    assert_int_equal(n_open(path.s), 1);
    assert_true(may_go(path.s));
    object = fixture_open(fixture, &digest);
    assert_int_equal(n_open(path.s), 1);
    assert_false(may_go(path.s));
    store_object_unref(object);
}

static void what_is_kept_goes_when_room_is_made(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);
    struct fixture_path path = fixture_path(fixture, &digest);

    store_limit(fixture->store, STORE_CHUNK_BYTES + MIB / 2, 0);
    assert_int_equal(store_room_take(fixture->store, MIB / 2, &fixture->err), 0);
    assert_int_equal(n_open(path.s), 0);
    assert_int_equal(access(path.s, F_OK), -1);
    store_room_give(fixture->store, MIB / 2);
}

static void what_another_process_changes_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);
    struct fixture_path path = fixture_path(fixture, &digest);
    const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
    char in_use[PATH_MAX + 16];

    store_object_tidy(fixture->store);
    (void)snprintf(in_use, sizeof in_use, "%s/in-use", fixture->cache);
    assert_int_equal(utimensat(AT_FDCWD, in_use, now, 0), 0);
    store_object_tidy(fixture->store);
    assert_int_equal(n_open(path.s), 0);
}

static void what_is_kept_and_gone_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);
    struct store_object *object = NULL;

    assert_int_equal(unlink(fixture_path(fixture, &digest).s), 0);
    assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), STORE_ABSENT);
    assert_int_equal(n_open(fixture_path(fixture, &digest).s), 0);
}

static void what_is_kept_and_damaged_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);
    struct store_object *object = NULL;

    fixture_flip(fixture_path(fixture, &digest).s, 3);
    assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), -EIO);
}

static void what_is_kept_and_replaced_is_opened_anew(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);

    digest = fixture_sample(fixture, STORE_CHUNK_BYTES, 1);
    assert_int_equal(n_open(fixture_path(fixture, &digest).s), 0);
    store_object_unref(fixture_open(fixture, &digest));
}

/* Writing down each use would cost more than the rest of opening; but no use is forgotten. */
static void the_last_use_is_on_disk_when_it_is_let_go(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = opened_once(fixture);
    struct fixture_path path = fixture_path(fixture, &digest);
    struct stat before, after;

    assert_int_equal(stat(path.s, &before), 0);
    store_object_unref(fixture_open(fixture, &digest));
    assert_int_equal(stat(path.s, &after), 0);
    assert_int_equal(before.st_atim.tv_nsec, after.st_atim.tv_nsec);
    fixture_reopen(fixture);
    assert_int_equal(stat(path.s, &after), 0);
    assert_int_not_equal(before.st_atim.tv_nsec, after.st_atim.tv_nsec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(reads_at_every_border_equal_the_truth),
        STORE_TEST(size_is_that_of_the_sample),
        STORE_TEST(reads_after_a_restart),
        STORE_TEST(an_unknown_digest_is_absent),
        STORE_TEST(a_negative_offset_is_refused),
        STORE_TEST(the_same_digest_is_the_same_object),
        STORE_TEST(a_reference_outlives_the_first_unref),
        STORE_TEST(an_open_object_survives_its_removal),
        STORE_TEST(any_flipped_byte_of_a_small_object_is_found),
        STORE_TEST(a_flipped_byte_of_any_chunk_is_found),
        STORE_TEST(a_flipped_byte_outside_the_read_range_is_found),
        STORE_TEST(every_truncation_is_found),
        STORE_TEST(appended_bytes_are_found),
        STORE_TEST(truncation_of_an_open_object_is_found),
        STORE_TEST(swapped_chunks_are_found),
        STORE_TEST(a_chunk_of_an_older_copy_of_the_same_sample_is_found),
        STORE_TEST(swapped_files_are_found),
        STORE_TEST(a_damaged_object_is_set_aside_and_then_absent),
        STORE_TEST(damage_is_remembered_over_a_restart),
        STORE_TEST(a_good_copy_ends_the_damage),
        STORE_TEST(a_new_copy_replaces_a_damaged_one_that_is_open),
        STORE_TEST(another_key_opens_nothing),
        STORE_TEST(threads_share_an_object),
        STORE_TEST(what_was_closed_is_kept_open_and_others_may_evict_it),
        STORE_TEST(what_is_kept_goes_when_room_is_made),
        STORE_TEST(what_another_process_changes_is_not_kept),
        STORE_TEST(what_is_kept_and_gone_is_absent),
        STORE_TEST(what_is_kept_and_damaged_is_found),
        STORE_TEST(what_is_kept_and_replaced_is_opened_anew),
        STORE_TEST(the_last_use_is_on_disk_when_it_is_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
