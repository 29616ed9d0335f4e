/*
 * Each claim confines a process of its own, for there is no way back, and looks from inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "confine/confine.h"
#include "util/cleanup.h"
#include "util/err.h"

enum { BROKEN = 99, LACKING = 77 };

struct bench {
    char dir[64];
    char state[96];
    char cache[96];
    char elsewhere[96]; /* a directory with `file` in it */
    char file[128];
    struct confine_config config;
    struct confine_report report;
};

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    (void)strcpy(bench->dir, "/tmp/mq-confine-XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    (void)snprintf(bench->state, sizeof bench->state, "%s/state", bench->dir);
    (void)snprintf(bench->cache, sizeof bench->cache, "%s/cache", bench->dir);
    (void)snprintf(bench->elsewhere, sizeof bench->elsewhere, "%s/elsewhere", bench->dir);
    (void)snprintf(bench->file, sizeof bench->file, "%s/file", bench->elsewhere);
    assert_int_equal(mkdir(bench->state, 0700), 0);
    assert_int_equal(mkdir(bench->cache, 0700), 0);
    assert_int_equal(mkdir(bench->elsewhere, 0700), 0);
    touch(bench->file);
    bench->config = (struct confine_config){ .state_dir = bench->state, .cache_dir = bench->cache };
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    char below[128];

    (void)unlink(bench->file);
    (void)snprintf(below, sizeof below, "%s/file", bench->cache);
    (void)unlink(below);
    (void)snprintf(below, sizeof below, "%s/below/file", bench->cache);
    (void)unlink(below);
    (void)snprintf(below, sizeof below, "%s/below", bench->cache);
    (void)rmdir(below);
    (void)rmdir(bench->elsewhere);
    (void)rmdir(bench->state);
    (void)rmdir(bench->cache);
    assert_int_equal(rmdir(bench->dir), 0);
    free(bench);
    return 0;
}

/* Runs `look` confined; what it returns, 0 to 255, comes back. */
static int inside(struct bench *bench, int (*look)(const struct bench *bench))
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = { 0 };

        if (confine(&bench->config, &bench->report, &err) < 0) {
            (void)fprintf(stderr, "confine: %s\n", err.text);
            _exit(BROKEN);
        }
        _exit(look(bench));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == LACKING)
        skip(); /* the kernel has not got it, and the report said so */
    return WEXITSTATUS(status);
}

static bool has(const struct bench *bench, const char *word)
{
    return strstr(bench->report.text, word);
}

static int errno_of_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* ---- files ---- */

static int read_elsewhere(const struct bench *bench)
{
    return has(bench, "landlock=unavailable") ? LACKING : errno_of_open(bench->file, O_RDONLY);
}

static void a_file_elsewhere_cannot_be_read(void **state)
{
    assert_int_equal(inside(*state, read_elsewhere), EACCES);
}

static int list_elsewhere(const struct bench *bench)
{
    return has(bench, "landlock=unavailable") ? LACKING : errno_of_open(bench->elsewhere, O_RDONLY | O_DIRECTORY);
}

static void a_directory_elsewhere_cannot_be_listed(void **state)
{
    assert_int_equal(inside(*state, list_elsewhere), EACCES);
}

static int write_system(const struct bench *bench)
{
    if (has(bench, "landlock=unavailable"))
        return LACKING;
    return errno_of_open("/usr/bin/mq-confine", O_WRONLY | O_CREAT);
}

static void the_system_cannot_be_written(void **state)
{
    assert_int_equal(inside(*state, write_system), EACCES);
}

static int write_own(const struct bench *bench)
{
    char file[128];
    char below[128];
    char moved[160];
    int fd;

    (void)snprintf(file, sizeof file, "%s/file", bench->cache);
    (void)snprintf(below, sizeof below, "%s/below", bench->cache);
    (void)snprintf(moved, sizeof moved, "%s/file", below);
    fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) < 0 || fsync(fd) < 0)
        return errno;
    if (mkdir(below, 0700) < 0 || rename(file, moved) < 0)
        return errno;
    return errno_of_open(below, O_RDONLY | O_DIRECTORY);
}

