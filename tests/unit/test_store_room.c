#include "test_store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>

#include "store/store_internal.h"

enum { SIZE = 100 * 1000, OLD_S = 1000 };
#define FILE_BYTES (128 + SIZE + 16)

/* A cache for `n` samples of SIZE. */
static void limit_to(struct fixture *fixture, int n)
{
    fixture->config.cache_bytes = (int64_t)n * FILE_BYTES;
    fixture_reopen(fixture);
}

/* As if it had come long ago and been used last at `used_s`. */
static void set_times(const char *path, int64_t used_s)
{
    const struct timespec times[2] = { { .tv_sec = used_s }, { .tv_sec = 1 } };

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static struct digest used_at(struct fixture *fixture, unsigned int seed, int64_t used_s)
{
    struct digest digest = fixture_sample(fixture, SIZE, seed);

    set_times(fixture_path(fixture, &digest).s, used_s);
    return digest;
}

/* In another cache than the fixture's. */
static struct digest old_sample_below(struct fixture *fixture, const char *cache, unsigned int seed)
{
    struct digest digest = fixture_sample(fixture, SIZE, seed);
    struct digest_text hex = digest_format(&digest);
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/%.2s/%.2s/%s", cache, hex.s, hex.s + 2, hex.s);
    set_times(path, OLD_S);
    return digest;
}

static bool is_there(struct fixture *fixture, const struct digest *digest)
{
    return store_object_exists(fixture->store, digest);
}

static void take(struct fixture *fixture, int64_t n)
{
    if (store_room_take(fixture->store, n, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
}

static struct store_object *open_it(struct store *store, const struct digest *digest)
{
    struct store_object *object = NULL;

    assert_int_equal(store_object_open(store, digest, &object, NULL), 0);
    return object;
}

static void the_limit_and_the_free_part_of_the_disk_both_count(void **state)
{
    static const struct {
        struct store_room_facts facts;
        int64_t wanted;
        int64_t missing;
    } cases[] = {
        { { .used_bytes = 60, .limit_bytes = 100 }, 40, 0 },
        { { .used_bytes = 60, .limit_bytes = 100 }, 41, 1 },
        { { .used_bytes = 60, .limit_bytes = 100, .reserved_bytes = 10 }, 40, 10 },
        { { .used_bytes = 120, .limit_bytes = 100 }, 0, 20 },
        { { .used_bytes = 60 }, 1000, 0 },
        { { .used_bytes = 60, .disk_bytes = 1000, .disk_free_bytes = 60 }, 10, 0 },
        { { .used_bytes = 60, .disk_bytes = 1000, .disk_free_bytes = 60 }, 11, 1 },
        { { .used_bytes = 60, .disk_bytes = 1000, .disk_free_bytes = 60, .reserved_bytes = 7 }, 10, 7 },
        { { .used_bytes = 60, .disk_bytes = 1000, .disk_free_bytes = 60, .reserved_bytes = 7, .taken_bytes = 7 },
          10,
          0 },
        { { .used_bytes = 60, .limit_bytes = 100, .reserved_bytes = 10, .taken_bytes = 10 }, 40, 10 },
        { { .used_bytes = 90, .limit_bytes = 100, .disk_bytes = 1000, .disk_free_bytes = 51 }, 11, 10 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t missing = store_room_missing(&cases[i].facts, cases[i].wanted);

        assert_int_equal(missing > 0 ? missing : 0, cases[i].missing);
    }
}

/* The free part of the disk is smaller by what was reserved in it: that does not have to be free once more. */
static void what_the_disk_has_given_is_not_kept_free_again(void **state)
{
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct digest digest = { .bytes = { 1 } };
    struct stat st;
    int64_t given;

    take(fixture, SIZE);
    assert_int_equal(store_writer_begin(fixture->store, &digest, &writer, &fixture->err), 0);
    assert_int_equal(store_writer_reserve(writer, SIZE, &fixture->err), 0);
    assert_int_equal(fstat(writer->blob.fd, &st), 0);
    given = st.st_blocks * 512; /* nothing where a filesystem only promises */
    assert_int_equal(fixture->store->taken_bytes, given < FILE_BYTES ? given : FILE_BYTES);
    store_writer_free(writer);
    assert_int_equal(fixture->store->taken_bytes, 0);
    store_room_give(fixture->store, SIZE);
}

static void what_was_used_longest_ago_goes_first_and_no_more_than_is_needed(void **state)
{
    struct fixture *fixture = *state;
    struct digest middle, oldest, newest;

    limit_to(fixture, 3);
    middle = used_at(fixture, 1, 200);
    oldest = used_at(fixture, 2, 100);
    newest = used_at(fixture, 3, 300);
    take(fixture, SIZE);
    assert_false(is_there(fixture, &oldest));
    assert_true(is_there(fixture, &middle));
    assert_true(is_there(fixture, &newest));
    store_room_give(fixture->store, SIZE);
}

static void without_need_nothing_goes(void **state)
{
    struct fixture *fixture = *state;
    struct digest one, two;

    limit_to(fixture, 3);
    one = used_at(fixture, 1, 100);
    two = used_at(fixture, 2, 200);
    take(fixture, SIZE);
    store_room_give(fixture->store, SIZE);
    assert_true(is_there(fixture, &one));
    assert_true(is_there(fixture, &two));
}

static void opening_is_use_that_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct digest opened, other;

    limit_to(fixture, 2);
    opened = used_at(fixture, 1, 100);
    other = used_at(fixture, 2, 200);
    store_object_unref(open_it(fixture->store, &opened));
    fixture_reopen(fixture);
    take(fixture, SIZE);
    assert_true(is_there(fixture, &opened));
    assert_false(is_there(fixture, &other));
    store_room_give(fixture->store, SIZE);
}

/* A mount that is killed closes nothing. */
static void opening_is_use_before_it_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = used_at(fixture, 1, 100);
    struct store_object *object = open_it(fixture->store, &digest);
    struct stat st;

    assert_int_equal(stat(fixture_path(fixture, &digest).s, &st), 0);
    assert_true(st.st_atim.tv_sec > 100);
    assert_int_equal(st.st_mtim.tv_sec, 1);
    store_object_unref(object);
}

static void looking_is_no_use(void **state)
{
    struct fixture *fixture = *state;
    struct digest looked_at, other;
    int64_t size = 0;

    limit_to(fixture, 2);
    looked_at = used_at(fixture, 1, 100);
    other = used_at(fixture, 2, 200);
    assert_int_equal(store_object_look(fixture->store, &looked_at, &size, NULL), 0);
    assert_int_equal(size, SIZE);
    take(fixture, SIZE);
    assert_false(is_there(fixture, &looked_at));
    assert_true(is_there(fixture, &other));
    store_room_give(fixture->store, SIZE);
}

/* It is open for an hour: what counts is when it was closed. */
static void closing_is_use(void **state)
{
    struct fixture *fixture = *state;
    struct digest closed, other;
    struct store_object *object;

    limit_to(fixture, 2);
    closed = used_at(fixture, 1, 100);
    other = used_at(fixture, 2, 200);
    object = open_it(fixture->store, &closed);
    set_times(fixture_path(fixture, &closed).s, 100);
    store_object_unref(object);
    take(fixture, SIZE);
    assert_true(is_there(fixture, &closed));
    assert_false(is_there(fixture, &other));
    store_room_give(fixture->store, SIZE);
}

static void what_is_open_stays(void **state)
{
    struct fixture *fixture = *state;
    struct digest opened, other;
    cleanup_(store_object_unrefp) struct store_object *object = NULL;

    limit_to(fixture, 2);
    opened = used_at(fixture, 1, 100);
    other = used_at(fixture, 2, 200);
    object = open_it(fixture->store, &opened);
    set_times(fixture_path(fixture, &opened).s, 100);
    take(fixture, SIZE);
    assert_true(is_there(fixture, &opened));
    assert_false(is_there(fixture, &other));
    store_room_give(fixture->store, SIZE);
    store_object_unref(steal_ptr(&object));
}

static void what_another_mount_has_open_stays(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *other = NULL;
    struct digest opened, idle;
    struct store_object *object;

    limit_to(fixture, 2);
    opened = used_at(fixture, 1, 100);
    idle = used_at(fixture, 2, 200);
    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    object = open_it(other, &opened);
    set_times(fixture_path(fixture, &opened).s, 100);
    take(fixture, SIZE);
    assert_true(is_there(fixture, &opened));
    assert_false(is_there(fixture, &idle));
    store_room_give(fixture->store, SIZE);
    store_object_unref(object);
    store_object_tidy(other);
    take(fixture, 2 * (int64_t)SIZE); /* closed: now it may go */
    assert_false(is_there(fixture, &opened));
    store_room_give(fixture->store, 2 * (int64_t)SIZE);
}

static void no_room_is_enospc_and_nothing_goes(void **state)
{
    struct fixture *fixture = *state;
    struct digest opened, other;
    struct store_object *object;

    limit_to(fixture, 2);
    opened = used_at(fixture, 1, 100);
    other = used_at(fixture, 2, 200);
    object = open_it(fixture->store, &opened);
    assert_int_equal(store_room_take(fixture->store, SIZE + SIZE / 2, &fixture->err), -ENOSPC);
    assert_true(is_there(fixture, &other));
    store_object_unref(object);
}

static void more_than_the_cache_may_have_is_said(void **state)
{
    struct fixture *fixture = *state;

    limit_to(fixture, 2);
    assert_int_equal(store_room_take(fixture->store, 3 * (int64_t)SIZE, &fixture->err), -ENOSPC);
    assert_non_null(strstr(fixture->err.text, "cache_size"));
}

/* Somebody waits for it, and would pay again. */
static void what_just_came_and_was_not_opened_stays_for_a_minute(void **state)
{
    struct fixture *fixture = *state;
    struct digest unread, read;
    struct timespec times[2];

    limit_to(fixture, 2);
    unread = fixture_sample(fixture, SIZE, 1);
    read = fixture_sample(fixture, SIZE, 2);
    store_object_unref(open_it(fixture->store, &read));
    take(fixture, SIZE);
    assert_true(is_there(fixture, &unread));
    assert_false(is_there(fixture, &read));
    store_room_give(fixture->store, SIZE);
    times[0].tv_sec = times[1].tv_sec = time(NULL) - 2 * STORE_UNREAD_KEEP_S;
    times[0].tv_nsec = times[1].tv_nsec = 0;
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(fixture, &unread).s, times, 0), 0);
    take(fixture, 2 * (int64_t)SIZE);
    assert_false(is_there(fixture, &unread));
    store_room_give(fixture->store, 2 * (int64_t)SIZE);
}

