#include "test_engine_fixture.h"
#include "test_engine_yara.h"

#include <errno.h>

#include "engine/engine_search.h"

#include "util/clock.h"

enum { WAIT_MS = 20000, FILES = 40, DAY_S = 24 * 60 * 60, FIRST_S = 1000000000 };

#define EVERYTHING "{\"yara_rule\":\"rule a { condition: true }\"}"

struct bench {
    struct fixture fixture;
    char dir[PATH_MAX];
    struct engine_db *db;
    struct engine_index *index;
    atomic_bool stop;
    int64_t limit_ms;
};

static void start_index(struct bench *bench)
{
    const struct engine_index_config config = { .dir = bench->dir, .n_threads = 2 };

    assert_int_equal(engine_index_new(bench->db, &config, &bench->index, NULL), 0);
    assert_true(engine_index_wait(bench->index, WAIT_MS));
}

/* FILES files, each a day younger than the one before: "needle <number>" and, from 20 on, "late". */
static void bench_init(struct bench *bench)
{
    *bench = (struct bench){ .limit_ms = WAIT_MS };
    fixture_init(&bench->fixture);
    (void)snprintf(bench->dir, PATH_MAX, "%s", fixture_path(&bench->fixture, "zoo"));
    assert_int_equal(mkdir(bench->dir, 0700), 0);
    for (int i = 0; i < FILES; i++) {
        struct timespec times[2] = { { .tv_sec = FIRST_S + i * DAY_S }, { .tv_sec = FIRST_S + i * DAY_S } };
        char name[32];
        char text[64];

        (void)snprintf(name, sizeof name, "zoo/%d", i);
        (void)snprintf(text, sizeof text, "needle %02d%s", i, i >= 20 ? " late" : "");
        fixture_text(&bench->fixture, name, text);
        assert_int_equal(utimensat(AT_FDCWD, fixture_path(&bench->fixture, name), times, 0), 0);
    }
    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
    start_index(bench);
}

static void bench_done(struct bench *bench)
{
    engine_index_free(bench->index);
    engine_db_free(bench->db);
    fixture_done(&bench->fixture);
}

/* A search with every rule and limit of a job, only shorter. */
static int search(struct bench *bench, enum query_kind kind, const char *text, struct engine_samples *samples,
                  struct err *err)
{
    cleanup_(json_object_putp) json_object *body = NULL;
    const struct engine_search_config config = {
        .n_threads = 4, .stop = &bench->stop, .deadline_ms = clock_mono_ms() + bench->limit_ms, .file_s = 1
    };
    struct engine_query query;
    int r;

    assert_int_equal(engine_json_parse(text, strlen(text), &body, NULL), 0);
    assert_int_equal(engine_query_parse(kind, body, &query, NULL), 0);
    r = engine_search_run(bench->index, &query, &config, samples, err);
    engine_query_done(&query);
    return r;
}

static struct engine_samples run(struct bench *bench, enum query_kind kind, const char *text)
{
    struct engine_samples samples = { 0 };

    assert_int_equal(search(bench, kind, text, &samples, NULL), 0);
    return samples;
}

