#include "test_store_fixture.h"

#include <errno.h>
#include <stdlib.h>

enum { SIZE = 300 * 1000 };

static void go_plain(struct fixture *fixture)
{
    fixture->config.kind = STORE_PLAIN;
    fixture_reopen(fixture);
}

static struct fixture_path plain_path(const struct fixture *fixture, const struct digest *digest)
{
    struct fixture_path path = fixture_path(fixture, digest);

    assert_true(strlen(path.s) + sizeof ".plain" <= sizeof path.s);
    memcpy(path.s + strlen(path.s), ".plain", sizeof ".plain");
    return path;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

/* Reads all of it; 0 only when every byte was right, else the errno. */
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
    }
    return r < 0 ? -r : r;
}

static void the_file_has_the_bytes_as_they_are_for_its_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    cleanup_(freep) uint8_t *got = malloc(SIZE + 1);
    struct fixture_path path = plain_path(fixture, &digest);
    struct stat st;
    int fd;

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    fd = open(path.s, O_RDONLY);
    assert_int_equal(read(fd, got, SIZE + 1), SIZE);
    assert_memory_equal(got, truth, SIZE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    close(fd);
    assert_int_equal(try_all(fixture, &digest, truth, SIZE), 0);
}

/* Whoever may not wait for the hashing of a file can tell. */
static void what_was_not_compared_yet_is_told_apart(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    struct digest nobody = { .bytes = { 1 } };
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_true(store_object_is_checked(fixture->store, &digest)); /* it was, while it was written */
    fixture_reopen(fixture);
    assert_false(store_object_is_checked(fixture->store, &digest));
    assert_true(store_object_is_checked(fixture->store, &nobody));
    assert_int_equal(try_all(fixture, &digest, truth, SIZE), 0);
    assert_true(store_object_is_checked(fixture->store, &digest));
    fixture_flip(plain_path(fixture, &digest).s, SIZE / 2);
    assert_false(store_object_is_checked(fixture->store, &digest));
}

/* It may have gigabytes. What was given up is no damage. */
static void comparing_is_given_up_when_the_process_is_about_to_end(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    fixture_reopen(fixture);
    store_hurry(fixture->store);
    assert_int_equal(try_all(fixture, &digest, truth, SIZE), ECANCELED);
    assert_false(store_object_is_damaged(fixture->store, &digest));
    fixture_reopen(fixture);
    assert_int_equal(try_all(fixture, &digest, truth, SIZE), 0);
}

static void every_size_reads_back_after_a_restart(void **state)
{
    static const size_t sizes[] = { 0, 1, 131071, 131072, 131073, MIB + 7 };
    struct fixture *fixture = *state;

    go_plain(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct digest digest;
        cleanup_(freep) uint8_t *truth = fixture_bytes(sizes[i], (unsigned int)i, &digest);

        fixture_store(fixture, &digest, truth, sizes[i]);
        fixture_reopen(fixture);
        assert_int_equal(try_all(fixture, &digest, truth, sizes[i]), 0);
    }
}

static void expect_damage_is_found(struct fixture *fixture, const struct digest *digest, const uint8_t *truth)
{
    assert_int_equal(try_all(fixture, digest, truth, SIZE), EIO);
    assert_false(store_object_exists(fixture->store, digest));
    assert_true(store_object_is_damaged(fixture->store, digest));
    assert_int_equal(fixture_count(fixture, "damaged"), 1);
}

static void a_flipped_byte_is_found_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    fixture_flip(plain_path(fixture, &digest).s, SIZE - 1);
    fixture_reopen(fixture);
    expect_damage_is_found(fixture, &digest, truth);
}

static void a_flipped_byte_is_found_by_who_stored_it(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_int_equal(try_all(fixture, &digest, truth, SIZE), 0);
    fixture_flip(plain_path(fixture, &digest).s, 0);
    expect_damage_is_found(fixture, &digest, truth);
}

