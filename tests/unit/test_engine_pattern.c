#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_hunt.h"
#include "engine/engine_pattern.h"

static atomic_bool go_on;

static void expect_bytes(const char *type, const char *value, const void *bytes, size_t n)
{
    struct engine_bytes decoded = { 0 };

    assert_int_equal(engine_pattern_decode(type, value, &decoded, NULL), 0);
    assert_int_equal(decoded.n, n);
    assert_memory_equal(decoded.data, bytes, n);
    engine_bytes_done(&decoded);
}

static void the_three_types_are_decoded(void **unused)
{
    (void)unused;
    expect_bytes("hex", "DEadBEef01", "\xde\xad\xbe\xef\x01", 5);
    expect_bytes("ascii", "abcd e", "abcd e", 6);
    expect_bytes("wide", "ab", "a\0b\0", 4);
    expect_bytes("wide", "\xc3\xa4\xe2\x82\xac", "\xe4\x00\xac\x20", 4);
    expect_bytes("wide", "\xf0\x9f\x98\x80", "\x3d\xd8\x00\xde", 4);
}

static void bad_patterns_are_refused(void **unused)
{
    static const char *const cases[][2] = {
        { "hex", "deadbee" },   { "hex", "dead" },  { "hex", "de ad be ef" },
        { "hex", "de??beef" },  { "hex", "" },      { "ascii", "abc" },
        { "ascii", "" },        { "wide", "a" },    { "wide", "\xff\xff\xff\xff" },
        { "file", "deadbeef" }, { "", "deadbeef" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct engine_bytes decoded = { 0 };

        assert_int_equal(engine_pattern_decode(cases[i][0], cases[i][1], &decoded, NULL), -EINVAL);
        assert_null(decoded.data);
    }
}

static void a_pattern_has_a_longest_length(void **unused)
{
    static char text[2 * ENGINE_PATTERN_MAX + 3];
    struct engine_bytes decoded = { 0 };

    (void)unused;
    memset(text, 'a', ENGINE_PATTERN_MAX);
    assert_int_equal(engine_pattern_decode("ascii", text, &decoded, NULL), 0);
    engine_bytes_done(&decoded);
    assert_int_equal(engine_pattern_decode("wide", text, &decoded, NULL), -EINVAL);
    memset(text, 'a', 2 * ENGINE_PATTERN_MAX + 2);
    assert_int_equal(engine_pattern_decode("hex", text, &decoded, NULL), -EINVAL);
}

static bool scan(int fd, const char *const *texts, size_t n)
{
    struct engine_bytes patterns[4] = { 0 };
    bool is_match = false;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(engine_pattern_decode("ascii", texts[i], &patterns[i], NULL), 0);
    assert_int_equal(engine_pattern_scan(fd, patterns, n, &go_on, &is_match, NULL), 0);
    for (size_t i = 0; i < n; i++)
        engine_bytes_done(&patterns[i]);
    return is_match;
}

static int file_of(const struct fixture *fixture, const char *data, size_t n)
{
    int fd;

    fixture_write(fixture, "f", data, n);
    fd = open(fixture_path(fixture, "f"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void a_pattern_is_found_wherever_reading_is_cut(void **unused)
{
    enum { N = 2 * 1024 * 1024 + 100 };
    static const char *const needle[] = { "needle-in-hay" };
    static char data[N];
    struct fixture fixture;

    (void)unused;
    fixture_init(&fixture);
    for (size_t at = 1024 * 1024 - 16; at <= 1024 * 1024 + 4; at++) {
        int fd;

        memset(data, 'x', N);
        memcpy(data + at, needle[0], 13);
        fd = file_of(&fixture, data, N);
        assert_true(scan(fd, needle, 1));
        close(fd);
    }
    memset(data, 'x', N);
    memcpy(data + N - 13, needle[0], 13);
    int fd = file_of(&fixture, data, N);
    assert_true(scan(fd, needle, 1));
    close(fd);
    fixture_done(&fixture);
}

static void all_patterns_must_be_there(void **unused)
{
    static const char *const both[] = { "first", "second" };
    static const char *const other[] = { "first", "third" };
    struct fixture fixture;
    int fd;

    (void)unused;
    fixture_init(&fixture);
    fd = file_of(&fixture, "second and first", 16);
    assert_true(scan(fd, both, 2));
    assert_false(scan(fd, other, 2));
    close(fd);
    fd = file_of(&fixture, "", 0);
    assert_false(scan(fd, both, 1));
    close(fd);
    fixture_done(&fixture);
}

static void a_stopped_search_says_so(void **unused)
{
    atomic_bool stop = true;
    struct engine_bytes pattern = { 0 };
    struct fixture fixture;
    bool is_match;
    int fd;

    (void)unused;
    fixture_init(&fixture);
    fd = file_of(&fixture, "some text", 9);
    assert_int_equal(engine_pattern_decode("ascii", "text", &pattern, NULL), 0);
    assert_int_equal(engine_pattern_scan(fd, &pattern, 1, &stop, &is_match, NULL), -ECANCELED);
    engine_bytes_done(&pattern);
    close(fd);
    fixture_done(&fixture);
}

static void the_made_rule_finds_the_same(void **unused)
{
    cleanup_(engine_rules_freep) struct engine_rules *rules = NULL;
    cleanup_(engine_scanner_freep) struct engine_scanner *scanner = NULL;
    struct engine_bytes patterns[2] = { 0 };
    struct buf rule = BUF_INIT(4096);
    struct fixture fixture;
    bool is_match = false;
    int fd;

    (void)unused;
    fixture_init(&fixture);
    assert_int_equal(engine_hunt_start(NULL), 0);
    assert_int_equal(engine_pattern_decode("ascii", "quo\"te", &patterns[0], NULL), 0);
    assert_int_equal(engine_pattern_decode("wide", "ab", &patterns[1], NULL), 0);
    engine_pattern_rule(patterns, 2, &rule);
    assert_int_equal(engine_rules_new(buf_text(&rule), &rules, NULL), 0);
    assert_int_equal(engine_scanner_new(rules, 60, &scanner, NULL), 0);
    fd = file_of(&fixture, "--quo\"te--a\0b\0", 14);
    assert_int_equal(engine_scanner_scan(scanner, fd, &is_match, NULL), 0);
    assert_true(is_match);
    close(fd);
    fd = file_of(&fixture, "--quo\"te--ab", 12);
    assert_int_equal(engine_scanner_scan(scanner, fd, &is_match, NULL), 0);
    assert_false(is_match);
    close(fd);
    buf_done(&rule);
    engine_bytes_done(&patterns[0]);
    engine_bytes_done(&patterns[1]);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_types_are_decoded),    cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(a_pattern_has_a_longest_length), cmocka_unit_test(a_pattern_is_found_wherever_reading_is_cut),
        cmocka_unit_test(all_patterns_must_be_there),     cmocka_unit_test(a_stopped_search_says_so),
        cmocka_unit_test(the_made_rule_finds_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
