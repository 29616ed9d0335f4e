#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/magic.h>

#include "helper/helper.h"
#include "util/check.h"
#include "util/clock.h"

enum { AT_ONCE_MS = 5000 };

static struct helper *start_with(const char *config_file)
{
    struct helper *helper = NULL;
    struct err err = { 0 };
    int r = helper_new(config_file, &helper, &err);

    if (r == HELPER_IS_CHILD)
        helper_serve(helper);
    assert_int_equal(r, 0);
    return helper;
}

static struct helper *start(void)
{
    return start_with("");
}

/* The only child of this process. */
static pid_t pid_of_helper(void)
{
    char path[64];
    int pid = 0;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    return pid;
}

static void see_another_descriptor(struct helper *helper)
{
    char path[] = "/tmp/mq-process-XXXXXX";
    int fd = mkstemp(path);
    const char *name = strrchr(path, '/') + 1;
    struct stat st;
    int copy;

    assert_true(fd >= 0);
    copy = dup(fd);
    close(fd);
    assert_int_equal(fstat(copy, &st), 0);
    assert_true(helper_has_open(helper, getpid(), name, st.st_ino));
    assert_false(helper_has_open(helper, getpid(), name, st.st_ino + 1)); /* a file of the same name */
    close(copy);
    assert_false(helper_has_open(helper, getpid(), name, st.st_ino));
    assert_int_equal(unlink(path), 0);
}

static void another_descriptor_of_the_file_is_seen(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();

    (void)state;
    see_another_descriptor(helper);
    see_another_descriptor(NULL);
}

static void an_executable_is_named(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();
    char wanted[PATH_MAX] = "";
    char got[PATH_MAX];
    char little[4];

    (void)state;
    assert_true(readlink("/proc/self/exe", wanted, sizeof wanted - 1) > 0);
    assert_true(helper_executable(helper, getpid(), got, sizeof got));
    assert_string_equal(got, wanted);
    assert_true(helper_executable(NULL, getpid(), got, sizeof got));
    assert_string_equal(got, wanted);
    assert_false(helper_executable(helper, getpid(), little, sizeof little));
    assert_false(helper_executable(NULL, getpid(), little, sizeof little));
    assert_false(helper_executable(helper, 0, got, sizeof got));
}

static void a_helper_that_is_gone_knows_nothing(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();
    struct err err = { 0 };
    char got[PATH_MAX];

    (void)state;
    assert_int_equal(kill(pid_of_helper(), SIGKILL), 0);
    assert_true(
        helper_has_open(helper, getpid(), "nothing of that name", 1)); /* not sure: no close is taken for the last */
    assert_false(helper_executable(helper, getpid(), got, sizeof got));
    assert_false(helper_executable(helper, getpid(), got, sizeof got));
    assert_int_equal(helper_keep(helper, "/nowhere", &err), -EPIPE);
}

/* It was stopped, and goes on in a moment. */
static void until_it_answers(struct helper *helper)
{
    int64_t until_ms = clock_mono_ms() + AT_ONCE_MS;
    char got[PATH_MAX];

    while (!helper_executable(helper, getpid(), got, sizeof got))
        assert_true(clock_mono_ms() < until_ms);
}

static void a_late_answer_is_not_that_of_the_next_question(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();
    pid_t pid = pid_of_helper();
    char got[PATH_MAX];

    (void)state;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_false(helper_executable(helper, getpid(), got, sizeof got));
    assert_int_equal(kill(pid, SIGCONT), 0);
    until_it_answers(helper);
    assert_false(helper_has_open(helper, getpid(), "nothing of that name", 1));
    assert_true(helper_executable(helper, getpid(), got, sizeof got));
}

static void a_helper_that_hangs_is_waited_for_once(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();
    pid_t pid = pid_of_helper();
    char got[PATH_MAX];
    int64_t asked_ms;

    (void)state;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_false(helper_executable(helper, getpid(), got, sizeof got));
    asked_ms = clock_mono_ms();
    for (int i = 0; i < 10; i++)
        assert_false(helper_executable(helper, getpid(), got, sizeof got));
    assert_true(clock_mono_ms() - asked_ms < HELPER_WAIT_S * 1000);
    assert_int_equal(kill(pid, SIGCONT), 0);
    until_it_answers(helper);
}

