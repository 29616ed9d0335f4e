#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_own.h"

static int check(const struct fixture *fixture, const char *dir, const char *index)
{
    return engine_own_check_index(fixture_path(fixture, dir), fixture_path(fixture, index), NULL);
}

static void an_index_in_the_served_directory_is_refused(void **unused)
{
    struct fixture fixture;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(mkdir(fixture_path(&fixture, "zoo"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(&fixture, "zoo/sub"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(&fixture, "zoo2"), 0700), 0);
    assert_int_equal(symlink("zoo/sub", fixture_path(&fixture, "link")), 0);
    assert_int_equal(check(&fixture, "zoo", "zoo/index.db"), -EINVAL);
    assert_int_equal(check(&fixture, "zoo", "zoo/sub/index.db"), 0); /* never entered */
    assert_int_equal(check(&fixture, "zoo", "link/index.db"), 0);
    assert_int_equal(check(&fixture, "zoo", "zoo2/index.db"), 0);
    assert_int_equal(check(&fixture, "zoo/sub", "zoo/index.db"), 0);
    assert_int_equal(check(&fixture, "zoo", "index.db"), 0);
    assert_int_equal(check(&fixture, "zoo", "none/index.db"), -ENOENT);
    fixture_done(&fixture);
}

static void a_file_is_found_by_any_of_its_names(void **unused)
{
    const char *paths[ENGINE_OWN_MAX] = { NULL };
    struct fixture fixture;
    struct engine_own own;
    struct stat st;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "key", "x");
    fixture_text(&fixture, "other", "x");
    assert_int_equal(link(fixture_path(&fixture, "key"), fixture_path(&fixture, "hard")), 0);
    paths[1] = fixture_path(&fixture, "key");
    paths[2] = fixture_path(&fixture, "none");
    own = engine_own_find(paths);
    assert_int_equal(stat(fixture_path(&fixture, "hard"), &st), 0);
    assert_true(engine_own_has(&own, engine_own_id_of(&st)));
    assert_int_equal(stat(fixture_path(&fixture, "other"), &st), 0);
    assert_false(engine_own_has(&own, engine_own_id_of(&st)));
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_in_the_served_directory_is_refused),
        cmocka_unit_test(a_file_is_found_by_any_of_its_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