static void a_change_while_it_is_open_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    char got[10];
    size_t n = 0;

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_int_equal(store_object_open(fixture->store, &digest, &object, NULL), 0);
    assert_int_equal(store_object_read(object, 0, got, sizeof got, &n, NULL), 0);
    fixture_flip(plain_path(fixture, &digest).s, SIZE / 2);
    assert_int_equal(store_object_read(object, 0, got, sizeof got, &n, NULL), -EIO);
    assert_int_equal(got[0], 0); /* nothing that was not proven */
    assert_true(store_object_is_damaged(fixture->store, &digest));
}

static void a_cut_file_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);

    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_int_equal(truncate(plain_path(fixture, &digest).s, SIZE - 1), 0);
    expect_damage_is_found(fixture, &digest, truth);
}

static void each_form_is_read_by_a_mount_of_the_other(void **state)
{
    struct fixture *fixture = *state;
    struct digest sealed, plain;
    cleanup_(freep) uint8_t *one = fixture_bytes(SIZE, 1, &sealed);
    cleanup_(freep) uint8_t *two = fixture_bytes(SIZE, 2, &plain);

    fixture_store(fixture, &sealed, one, SIZE);
    go_plain(fixture);
    fixture_store(fixture, &plain, two, SIZE);
    assert_int_equal(try_all(fixture, &sealed, one, SIZE), 0);
    fixture->config.kind = STORE_SEALED;
    fixture_reopen(fixture);
    assert_int_equal(try_all(fixture, &plain, two, SIZE), 0);
    assert_true(is_file(fixture_path(fixture, &sealed).s));
    assert_true(is_file(plain_path(fixture, &plain).s));
}

static int count(void *closure, const struct digest *digest)
{
    (void)digest;
    ++*(int *)closure;
    return 0;
}

static void a_new_copy_ends_that_of_the_other_form(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    int64_t bytes;
    int64_t n;

    fixture_store(fixture, &digest, truth, SIZE);
    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_false(is_file(fixture_path(fixture, &digest).s));
    fixture_usage(fixture, &bytes, &n);
    assert_int_equal(n, 1);
    assert_int_equal(bytes, SIZE);
    fixture->config.kind = STORE_SEALED;
    fixture_reopen(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_false(is_file(plain_path(fixture, &digest).s));
}

/* A kill between the two steps of the above. */
static void two_copies_are_one_in_the_list(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    struct fixture_path sealed = fixture_path(fixture, &digest);
    struct fixture_path kept;
    int n = 0;

    (void)snprintf(kept.s, sizeof kept.s, "%s/kept", fixture->dir);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_int_equal(rename(sealed.s, kept.s), 0);
    go_plain(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_int_equal(rename(kept.s, sealed.s), 0);
    assert_int_equal(store_object_list(fixture->store, count, &n, NULL), 0);
    assert_int_equal(n, 1);
}

/* Its bytes have no digest that anybody knows: only a seal shows that they are damaged. */
static void archives_are_sealed_all_the_same(void **state)
{
    static const struct request_id id = { .s = "00112233-4455-6677-8899-aabbccddeeff" };
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    struct store_writer *writer = NULL;
    int64_t bytes;
    int64_t n;

    go_plain(fixture);
    assert_int_equal(store_archive_begin(fixture->store, &id, &writer, NULL), 0);
    assert_int_equal(store_writer_write(writer, truth, SIZE, NULL), 0);
    assert_int_equal(store_writer_commit(writer, NULL), 0);
    fixture_usage(fixture, &bytes, &n);
    assert_int_equal(bytes, 128 + SIZE + 3 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_file_has_the_bytes_as_they_are_for_its_owner_alone),
        STORE_TEST(what_was_not_compared_yet_is_told_apart),
        STORE_TEST(comparing_is_given_up_when_the_process_is_about_to_end),
        STORE_TEST(every_size_reads_back_after_a_restart),
        STORE_TEST(a_flipped_byte_is_found_after_a_restart),
        STORE_TEST(a_flipped_byte_is_found_by_who_stored_it),
        STORE_TEST(a_change_while_it_is_open_is_found),
        STORE_TEST(a_cut_file_is_found),
        STORE_TEST(each_form_is_read_by_a_mount_of_the_other),
        STORE_TEST(a_new_copy_ends_that_of_the_other_form),
        STORE_TEST(two_copies_are_one_in_the_list),
        STORE_TEST(archives_are_sealed_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