static void the_limit_keeps_the_newest(void **unused)
{
    struct engine_samples samples;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    samples = run(&bench, QUERY_EXACT,
                  "{\"options\":{\"limit\":3},\"patterns\":[{\"type\":\"ascii\",\"value\":\"needle\"}]}");
    assert_int_equal(samples.n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(samples.items[i].first_seen_s / DAY_S, FIRST_S / DAY_S + FILES - 1 - i);
    engine_samples_done(&samples);
    bench_done(&bench);
}

static void hunts_and_exact_searches_find_all(void **unused)
{
    struct engine_samples samples;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    samples = run(&bench, QUERY_HUNT, "{\"yara_rule\":\"rule a { strings: $a = \\\"late\\\" condition: $a }\"}");
    assert_int_equal(samples.n, 20);
    engine_samples_done(&samples);
    samples =
        run(&bench, QUERY_EXACT,
            "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"late\"},{\"type\":\"ascii\",\"value\":\"needle 2\"}]}");
    assert_int_equal(samples.n, 10);
    engine_samples_done(&samples);
    bench_done(&bench);
}

static void filters_come_before_the_limit(void **unused)
{
    struct engine_samples samples;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    samples = run(&bench, QUERY_HUNT,
                  "{\"options\":{\"limit\":5,\"max_size\":\"9\",\"max_date\":\"2001/09/10\"},\"yara_rule\":\"rule a { "
                  "condition: true }\"}");
    assert_int_equal(samples.n, 2); /* 9 and 10 September 2001 */
    engine_samples_done(&samples);
    samples = run(&bench, QUERY_HUNT,
                  "{\"options\":{\"filter_filetypes\":[\"pe32\"]},\"yara_rule\":\"rule a { condition: true }\"}");
    assert_int_equal(samples.n, 0);
    engine_samples_done(&samples);
    bench_done(&bench);
}

static void a_stopped_search_has_no_results(void **unused)
{
    struct engine_samples samples = { 0 };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.stop = true;
    assert_int_equal(search(&bench, QUERY_HUNT, EVERYTHING, &samples, NULL), -ECANCELED);
    assert_null(samples.items);
    bench_done(&bench);
}

static void files_that_take_too_long_are_counted_not_passed_over(void **unused)
{
    struct engine_samples samples = { 0 };
    struct err err = { 0 };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(
        search(&bench, QUERY_HUNT,
               "{\"options\":{\"max_date\":\"2001/09/10\"},\"yara_rule\":\"rule a { condition: for all i in "
               "(0..99999999999) : (i >= 0) }\"}",
               &samples, &err),
        -ETIMEDOUT);
    assert_string_equal(err.text, "2 files took longer than 1 s each");
    bench.limit_ms = -1;
    assert_int_equal(search(&bench, QUERY_HUNT, EVERYTHING, &samples, &err), -ETIMEDOUT);
    assert_string_equal(err.text, "the search takes too long");
    bench_done(&bench);
}

static void a_file_that_cannot_be_opened_fails_the_search_and_a_lost_one_does_not(void **unused)
{
    struct engine_samples samples = { 0 };
    struct bench bench;
    bool is_root = geteuid() == 0;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(unlink(fixture_path(&bench.fixture, "zoo/7")), 0);
    samples = run(&bench, QUERY_HUNT, EVERYTHING);
    assert_int_equal(samples.n, FILES - 1);
    engine_samples_done(&samples);
    assert_int_equal(chmod(fixture_path(&bench.fixture, "zoo/5"), 0), 0);
    if (is_root) { /* who may read everything */
        assert_int_equal(chown(bench.fixture.dir, 65534, 65534), 0);
        assert_int_equal(chmod(bench.dir, 0755), 0);
        assert_int_equal(chmod(fixture_path(&bench.fixture, "index.db"), 0666), 0);
        assert_int_equal(chmod(fixture_path(&bench.fixture, "index.db-wal"), 0666), 0);
        assert_int_equal(chmod(fixture_path(&bench.fixture, "index.db-shm"), 0666), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    assert_int_equal(search(&bench, QUERY_HUNT, EVERYTHING, &samples, NULL), -EACCES);
    assert_int_equal(
        search(&bench, QUERY_EXACT, "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"needle\"}]}", &samples, NULL),
        -EACCES);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    bench_done(&bench);
}

static void an_empty_file_is_examined_like_others(void **unused)
{
    struct engine_samples samples;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    engine_index_free(bench.index);
    fixture_text(&bench.fixture, "zoo/empty", "");
    start_index(&bench);
    samples = run(&bench, QUERY_HUNT, EVERYTHING);
    assert_int_equal(samples.n, FILES + 1);
    engine_samples_done(&samples);
    bench_done(&bench);
}

static void fuzzy_search_counts_more_than_it_shows(void **unused)
{
    cleanup_(json_object_putp) json_object *body = NULL;
    static const char text[] = "{\"options\":{\"limit\":4},\"patterns\":[{\"type\":\"ascii\",\"value\":\"needle\"}]}";
    struct engine_samples samples = { 0 };
    struct engine_query query;
    struct bench bench;
    size_t total = 0;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(engine_json_parse(text, strlen(text), &body, NULL), 0);
    assert_int_equal(engine_query_parse(QUERY_FUZZY, body, &query, NULL), 0);
    assert_int_equal(engine_search_fuzzy(bench.index, &query, &samples, &total, NULL), 0);
    assert_int_equal(samples.n, 4);
    assert_int_equal(total, FILES);
    engine_samples_done(&samples);
    engine_query_done(&query);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_keeps_the_newest),
        cmocka_unit_test(hunts_and_exact_searches_find_all),
        cmocka_unit_test(filters_come_before_the_limit),
        cmocka_unit_test(a_stopped_search_has_no_results),
        cmocka_unit_test(files_that_take_too_long_are_counted_not_passed_over),
        cmocka_unit_test(a_file_that_cannot_be_opened_fails_the_search_and_a_lost_one_does_not),
        cmocka_unit_test(an_empty_file_is_examined_like_others),
        cmocka_unit_test(fuzzy_search_counts_more_than_it_shows),
    };

    return cmocka_run_group_tests(tests, start_yara, end_yara);
}