static void archives_count_and_go_first(void **state)
{
    static const struct request_id id = { .s = "00112233-4455-6677-8899-aabbccddeeff" };
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct store_object *archive = NULL;
    struct digest older;
    char *bytes = calloc(SIZE, 1);

    limit_to(fixture, 2);
    older = used_at(fixture, 1, 100);
    assert_int_equal(store_archive_begin(fixture->store, &id, &writer, &fixture->err), 0);
    assert_int_equal(store_writer_write(writer, bytes, SIZE, &fixture->err), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), 0);
    assert_int_equal(store_archive_open(fixture->store, &id, &archive, &fixture->err), 0);
    store_object_unref(steal_ptr(&archive));
    take(fixture, SIZE);
    assert_true(is_there(fixture, &older));
    assert_int_equal(store_archive_open(fixture->store, &id, &archive, &fixture->err), STORE_ABSENT);
    store_room_give(fixture->store, SIZE);
    free(bytes);
}

static void room_that_is_taken_is_not_given_twice(void **state)
{
    struct fixture *fixture = *state;

    limit_to(fixture, 2);
    take(fixture, SIZE);
    take(fixture, SIZE);
    assert_int_equal(store_room_take(fixture->store, SIZE, &fixture->err), -ENOSPC);
    store_room_give(fixture->store, SIZE);
    take(fixture, SIZE);
    store_room_give(fixture->store, SIZE);
    store_room_give(fixture->store, SIZE);
}

