#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static void with_tree(struct tree *tree)
{
    *tree = (struct tree){ 0 };
    lock_init(&tree->lock, LOCK_TREE);
    list_init(&tree->spools);
}

static void an_unlinked_file_lives_until_its_last_close(void **state)
{
    struct tree tree;
    struct spool *spool = NULL;
    struct err err = { 0 };

    (void)state;
    with_tree(&tree);
    lock_acquire(&tree.lock);
    assert_int_equal(spool_new_locked(&tree, STORE_HUNTS, "4913", &spool, &err), 0);
    spool->n_open = 1;
    spool_unlink_locked(&tree, spool);
    spool_drop_locked(&tree, spool);
    assert_null(spool_find_locked(&tree, STORE_HUNTS, "4913"));
    buf_append(&spool->text, "x", 1); /* still writable, as the sanitizer sees */
    spool->n_open = 0;
    spool_drop_locked(&tree, spool);
    lock_release(&tree.lock);
    assert_int_equal(tree.n_spools, 0);
    lock_done(&tree.lock);
}

static void unfinished_files_have_a_limit(void **state)
{
    struct tree tree;
    struct spool *spool = NULL;
    struct err err = { 0 };
    char name[32];
    int r = 0;

    (void)state;
    with_tree(&tree);
    lock_acquire(&tree.lock);
    for (int i = 0; i < TREE_SPOOLS_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        assert_int_equal(spool_new_locked(&tree, STORE_HUNTS, name, &spool, &err), 0);
    }
    r = spool_new_locked(&tree, STORE_HUNTS, "one more", &spool, &err);
    assert_int_equal(r, -ENOSPC);
    list_for_each (link, &tree.spools) {
        spool = container_of(link, struct spool, link);
        spool_unlink_locked(&tree, spool);
        spool_drop_locked(&tree, spool);
    }
    lock_release(&tree.lock);
    lock_done(&tree.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unlinked_file_lives_until_its_last_close),
        cmocka_unit_test(unfinished_files_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
