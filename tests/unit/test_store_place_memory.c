#include "test_store_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "store/store_internal.h"

enum { SIZE = 300 * 1000 };
#define KEPT_BYTES (128 + SIZE + 3 * 16)

static void go_memory(struct fixture *fixture)
{
    fixture->config.kind = STORE_MEMORY;
    fixture_reopen(fixture);
}

static void expect_reads_back(struct fixture *fixture, const struct digest *digest, const uint8_t *truth, size_t size)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    cleanup_(freep) uint8_t *got = malloc(size + 1);
    size_t n = 0;

    assert_int_equal(store_object_open(fixture->store, digest, &object, &fixture->err), 0);
    assert_int_equal(store_object_size(object), size);
    assert_int_equal(store_object_read(object, 0, got, size, &n, &fixture->err), 0);
    assert_int_equal(n, size);
    assert_memory_equal(got, truth, size);
}

static void every_size_reads_back_and_no_file_appears(void **state)
{
    static const size_t sizes[] = { 0, 1, 131071, 131072, 131073, MIB + 7 };
    struct fixture *fixture = *state;

    go_memory(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct digest digest;
        cleanup_(freep) uint8_t *truth = fixture_bytes(sizes[i], (unsigned int)i, &digest);

        fixture_store(fixture, &digest, truth, sizes[i]);
        expect_reads_back(fixture, &digest, truth, sizes[i]);
    }
    assert_int_equal(fixture_count(fixture, "."), 0);
}

/* Memory can be swapped out. */
static void what_is_kept_is_sealed(void **state)
{
    static const char marker[] = "this-is-the-marker-of-the-test";
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    cleanup_(freep) uint8_t *kept = malloc(2 * SIZE);
    struct store_ref ref = { .kind = STORE_MEMORY, .shelf = SHELF_SAMPLES };
    struct store_blob blob;
    size_t n = 0;

    memcpy(truth + 1000, marker, sizeof marker);
    assert_int_equal(digest_of(truth, SIZE, &ref.digest, NULL), 0);
    go_memory(fixture);
    fixture_store(fixture, &ref.digest, truth, SIZE);
    assert_int_equal(store_place_memory.open(fixture->store, &ref, &blob, NULL), 0);
    assert_int_equal(store_place_memory.read(&blob, kept, (size_t)2 * SIZE, 0, &n, NULL), 0);
    store_place_memory.close(fixture->store, &blob);
    assert_int_equal(n, KEPT_BYTES);
    assert_null(memmem(kept, n, marker, sizeof marker - 1));
    expect_reads_back(fixture, &ref.digest, truth, SIZE);
}

static void it_is_gone_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    int64_t bytes;
    int64_t n;

    go_memory(fixture);
    digest = fixture_sample(fixture, SIZE, 1);
    fixture_usage(fixture, &bytes, &n);
    assert_int_equal(bytes, KEPT_BYTES);
    assert_int_equal(n, 1);
    fixture_reopen(fixture);
    assert_false(store_object_exists(fixture->store, &digest));
}

static void what_is_on_disk_is_read_and_left_there(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    int64_t bytes;
    int64_t n;

    fixture_store(fixture, &digest, truth, SIZE);
    fixture->config.memory_bytes = MIB;
    go_memory(fixture);
    expect_reads_back(fixture, &digest, truth, SIZE);
    fixture_usage(fixture, &bytes, &n);
    assert_int_equal(bytes, 0); /* of memory */
    assert_int_equal(n, 1);
    assert_int_equal(store_room_take(fixture->store, MIB - KIB, &fixture->err), 0);
    store_room_give(fixture->store, MIB - KIB);
    assert_true(store_object_exists(fixture->store, &digest));
}

static void the_least_recently_used_goes_and_what_is_open_stays(void **state)
{
    struct fixture *fixture = *state;
    struct digest opened, old, used;
    cleanup_(store_object_unrefp) struct store_object *held = NULL;
    struct store_object *object = NULL;

    fixture->config.memory_bytes = (int64_t)3 * KEPT_BYTES;
    go_memory(fixture);
    opened = fixture_sample(fixture, SIZE, 1);
    old = fixture_sample(fixture, SIZE, 2);
    used = fixture_sample(fixture, SIZE, 3);
    assert_int_equal(store_object_open(fixture->store, &opened, &held, NULL), 0);
    assert_int_equal(store_object_open(fixture->store, &old, &object, NULL), 0);
    store_object_unref(object);
    assert_int_equal(store_object_open(fixture->store, &used, &object, NULL), 0);
    store_object_unref(object);
    assert_int_equal(store_room_take(fixture->store, SIZE, &fixture->err), 0);
    assert_true(store_object_exists(fixture->store, &opened));
    assert_false(store_object_exists(fixture->store, &old));
    assert_true(store_object_exists(fixture->store, &used));
    store_room_give(fixture->store, SIZE);
    assert_int_equal(store_room_take(fixture->store, 3 * (int64_t)SIZE, &fixture->err), -ENOSPC);
    assert_int_equal(store_room_take(fixture->store, 4 * (int64_t)SIZE, &fixture->err), -ENOSPC);
    assert_non_null(strstr(fixture->err.text, "memory_size"));
    store_object_unref(steal_ptr(&held));
}

static void another_copy_replaces_the_first_and_who_has_that_keeps_it(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, 1, &digest);
    cleanup_(store_object_unrefp) struct store_object *first = NULL;
    uint8_t got[100];
    int64_t bytes;
    int64_t count;
    size_t n = 0;

    go_memory(fixture);
    fixture_store(fixture, &digest, truth, SIZE);
    assert_int_equal(store_object_open(fixture->store, &digest, &first, NULL), 0);
    fixture_store(fixture, &digest, truth, SIZE);
    fixture_usage(fixture, &bytes, &count);
    assert_int_equal(bytes, KEPT_BYTES);
    assert_int_equal(count, 1);
    assert_int_equal(store_object_read(first, 5, got, sizeof got, &n, NULL), 0);
    assert_memory_equal(got, truth + 5, sizeof got);
    store_object_unref(steal_ptr(&first));
    expect_reads_back(fixture, &digest, truth, SIZE);
}

static void a_writer_that_is_freed_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_writer *writer = NULL;

    go_memory(fixture);
    assert_int_equal(store_writer_begin(fixture->store, &digest, &writer, NULL), 0);
    assert_int_equal(store_writer_write(writer, "wrong", 5, NULL), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), -EBADMSG);
    assert_false(store_object_exists(fixture->store, &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(every_size_reads_back_and_no_file_appears),
        STORE_TEST(what_is_kept_is_sealed),
        STORE_TEST(it_is_gone_at_the_end),
        STORE_TEST(what_is_on_disk_is_read_and_left_there),
        STORE_TEST(the_least_recently_used_goes_and_what_is_open_stays),
        STORE_TEST(another_copy_replaces_the_first_and_who_has_that_keeps_it),
        STORE_TEST(a_writer_that_is_freed_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
