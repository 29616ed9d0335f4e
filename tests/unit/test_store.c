#include "test_store_fixture.h"

#include <errno.h>
#include <pthread.h>

static void put_entry(struct store *store, const char *name)
{
    struct store_entry entry = { .dir = STORE_HUNTS };

    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    assert_int_equal(store_entry_put(store, &entry, "x", 1, NULL), 0);
}

static void both_directories_are_made_for_their_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;

    assert_int_equal(stat(fixture->state, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(fixture->cache, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void directories_that_are_open_to_others_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;

    assert_int_equal(chmod(fixture->state, 0755), 0);
    assert_int_equal(chmod(fixture->cache, 0777), 0);
    fixture_reopen(fixture);
    assert_int_equal(stat(fixture->state, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(fixture->cache, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void state_files_are_for_their_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "seal.key" };
    char path[PATH_MAX];
    struct stat st;

    put_entry(fixture->store, "a");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fixture->state, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static void a_file_in_the_place_of_a_directory_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct store_config config = fixture->config;
    struct store *store = NULL;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/seal.key", fixture->state);
    config.cache_dir = path;
    assert_int_equal(store_new(&config, &store, &fixture->err), -ENOTDIR);
    assert_null(store);
}

static void a_state_that_is_no_database_is_refused_and_kept(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];
    struct stat st;
    int fd;

    store_free(fixture->store);
    fixture->store = NULL;
    (void)snprintf(path, sizeof path, "%s/state.db", fixture->state);
    fd = open(path, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, "this is no database, not at all!", 32), 32);
    close(fd);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), -EIO);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 3200);
}

static void two_stores_share_one_database(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *other = NULL;
    struct store_entry entry;

    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    put_entry(fixture->store, "mine");
    put_entry(other, "theirs");
    assert_int_equal(store_entry_get(other, STORE_HUNTS, "mine", &entry, &fixture->err), 0);
    assert_int_equal(store_entry_get(fixture->store, STORE_HUNTS, "theirs", &entry, &fixture->err), 0);
}

enum { PROCESSES = 6 };

/* Everybody starts at the close of the pipe, stores one sample and one entry, and reads the sample back. */
static int be_one_of_many(struct fixture *fixture, int start_fd, unsigned int me)
{
    struct store_object *object = NULL;
    struct store_writer *writer = NULL;
    struct store *store = NULL;
    struct store_entry entry = { .dir = STORE_HUNTS };
    struct digest digest;
    uint8_t *bytes = fixture_bytes(1000, me, &digest);
    uint8_t got[1000];
    size_t n = 0;
    char byte;

    (void)snprintf(entry.name, sizeof entry.name, "p%u", me);
    if (read(start_fd, &byte, 1) != 0)
        return 1;
    if (store_new(&fixture->config, &store, &fixture->err) != 0)
        return 2;
    if (store_writer_begin(store, &digest, &writer, NULL) != 0 || store_writer_write(writer, bytes, 1000, NULL) != 0 ||
        store_writer_commit(writer, NULL) != 0)
        return 3;
    if (store_entry_put(store, &entry, "x", 1, NULL) != 0)
        return 4;
    if (store_object_open(store, &digest, &object, NULL) != 0 ||
        store_object_read(object, 0, got, sizeof got, &n, NULL) != 0)
        return 5;
    return 0;
}

/* Processes race for the key, the database and the migrations; the key of one of them then opens all samples. */
static void processes_that_start_together_agree_on_one_key(void **state)
{
    struct fixture *fixture = *state;
    pid_t pids[PROCESSES];
    int start[2];

    store_free(fixture->store);
    fixture->store = NULL;
    assert_int_equal(nftw(fixture->state, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(nftw(fixture->cache, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0); /* sealed by that key */
    assert_int_equal(pipe(start), 0);
    for (unsigned int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(start[1]);
            _exit(be_one_of_many(fixture, start[0], i));
        }
    }
    close(start[0]);
    close(start[1]);
    for (unsigned int i = 0; i < PROCESSES; i++)
        assert_int_equal(fixture_wait(pids[i]), 0);
    assert_int_equal(store_new(&fixture->config, &fixture->store, &fixture->err), 0);
    for (unsigned int i = 0; i < PROCESSES; i++) {
        struct digest digest;
        cleanup_(freep) uint8_t *bytes = fixture_bytes(1000, i, &digest);
        cleanup_(store_object_unrefp) struct store_object *object = NULL;
        uint8_t got[1000];
        size_t n = 0;

        assert_int_equal(store_object_open(fixture->store, &digest, &object, &fixture->err), 0);
        assert_int_equal(store_object_read(object, 0, got, sizeof got, &n, &fixture->err), 0);
        assert_memory_equal(got, bytes, sizeof got);
    }
}

static void the_version_grows_with_own_changes(void **state)
{
    struct fixture *fixture = *state;
    int64_t before = store_version(fixture->store);

    put_entry(fixture->store, "a");
    assert_true(store_version(fixture->store) > before);
}

static void the_version_grows_with_changes_of_others(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *other = NULL;
    int64_t before;

    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    before = store_version(fixture->store);
    put_entry(other, "a");
    assert_true(store_version(fixture->store) > before);
}

static void the_version_stays_without_changes(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = { .digest = fixture_digest(1), .size_bytes = 1 };
    struct store_entry entry;
    int64_t rows_before;
    int64_t before;

    put_entry(fixture->store, "a");
    before = store_version(fixture->store);
    rows_before = store_rows_version(fixture->store);
    assert_int_equal(store_rows_version(fixture->store), rows_before);
    assert_int_equal(store_sample_put(fixture->store, &sample, 1, &fixture->err), 0); /* not an entry, not a request */
    assert_true(store_rows_version(fixture->store) > rows_before);
    assert_int_equal(store_entry_get(fixture->store, STORE_HUNTS, "a", &entry, &fixture->err), 0);
    assert_int_equal(store_version(fixture->store), before);
}

enum { THREADS = 4, ROUNDS = 50 };

static void *write_entries(void *closure)
{
    struct store *store = closure;
    struct store_entry entry = { .dir = STORE_HUNTS };

    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(entry.name, sizeof entry.name, "e%d", i % 5);
        if (store_entry_put(store, &entry, "x", 1, NULL) != 0 ||
            store_entry_get(store, STORE_HUNTS, entry.name, &entry, NULL) != 0)
            return store;
    }
    return NULL;
}

static void threads_of_two_stores_wait_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(store_freep) struct store *other = NULL;
    pthread_t threads[THREADS];
    void *failed = NULL;

    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_entries, i % 2 ? other : fixture->store), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(both_directories_are_made_for_their_owner_alone),
        STORE_TEST(directories_that_are_open_to_others_are_closed),
        STORE_TEST(state_files_are_for_their_owner_alone),
        STORE_TEST(a_file_in_the_place_of_a_directory_is_an_error),
        STORE_TEST(a_state_that_is_no_database_is_refused_and_kept),
        STORE_TEST(two_stores_share_one_database),
        STORE_TEST(processes_that_start_together_agree_on_one_key),
        STORE_TEST(the_version_grows_with_own_changes),
        STORE_TEST(the_version_grows_with_changes_of_others),
        STORE_TEST(the_version_stays_without_changes),
        STORE_TEST(threads_of_two_stores_wait_for_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
