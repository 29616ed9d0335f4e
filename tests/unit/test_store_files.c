#include "test_store_disk.h"

#include <errno.h>
#include <pthread.h>

#include "store/store_files.h"

/* ---- temporaries ---- */

static int count_puts(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += strncmp(entry->d_name, STORE_FILES_PUT "-", sizeof STORE_FILES_PUT) == 0;
    closedir(dir);
    return n;
}

static void what_a_death_has_left_is_swept_and_what_is_being_written_stays(void **state)
{
    struct fixture *fixture = *state;
    struct store_files_name dead;
    struct store_files_name alive;
    int dir_fd = open(fixture->state, O_RDONLY | O_DIRECTORY);
    int dead_fd = -1;
    int alive_fd = -1;

    assert_int_equal(store_files_begin(dir_fd, STORE_FILES_PUT, &dead, &dead_fd, &fixture->err), 0);
    assert_int_equal(store_files_begin(dir_fd, STORE_FILES_PUT, &alive, &alive_fd, &fixture->err), 0);
    close(dead_fd);
    fixture_reopen(fixture);
    assert_true(store_files_is_at(alive_fd, dir_fd, alive.s));
    assert_int_equal(count_puts(fixture->state), 1);
    close(alive_fd);
    fixture_reopen(fixture);
    assert_int_equal(count_puts(fixture->state), 0);
    assert_int_equal(faccessat(dir_fd, "seal.key", F_OK, 0), 0);
    close(dir_fd);
}

static void a_small_file_is_replaced_or_kept(void **state)
{
    struct fixture *fixture = *state;
    int dir_fd = open(fixture->state, O_RDONLY | O_DIRECTORY);
    char got[8] = "";
    int fd;

    assert_int_equal(store_files_put(dir_fd, "x", "one", 3, STORE_FILES_KEEP, &fixture->err), 0);
    assert_int_equal(store_files_put(dir_fd, "x", "two", 3, STORE_FILES_KEEP, &fixture->err), 0);
    fd = openat(dir_fd, "x", O_RDONLY);
    assert_int_equal(read(fd, got, sizeof got), 3);
    assert_string_equal(got, "one");
    close(fd);
    assert_int_equal(store_files_put(dir_fd, "x", "three", 5, STORE_FILES_REPLACE, &fixture->err), 0);
    fd = openat(dir_fd, "x", O_RDONLY);
    assert_int_equal(read(fd, got, sizeof got), 5);
    assert_string_equal(got, "three");
    close(fd);
    assert_int_equal(count_puts(fixture->state), 0);
    close(dir_fd);
}

#ifdef MQFS_FAULTS

/* ---- power cuts ---- */

enum { SAMPLES = 3, SIZE = STORE_CHUNK_BYTES + 1000, SPENDS = 3 };

/* What the program was told is on disk. */
static struct {
    struct fixture *fixture;
    unsigned int n_samples;
    unsigned int n_spends; /* settled, with a line */
    unsigned int n_cuts;
} promised;

/* On the thread of a child process: what the program finds after the cut. */
static struct fixture after;

static void expect_sample(const struct digest *digest, unsigned int seed)
{
    struct digest same;
    cleanup_(freep) uint8_t *truth = fixture_bytes(SIZE, seed, &same);
    cleanup_(freep) uint8_t *got = malloc(SIZE);
    struct store_object *object = NULL;
    size_t n = 0;

    assert_non_null(got);
    assert_true(digest_equal(digest, &same));
    if (store_object_open(after.store, digest, &object, &after.err) != 0)
        fail_msg("sample %u: %s", seed, after.err.text);
    assert_int_equal(store_object_read(object, 0, got, SIZE, &n, &after.err), 0);
    assert_int_equal(n, SIZE);
    assert_memory_equal(got, truth, SIZE);
    store_object_unref(object);
}

/* What is there is whole. */
static int expect_listed(void *closure, const struct digest *digest)
{
    unsigned int *n = closure;

    for (unsigned int seed = 0; seed < SAMPLES; seed++) {
        struct digest one;

        free(fixture_bytes(SIZE, seed, &one));
        if (digest_equal(&one, digest))
            expect_sample(digest, seed);
    }
    ++*n;
    return 0;
}

/* Every line once, in its order, and nothing else. */
static void expect_audit(void)
{
    char path[PATH_MAX];
    char line[4096];
    unsigned int n = 0;
    FILE *file;

    assert_int_equal(store_audit_flush(after.store, &after.err), 0);
    (void)snprintf(path, sizeof path, "%s/audit.jsonl", after.state);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char start[32];

        (void)snprintf(start, sizeof start, "{\"seq\":%u,", ++n);
        assert_memory_equal(line, start, strlen(start));
        assert_true(text_has_suffix(line, "}\n"));
    }
    fclose(file);
    assert_in_range(n, promised.n_spends, SPENDS);
}

static void *expect_all(void *closure)
{
    unsigned int n_listed = 0;

    (void)closure;
    if (store_new(&after.config, &after.store, &after.err) != 0)
        fail_msg("%s", after.err.text);
    assert_int_equal(store_object_list(after.store, expect_listed, &n_listed, &after.err), 0);
    assert_true(n_listed >= promised.n_samples);
    assert_int_equal(fixture_count(&after, "damaged"), 0);
    assert_int_equal(fixture_count(&after, "tmp"), 0);
    assert_int_equal(count_puts(after.state), 0);
    assert_int_equal(count_puts(after.cache), 0);
    expect_audit();
    store_free(after.store);
    return NULL;
}

