#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static int copy_program(const char *from, const char *to)
{
    char piece[64 * 1024];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    ssize_t n = -1;

    while (in >= 0 && out >= 0 && (n = read(in, piece, sizeof piece)) > 0)
        if (write(out, piece, (size_t)n) != n)
            break;
    close(in);
    close(out);
    return n == 0 ? 0 : -1;
}

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

/* What is read of it goes to JSON. */
static void a_program_is_named_in_utf8_whatever_its_file_is_called(void **state)
{
    struct tree tree = { 0 };
    struct caller who;
    char dir[] = "/tmp/mqfs-process-XXXXXX";
    char path[sizeof dir + 8];
    int ready[2];
    int hold[2];
    char byte;
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/c\xff\xc3t", dir);
    assert_int_equal(copy_program("/bin/cat", path), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(hold[0], STDIN_FILENO);
        (void)execl(path, path, (char *)NULL);
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* it has become that program */
    who = process_caller(&tree, &(struct caller){ .pid = pid });
    close(hold[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_string_equal(who.program, "c??t");
    close(ready[0]);
    close(hold[0]);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_a_signal_ends_is_killed),
        cmocka_unit_test(the_thread_group_of_a_process_is_its_pid),
        cmocka_unit_test(a_program_is_named_in_utf8_whatever_its_file_is_called),
        cmocka_unit_test(a_process_that_is_gone_is_its_own_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
