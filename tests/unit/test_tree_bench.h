/* test_tree_bench -- a tree on a cache that never reaches its server; for the tests of tree. */
#pragma once

#include "test_cache_bench.h"
#include "tree/tree_internal.h"

struct tree_bench {
    struct bench below;
    struct tree *tree;
};

static inline void tree_up(struct tree_bench *bench)
{
    static const struct script_step no_calls[] = { TOKEN_FOREVER };
    struct err err = { 0 };

    bench_up(&bench->below, no_calls, ARRAY_SIZE(no_calls));
    assert_int_equal(
        tree_new(&(struct tree_config){ .cache = bench->below.cache, .store = bench->below.store }, &bench->tree, &err),
        0);
}

static inline void tree_down(struct tree_bench *bench)
{
    tree_free(bench->tree);
    bench_down(&bench->below);
}

/* The inode of a name, looked up below `parent`. */
static inline uint64_t tree_find(struct tree_bench *bench, uint64_t parent, const char *name)
{
    struct tree_attr attr;
    struct err err = { 0 };

    assert_int_equal(tree_lookup(bench->tree, parent, name, &attr, &err), 0);
    return attr.ino;
}