static void more_than_was_said_is_kept_and_others_go_afterwards(void **state)
{
    struct fixture *fixture = *state;
    struct digest old, large;

    limit_to(fixture, 3);
    old = used_at(fixture, 1, 100);
    take(fixture, SIZE);
    large = fixture_sample(fixture, (size_t)5 * SIZE, 2);
    store_room_give(fixture->store, SIZE);
    assert_true(is_there(fixture, &large));
    assert_false(is_there(fixture, &old));
}

static void evictions_are_told_once_and_counted(void **state)
{
    struct fixture *fixture = *state;
    struct store_evicted evicted[3];
    struct store_usage usage;
    struct digest first, second;

    limit_to(fixture, 2);
    first = used_at(fixture, 1, 100);
    second = used_at(fixture, 2, 200);
    take(fixture, 2 * (int64_t)SIZE);
    store_room_give(fixture->store, 2 * (int64_t)SIZE);
    assert_int_equal(store_room_evicted(fixture->store, evicted, 1), 1);
    assert_true(digest_equal(&evicted[0].digest, &first));
    assert_int_equal(evicted[0].bytes, FILE_BYTES);
    assert_int_equal(store_room_evicted(fixture->store, evicted, 3), 1);
    assert_true(digest_equal(&evicted[0].digest, &second));
    assert_int_equal(store_room_evicted(fixture->store, evicted, 3), 0);
    store_room_usage(fixture->store, &usage);
    assert_int_equal(usage.n_evictions, 2);
    assert_int_equal(usage.eviction_bytes, 2 * FILE_BYTES);
    assert_int_equal(usage.bytes, 0);
    assert_int_equal(usage.n_samples, 0);
    assert_int_equal(usage.free_bytes, 2 * FILE_BYTES);
}

