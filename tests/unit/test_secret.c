#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/secret.h"

#define VALUE "s3cr3t-Value-0123456789"

static void a_secret_is_a_copy(void **state)
{
    char text[] = "hidden rest";
    cleanup_(secret_freep) struct secret *secret = NULL;

    (void)state;
    assert_int_equal(secret_new(text, 6, &secret, NULL), 0);
    memset(text, 'x', sizeof text);
    assert_string_equal(secret_text(secret), "hidden");
    assert_int_equal(secret_length(secret), 6);
}

static void a_secret_has_a_limit(void **state)
{
    struct secret *secret = NULL;
    char *text = calloc(1, SECRET_MAX + 1);
    struct err err = { 0 };

    (void)state;
    assert_non_null(text);
    assert_int_equal(secret_new(text, SECRET_MAX + 1, &secret, &err), -E2BIG);
    assert_null(secret);
    assert_int_equal(secret_new(text, SECRET_MAX, &secret, &err), 0);
    secret_free(secret);
    free(text);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    secret_free(NULL);
}

static void an_unset_or_empty_variable_is_no_secret(void **state)
{
    struct secret *secret = NULL;

    (void)state;
    assert_int_equal(unsetenv("MQFS_TEST_SECRET"), 0);
    assert_int_equal(secret_from_env("MQFS_TEST_SECRET", &secret, NULL), 0);
    assert_null(secret);
    assert_int_equal(setenv("MQFS_TEST_SECRET", "", 1), 0);
    assert_int_equal(secret_from_env("MQFS_TEST_SECRET", &secret, NULL), 0);
    assert_null(secret);
}

static void a_variable_is_taken_once(void **state)
{
    cleanup_(secret_freep) struct secret *secret = NULL;

    (void)state;
    assert_int_equal(setenv("MQFS_TEST_SECRET", VALUE, 1), 0);
    assert_int_equal(secret_from_env("MQFS_TEST_SECRET", &secret, NULL), 0);
    assert_string_equal(secret_text(secret), VALUE);
    assert_null(getenv("MQFS_TEST_SECRET"));
}

/* In a process that was started with the variable: 0 when its value was seen before and is gone afterwards. */
static int look_at_environ(void)
{
    struct secret *secret = NULL;
    char before[65536];
    char after[65536];
    ssize_t n_before;
    ssize_t n_after;
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);

    n_before = read(fd, before, sizeof before);
    if (secret_from_env("MQFS_TEST_SECRET", &secret, NULL) < 0 || !secret)
        return 2;
    n_after = pread(fd, after, sizeof after, 0);
    if (n_before <= 0 || n_after <= 0 || strcmp(secret_text(secret), VALUE) != 0)
        return 3;
    if (!memmem(before, (size_t)n_before, VALUE, strlen(VALUE)))
        return 4;
    if (memmem(after, (size_t)n_after, VALUE, strlen(VALUE)))
        return 5;
    secret_free(secret);
    return close(fd);
}

static void the_value_is_gone_from_proc_environ(void **state)
{
    char name[] = "test_secret";
    char word[] = "look";
    char variable[] = "MQFS_TEST_SECRET=" VALUE;
    char *const argv[] = { name, word, NULL };
    char *const env[] = { variable, NULL };
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        (void)execve("/proc/self/exe", argv, env);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void random_secrets_are_hex_and_differ(void **state)
{
    cleanup_(secret_freep) struct secret *a = NULL;
    cleanup_(secret_freep) struct secret *b = NULL;

    (void)state;
    assert_int_equal(secret_random(20, &a, NULL), 0);
    assert_int_equal(secret_random(20, &b, NULL), 0);
    assert_int_equal(secret_length(a), 40);
    assert_int_equal(strspn(secret_text(a), "0123456789abcdef"), 40);
    assert_string_not_equal(secret_text(a), secret_text(b));
}

static void wiping_leaves_zeros(void **state)
{
    char text[] = "abc";

    (void)state;
    secret_wipe(text, sizeof text);
    assert_memory_equal(text, "\0\0\0\0", 4);
    secret_wipe(NULL, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_a_copy),
        cmocka_unit_test(a_secret_has_a_limit),
        cmocka_unit_test(freeing_nothing_is_fine),
        cmocka_unit_test(an_unset_or_empty_variable_is_no_secret),
        cmocka_unit_test(a_variable_is_taken_once),
        cmocka_unit_test(the_value_is_gone_from_proc_environ),
        cmocka_unit_test(random_secrets_are_hex_and_differ),
        cmocka_unit_test(wiping_leaves_zeros),
    };

    if (argc == 2 && strcmp(argv[1], "look") == 0)
        return look_at_environ();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
