#include "test_store_fixture.h"

#include <errno.h>

#include "store/store_key.h"

static void key_path(const struct fixture *fixture, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/seal.key", fixture->state);
}

static int open_key(struct fixture *fixture, struct secret **ret_key)
{
    cleanup_(closep) int fd = open(fixture->state, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return store_key_open(fd, fixture->state, ret_key, &fixture->err);
}

static void the_same_key_is_read_again(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(secret_freep) struct secret *one = NULL;
    cleanup_(secret_freep) struct secret *two = NULL;

    assert_int_equal(open_key(fixture, &one), 0);
    assert_int_equal(open_key(fixture, &two), 0);
    assert_int_equal(secret_length(one), 32);
    assert_memory_equal(secret_text(one), secret_text(two), 32);
}

static void a_new_key_is_another_one(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(secret_freep) struct secret *one = NULL;
    cleanup_(secret_freep) struct secret *two = NULL;
    char path[PATH_MAX];

    assert_int_equal(open_key(fixture, &one), 0);
    key_path(fixture, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(open_key(fixture, &two), 0);
    assert_memory_not_equal(secret_text(one), secret_text(two), 32);
}

static void a_cache_of_another_key_is_refused_and_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct store_config config = { 0 };
    struct store *other = NULL;
    char elsewhere[PATH_MAX];

    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", fixture->dir);
    config.state_dir = config.cache_dir = elsewhere;
    assert_int_equal(store_new(&config, &other, &fixture->err), 0); /* another profile */
    store_free(other);
    config.cache_dir = fixture->cache;
    assert_int_equal(store_new(&config, &other, &fixture->err), -EINVAL);
    assert_non_null(strstr(fixture->err.text, "another key"));
    config.state_dir = fixture->state;
    assert_int_equal(store_new(&config, &other, &fixture->err), 0);
    store_free(other);
}

static void a_lost_key_is_said_and_no_new_one_is_made(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_sample(fixture, 1000, 1);
    struct fixture_path object = fixture_path(fixture, &digest);
    char path[PATH_MAX];
    char kept[PATH_MAX];
    struct stat st;

    key_path(fixture, path);
    (void)snprintf(kept, sizeof kept, "%s/kept", fixture->dir);
    store_free(fixture->store);
    fixture->store = NULL;
    assert_int_equal(rename(path, kept), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EINVAL);
    assert_non_null(strstr(fixture->err.text, "put 'seal.key' back"));
    assert_non_null(strstr(fixture->err.text, fixture->cache)); /* what to move away, for those who cannot */
    assert_int_not_equal(stat(path, &st), 0);
    assert_int_equal(stat(object.s, &st), 0);
    assert_int_equal(rename(kept, path), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), 0);
    assert_true(store_object_exists(fixture->store, &digest));
}

static void a_key_that_others_can_read_is_refused_with_the_command(void **state)
{
    struct fixture *fixture = *state;
    struct secret *key = NULL;
    char path[PATH_MAX];
    char words[PATH_MAX + 32];

    key_path(fixture, path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(open_key(fixture, &key), -EACCES);
    (void)snprintf(words, sizeof words, "chmod 600 '%s'", path);
    assert_non_null(strstr(fixture->err.text, words));
    assert_null(key);
}

static void a_key_that_was_cut_is_refused_and_kept(void **state)
{
    struct fixture *fixture = *state;
    struct secret *key = NULL;
    char path[PATH_MAX];
    struct stat st;

    key_path(fixture, path);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(open_key(fixture, &key), -EIO);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 31);
}

static void a_symlink_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct secret *key = NULL;
    char path[PATH_MAX];

    key_path(fixture, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_true(open_key(fixture, &key) < 0);
}

static void a_directory_is_no_key(void **state)
{
    struct fixture *fixture = *state;
    struct secret *key = NULL;
    char path[PATH_MAX];

    key_path(fixture, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_key(fixture, &key), -EIO);
    assert_non_null(strstr(fixture->err.text, "is not a regular file"));
    assert_null(key);
}

/* Which key sealed this cache is in there: what cannot be known is not guessed, and nothing is sealed with another. */
static void fingerprints_that_were_cut_are_refused_and_kept(void **state)
{
    struct fixture *fixture = *state;
    const struct store_config config = { .state_dir = fixture->state, .cache_dir = fixture->cache };
    struct store *again = NULL;
    char path[PATH_MAX];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/sealed-by", fixture->cache);
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(store_new(&config, &again, &fixture->err), -EINVAL);
    assert_non_null(strstr(fixture->err.text, "is damaged: nobody knows which key sealed this cache"));
    assert_null(again);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 5);
}

static void a_key_of_another_user_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct secret *key = NULL;
    char path[PATH_MAX];

    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    key_path(fixture, path);
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_int_equal(open_key(fixture, &key), -EACCES);
    assert_non_null(strstr(fixture->err.text, "12345"));
}

static void making_a_key_leaves_no_temporary(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(secret_freep) struct secret *key = NULL;
    char path[PATH_MAX];
    int before = fixture_count_path(fixture->state);

    key_path(fixture, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(open_key(fixture, &key), 0);
    assert_int_equal(fixture_count_path(fixture->state), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_same_key_is_read_again),
        STORE_TEST(a_new_key_is_another_one),
        STORE_TEST(a_cache_of_another_key_is_refused_and_left_alone),
        STORE_TEST(a_lost_key_is_said_and_no_new_one_is_made),
        STORE_TEST(a_key_that_others_can_read_is_refused_with_the_command),
        STORE_TEST(a_key_that_was_cut_is_refused_and_kept),
        STORE_TEST(a_symlink_is_refused),
        STORE_TEST(a_directory_is_no_key),
        STORE_TEST(fingerprints_that_were_cut_are_refused_and_kept),
        STORE_TEST(a_key_of_another_user_is_refused),
        STORE_TEST(making_a_key_leaves_no_temporary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
