#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/fault.h"

#ifdef MQFS_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

/* What a program does that was started with this page. It has to be mapped before main(), so it is a program again. */
static int run_with(const struct fault_slot *slots, const char *act)
{
    char path[] = "/tmp/mqfs-fault-XXXXXX";
    int fd = mkstemp(path);
    int status = -1;
    pid_t pid;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, slots, FAULT_COUNT * sizeof *slots), FAULT_COUNT * sizeof *slots);
    pid = fork();
    if (pid == 0) {
        (void)setenv("MQFS_FAULTS", path, 1);
        (void)execl("/proc/self/exe", "test_fault", act, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fd);
    assert_int_equal(unlink(path), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int act_allocate(void)
{
    int failed = 0;

    for (int i = 0; i < 8; i++) {
        cleanup_(freep) char *bytes = NULL;

        errno = 0;
        bytes = malloc(10);
        failed |= bytes ? 0 : 1 << i;
        if (!bytes && errno != ENOMEM)
            return 127;
    }
    return failed;
}

static int act_pass(void)
{
    for (int i = 0; i < 3; i++)
        CRASH_POINT(SUBMIT_SENT);
    CRASH_POINT(SUBMIT_BEGUN);
    return 1;
}

static void the_chosen_allocations_fail(void **state)
{
    struct fault_slot slots[FAULT_COUNT] = { 0 };

    (void)state;
    assert_int_equal(run_with(slots, "allocate"), 0);
    slots[FAULT_MEMORY] = (struct fault_slot){ .skip = 2, .times = 3, .code = ENOMEM };
    assert_int_equal(run_with(slots, "allocate"), 1 << 2 | 1 << 3 | 1 << 4);
}

static void a_process_ends_at_the_chosen_passage(void **state)
{
    struct fault_slot slots[FAULT_COUNT] = { 0 };

    (void)state;
    assert_int_equal(run_with(slots, "pass"), 1);
    slots[FAULT_SUBMIT_SENT] = (struct fault_slot){ .skip = 2, .times = 1 };
    assert_int_equal(run_with(slots, "pass"), FAULT_STATUS);
    slots[FAULT_SUBMIT_SENT].skip = 3;
    assert_int_equal(run_with(slots, "pass"), 1);
}

static int n_seen;

static void see(enum fault call, int fd)
{
    (void)fd;
    n_seen += call == FAULT_SYNC;
}

static void a_watcher_sees_every_call(void **state)
{
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

    (void)state;
    fault_watch(see);
    assert_int_equal(fsync(fd), 0);
    fault_watch(NULL);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    assert_int_equal(n_seen, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chosen_allocations_fail),
        cmocka_unit_test(a_process_ends_at_the_chosen_passage),
        cmocka_unit_test(a_watcher_sees_every_call),
    };

    if (argc == 2)
        return argv[1][0] == 'a' ? act_allocate() : act_pass();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* A point that is not compiled is a name all the same. */
static void nothing_happens_at_a_point(void **state)
{
    (void)state;
    CRASH_POINT(SUBMIT_SENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_happens_at_a_point) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
