#include "test_engine_fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/engine_file.h"
#include "engine/engine_index.h"
#include "util/clock.h"

enum { WAIT_MS = 20000, MANY = 40 };

struct bench {
    struct fixture fixture;
    struct engine_db *db;
    struct engine_index *index;
};

static void start_with(struct bench *bench, bool has_watch, const char *labels)
{
    static char dir[PATH_MAX];
    struct engine_index_config config = { .n_threads = 2, .has_watch = has_watch, .may_lack_labels = true };

    (void)snprintf(dir, sizeof dir, "%s", fixture_path(&bench->fixture, "zoo"));
    config.dir = dir;
    config.labels = labels;
    config.excludes[0] = labels;
    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
    assert_int_equal(engine_index_new(bench->db, &config, &bench->index, NULL), 0);
    assert_true(engine_index_wait(bench->index, WAIT_MS));
}

static void start(struct bench *bench)
{
    start_with(bench, false, NULL);
}

static void stop(struct bench *bench)
{
    engine_index_free(bench->index);
    engine_db_free(bench->db);
    bench->index = NULL;
    bench->db = NULL;
}

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){ .db = NULL };
    fixture_init(&bench->fixture);
    assert_int_equal(mkdir(fixture_path(&bench->fixture, "zoo"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(&bench->fixture, "zoo/sub"), 0700), 0);
}

static struct digest hash_of(const char *text)
{
    struct digest digest;

    assert_int_equal(digest_of(text, strlen(text), &digest, NULL), 0);
    return digest;
}

static bool has(struct bench *bench, const char *text)
{
    struct digest digest = hash_of(text);
    struct sample sample;
    int r = engine_index_find(bench->index, &digest, &sample, NULL);

    assert_true(r >= 0);
    return r == 0;
}

/* Waits until the sample is there or gone, because inotify takes its time. */
static bool becomes(struct bench *bench, const char *text, bool is_there)
{
    const struct timespec step = { .tv_nsec = 20 * 1000 * 1000 };
    int64_t end_ms = clock_mono_ms() + WAIT_MS;

    while (has(bench, text) != is_there && clock_mono_ms() < end_ms)
        (void)nanosleep(&step, NULL);
    return has(bench, text) == is_there;
}

static int try_open(struct bench *bench, const char *text)
{
    struct digest digest = hash_of(text);
    int64_t size = 0;
    int fd = -1;
    int r = engine_index_open(bench->index, &digest, NULL, &fd, &size, NULL);

    if (r == 0) {
        assert_int_equal(size, strlen(text));
        close(fd);
    }
    return r;
}

static void regular_files_are_samples_and_links_are_not(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "outside", "not ours");
    fixture_text(&bench.fixture, "zoo/a", "first");
    fixture_text(&bench.fixture, "zoo/sub/b", "second");
    fixture_text(&bench.fixture, "zoo/empty", "");
    assert_int_equal(symlink("../outside", fixture_path(&bench.fixture, "zoo/link")), 0);
    assert_int_equal(symlink("..", fixture_path(&bench.fixture, "zoo/up")), 0);
    start(&bench);
    assert_true(has(&bench, "first"));
    assert_true(has(&bench, "second"));
    assert_true(has(&bench, ""));
    assert_false(has(&bench, "not ours"));
    assert_int_equal(engine_index_n_read(bench.index), 3);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void start_excluding(struct bench *bench, const char *path)
{
    static char dir[PATH_MAX];
    const struct engine_index_config config = { .dir = dir, .n_threads = 1, .excludes = { NULL, path } };

    (void)snprintf(dir, sizeof dir, "%s", fixture_path(&bench->fixture, "zoo"));
    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
    assert_int_equal(engine_index_new(bench->db, &config, &bench->index, NULL), 0);
    assert_true(engine_index_wait(bench->index, WAIT_MS));
}

