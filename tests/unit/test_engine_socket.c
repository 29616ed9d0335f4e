#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_socket.h"

static void only_loopback_is_loopback(void **unused)
{
    (void)unused;
    assert_true(engine_socket_is_loopback("127.0.0.1"));
    assert_true(engine_socket_is_loopback("127.8.8.8"));
    assert_true(engine_socket_is_loopback("::1"));
    assert_false(engine_socket_is_loopback("0.0.0.0"));
    assert_false(engine_socket_is_loopback("::"));
    assert_false(engine_socket_is_loopback("128.0.0.1"));
    assert_false(engine_socket_is_loopback("localhost"));
    assert_false(engine_socket_is_loopback(""));
}

static void port_zero_becomes_a_real_one(void **unused)
{
    struct engine_url_text url;
    unsigned port = 0;
    int fd = -1;

    (void)unused;
    assert_int_equal(engine_socket_tcp("127.0.0.1", 0, false, &fd, &url, NULL), 0);
    assert_int_equal(sscanf(url.s, "http://127.0.0.1:%u", &port), 1);
    assert_true(port > 0);
    close(fd);
    assert_int_equal(engine_socket_tcp("127.0.0.1", 0, true, &fd, &url, NULL), 0);
    assert_memory_equal(url.s, "https://127.0.0.1:", 18);
    close(fd);
    assert_int_equal(engine_socket_tcp("localhost", 0, false, &fd, &url, NULL), -EINVAL);
}

static void a_socket_is_private_and_replaced_only_when_nobody_answers(void **unused)
{
    struct engine_url_text url;
    struct fixture fixture;
    struct err err = { 0 };
    struct stat st;
    int second = -1;
    int fd = -1;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(engine_socket_unix(fixture_path(&fixture, "s"), &fd, &url, NULL), 0);
    assert_memory_equal(url.s, "unix:/", 6);
    assert_int_equal(stat(fixture_path(&fixture, "s"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(engine_socket_unix(fixture_path(&fixture, "s"), &second, &url, &err), -EADDRINUSE);
    close(fd); /* the name stays, as after a crash */
    assert_int_equal(engine_socket_unix(fixture_path(&fixture, "s"), &fd, &url, NULL), 0);
    close(fd);
    fixture_text(&fixture, "file", "precious");
    assert_int_equal(engine_socket_unix(fixture_path(&fixture, "file"), &fd, &url, NULL), -EEXIST);
    assert_int_equal(stat(fixture_path(&fixture, "file"), &st), 0);
    fixture_done(&fixture);
}

static void an_overlong_path_is_refused(void **unused)
{
    char path[200];
    struct engine_url_text url;
    int fd = -1;

    (void)unused;
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(engine_socket_unix(path, &fd, &url, NULL), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_loopback_is_loopback),
        cmocka_unit_test(port_zero_becomes_a_real_one),
        cmocka_unit_test(a_socket_is_private_and_replaced_only_when_nobody_answers),
        cmocka_unit_test(an_overlong_path_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
