#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"

static int parse(const char *text, struct http_place *place)
{
    struct err err = { 0 };

    return http_place_parse(text, place, &err);
}

static void https_goes_anywhere(void **state)
{
    (void)state;
    struct http_place place;

    assert_int_equal(parse("https://api.example.com", &place), 0);
    assert_false(place.is_plain);
    assert_false(place.is_local);
}

static void slashes_at_the_end_are_dropped(void **state)
{
    (void)state;
    struct http_place place;

    assert_int_equal(parse("https://api.example.com/base//", &place), 0);
    assert_string_equal(place.base, "https://api.example.com/base");
}

static void plain_http_is_for_loopback(void **state)
{
    (void)state;
    static const char *const good[] = { "http://127.0.0.1:8080", "http://127.1.2.3", "http://[::1]:1",
                                        "http://localhost", "HTTP://LOCALHOST:80" };
    struct http_place place;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(parse(good[i], &place), 0);
        assert_true(place.is_plain && place.is_local);
    }
}

static void plain_http_elsewhere_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "http://api.example.com",
                                       "http://10.0.0.1",
                                       "http://128.0.0.1",
                                       "http://[::2]",
                                       "http://localhost.example.com",
                                       "http://127.0.0.1.example.com",
                                       "http://127.example.com" };
    struct http_place place;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(parse(bad[i], &place), -EINVAL);
}

static void a_socket_is_a_place(void **state)
{
    (void)state;
    struct http_place place;

    assert_int_equal(parse("unix:/run/x/s", &place), 0);
    assert_string_equal(place.socket, "/run/x/s");
    assert_string_equal(place.name, "unix:/run/x/s");
    assert_true(place.is_local);
}

static void what_is_no_place_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "api.example.com", "ftp://127.0.0.1",      "file:///etc/passwd", "unix:relative",
        "https://", "https://a b",     "https://a\r\nHost: b", "https://a?x=1",      "https://a#x"
    };
    struct http_place place;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(parse(bad[i], &place), -EINVAL);
}

static void a_password_in_a_url_is_refused_and_not_repeated(void **state)
{
    (void)state;
    struct http_place place;
    struct err err = { 0 };

    assert_int_equal(http_place_parse("https://user:hunter2@api.example.com", &place, &err), -EINVAL);
    assert_null(strstr(err.text, "hunter2"));
}

static void a_socket_path_has_a_limit(void **state)
{
    (void)state;
    char text[160] = "unix:/";
    struct http_place place;

    memset(text + strlen("unix:/"), 'x', HTTP_SOCKET_MAX);
    assert_int_equal(parse(text, &place), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(https_goes_anywhere),
        cmocka_unit_test(slashes_at_the_end_are_dropped),
        cmocka_unit_test(plain_http_is_for_loopback),
        cmocka_unit_test(plain_http_elsewhere_is_refused),
        cmocka_unit_test(a_socket_is_a_place),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(a_password_in_a_url_is_refused_and_not_repeated),
        cmocka_unit_test(a_socket_path_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
