#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_internal.h"

/* A child that blocks all signals, so that what it is sent stays pending. */
static pid_t blocked_child(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        sigset_t all;

        (void)sigfillset(&all);
        (void)sigprocmask(SIG_BLOCK, &all, NULL);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static bool is_dying_with(int number)
{
    pid_t pid = blocked_child();
    bool dying;

    assert_int_equal(kill(pid, number), 0);
    dying = fs_is_dying(pid);
    end(pid);
    return dying;
}

static void ctrl_c_ends_a_wait(void **state)
{
    (void)state;
    assert_true(is_dying_with(SIGINT));
    assert_true(is_dying_with(SIGTERM));
    assert_true(is_dying_with(SIGHUP));
    assert_true(is_dying_with(SIGQUIT));
}

static void signals_of_runtimes_do_not_end_a_wait(void **state)
{
    (void)state;
    assert_false(is_dying_with(SIGURG)); /* Go preempts with it */
    assert_false(is_dying_with(SIGALRM));
    assert_false(is_dying_with(SIGWINCH));
    assert_false(is_dying_with(SIGUSR1));
}

static void a_process_without_signals_lives(void **state)
{
    (void)state;
    assert_false(fs_is_dying(getpid()));
}

static void a_process_that_is_gone_is_dying(void **state)
{
    pid_t pid = blocked_child();

    (void)state;
    end(pid);
    assert_true(fs_is_dying(pid));
}

static void a_caller_in_another_namespace_waits_to_the_end(void **state)
{
    (void)state;
    assert_false(fs_is_dying(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ctrl_c_ends_a_wait),
        cmocka_unit_test(signals_of_runtimes_do_not_end_a_wait),
        cmocka_unit_test(a_process_without_signals_lives),
        cmocka_unit_test(a_process_that_is_gone_is_dying),
        cmocka_unit_test(a_caller_in_another_namespace_waits_to_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
