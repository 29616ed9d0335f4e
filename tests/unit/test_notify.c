#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/buf.h"
#include "util/notify.h"

/* Whoever started us: a socket at `name`, of which an '@' in front makes an abstract one. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    size_t n = strlen(name);

    assert_true(fd >= 0);
    memcpy(address.sun_path, name, n);
    if (*name == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void hears(int fd, const char *wanted)
{
    char heard[512];
    ssize_t n = recv(fd, heard, sizeof heard - 1, 0);

    assert_true(n > 0);
    heard[n] = '\0';
    assert_string_equal(heard, wanted);
}

static void hears_nothing(int fd)
{
    char heard[512];

    assert_true(recv(fd, heard, sizeof heard, 0) < 0 && errno == EAGAIN);
}

static void without_a_socket_nothing_is_said(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_open();
    notify_ready("nobody");
    notify_stopping();
    assert_int_equal(notify_alive_ms(), 0);
}

static void a_socket_that_is_no_path_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1234", 1), 0);
    notify_open();
    notify_ready("nobody");
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_int_equal(notify_alive_ms(), 0);
}

static void each_word_is_a_datagram(void **state)
{
    char path[64];
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/mq-notify-%d", (int)getpid());
    fd = listen_at(path);
    notify_open();
    assert_null(getenv("NOTIFY_SOCKET"));
    notify_ready("mounted on /mnt/mq");
    hears(fd, "READY=1\nSTATUS=mounted on /mnt/mq");
    notify_stopping();
    hears(fd, "STOPPING=1");
    hears_nothing(fd);
    close(fd);
    assert_int_equal(unlink(path), 0);
    notify_ready("who listened is gone"); /* and that is no reason to end, by SIGPIPE or otherwise */
}

static void an_abstract_socket_is_one_too(void **state)
{
    char name[64];
    int fd;

    (void)state;
    (void)snprintf(name, sizeof name, "@mq-notify-%d", (int)getpid());
    fd = listen_at(name);
    notify_open();
    notify_alive();
    hears(fd, "WATCHDOG=1");
    close(fd);
}

static void reloading_has_the_time_of_the_machine(void **state)
{
    char name[64];
    char heard[512];
    long long told_us = 0;
    struct timespec now = { 0 };
    ssize_t n;
    int fd;

    (void)state;
    (void)snprintf(name, sizeof name, "@mq-notify-%d", (int)getpid());
    fd = listen_at(name);
    notify_open();
    notify_reloading();
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    n = recv(fd, heard, sizeof heard - 1, 0);
    assert_true(n > 0);
    heard[n] = '\0';
    assert_int_equal(sscanf(heard, "RELOADING=1\nMONOTONIC_USEC=%lld", &told_us), 1);
    assert_in_range(told_us / 1000000, now.tv_sec - 60, now.tv_sec);
    close(fd);
}

static void a_watchdog_of_another_process_is_not_ours(void **state)
{
    char name[64];
    char pid[16];
    int fd;

    (void)state;
    (void)snprintf(name, sizeof name, "@mq-notify-%d", (int)getpid());
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    fd = listen_at(name);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1) | setenv("WATCHDOG_PID", "1", 1), 0);
    notify_open();
    assert_int_equal(notify_alive_ms(), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1) | setenv("WATCHDOG_PID", pid, 1), 0);
    notify_open();
    assert_int_equal(notify_alive_ms(), 15000);
    assert_null(getenv("WATCHDOG_USEC"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_socket_nothing_is_said),
        cmocka_unit_test(a_socket_that_is_no_path_is_passed_over),
        cmocka_unit_test(each_word_is_a_datagram),
        cmocka_unit_test(an_abstract_socket_is_one_too),
        cmocka_unit_test(reloading_has_the_time_of_the_machine),
        cmocka_unit_test(a_watchdog_of_another_process_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