static void what_another_mount_did_is_counted(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *other = NULL;
    struct store_usage usage;

    limit_to(fixture, 3);
    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    (void)used_at(fixture, 1, 100);
    (void)used_at(fixture, 2, 200);
    store_room_usage(other, &usage);
    assert_int_equal(usage.n_samples, 2);
    assert_int_equal(usage.bytes, 2 * FILE_BYTES);
    assert_int_equal(store_room_take(other, 2 * (int64_t)SIZE, &fixture->err), 0);
    store_room_give(other, 2 * (int64_t)SIZE);
    store_room_usage(fixture->store, &usage);
    assert_int_equal(usage.n_samples, 1);
    assert_int_equal(usage.bytes, FILE_BYTES);
}

static void own_changes_do_not_hide_those_of_another(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = *fixture; /* the same directories */
    struct store_usage usage;

    assert_int_equal(store_new(&fixture->config, &other.store, &fixture->err), 0);
    (void)fixture_sample(&other, SIZE, 1);
    (void)fixture_sample(fixture, SIZE, 2);
    store_room_usage(fixture->store, &usage);
    assert_int_equal(usage.n_samples, 2);
    store_room_usage(other.store, &usage);
    assert_int_equal(usage.n_samples, 2);
    store_free(other.store);
}

static void *close_a_little_later(void *closure)
{
    const struct timespec little = { .tv_nsec = STORE_LOCK_STEP_MS * 1000 * 1000 };

    (void)nanosleep(&little, NULL);
    store_object_unref(closure);
    return NULL;
}

