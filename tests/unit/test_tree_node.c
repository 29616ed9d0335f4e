#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static const struct node_spec *row(const struct node_spec *dir, const char *name)
{
    for (size_t i = 0; i < dir->n_children; i++)
        if (strcmp(dir->children[i].name ? dir->children[i].name : dir->children[i].pattern, name) == 0)
            return &dir->children[i];
    fail_msg("the table has no row '%s'", name);
    return NULL;
}

static struct subject a_sample(uint8_t first)
{
    struct subject subject = { .kind = SUBJECT_DIGEST };

    subject.digest.bytes[0] = first;
    subject.digest.bytes[9] = 7;
    return subject;
}

static void with_tree(struct tree *tree)
{
    *tree = (struct tree){ 0 };
    lock_init(&tree->lock, LOCK_TREE);
    list_init(&tree->spools);
}

static void without_tree(struct tree *tree)
{
    node_free_all(tree);
    lock_done(&tree->lock);
}

static void a_sample_has_one_number_in_every_directory(void **state)
{
    const struct node_spec *samples = row(&tree_root, "samples");
    const struct node_spec *spec = row(samples, "<sha256>");
    struct subject subject = a_sample(1);

    (void)state;
    assert_int_equal(node_number(100, spec, "x", &subject), node_number(200, spec, "y", &subject));
}

static void metadata_of_a_sample_is_another_file_than_the_sample(void **state)
{
    const struct node_spec *sample = row(row(&tree_root, "samples"), "<sha256>");
    const struct node_spec *metadata = row(row(&tree_root, "metadata"), "<sha256>.json");
    struct subject subject = a_sample(1);

    (void)state;
    assert_int_not_equal(node_number(1, sample, "x", &subject), node_number(1, metadata, "x", &subject));
}

static void a_request_has_one_number_whatever_the_case_of_its_id(void **state)
{
    const struct node_spec *spec = row(row(&tree_root, "requests"), "<id>");
    const struct node_spec *status = row(spec, "status");
    struct subject subject = { .kind = SUBJECT_REQUEST, .text = "096f6aa5-f245-4b09-790f-133bc89d4d26" };
    struct subject other = { .kind = SUBJECT_REQUEST, .text = "096f6aa5-f245-4b09-790f-133bc89d4d27" };
    uint64_t number = node_number(1, spec, subject.text, &subject);

    (void)state;
    assert_int_equal(node_number(1, spec, "096F6AA5-F245-4B09-790F-133BC89D4D26", &subject), number);
    assert_int_not_equal(node_number(1, spec, other.text, &other), number);
    assert_int_not_equal(node_number(number, status, "status", &subject), node_number(number, status, "id", &subject));
}

static void results_of_another_request_are_another_directory(void **state)
{
    const struct node_spec *hunt = row(row(&tree_root, "hunts"), "NAME");
    const struct node_spec *spec = row(hunt, "samples");
    struct subject one = { .kind = SUBJECT_REQUEST, .text = "096f6aa5-f245-4b09-790f-133bc89d4d26" };
    struct subject two = { .kind = SUBJECT_REQUEST, .text = "fc4db762-288c-40cc-5f4f-4f19b65649a8" };

    (void)state;
    assert_int_not_equal(node_number(5, spec, "samples", &one), node_number(5, spec, "samples", &two));
}

static void no_number_is_reserved_or_negative(void **state)
{
    const struct node_spec *spec = row(row(&tree_root, "samples"), "<sha256>");
    struct subject zero = { .kind = SUBJECT_DIGEST };
    struct subject ones = { .kind = SUBJECT_DIGEST };

    (void)state;
    memset(ones.digest.bytes, 0xff, sizeof ones.digest.bytes);
    assert_true(node_number(1, spec, "x", &zero) > TREE_ROOT);
    assert_true((int64_t)node_number(1, spec, "x", &ones) > 0);
}

static void two_samples_that_collide_are_two_nodes(void **state)
{
    const struct node_spec *spec = row(row(&tree_root, "samples"), "<sha256>");
    struct subject one = a_sample(1);
    struct tree tree;
    struct node *a;
    struct node *b;

    (void)state;
    with_tree(&tree);
    lock_acquire(&tree.lock);
    a = node_take_locked(&tree, 1, spec, "x", &one);
    a->digest.bytes[31] ^= 1; /* another sample that computes the same number */
    b = node_take_locked(&tree, 1, spec, "y", &one);
    assert_ptr_not_equal(a, b);
    assert_int_not_equal(a->ino, b->ino);
    assert_ptr_equal(node_take_locked(&tree, 1, spec, "y", &one), b);
    lock_release(&tree.lock);
    without_tree(&tree);
}

static void a_node_lives_until_its_last_lookup_is_forgotten(void **state)
{
    const struct node_spec *spec = row(row(&tree_root, "samples"), "<sha256>");
    struct subject subject = a_sample(3);
    struct tree tree;
    uint64_t ino;

    (void)state;
    with_tree(&tree);
    lock_acquire(&tree.lock);
    ino = node_take_locked(&tree, 1, spec, "x", &subject)->ino;
    (void)node_take_locked(&tree, 2, spec, "x", &subject);
    node_forget_locked(&tree, ino, 1);
    assert_non_null(node_get_locked(&tree, ino));
    node_forget_locked(&tree, ino, 1);
    assert_null(node_get_locked(&tree, ino));
    lock_release(&tree.lock);
    without_tree(&tree);
}