/* In a process of its own, for SQLite's locks of files; on a thread of its own, for the ranks of locks. */
static void look(struct disk_cut cut)
{
    pid_t pid = fork();
    pthread_t thread;

    if (pid > 0) {
        int status = fixture_wait(pid);

        if (status != 0)
            fail_msg("cut %u: bytes %d, names %d", promised.n_cuts, (int)cut.bytes, (int)cut.names);
        return;
    }
    (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failure ends this process */
    (void)snprintf(after.dir, sizeof after.dir, "/dev/shm/mqfs-cut-XXXXXX");
    assert_non_null(mkdtemp(after.dir));
    (void)snprintf(after.state, sizeof after.state, "%s/state/deep/one", after.dir);
    (void)snprintf(after.cache, sizeof after.cache, "%s/cache/one", after.dir);
    after.config = (struct store_config){ .state_dir = after.state, .cache_dir = after.cache };
    cut.to_fd = open(after.dir, O_RDONLY | O_DIRECTORY);
    disk_build_dir(disk.root, cut);
    assert_int_equal(pthread_create(&thread, NULL, expect_all, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)nftw(after.dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    _exit(0);
}

static const struct disk_cut cuts[] = {
    { DISK_LOST, DISK_NAMES_LOST, -1 },       { DISK_KEPT, DISK_NAMES_LOST, -1 },
    { DISK_LOST, DISK_NAMES_KEPT, -1 },       { DISK_ZEROS, DISK_NAMES_KEPT, -1 },
    { DISK_FIRST_HALF, DISK_NAMES_KEPT, -1 }, { DISK_SECOND_HALF, DISK_NAMES_KEPT, -1 },
};

/* Before each sync, when most is unsynced; what it looked like between two of them is among what is built. */
static void cut_before(enum fault call, int fd)
{
    char path[64];

    if (call != FAULT_SYNC)
        return;
    fault_watch(NULL); /* our own calls are not the program's */
    promised.n_cuts++;
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
        look(cuts[i]);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    disk_sync(disk_inode(open(path, O_RDONLY | O_CLOEXEC)));
    fault_watch(cut_before);
}

static void spend(struct fixture *fixture)
{
    static const struct caller who = { .uid = 1000, .pid = 42, .program = "cat" };
    static const struct store_month unknown = { 0 };
    const struct store_settled paid = { .state = STORE_SPEND_PAID };
    const struct store_spend download = { .n = 1, .operation = "download", .name = "", .who = &who };
    int64_t row = 0;
    int64_t used = 0;

    assert_int_equal(store_budget_set(fixture->store, COST_DOWNLOADS, 10, false, &fixture->err), 0);
    assert_int_equal(store_spend_begin(fixture->store, &download, &unknown, &row, &used, &fixture->err), 0);
    assert_int_equal(store_spend_settle(fixture->store, row, &paid, &fixture->err), 0);
    assert_int_equal(store_audit_flush(fixture->store, &fixture->err), 0);
    promised.n_spends++;
}

static void store_sample(struct fixture *fixture)
{
    (void)fixture_sample(fixture, SIZE, promised.n_samples);
    promised.n_samples++;
}

/* Into a directory that somebody has made and died before it was synced. */
static void store_behind_the_dead(struct fixture *fixture)
{
    struct digest digest;
    char path[PATH_MAX];

    free(fixture_bytes(SIZE, promised.n_samples, &digest));
    (void)snprintf(path, sizeof path, "%s/%.2s", fixture->cache, digest_format(&digest).s);
    assert_int_equal(mkdir(path, 0700), 0);
    store_sample(fixture);
}

static void a_power_cut_at_any_moment_loses_nothing_that_was_promised(void **state)
{
    struct fixture fixture = { .dir = "/dev/shm/mqfs-store-XXXXXX" };
    struct store_rotated rotated;

    (void)state;
    memset(&promised, 0, sizeof promised);
    assert_non_null(mkdtemp(fixture.dir));
    (void)snprintf(fixture.state, sizeof fixture.state, "%s/state/deep/one", fixture.dir);
    (void)snprintf(fixture.cache, sizeof fixture.cache, "%s/cache/one", fixture.dir);
    fixture.config = (struct store_config){ .state_dir = fixture.state, .cache_dir = fixture.cache };
    disk_begin(fixture.dir);
    fault_watch(cut_before);
    fixture_reopen(&fixture);
    store_sample(&fixture);
    for (int i = 0; i < SPENDS - 1; i++)
        spend(&fixture);
    fixture.config.kind = STORE_PLAIN;
    fixture_reopen(&fixture);
    store_sample(&fixture);
    fixture.config.kind = STORE_SEALED;
    store_free(fixture.store);
    assert_int_equal(store_rotate(&fixture.config, &rotated, &fixture.err), 0);
    fixture.store = NULL;
    fixture_reopen(&fixture);
    spend(&fixture);
    store_behind_the_dead(&fixture);
    fault_watch(NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
        look(cuts[i]);
    assert_true(promised.n_cuts > 20);
    store_free(fixture.store);
    disk_end();
    assert_int_equal(nftw(fixture.dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_a_death_has_left_is_swept_and_what_is_being_written_stays),
        STORE_TEST(a_small_file_is_replaced_or_kept),
#ifdef MQFS_FAULTS
        cmocka_unit_test(a_power_cut_at_any_moment_loses_nothing_that_was_promised),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