static void signals_for_the_daemon_do_not_end_it(void **state)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
    cleanup_(helper_freep) struct helper *helper = start();
    char got[PATH_MAX];

    (void)state;
    assert_true(helper_executable(helper, getpid(), got, sizeof got)); /* it is on its way by now */
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        assert_int_equal(kill(pid_of_helper(), numbers[i]), 0);
    assert_true(helper_executable(helper, getpid(), got, sizeof got));
}

static void read_config(struct helper *helper, char *ret_text, size_t room)
{
    struct err err = { 0 };
    cleanup_(closep) int fd = -1;
    ssize_t n;

    assert_int_equal(helper_open_config(helper, &fd, &err), 0);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    n = read(fd, ret_text, room - 1);
    assert_true(n >= 0);
    ret_text[n] = '\0';
}

/* A file that an editor has put in the place of the old one is another inode under the same name. */
static void the_configuration_file_is_opened_as_it_is_now(void **state)
{
    char path[] = "/tmp/mq-config-XXXXXX";
    char text[16];
    struct err err = { 0 };
    int fd = mkstemp(path);
    int none = -1;
    cleanup_(helper_freep) struct helper *helper = start_with(path);

    (void)state;
    assert_int_equal(write(fd, "first", 5), 5);
    read_config(helper, text, sizeof text);
    assert_string_equal(text, "first");
    assert_int_equal(unlink(path), 0);
    close(fd);
    assert_int_equal(helper_open_config(helper, &none, &err), 0);
    assert_int_equal(none, -1);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "second", 6), 6);
    read_config(helper, text, sizeof text);
    assert_string_equal(text, "second");
    assert_int_equal(unlink(path), 0);
    close(fd);
}

/* It is there, and must not pass for one that is not: that would be a configuration of defaults. */
static void a_configuration_without_a_descriptor_is_an_error(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start_with("/proc/self/exe");
    struct err err = { 0 };
    struct rlimit limit;
    int fd = -1;
    int next = open("/", O_PATH | O_CLOEXEC);
    int r;

    (void)state;
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)next, limit.rlim_max }), 0);
    r = helper_open_config(helper, &fd, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(fd, -1);
    assert_int_equal(helper_open_config(helper, &fd, &err), 0);
    close(fd);
}

static void a_configuration_that_comes_too_late_is_closed(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start_with("/proc/self/exe");
    pid_t pid = pid_of_helper();
    struct err err = { 0 };
    int fd = -1;
    int next = open("/", O_PATH | O_CLOEXEC);
    int free_fd;

    (void)state;
    close(next);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(helper_open_config(helper, &fd, &err), -EPIPE);
    assert_int_equal(kill(pid, SIGCONT), 0);
    until_it_answers(helper);
    free_fd = open("/", O_PATH | O_CLOEXEC);
    assert_int_equal(free_fd, next); /* no descriptor is left open */
    close(free_fd);
}

/* ---- files that the kernel reads ---- */

static void skip_without_memory(struct helper *helper)
{
    cleanup_(closep) int fd = -1;
    struct err err = { 0 };

    if (helper_open_memory(helper, &fd, &err) < 0) {
        print_message("%s\n", err.text);
        skip();
    }
}

static void each_file_in_memory_is_new_and_has_no_name(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();
    cleanup_(closep) int first = -1;
    cleanup_(closep) int second = -1;
    struct err err = { 0 };
    struct stat one;
    struct stat two;
    struct statfs place;

    (void)state;
    skip_without_memory(helper);
    assert_int_equal(helper_open_memory(helper, &first, &err), 0);
    assert_int_equal(pwrite(first, "plain", 5, 0), 5);
    assert_int_equal(helper_open_memory(helper, &second, &err), 0);
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(fstat(first, &one), 0);
    assert_int_equal(fstat(second, &two), 0);
    assert_int_equal(fstatfs(second, &place), 0);
    assert_int_equal(place.f_type, TMPFS_MAGIC);
    assert_int_equal(one.st_size, 5);
    assert_int_equal(two.st_size, 0);
    assert_int_not_equal(one.st_ino, two.st_ino);
    assert_int_equal(one.st_nlink, 0);
    assert_int_equal(two.st_nlink, 0);
}

