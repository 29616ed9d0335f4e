#include "test_store_archive_fixture.h"

static const struct request_id other = { .s = "742db9f3-0000-0000-0000-000000000002" };

static struct store_object *open_archive(struct fixture *fixture, const struct request_id *id)
{
    struct store_object *archive = NULL;

    assert_int_equal(store_archive_open(fixture->store, id, &archive, &fixture->err), 0);
    return archive;
}

static void expect_archive(struct fixture *fixture, const struct request_id *id, const char *expected)
{
    cleanup_(store_object_unrefp) struct store_object *archive = open_archive(fixture, id);
    char got[100];
    size_t n = 0;

    assert_int_equal(store_object_read(archive, 0, got, sizeof got, &n, &fixture->err), 0);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(got, expected, n);
}

static void an_archive_reads_back_as_it_came(void **state)
{
    struct fixture *fixture = *state;
    struct content content = make_content(300000, 1);
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    cleanup_(freep) uint8_t *got = malloc(content.n);
    size_t n = 0;

    keep_archive(fixture, &request, content.bytes, content.n);
    archive = open_archive(fixture, &request);
    assert_int_equal(store_object_size(archive), content.n);
    assert_int_equal(store_object_read(archive, 0, got, content.n, &n, &fixture->err), 0);
    assert_int_equal(n, content.n);
    assert_memory_equal(got, content.bytes, n);
    content_done(&content);
}

static void archives_are_told_apart_by_their_request(void **state)
{
    keep_archive(*state, &request, "first", 5);
    keep_archive(*state, &other, "second", 6);
    expect_archive(*state, &request, "first");
    expect_archive(*state, &other, "second");
}

static void an_archive_that_was_never_kept_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct store_object *archive = NULL;

    keep_archive(fixture, &other, "second", 6);
    assert_int_equal(store_archive_open(fixture->store, &request, &archive, &fixture->err), STORE_ABSENT);
}

static void an_archive_that_is_fetched_again_replaces_the_first(void **state)
{
    keep_archive(*state, &request, "first", 5);
    keep_archive(*state, &request, "better", 6);
    expect_archive(*state, &request, "better");
}

static void an_archive_that_is_open_while_it_is_fetched_again_is_not_found_any_more(void **state)
{
    struct fixture *fixture = *state;
    struct store_object *first;
    char got[5];
    size_t n = 0;

    keep_archive(fixture, &request, "first", 5);
    first = open_archive(fixture, &request);
    keep_archive(fixture, &request, "second", 6);
    expect_archive(fixture, &request, "second");
    assert_int_equal(store_object_read(first, 0, got, sizeof got, &n, NULL), 0); /* who has it keeps it */
    assert_memory_equal(got, "first", 5);
    store_object_unref(first);
    expect_archive(fixture, &request, "second");
}

static void an_archive_without_commit_was_never_there(void **state)
{
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct store_object *archive = NULL;

    assert_int_equal(store_archive_begin(fixture->store, &request, &writer, &fixture->err), 0);
    assert_int_equal(store_writer_write(writer, "half", 4, &fixture->err), 0);
    store_writer_free(writer);
    assert_int_equal(store_archive_open(fixture->store, &request, &archive, &fixture->err), STORE_ABSENT);
    assert_int_equal(fixture_count(fixture, "."), 0);
}

static int list(void *closure, const struct digest *digest)
{
    size_t *n = closure;

    (void)digest;
    ++*n;
    return 0;
}

static void archives_are_not_listed_among_the_samples(void **state)
{
    struct fixture *fixture = *state;
    size_t n = 0;

    keep_archive(fixture, &request, "first", 5);
    (void)fixture_sample(fixture, 100, 1);
    assert_int_equal(store_object_list(fixture->store, list, &n, &fixture->err), 0);
    assert_int_equal(n, 1);
}