static void a_close_that_comes_a_moment_later_makes_room(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    pthread_t thread;

    limit_to(fixture, 1);
    digest = used_at(fixture, 1, 100);
    assert_int_equal(pthread_create(&thread, NULL, close_a_little_later, open_it(fixture->store, &digest)), 0);
    take(fixture, SIZE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(is_there(fixture, &digest));
    store_room_give(fixture->store, SIZE);
}

/* ---- two processes: one reads, one evicts and stores again ---- */

enum { ROUNDS = 300, RACE_SIZE = 1000 };

static void evict_and_store(struct fixture *fixture, const struct digest *digest, const uint8_t *truth)
{
    const struct store_ref ref = { .kind = STORE_SEALED, .shelf = SHELF_SAMPLES, .digest = *digest };

    for (int i = 0; i < ROUNDS; i++) {
        if (!store_place_disk.evict(fixture->store, &ref, EVICT_REMOVE))
            continue; /* it is open there */
        fixture_store(fixture, digest, truth, RACE_SIZE);
    }
}

/* 0: while it was open it was there, and it was right. */
static int read_while_evicted(struct fixture *fixture, const struct digest *digest, const uint8_t *truth)
{
    struct store *store = NULL;
    uint8_t got[RACE_SIZE];
    size_t n = 0;

    if (store_new(&fixture->config, &store, NULL) != 0)
        return 1;
    for (int i = 0; i < ROUNDS * 4; i++) {
        struct store_object *object = NULL;
        int r = store_object_open(store, digest, &object, NULL);

        if (r == STORE_ABSENT)
            continue;
        if (r < 0 || store_object_read(object, 0, got, sizeof got, &n, NULL) != 0 || memcmp(got, truth, n) != 0)
            return 2;
        if (!store_object_exists(store, digest))
            return 3; /* taken away although it is open */
        store_object_unref(object);
    }
    return 0;
}

static void what_a_process_opens_is_not_taken_away_by_another(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest;
    cleanup_(freep) uint8_t *truth = fixture_bytes(RACE_SIZE, 1, &digest);
    pid_t pid;

    fixture_store(fixture, &digest, truth, RACE_SIZE);
    pid = fork();
    if (pid == 0)
        _exit(read_while_evicted(fixture, &digest, truth));
    evict_and_store(fixture, &digest, truth);
    assert_int_equal(fixture_wait(pid), 0);
}

/* What others have written does not get smaller by what we throw away. */
static void a_disk_that_others_fill_takes_no_sample_away(void **state)
{
    static const char block[64 * KIB];
    struct fixture *fixture = *state;
    struct store_config config = fixture->config;
    struct store *store = NULL;
    struct digest digests[4];
    char cache[sizeof fixture->cache + 8];
    char others[sizeof cache + 8];
    int n_left = 0;
    int fd;

    (void)snprintf(cache, sizeof cache, "%s-small", fixture->cache);
    assert_int_equal(mkdir(cache, 0700), 0);
    if (mount("none", cache, "tmpfs", 0, "size=64m") < 0)
        skip(); /* only root may */
    config.cache_dir = cache;
    store_free(fixture->store);
    fixture->store = NULL;
    assert_int_equal(store_new(&config, &store, &fixture->err), 0);
    fixture->store = store;
    for (unsigned int i = 0; i < ARRAY_SIZE(digests); i++)
        digests[i] = old_sample_below(fixture, cache, i);
    take(fixture, SIZE);
    (void)snprintf(others, sizeof others, "%s/others", cache);
    fd = open(others, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
    store_room_give(fixture->store, SIZE); /* nothing came */
    for (size_t i = 0; i < ARRAY_SIZE(digests); i++)
        n_left += is_there(fixture, &digests[i]);
    fixture_reopen(fixture); /* back to its own cache */
    assert_int_equal(umount2(cache, MNT_DETACH), 0);
    assert_int_equal(n_left, ARRAY_SIZE(digests));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_disk_that_others_fill_takes_no_sample_away),
        cmocka_unit_test(the_limit_and_the_free_part_of_the_disk_both_count),
        STORE_TEST(what_the_disk_has_given_is_not_kept_free_again),
        STORE_TEST(what_was_used_longest_ago_goes_first_and_no_more_than_is_needed),
        STORE_TEST(without_need_nothing_goes),
        STORE_TEST(opening_is_use_that_survives_a_restart),
        STORE_TEST(opening_is_use_before_it_is_closed),
        STORE_TEST(looking_is_no_use),
        STORE_TEST(closing_is_use),
        STORE_TEST(what_is_open_stays),
        STORE_TEST(what_another_mount_has_open_stays),
        STORE_TEST(no_room_is_enospc_and_nothing_goes),
        STORE_TEST(more_than_the_cache_may_have_is_said),
        STORE_TEST(what_just_came_and_was_not_opened_stays_for_a_minute),
        STORE_TEST(archives_count_and_go_first),
        STORE_TEST(room_that_is_taken_is_not_given_twice),
        STORE_TEST(more_than_was_said_is_kept_and_others_go_afterwards),
        STORE_TEST(evictions_are_told_once_and_counted),
        STORE_TEST(what_another_mount_did_is_counted),
        STORE_TEST(own_changes_do_not_hide_those_of_another),
        STORE_TEST(a_close_that_comes_a_moment_later_makes_room),
        STORE_TEST(what_a_process_opens_is_not_taken_away_by_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