static void every_row_says_what_it_is(const struct node_spec *dir)
{
    for (size_t i = 0; i < dir->n_children; i++) {
        const struct node_spec *spec = &dir->children[i];

        assert_true(spec->name || (spec->pattern && spec->ops && spec->ops->find));
        assert_true(spec->doc && *spec->doc);
        assert_true(spec->children || spec->ops);
        every_row_says_what_it_is(spec);
    }
}

static void the_table_is_complete(void **state)
{
    (void)state;
    every_row_says_what_it_is(&tree_root);
}

/* Without a store: none of these is looked up anywhere. */
static void the_kernel_keeps_the_directories_of_the_root(void **state)
{
    struct tree tree;
    struct tree_attr attr;
    struct err err = { 0 };

    (void)state;
    with_tree(&tree);
    for (size_t i = 0; i < tree_root.n_children; i++) {
        if (!S_ISDIR(tree_root.children[i].mode))
            continue;
        assert_int_equal(tree_lookup(&tree, TREE_ROOT, tree_root.children[i].name, &attr, &err), 0);
        assert_int_equal(attr.entry_ttl_ms, FOREVER_MS);
        assert_int_equal(attr.attr_ttl_ms, FOREVER_MS);
    }
    without_tree(&tree);
}

/* The name may lead to the results of another request tomorrow, the directory itself stays what it is. */
static void a_directory_of_results_is_kept_and_its_name_is_not(void **state)
{
    const struct node_spec *request = row(row(&tree_root, "requests"), "<id>");
    const struct node_spec *samples = row(request, "samples");
    struct subject subject = { .kind = SUBJECT_REQUEST, .text = "an id" };
    struct tree tree;
    struct tree_attr attr;
    struct need need;
    struct err err = { 0 };
    struct node *node;

    (void)state;
    with_tree(&tree);
    lock_acquire(&tree.lock);
    node = node_take_locked(&tree, 5, samples, "samples", &subject);
    lock_release(&tree.lock);
    assert_int_equal(tree_getattr(&tree, node->ino, NULL, &attr, &need, &err), 0);
    assert_int_equal(attr.attr_ttl_ms, FOREVER_MS);
    assert_int_equal(attr.entry_ttl_ms, 0);
    without_tree(&tree);
}

static struct node *take_sample(struct tree *tree)
{
    const struct node_spec *spec = row(row(&tree_root, "samples"), "<sha256>");
    struct subject subject = a_sample(1);
    struct node *node;

    lock_acquire(&tree->lock);
    node = node_take_locked(tree, 1, spec, "x", &subject);
    lock_release(&tree->lock);
    return node;
}

static void a_sample_is_exact_from_when_it_was_opened_so(void **state)
{
    struct tree tree;
    struct node *node;

    (void)state;
    with_tree(&tree);
    node = take_sample(&tree);
    assert_false(node_is_exact(&tree, node->ino));
    node_set_size(&tree, node->ino, 10, false);
    assert_false(node_is_exact(&tree, node->ino));
    node_set_size(&tree, node->ino, 10, true);
    node_set_size(&tree, node->ino, 10, false);
    assert_true(node_is_exact(&tree, node->ino));
    assert_false(node_is_exact(&tree, node->ino + 1));
    without_tree(&tree);
}

static int64_t told(struct tree *tree, struct node *node, int64_t size)
{
    struct tree_attr attr = { .size = size, .attr_ttl_ms = FOREVER_MS };

    lock_acquire(&tree->lock);
    node_tell_locked(node, &attr);
    lock_release(&tree->lock);
    return attr.size;
}

/* The service may say another size in every list that has it. */
static void once_the_bytes_were_here_the_kernel_is_told_their_size(void **state)
{
    struct tree tree;
    struct node *node;

    (void)state;
    with_tree(&tree);
    node = take_sample(&tree);
    assert_int_equal(told(&tree, node, 7), 7);
    assert_false(node_was_told(&tree, node->ino, 10));
    node_set_size(&tree, node->ino, 10, true);
    assert_int_equal(told(&tree, node, 7), 10);
    assert_true(node_was_told(&tree, node->ino, 10));
    without_tree(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_has_one_number_in_every_directory),
        cmocka_unit_test(metadata_of_a_sample_is_another_file_than_the_sample),
        cmocka_unit_test(a_request_has_one_number_whatever_the_case_of_its_id),
        cmocka_unit_test(results_of_another_request_are_another_directory),
        cmocka_unit_test(no_number_is_reserved_or_negative),
        cmocka_unit_test(two_samples_that_collide_are_two_nodes),
        cmocka_unit_test(a_node_lives_until_its_last_lookup_is_forgotten),
        cmocka_unit_test(the_table_is_complete),
        cmocka_unit_test(the_kernel_keeps_the_directories_of_the_root),
        cmocka_unit_test(a_directory_of_results_is_kept_and_its_name_is_not),
        cmocka_unit_test(a_sample_is_exact_from_when_it_was_opened_so),
        cmocka_unit_test(once_the_bytes_were_here_the_kernel_is_told_their_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