static void our_own_files_are_no_samples_by_whatever_name(void **unused)
{
    struct bench bench;
    char path[PATH_MAX];

    (void)unused;
    bench_init(&bench);
    (void)snprintf(path, sizeof path, "%s", fixture_path(&bench.fixture, "link/./key"));
    assert_int_equal(symlink("zoo/sub", fixture_path(&bench.fixture, "link")), 0);
    fixture_text(&bench.fixture, "zoo/sub/key", "secret");
    fixture_text(&bench.fixture, "zoo/a", "first");
    assert_int_equal(link(fixture_path(&bench.fixture, "zoo/sub/key"), fixture_path(&bench.fixture, "zoo/hard")), 0);
    start_excluding(&bench, path);
    assert_true(has(&bench, "first"));
    assert_false(has(&bench, "secret"));
    stop(&bench);
    path[strlen(path) - strlen("/./key")] = '\0'; /* the whole directory */
    fixture_text(&bench.fixture, "zoo/sub/other", "temporary");
    start_excluding(&bench, path);
    assert_false(has(&bench, "temporary"));
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_sample_that_became_ours_is_not_opened(void **unused)
{
    struct bench bench;
    char path[PATH_MAX];

    (void)unused;
    bench_init(&bench);
    (void)snprintf(path, sizeof path, "%s", fixture_path(&bench.fixture, "key"));
    fixture_text(&bench.fixture, "zoo/a", "secret");
    start_excluding(&bench, path);
    assert_int_equal(try_open(&bench, "secret"), 0);
    assert_int_equal(symlink("zoo/a", path), 0);
    assert_int_equal(try_open(&bench, "secret"), ENGINE_INDEX_ABSENT);
    stop(&bench);
    fixture_done(&bench.fixture);
}

/* Leaves no descriptor to open anything with. */
static struct rlimit take_descriptors(void)
{
    struct rlimit old;
    struct rlimit none;
    int fd = dup(0);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)fd;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return old;
}