/* A daemon that was taken over could have the kernel read whatever the helper may, were it not so. */
static void the_kernel_is_shown_no_file_but_the_last_that_was_made(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();
    cleanup_(closep) int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    cleanup_(closep) int fd = -1;
    struct err err = { 0 };
    int id = 0;

    (void)state;
    if (fuse < 0) {
        print_message("/dev/fuse cannot be opened\n");
        skip();
    }
    skip_without_memory(helper);
    assert_int_equal(helper_open_memory(helper, &fd, &err), 0);
    assert_int_equal(helper_show_memory(helper, fuse, &id, &err), -EPERM); /* nothing is mounted with it */
    assert_int_equal(helper_show_memory(helper, fuse, &id, &err), -EBADF); /* it was the last one once */
    assert_int_equal(id, 0);
    assert_int_equal(helper_hide_memory(helper, fuse, 1, &err), -EPERM);
}

static void what_is_not_dev_fuse_is_not_asked(void **state)
{
    static const char *const others[] = { "/dev/null", "/dev/zero", "/proc/self/status" };
    cleanup_(helper_freep) struct helper *helper = start();
    struct err err = { 0 };
    int id = 0;

    (void)state;
    skip_without_memory(helper);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        cleanup_(closep) int other = open(others[i], O_RDONLY | O_CLOEXEC);
        cleanup_(closep) int fd = -1;

        assert_int_equal(helper_open_memory(helper, &fd, &err), 0);
        assert_int_equal(helper_show_memory(helper, other, &id, &err), -EBADF);
        assert_int_equal(helper_hide_memory(helper, other, 1, &err), -EBADF);
    }
    assert_int_equal(helper_show_memory(helper, -1, &id, &err), -EBADF); /* none beside the question */
    assert_int_equal(helper_hide_memory(helper, -1, 1, &err), -EBADF);
}

static void whoever_is_not_root_has_no_such_memory(void **state)
{
    enum { NOBODY = 65534 };
    pid_t pid;
    int status = 0;

    (void)state;
    if (geteuid() != 0) {
        print_message("only root can become somebody else\n");
        skip();
    }
    pid = fork();
    if (pid == 0) {
        struct helper *helper = NULL;
        struct err err = { 0 };
        int fd = -1;
        int r = setresuid(NOBODY, NOBODY, NOBODY);

        if (r == 0)
            r = helper_new("", &helper, &err);
        if (r == HELPER_IS_CHILD)
            helper_serve(helper);
        r = r == 0 ? helper_open_memory(helper, &fd, &err) : 0;
        helper_free(helper);
        _exit(r == -EPERM && fd < 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void the_end_of_the_connection_is_its_end(void **state)
{
    cleanup_(helper_freep) struct helper *helper = start();

    (void)state;
    helper_end(helper);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
}

/* Who reads a pipe of ours to its end does not wait for the helper. */
static void it_keeps_no_descriptor_of_ours(void **state)
{
    int fds[2];
    cleanup_(helper_freep) struct helper *helper = NULL;
    struct pollfd end = { .events = POLLIN };

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    helper = start();
    close(fds[1]);
    end.fd = fds[0];
    assert_int_equal(poll(&end, 1, AT_ONCE_MS), 1);
    assert_true(end.revents & POLLHUP);
    close(fds[0]);
}

static void other_mounts_are_neither_ours_nor_dead(void **state)
{
    (void)state;
    assert_false(helper_mount_is_ours("/"));
    assert_false(helper_mount_is_ours("/proc"));
    assert_false(helper_mount_is_dead("/"));
    assert_false(helper_mount_is_dead("/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_descriptor_of_the_file_is_seen),
        cmocka_unit_test(an_executable_is_named),
        cmocka_unit_test(a_helper_that_is_gone_knows_nothing),
        cmocka_unit_test(a_late_answer_is_not_that_of_the_next_question),
        cmocka_unit_test(a_helper_that_hangs_is_waited_for_once),
        cmocka_unit_test(signals_for_the_daemon_do_not_end_it),
        cmocka_unit_test(the_configuration_file_is_opened_as_it_is_now),
        cmocka_unit_test(a_configuration_without_a_descriptor_is_an_error),
        cmocka_unit_test(a_configuration_that_comes_too_late_is_closed),
        cmocka_unit_test(each_file_in_memory_is_new_and_has_no_name),
        cmocka_unit_test(the_kernel_is_shown_no_file_but_the_last_that_was_made),
        cmocka_unit_test(what_is_not_dev_fuse_is_not_asked),
        cmocka_unit_test(whoever_is_not_root_has_no_such_memory),
        cmocka_unit_test(the_end_of_the_connection_is_its_end),
        cmocka_unit_test(it_keeps_no_descriptor_of_ours),
        cmocka_unit_test(other_mounts_are_neither_ours_nor_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
