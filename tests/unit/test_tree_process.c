#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static void a_process_that_a_signal_ends_is_killed(void **state)
{
    (void)state;
    assert_false(process_is_killed(getpid()));
    assert_false(process_is_killed(0));
}

static void the_thread_group_of_a_process_is_its_pid(void **state)
{
    (void)state;
    assert_int_equal(process_group(getpid()), getpid());
}

static void a_process_that_is_gone_is_its_own_group(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(process_group(pid), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_a_signal_ends_is_killed),
        cmocka_unit_test(the_thread_group_of_a_process_is_its_pid),
        cmocka_unit_test(a_process_that_is_gone_is_its_own_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