static void a_sample_that_cannot_be_opened_is_not_absent(void **unused)
{
    struct bench bench;
    struct rlimit old;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/a", "first");
    start(&bench);
    old = take_descriptors();
    assert_int_equal(try_open(&bench, "first"), -EMFILE);
    assert_int_equal(try_open(&bench, "never seen"), ENGINE_INDEX_ABSENT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(try_open(&bench, "first"), 0);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_pass_that_failed_forgets_nothing_and_is_tried_again(void **unused)
{
    static char dir[PATH_MAX];
    const struct engine_index_config config = { .dir = dir, .n_threads = 1, .retry_ms = 2000 };
    struct bench bench;
    struct rlimit old;

    (void)unused;
    bench_init(&bench);
    (void)snprintf(dir, sizeof dir, "%s", fixture_path(&bench.fixture, "zoo"));
    fixture_text(&bench.fixture, "zoo/a", "first");
    fixture_text(&bench.fixture, "zoo/sub/b", "second");
    start(&bench);
    stop(&bench);
    fixture_text(&bench.fixture, "zoo/a", "FIRST, and changed");
    assert_int_equal(engine_db_open(fixture_path(&bench.fixture, "index.db"), &bench.db, NULL), 0);
    lock_acquire(&bench.db->lock); /* the pass waits until there are no descriptors */
    assert_int_equal(engine_index_new(bench.db, &config, &bench.index, NULL), 0);
    old = take_descriptors();
    lock_release(&bench.db->lock);
    assert_true(engine_index_wait(bench.index, WAIT_MS));
    assert_true(has(&bench, "first"));
    assert_true(has(&bench, "second"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(becomes(&bench, "FIRST, and changed", true));
    assert_false(has(&bench, "first"));
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void one_good_file_of_many_is_found(void **unused)
{
    struct bench bench;
    char name[32];

    (void)unused;
    bench_init(&bench);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "zoo/%03d", i);
        fixture_text(&bench.fixture, name, "same");
    }
    start(&bench);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(try_open(&bench, "same"), 0);
        (void)snprintf(name, sizeof name, "zoo/%03d", i);
        assert_int_equal(unlink(fixture_path(&bench.fixture, name)), 0);
    }
    assert_int_equal(try_open(&bench, "same"), ENGINE_INDEX_ABSENT);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void identical_files_are_one_sample(void **unused)
{
    struct engine_samples samples = { 0 };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/a", "same");
    fixture_text(&bench.fixture, "zoo/sub/b", "same");
    start(&bench);
    assert_int_equal(engine_index_list(bench.index, NULL, 0, &samples, NULL), 0);
    assert_int_equal(samples.n, 1);
    engine_samples_done(&samples);
    assert_int_equal(unlink(fixture_path(&bench.fixture, "zoo/a")), 0);
    assert_int_equal(try_open(&bench, "same"), 0); /* from the other file */
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_restart_reads_only_what_changed(void **unused)
{
    const struct timespec settle = { .tv_sec = ENGINE_FILE_SETTLE_MS / 1000, .tv_nsec = 100 * 1000 * 1000 };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/a", "first");
    fixture_text(&bench.fixture, "zoo/sub/b", "second");
    (void)nanosleep(&settle, NULL);
    start(&bench);
    stop(&bench);
    start(&bench);
    assert_int_equal(engine_index_n_read(bench.index), 0);
    assert_true(has(&bench, "first"));
    stop(&bench);
    fixture_text(&bench.fixture, "zoo/a", "FIRST");
    assert_int_equal(unlink(fixture_path(&bench.fixture, "zoo/sub/b")), 0);
    start(&bench);
    assert_int_equal(engine_index_n_read(bench.index), 1);
    assert_true(has(&bench, "FIRST"));
    assert_false(has(&bench, "first"));
    assert_false(has(&bench, "second"));
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void changed_bytes_are_never_served_under_the_old_hash(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/a", "first");
    fixture_text(&bench.fixture, "zoo/touched", "touched");
    start(&bench);
    assert_int_equal(try_open(&bench, "first"), 0);
    fixture_text(&bench.fixture, "zoo/a", "FIRST");
    fixture_text(&bench.fixture, "zoo/touched", "touched");
    assert_int_equal(try_open(&bench, "first"), ENGINE_INDEX_ABSENT);
    assert_int_equal(try_open(&bench, "touched"), 0);
    assert_int_equal(try_open(&bench, "never seen"), ENGINE_INDEX_ABSENT);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void changes_are_followed(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/a", "first");
    fixture_text(&bench.fixture, "zoo/sub/b", "second");
    start_with(&bench, true, NULL);
    fixture_text(&bench.fixture, "zoo/a", "FIRST");
    assert_true(becomes(&bench, "FIRST", true));
    assert_false(has(&bench, "first"));
    assert_int_equal(mkdir(fixture_path(&bench.fixture, "zoo/new"), 0700), 0);
    fixture_text(&bench.fixture, "zoo/new/c", "third");
    assert_true(becomes(&bench, "third", true));
    fixture_text(&bench.fixture, "zoo/new/d", "fourth");
    assert_true(becomes(&bench, "fourth", true));
    assert_int_equal(rename(fixture_path(&bench.fixture, "zoo/sub"), fixture_path(&bench.fixture, "gone")), 0);
    assert_true(becomes(&bench, "second", false));
    assert_int_equal(rename(fixture_path(&bench.fixture, "gone"), fixture_path(&bench.fixture, "zoo/back")), 0);
    assert_true(becomes(&bench, "second", true));
    fixture_text(&bench.fixture, "zoo/back/b", "SECOND");
    assert_true(becomes(&bench, "SECOND", true));
    assert_int_equal(unlink(fixture_path(&bench.fixture, "zoo/a")), 0);
    assert_true(becomes(&bench, "FIRST", false));
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_neighbour_with_a_longer_name_is_not_forgotten(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(mkdir(fixture_path(&bench.fixture, "zoo/sub2"), 0700), 0);
    fixture_text(&bench.fixture, "zoo/sub/b", "second");
    fixture_text(&bench.fixture, "zoo/sub2/c", "third");
    fixture_text(&bench.fixture, "zoo/sub!", "fourth");
    start_with(&bench, true, NULL);
    assert_int_equal(rename(fixture_path(&bench.fixture, "zoo/sub"), fixture_path(&bench.fixture, "gone")), 0);
    assert_true(becomes(&bench, "second", false));
    assert_true(has(&bench, "third"));
    assert_true(has(&bench, "fourth"));
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void labels_and_the_oldest_file_decide_what_is_known(void **unused)
{
    struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    struct bench bench;
    struct sample sample;
    struct digest digest = hash_of("first");
    char labels[PATH_MAX];
    char text[256];

    (void)unused;
    bench_init(&bench);
    (void)snprintf(labels, sizeof labels, "%s", fixture_path(&bench.fixture, "zoo/labels.tsv"));
    fixture_text(&bench.fixture, "zoo/a", "first");
    fixture_text(&bench.fixture, "zoo/b", "first");
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(&bench.fixture, "zoo/b"), times, 0), 0);
    start_with(&bench, true, labels); /* no labels yet */
    assert_int_equal(engine_index_find(bench.index, &digest, &sample, NULL), 0);
    assert_string_equal(clock_date(sample.first_seen_s).s, "2001/09/09");
    assert_string_equal(sample.label, "unknown");
    (void)snprintf(text, sizeof text, "sha256\tlabel\tfamily\n%s\tpua\tzoo\n", digest_format(&digest).s);
    fixture_text(&bench.fixture, "zoo/labels.tsv", text);
    fixture_text(&bench.fixture, "zoo/mark", "marker"); /* comes after the labels, so they are loaded soon after it */
    assert_true(becomes(&bench, "marker", true));
    for (int64_t end_ms = clock_mono_ms() + WAIT_MS; clock_mono_ms() < end_ms && strcmp(sample.label, "pua") != 0;)
        assert_int_equal(engine_index_find(bench.index, &digest, &sample, NULL), 0);
    assert_string_equal(sample.label, "pua");
    assert_string_equal(sample.family, "zoo");
    assert_false(has(&bench, text)); /* the table itself is no sample */
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void only_a_table_that_was_asked_for_must_be_right(void **unused)
{
    struct engine_index_config config = { .n_threads = 1, .may_lack_labels = true };
    struct bench bench;
    char labels[PATH_MAX];
    char dir[PATH_MAX];

    (void)unused;
    bench_init(&bench);
    (void)snprintf(labels, sizeof labels, "%s", fixture_path(&bench.fixture, "zoo/labels.tsv"));
    (void)snprintf(dir, sizeof dir, "%s", fixture_path(&bench.fixture, "zoo"));
    config.dir = dir;
    config.labels = labels;
    fixture_text(&bench.fixture, "zoo/labels.tsv", "some\tother\ttable\n");
    assert_int_equal(engine_db_open(fixture_path(&bench.fixture, "index.db"), &bench.db, NULL), 0);
    assert_int_equal(engine_index_new(bench.db, &config, &bench.index, NULL), 0);
    engine_index_free(bench.index);
    config.may_lack_labels = false;
    assert_int_equal(engine_index_new(bench.db, &config, &bench.index, NULL), -EINVAL);
    engine_db_free(bench.db);
    fixture_done(&bench.fixture);
}

static void a_list_is_newest_first_and_filtered_by_patterns(void **unused)
{
    struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    uint8_t word[] = "needle";
    const struct engine_bytes pattern = { .data = word, .n = 6 };
    struct engine_samples samples = { 0 };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/old", "an old needle");
    fixture_text(&bench.fixture, "zoo/new", "a new needle");
    fixture_text(&bench.fixture, "zoo/hay", "nothing");
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(&bench.fixture, "zoo/old"), times, 0), 0);
    start(&bench);
    assert_int_equal(engine_index_list(bench.index, &pattern, 1, &samples, NULL), 0);
    assert_int_equal(samples.n, 2);
    assert_int_equal(samples.items[0].size_bytes, strlen("a new needle"));
    assert_int_equal(samples.items[1].size_bytes, strlen("an old needle"));
    engine_samples_done(&samples);
    stop(&bench);
    fixture_done(&bench.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regular_files_are_samples_and_links_are_not),
        cmocka_unit_test(our_own_files_are_no_samples_by_whatever_name),
        cmocka_unit_test(a_sample_that_became_ours_is_not_opened),
        cmocka_unit_test(a_sample_that_cannot_be_opened_is_not_absent),
        cmocka_unit_test(one_good_file_of_many_is_found),
        cmocka_unit_test(a_pass_that_failed_forgets_nothing_and_is_tried_again),
        cmocka_unit_test(identical_files_are_one_sample),
        cmocka_unit_test(a_restart_reads_only_what_changed),
        cmocka_unit_test(changed_bytes_are_never_served_under_the_old_hash),
        cmocka_unit_test(changes_are_followed),
        cmocka_unit_test(a_neighbour_with_a_longer_name_is_not_forgotten),
        cmocka_unit_test(labels_and_the_oldest_file_decide_what_is_known),
        cmocka_unit_test(only_a_table_that_was_asked_for_must_be_right),
        cmocka_unit_test(a_list_is_newest_first_and_filtered_by_patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
