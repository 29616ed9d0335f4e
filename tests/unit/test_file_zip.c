/* What opening a zip asks of the thread that does it. */
#include <fcntl.h>

#include "store/store_internal.h"
#include "test_tree_bench.h"

enum { SIZE = 200 * KIB };

/* One plain sample that nobody in this process has compared with its digest, and the zip of it. */
static uint64_t zip_of_plain(struct tree_bench *bench, struct digest *ret_digest)
{
    static const char bytes[SIZE];
    struct sample sample = { .size_bytes = SIZE };
    struct store_writer *writer = NULL;
    struct store_object *object = NULL;
    char name[DIGEST_TEXT + sizeof ".zip"];
    struct err err = { 0 };

    bench->tree->config.zip = (struct store_zip_config){ .password = "infected" };
    bench->below.store->kind = STORE_PLAIN;
    assert_int_equal(digest_of(bytes, SIZE, ret_digest, &err), 0);
    sample.digest = *ret_digest;
    assert_int_equal(store_sample_put(bench->below.store, &sample, 1, &err), 0);
    assert_int_equal(store_writer_begin(bench->below.store, ret_digest, &writer, &err), 0);
    assert_int_equal(store_writer_write(writer, bytes, SIZE, &err), 0);
    assert_int_equal(store_writer_commit(writer, &err), 0);
    assert_int_equal(store_object_open(bench->below.store, ret_digest, &object, &err), 0); /* else it stays a while */
    store_object_unref(object);
    memset(bench->below.store->verified, 0, sizeof bench->below.store->verified);
    (void)snprintf(name, sizeof name, "%s.zip", digest_format(ret_digest).s);
    return tree_find(bench, tree_find(bench, TREE_ROOT, "zips"), name);
}

static int open_it(struct tree_bench *bench, uint64_t ino, struct need *ret_need)
{
    const struct caller who = { .pid = 1 };
    struct handle *handle = NULL;
    struct tree_open open;
    struct need ignored;
    struct err err = { 0 };
    int r = tree_open(bench->tree, ino, O_RDONLY, &who, &handle, &open, ret_need, &err);

    if (r == 0)
        assert_int_equal(tree_release(bench->tree, handle, &ignored, &err), 0);
    return r;
}

/* The server of the bench answers nobody: what is met here is met without it. */
static void a_plain_sample_is_compared_by_a_thread_that_may_wait(void **state)
{
    struct tree_bench bench;
    struct digest digest;
    struct need need = { 0 };
    struct err err = { 0 };
    uint64_t ino;

    (void)state;
    tree_up(&bench);
    ino = zip_of_plain(&bench, &digest);
    assert_int_equal(open_it(&bench, ino, &need), TREE_NEED);
    assert_int_equal(need.kind, NEED_LOCAL);
    assert_true(digest_equal(&need.digest, &digest));
    assert_int_equal(tree_meet(bench.tree, &need, 1, &err), 0);
    assert_int_equal(open_it(&bench, ino, &need), 0);
    tree_down(&bench);
}

static void what_went_meanwhile_is_not_bought(void **state)
{
    struct tree_bench bench;
    struct digest digest;
    struct need need = { 0 };
    struct err err = { 0 };
    uint64_t ino;

    (void)state;
    tree_up(&bench);
    ino = zip_of_plain(&bench, &digest);
    assert_int_equal(open_it(&bench, ino, &need), TREE_NEED);
    assert_int_equal(store_room_take(bench.below.store, 0, &err), 0);
    bench.below.store->cache_bytes = 1;
    store_room_give(bench.below.store, 0);
    assert_false(store_object_exists(bench.below.store, &digest));
    assert_int_equal(tree_meet(bench.tree, &need, 1, &err), 0);
    assert_int_equal(open_it(&bench, ino, &need), -ENOENT);
    tree_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_sample_is_compared_by_a_thread_that_may_wait),
        cmocka_unit_test(what_went_meanwhile_is_not_bought),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