static void the_cache_is_written_and_files_move_in_it(void **state)
{
    assert_int_equal(inside(*state, write_own), 0);
}

static int use_system(const struct bench *bench)
{
    static const struct {
        const char *path;
        int flags;
    } needed[] = {
        { "/dev/null", O_RDWR },          { "/dev/urandom", O_RDONLY },       { "/proc/1/status", O_RDONLY },
        { "/etc/resolv.conf", O_RDONLY }, { "/etc/nsswitch.conf", O_RDONLY }, { "/etc/ssl/certs", O_RDONLY },
    };

    (void)bench;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (errno_of_open(needed[i].path, needed[i].flags) == EACCES)
            return (int)i + 1;
    return 0;
}

static void what_name_resolution_and_tls_need_can_be_read(void **state)
{
    assert_int_equal(inside(*state, use_system), 0);
}

static int read_ca_file(const struct bench *bench)
{
    return errno_of_open(bench->file, O_RDONLY);
}

static void the_file_of_certificates_can_be_read(void **state)
{
    struct bench *bench = *state;

    bench->config.ca_file = bench->file;
    assert_int_equal(inside(bench, read_ca_file), 0);
}

/* ---- calls ---- */

/* Each fails otherwise than with EPERM, or not at all, when there is no filter. */
static const struct {
    const char *name;
    long number;
    long arguments[4];
} forbidden[] = {
    { "execve", SYS_execve, { 0 } },
    { "execveat", SYS_execveat, { 0 } },
    { "unshare", SYS_unshare, { 0 } },
    { "setns", SYS_setns, { -1 } },
    { "process_vm_writev", SYS_process_vm_writev, { 1 } },
    { "keyctl", SYS_keyctl, { -1 } },
    { "io_uring_setup", SYS_io_uring_setup, { 0 } },
    { "inotify_init1", SYS_inotify_init1, { 0 } },
    { "pidfd_open", SYS_pidfd_open, { 1 } },
    { "listen", SYS_listen, { -1 } },
    { "accept4", SYS_accept4, { -1 } },
    { "socket(AF_VSOCK)", SYS_socket, { AF_VSOCK, SOCK_STREAM } },
    { "socket(AF_NETLINK, 15)", SYS_socket, { AF_NETLINK, SOCK_RAW, 15 } },
    { "clone(0)", SYS_clone, { CLONE_PARENT } },
    { "tgkill(1)", SYS_tgkill, { 1, 1, 0 } },
    { "ioctl(TIOCSTI)", SYS_ioctl, { -1, 0x5412 } },
    { "mprotect(PROT_EXEC)", SYS_mprotect, { 0, 0, PROT_READ | PROT_EXEC } },
    { "mmap(PROT_WRITE|PROT_EXEC)", SYS_mmap, { 0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
    { "mount", SYS_mount, { 0 } },
    { "umount2", SYS_umount2, { 0 } },
#ifndef MQFS_SANITIZED
    { "ptrace", SYS_ptrace, { PTRACE_ATTACH, -1 } },
    { "kill", SYS_kill, { 0x7fffffff, 0 } },
    { "prctl(PR_SET_DUMPABLE)", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
#endif
};

static int call_forbidden(const struct bench *bench)
{
    if (has(bench, "seccomp=unavailable"))
        return LACKING;
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
        const long *arguments = forbidden[i].arguments;

#ifdef MQFS_SANITIZED
        if (forbidden[i].number == SYS_clone)
            continue; /* LeakSanitizer makes a process */
#endif
        if (syscall(forbidden[i].number, arguments[0], arguments[1], arguments[2], arguments[3], -1, 0) != -1 ||
            errno != EPERM) {
            (void)fprintf(stderr, "%s: %s\n", forbidden[i].name, strerrordesc_np(errno));
            return (int)i + 1;
        }
    }
    return 0;
}

static void what_serving_does_not_need_is_refused(void **state)
{
    assert_int_equal(inside(*state, call_forbidden), 0);
}

static void *nothing(void *closure)
{
    return closure;
}

static int make_thread(const struct bench *bench)
{
    int given = 0;
    pthread_t thread;
    void *result = NULL;

    (void)bench;
    if (pthread_create(&thread, NULL, nothing, &given) != 0 || pthread_join(thread, &result) != 0)
        return 1;
    return result == &given ? 0 : 2;
}

static void threads_can_be_made(void **state)
{
    assert_int_equal(inside(*state, make_thread), 0);
}

static int resolve(const struct bench *bench)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    (void)bench;
    if (getaddrinfo("localhost", "443", &hints, &found) != 0)
        return 1;
    freeaddrinfo(found);
    return 0;
}

static void names_are_resolved(void **state)
{
    assert_int_equal(inside(*state, resolve), 0);
}

static int end_child(const struct bench *bench)
{
    return kill(bench->config.child, SIGKILL) < 0 ? errno : 0;
}

static void only_the_private_engine_can_be_ended(void **state)
{
    struct bench *bench = *state;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* when the claim fails */
        for (;;)
            (void)pause();
    }
    bench->config.child = pid;
    assert_int_equal(inside(bench, end_child), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- privileges ---- */

/* A line of /proc/self/status, as a number. */
static long long status_of(const char *name, int base)
{
    char line[128];
    long long value = -1;
    cleanup_(fclosep) FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoll(line + strlen(name), NULL, base);
    return value;
}

static int look_at_privileges(const struct bench *bench)
{
    if (status_of("NoNewPrivs:", 10) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 1;
    if (status_of("CapEff:", 16) != 0 || status_of("CapPrm:", 16) != 0 || status_of("CapAmb:", 16) != 0 ||
        status_of("CapInh:", 16) != 0)
        return 2;
    if (geteuid() == 0 && status_of("CapBnd:", 16) != 0)
        return 3;
    return has(bench, "seccomp=unavailable") || status_of("Seccomp:", 10) == 2 ? 0 : 4;
}

static void nothing_is_left_of_privileges(void **state)
{
    assert_int_equal(inside(*state, look_at_privileges), 0);
}

static int never(const struct bench *bench)
{
    (void)bench;
    return 0;
}

/* For root too: what it could open by a capability it cannot any more, and says so before it serves. */
static void a_cache_of_somebody_else_is_refused(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(chmod(bench->cache, 0), 0);
    assert_int_equal(inside(bench, never), BROKEN);
    assert_int_equal(chmod(bench->cache, 0700), 0);
}

static int look_at_report(const struct bench *bench)
{
    static const char *const words[] = { "landlock=", " seccomp=", " no_new_privs=on", " capabilities=none",
                                         " dumpable=no" };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (!has(bench, words[i]))
            return (int)i + 1;
    return bench->report.is_whole == !has(bench, "unavailable") ? 0 : BROKEN;
}

static void the_report_names_every_mechanism(void **state)
{
    assert_int_equal(inside(*state, look_at_report), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_elsewhere_cannot_be_read),
        TEST(a_directory_elsewhere_cannot_be_listed),
        TEST(the_system_cannot_be_written),
        TEST(the_cache_is_written_and_files_move_in_it),
        TEST(what_name_resolution_and_tls_need_can_be_read),
        TEST(the_file_of_certificates_can_be_read),
        TEST(what_serving_does_not_need_is_refused),
        TEST(threads_can_be_made),
        TEST(names_are_resolved),
        TEST(only_the_private_engine_can_be_ended),
        TEST(nothing_is_left_of_privileges),
        TEST(a_cache_of_somebody_else_is_refused),
        TEST(the_report_names_every_mechanism),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
