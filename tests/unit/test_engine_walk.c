#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_walk.h"

enum { DEEP = 300 };

struct found {
    size_t n_dirs;
    size_t n_files;
    bool has_named; /* the path that was looked for */
};

static struct found walk(const struct fixture *fixture, const char *start, const char *named)
{
    cleanup_(engine_walk_freep) struct engine_walk *walk = NULL;
    cleanup_(closep) int fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct engine_walk_entry entry;
    struct found found = { 0 };

    assert_true(fd >= 0);
    assert_int_equal(engine_walk_new(fd, start, &walk, NULL), 0);
    while (engine_walk_next(walk, &entry)) {
        found.n_dirs += entry.is_dir;
        found.n_files += !entry.is_dir;
        found.has_named = found.has_named || strcmp(entry.path, named) == 0;
    }
    return found;
}

static void everything_below_is_found_without_following_links(void **unused)
{
    struct fixture fixture;
    struct found found;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(mkdir(fixture_path(&fixture, "a"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(&fixture, "a/b"), 0700), 0);
    fixture_text(&fixture, "top", "x");
    fixture_text(&fixture, "a/one", "x");
    fixture_text(&fixture, "a/b/two", "x");
    assert_int_equal(symlink(".", fixture_path(&fixture, "a/loop")), 0);
    assert_int_equal(symlink("/etc/passwd", fixture_path(&fixture, "a/out")), 0);
    assert_int_equal(mkfifo(fixture_path(&fixture, "a/fifo"), 0600), 0);
    found = walk(&fixture, "", "a/b/two");
    assert_int_equal(found.n_dirs, 3);
    assert_int_equal(found.n_files, 3);
    assert_true(found.has_named);
    fixture_done(&fixture);
}

static void a_walk_may_start_anywhere(void **unused)
{
    struct fixture fixture;
    struct found found;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(mkdir(fixture_path(&fixture, "a"), 0700), 0);
    fixture_text(&fixture, "top", "x");
    fixture_text(&fixture, "a/one", "x");
    found = walk(&fixture, "a", "a/one");
    assert_int_equal(found.n_dirs, 1);
    assert_int_equal(found.n_files, 1);
    assert_true(found.has_named);
    found = walk(&fixture, "top", "top");
    assert_int_equal(found.n_files, 1);
    assert_true(found.has_named);
    found = walk(&fixture, "gone", "gone");
    assert_int_equal(found.n_dirs + found.n_files, 0);
    fixture_done(&fixture);
}

static void depth_has_a_limit(void **unused)
{
    struct fixture fixture;
    struct found found;
    int at = -1;

    (void)unused;
    fixture_init(&fixture);
    at = open(fixture.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < DEEP; i++) {
        int next;

        assert_int_equal(mkdirat(at, "d", 0700), 0);
        next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    found = walk(&fixture, "", "d/d");
    assert_int_equal(found.n_dirs, ENGINE_WALK_DEPTH_MAX + 1);
    assert_true(found.has_named);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_below_is_found_without_following_links),
        cmocka_unit_test(a_walk_may_start_anywhere),
        cmocka_unit_test(depth_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