static void the_bytes_of_archives_count_but_they_are_no_samples(void **state)
{
    struct fixture *fixture = *state;
    int64_t bytes[2];
    int64_t n[2];

    keep_archive(fixture, &request, "to be replaced", 14);
    keep_archive(fixture, &request, "first", 5);
    (void)fixture_sample(fixture, 100, 1);
    fixture_usage(fixture, &bytes[0], &n[0]);
    fixture_reopen(fixture);
    fixture_usage(fixture, &bytes[1], &n[1]);
    assert_int_equal(n[0], 1);
    assert_int_equal(bytes[0], (128 + 5 + 16) + (128 + 100 + 16));
    assert_int_equal(n[1], n[0]);
    assert_int_equal(bytes[1], bytes[0]);
}

static void an_archive_alone_ties_the_cache_to_its_key(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];

    keep_archive(fixture, &request, "first", 5);
    store_free(fixture->store);
    fixture->store = NULL;
    (void)snprintf(path, sizeof path, "%s/seal.key", fixture->state);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/sealed-by", fixture->cache);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EINVAL);
}

static int flip_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    cleanup_(closep) int fd = kind == FTW_F ? open(path, O_RDWR) : -1;
    uint8_t byte = 0;

    (void)st;
    (void)ftw;
    if (kind != FTW_F)
        return 0;
    assert_int_equal(pread(fd, &byte, 1, 128), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 128), 1);
    return 0;
}

static void a_damaged_archive_is_set_aside_until_it_is_fetched_again(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    struct store_object *again = NULL;
    char path[PATH_MAX];
    char got[5];
    size_t n = 0;
    int64_t bytes = -1;
    int64_t n_samples = -1;

    keep_archive(fixture, &request, "first", 5);
    (void)snprintf(path, sizeof path, "%s/archives", fixture->cache);
    assert_int_equal(nftw(path, flip_one, 16, FTW_PHYS), 0);
    archive = open_archive(fixture, &request);
    assert_int_equal(store_object_read(archive, 0, got, sizeof got, &n, &fixture->err), -EIO);
    assert_non_null(strstr(fixture->err.text, "archive"));
    assert_int_equal(store_archive_open(fixture->store, &request, &again, &fixture->err), STORE_ABSENT);
    fixture_usage(fixture, &bytes, &n_samples);
    assert_int_equal(bytes, 0);
    assert_int_equal(n_samples, 0);
    assert_int_equal(fixture_count(fixture, "damaged"), 1);
    keep_archive(fixture, &request, "first", 5);
    expect_archive(fixture, &request, "first");
    assert_int_equal(fixture_count(fixture, "damaged"), 0);
}

static void the_digest_of_an_archive_is_not_that_of_a_sample(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    struct store_object *sample = NULL;

    assert_int_equal(digest_of("first", 5, &digest, NULL), 0);
    keep_archive(fixture, &request, "first", 5);
    assert_int_equal(store_object_open(fixture->store, &digest, &sample, &fixture->err), STORE_ABSENT);
    assert_false(store_object_exists(fixture->store, &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARCHIVE_TEST(an_archive_reads_back_as_it_came),
        ARCHIVE_TEST(archives_are_told_apart_by_their_request),
        ARCHIVE_TEST(an_archive_that_was_never_kept_is_absent),
        ARCHIVE_TEST(an_archive_that_is_fetched_again_replaces_the_first),
        ARCHIVE_TEST(an_archive_that_is_open_while_it_is_fetched_again_is_not_found_any_more),
        ARCHIVE_TEST(an_archive_without_commit_was_never_there),
        ARCHIVE_TEST(archives_are_not_listed_among_the_samples),
        ARCHIVE_TEST(the_bytes_of_archives_count_but_they_are_no_samples),
        ARCHIVE_TEST(an_archive_alone_ties_the_cache_to_its_key),
        ARCHIVE_TEST(a_damaged_archive_is_set_aside_until_it_is_fetched_again),
        ARCHIVE_TEST(the_digest_of_an_archive_is_not_that_of_a_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
