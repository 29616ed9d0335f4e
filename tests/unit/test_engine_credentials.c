#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_credentials.h"

static void both_variables_are_taken_and_wiped(void **unused)
{
    struct engine_credentials c = { 0 };

    (void)unused;
    assert_int_equal(setenv("FALCON_CLIENT_ID", "id", 1), 0);
    assert_int_equal(setenv("FALCON_CLIENT_SECRET", "secret", 1), 0);
    assert_int_equal(engine_credentials_get(&c, NULL), 0);
    assert_false(c.is_made_up);
    assert_string_equal(secret_text(c.client_id), "id");
    assert_string_equal(secret_text(c.client_secret), "secret");
    assert_null(getenv("FALCON_CLIENT_SECRET"));
    engine_credentials_done(&c);
}

static void one_variable_without_the_other_is_refused(void **unused)
{
    struct engine_credentials c = { 0 };
    struct err err = { 0 };

    (void)unused;
    assert_int_equal(setenv("FALCON_CLIENT_ID", "id", 1), 0);
    assert_int_equal(unsetenv("FALCON_CLIENT_SECRET"), 0);
    assert_int_equal(engine_credentials_get(&c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "FALCON_CLIENT_SECRET is not"));
}

static void without_variables_they_are_made_up_and_differ(void **unused)
{
    struct engine_credentials a = { 0 };
    struct engine_credentials b = { 0 };

    (void)unused;
    assert_int_equal(engine_credentials_get(&a, NULL), 0);
    assert_int_equal(engine_credentials_get(&b, NULL), 0);
    assert_true(a.is_made_up);
    assert_int_equal(secret_length(a.client_id), 32);
    assert_int_equal(secret_length(a.client_secret), 40);
    assert_string_not_equal(secret_text(a.client_id), secret_text(b.client_id));
    assert_string_not_equal(secret_text(a.client_secret), secret_text(b.client_secret));
    engine_credentials_done(&a);
    engine_credentials_done(&b);
}

static void the_file_has_two_lines_and_is_private(void **unused)
{
    struct engine_credentials c = { 0 };
    struct fixture fixture;
    struct stat st;
    char text[256] = "";
    char wanted[256];
    FILE *file;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "c", "something older that is longer than what comes");
    assert_int_equal(engine_credentials_get(&c, NULL), 0);
    assert_int_equal(engine_credentials_write(&c, fixture_path(&fixture, "c"), NULL), 0);
    assert_int_equal(stat(fixture_path(&fixture, "c"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    file = fopen(fixture_path(&fixture, "c"), "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(wanted, sizeof wanted, "FALCON_CLIENT_ID=%s\nFALCON_CLIENT_SECRET=%s\n", secret_text(c.client_id),
                   secret_text(c.client_secret));
    assert_string_equal(text, wanted);
    assert_true(engine_credentials_write(&c, "/nonexistent/dir/c", NULL) < 0);
    engine_credentials_done(&c);
    fixture_done(&fixture);
}

static void directories_are_made_private(void **unused)
{
    struct fixture fixture;
    struct stat st;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(engine_credentials_make_dirs(fixture_path(&fixture, "a/b/file"), NULL), 0);
    assert_int_equal(engine_credentials_make_dirs(fixture_path(&fixture, "a/b/file"), NULL), 0);
    assert_int_equal(stat(fixture_path(&fixture, "a/b"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(fixture_path(&fixture, "a/b/file"), &st), -1);
    fixture_text(&fixture, "f", "x");
    assert_int_equal(engine_credentials_make_dirs(fixture_path(&fixture, "f/x/file"), NULL), -ENOTDIR);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_variables_are_taken_and_wiped),
        cmocka_unit_test(one_variable_without_the_other_is_refused),
        cmocka_unit_test(without_variables_they_are_made_up_and_differ),
        cmocka_unit_test(the_file_has_two_lines_and_is_private),
        cmocka_unit_test(directories_are_made_private),
    };

    (void)unsetenv("FALCON_CLIENT_ID");
    (void)unsetenv("FALCON_CLIENT_SECRET");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
