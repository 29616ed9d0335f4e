#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static void names_decide_what_can_be_submitted(void **state)
{
    static const struct {
        const char *name;
        const char *base; /* NULL: scratch */
    } cases[] = {
        { "wiper.yar", "wiper" },
        { "wiper.yara", "wiper" },
        { "with blank.yar", "with blank" },
        { "\xc3\xbc.yar", "\xc3\xbc" },
        { "a.b.yar", "a.b" },
        { "wiper", NULL },
        { ".yar", NULL },
        { ".wiper.yar.swp", NULL },
        { ".wiper.yar.X8fj2s", NULL },
        { ".wiper.yar", NULL },
        { "wiper.yar~", NULL },
        { "#wiper.yar#", NULL },
        { "4913", NULL },
        { "sedk3J2x1", NULL },
        { "tab\t.yar", NULL },
        { "\xff.yar", NULL },
        { "wiper.YAR", "wiper" },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char base[TREE_NAME_MAX + 1] = "";
        const char *suffix = NULL;

        assert_int_equal(spool_is_final(cases[i].name, base, &suffix), cases[i].base != NULL);
        if (cases[i].base)
            assert_string_equal(base, cases[i].base);
    }
}

static void temporary_names_of_tools_are_scratch_and_others_are_not(void **state)
{
    static const char *const scratch[] = { ".wiper.yar.swp", "4913",        "sedk3J2x1", "tmpab12cd34",
                                           "wiper.yar~",     "#wiper.yar#", ".hidden",   "wiper.yar.X8fj2s",
                                           "wiper.yar.tmp",  ".wiper.yar",  "tmp.Yf3kQ" };
    static const char *const others[] = { "wiper", "wiper.txt", "RULE", "wiper.yar", "notes.md", "sed.yar", "" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
        if (!spool_is_scratch(scratch[i]))
            fail_msg("not scratch: %s", scratch[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (spool_is_scratch(others[i]))
            fail_msg("scratch: %s", others[i]);
}

static void a_process_that_a_signal_ends_is_killed(void **state)
{
    (void)state;
    assert_false(spool_is_killed(getpid()));
    assert_false(spool_is_killed(0));
}

static void another_descriptor_of_the_file_is_seen(void **state)
{
    char path[] = "/tmp/mq-spool-XXXXXX";
    int fd = mkstemp(path);
    struct stat st;
    int copy;

    (void)state;
    assert_true(fd >= 0);
    copy = dup(fd);
    close(fd);
    assert_int_equal(fstat(copy, &st), 0);
    assert_true(spool_is_open_elsewhere(getpid(), strrchr(path, '/') + 1, st.st_ino));
    assert_false(
        spool_is_open_elsewhere(getpid(), strrchr(path, '/') + 1, st.st_ino + 1)); /* a file of the same name */
    close(copy);
    assert_false(spool_is_open_elsewhere(getpid(), strrchr(path, '/') + 1, st.st_ino));
    assert_int_equal(unlink(path), 0);
}

static void a_name_of_more_than_200_bytes_is_never_submitted(void **state)
{
    char name[STORE_NAME_MAX + 8];
    char base[TREE_NAME_MAX + 1];
    const char *suffix;

    (void)state;
    memset(name, 'a', sizeof name);
    memcpy(name + STORE_NAME_MAX - 4, ".yar", 5);
    assert_true(spool_is_final(name, base, &suffix));
    memcpy(name + STORE_NAME_MAX - 4, "aaaa.yar", 9);
    name[STORE_NAME_MAX + 1] = '\0';
    memcpy(name + STORE_NAME_MAX - 3, ".yar", 5);
    assert_false(spool_is_final(name, base, &suffix));
}

static void the_thread_group_of_a_process_is_its_pid(void **state)
{
    (void)state;
    assert_int_equal(spool_thread_group(getpid()), getpid());
}

static void a_process_that_is_gone_is_its_own_group(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(spool_thread_group(pid), pid);
}

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
        cmocka_unit_test(names_decide_what_can_be_submitted),
        cmocka_unit_test(temporary_names_of_tools_are_scratch_and_others_are_not),
        cmocka_unit_test(a_process_that_a_signal_ends_is_killed),
        cmocka_unit_test(another_descriptor_of_the_file_is_seen),
        cmocka_unit_test(a_name_of_more_than_200_bytes_is_never_submitted),
        cmocka_unit_test(the_thread_group_of_a_process_is_its_pid),
        cmocka_unit_test(a_process_that_is_gone_is_its_own_group),
        cmocka_unit_test(an_unlinked_file_lives_until_its_last_close),
        cmocka_unit_test(unfinished_files_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
