#include "test_store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_BYTES = 128, TAG_BYTES = 16 };

static void a_symlink_is_not_followed(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 10, 1);
    struct fixture_path path = fixture_path(fixture, &digest);
    struct fixture_path real;
    struct store_object *object = NULL;

    (void)snprintf(real.s, sizeof real.s, "%s/elsewhere", fixture->dir);
    assert_int_equal(rename(path.s, real.s), 0);
    assert_int_equal(symlink(real.s, path.s), 0);
    assert_true(store_object_open(fixture->store, &digest, &object, &fixture->err) < 0);
}

/* ---- list, usage ---- */

static int count(void *closure, const struct digest *digest)
{
    int *n = closure;

    (void)digest;
    return ++*n == 3 ? 77 : 0;
}

static void list_names_every_object(void **state)
{
    struct fixture *fixture = *state;
    int n = 0;

    (void)fixture_sample(fixture, 1, 1);
    (void)fixture_sample(fixture, 1, 2);
    assert_int_equal(store_object_list(fixture->store, count, &n, &fixture->err), 0);
    assert_int_equal(n, 2);
}

static void list_stops_when_told(void **state)
{
    struct fixture *fixture = *state;
    int n = 0;

    for (unsigned int i = 0; i < 5; i++)
        (void)fixture_sample(fixture, 10, i);
    assert_int_equal(store_object_list(fixture->store, count, &n, &fixture->err), 77);
    assert_int_equal(n, 3);
}

/* The version once the change of the directory of this sample is a second old. */
static int64_t version_later(struct fixture *fixture, const struct digest *digest)
{
    struct fixture_path path = fixture_path(fixture, digest);
    struct stat st;

    for (int level = 0; level < 3; level++) { /* of the sample, above it, and the cache */
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 0 } };

        *strrchr(path.s, '/') = '\0';
        assert_int_equal(stat(path.s, &st), 0);
        times[1] = st.st_mtim;
        times[1].tv_sec -= time(NULL) - st.st_mtim.tv_sec < 1;
        assert_int_equal(utimensat(AT_FDCWD, path.s, times, 0), 0);
    }
    return store_object_version(fixture->store);
}

static void the_version_is_another_one_whoever_changed_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 1, 1);
    int64_t one;
    int64_t none;

    assert_int_equal(store_object_version(fixture->store), 0); /* a moment ago */
    one = version_later(fixture, &digest);
    assert_int_not_equal(one, 0);
    assert_int_equal(store_object_version(fixture->store), one);
    assert_int_equal(unlink(fixture_path(fixture, &digest).s), 0);
    assert_int_equal(store_object_version(fixture->store), 0);
    none = version_later(fixture, &digest);
    assert_int_not_equal(none, 0);
    assert_int_not_equal(none, one);
}

static void list_passes_over_foreign_files(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 1, 1);
    struct digest other = fixture_digest(9);
    struct fixture_path path = fixture_path(fixture, &digest);
    int n = 0;
    int fd;

    memcpy(strrchr(path.s, '/') + 1, digest_format(&other).s, DIGEST_TEXT); /* a digest in a wrong directory */
    fd = open(path.s, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_object_list(fixture->store, count, &n, &fixture->err), 0);
    assert_int_equal(n, 1);
}

static void usage_after_a_scan_equals_usage_that_was_counted(void **state)
{
    struct fixture *fixture = *state;
    int64_t bytes[2];
    int64_t n[2];

    (void)fixture_sample(fixture, 200000, 1);
    (void)fixture_sample(fixture, 200000, 1); /* replaced: counted once */
    (void)fixture_sample(fixture, 0, 2);
    fixture_usage(fixture, &bytes[0], &n[0]);
    fixture_reopen(fixture);
    fixture_usage(fixture, &bytes[1], &n[1]);
    assert_int_equal(n[0], 2);
    assert_int_equal(bytes[0], 2 * HEADER_BYTES + 200000 + 2 * TAG_BYTES);
    assert_int_equal(n[1], n[0]);
    assert_int_equal(bytes[1], bytes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_symlink_is_not_followed),
        STORE_TEST(list_names_every_object),
        STORE_TEST(list_stops_when_told),
        STORE_TEST(list_passes_over_foreign_files),
        STORE_TEST(the_version_is_another_one_whoever_changed_what_is_there),
        STORE_TEST(usage_after_a_scan_equals_usage_that_was_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
