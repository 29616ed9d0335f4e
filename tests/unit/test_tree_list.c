#include "test_tree_bench.h"

#include <stdio.h>

enum { MANY = 1001 }; /* names that the kernel forgets */

/* samples/ of a cache that was not changed for an hour, so that only the database changes its version. */
static uint64_t samples_of(struct tree_bench *bench)
{
    char command[128];
    FILE *touch;

    tree_up(bench);
    (void)snprintf(command, sizeof command, "find %s/cache -type d -exec touch -d '1 hour ago' {} +", bench->below.dir);
    touch = popen(command, "r");
    assert_non_null(touch);
    assert_int_equal(pclose(touch), 0);
    return tree_find(bench, TREE_ROOT, "samples");
}

static struct digest digest_number(unsigned int number)
{
    struct digest digest = { 0 };

    memcpy(digest.bytes, &number, sizeof number);
    return digest;
}

/* Another row: another version of samples/. */
static void change(struct tree_bench *bench)
{
    static unsigned int number;
    struct sample sample = { .digest = digest_number(++number), .size_bytes = 1 };
    struct err err = { 0 };

    assert_int_equal(store_sample_put(bench->below.store, &sample, 1, &err), 0);
}

static struct handle *open_dir(struct tree_bench *bench, uint64_t ino, enum tree_listing wanted)
{
    struct handle *handle = NULL;
    enum tree_listing listing;
    struct err err = { 0 };

    assert_int_equal(tree_opendir(bench->tree, ino, &handle, &listing, &err), 0);
    assert_int_equal(listing, wanted);
    return handle;
}

static void look(struct tree_bench *bench, uint64_t ino, enum tree_listing wanted)
{
    tree_releasedir(bench->tree, open_dir(bench, ino, wanted));
}

static void a_listing_is_kept_until_something_changes(void **state)
{
    struct tree_bench bench;
    uint64_t ino = samples_of(&bench);

    (void)state;
    look(&bench, ino, TREE_LISTING_NEW);
    look(&bench, ino, TREE_LISTING_KEPT);
    change(&bench);
    look(&bench, ino, TREE_LISTING_NEW);
    look(&bench, ino, TREE_LISTING_KEPT);
    look(&bench, TREE_ROOT, TREE_LISTING_LIVE);
    tree_down(&bench);
}

static void beside_a_reader_of_an_older_one_nothing_is_kept(void **state)
{
    struct tree_bench bench;
    uint64_t ino = samples_of(&bench);
    struct handle *older = open_dir(&bench, ino, TREE_LISTING_NEW);

    (void)state;
    look(&bench, ino, TREE_LISTING_KEPT); /* the same one */
    change(&bench);
    look(&bench, ino, TREE_LISTING_LIVE);
    look(&bench, ino, TREE_LISTING_LIVE);
    tree_releasedir(bench.tree, older);
    look(&bench, ino, TREE_LISTING_NEW);
    look(&bench, ino, TREE_LISTING_KEPT);
    tree_down(&bench);
}

static void a_listing_whose_names_were_forgotten_is_sent_again(void **state)
{
    struct tree_bench bench;
    uint64_t ino = samples_of(&bench);

    (void)state;
    look(&bench, ino, TREE_LISTING_NEW);
    for (unsigned int i = 0; i < MANY; i++) {
        struct digest digest = digest_number(i);

        look(&bench, ino, TREE_LISTING_KEPT);
        tree_forget(bench.tree, tree_find(&bench, ino, digest_format(&digest).s), 1);
    }
    look(&bench, ino, TREE_LISTING_NEW);
    look(&bench, ino, TREE_LISTING_KEPT);
    tree_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listing_is_kept_until_something_changes),
        cmocka_unit_test(beside_a_reader_of_an_older_one_nothing_is_kept),
        cmocka_unit_test(a_listing_whose_names_were_forgotten_is_sent_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
