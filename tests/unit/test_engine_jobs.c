#include "test_engine_fixture.h"
#include "test_engine_yara.h"

#include <errno.h>
#include <time.h>

#include "engine/engine_jobs.h"
#include "util/clock.h"

enum { WAIT_MS = 20000 };

#define MULTI "{\"samples\":[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}"
#define HUNT "{\"yara_rule\":\"rule a { condition: true }\"}"

struct bench {
    struct fixture fixture;
    char dir[PATH_MAX];
    struct engine_db *db;
    struct engine_index *index;
    struct engine_jobs *jobs;
    struct engine_jobs_config config;
};

static void start(struct bench *bench)
{
    const struct engine_index_config config = { .dir = bench->dir, .n_threads = 1 };

    assert_int_equal(engine_db_open(fixture_path(&bench->fixture, "index.db"), &bench->db, NULL), 0);
    assert_int_equal(engine_index_new(bench->db, &config, &bench->index, NULL), 0);
    assert_int_equal(engine_jobs_new(bench->db, bench->index, &bench->config, &bench->jobs, NULL), 0);
}

static void stop(struct bench *bench)
{
    engine_jobs_free(bench->jobs);
    engine_index_free(bench->index);
    engine_db_free(bench->db);
}

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){ .config = { .n_threads = 2, .retention_s = 3600 } };
    fixture_init(&bench->fixture);
    (void)snprintf(bench->dir, PATH_MAX, "%s", fixture_path(&bench->fixture, "zoo"));
    assert_int_equal(mkdir(bench->dir, 0700), 0);
    fixture_text(&bench->fixture, "zoo/a", "hello\n");
}

static struct request_id submit(struct bench *bench, enum query_kind kind, const char *body)
{
    const struct engine_price price = { .kind = QUOTA_HUNTS, .n = 1, .limit = 1000 };
    struct request_id id = { "" };

    assert_int_equal(engine_jobs_submit(bench->jobs, kind, body, &price, &id, NULL), 0);
    return id;
}

static enum request_state state_of(struct bench *bench, const struct request_id *id)
{
    struct engine_job job;
    enum request_state state;

    assert_int_equal(engine_jobs_get(bench->jobs, id, &job, NULL), 0);
    state = job.state;
    engine_job_done(&job);
    return state;
}

static enum request_state end_of(struct bench *bench, const struct request_id *id)
{
    const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
    int64_t end_ms = clock_mono_ms() + WAIT_MS;

    while (state_of(bench, id) == REQUEST_INPROGRESS && clock_mono_ms() < end_ms)
        (void)nanosleep(&step, NULL);
    return state_of(bench, id);
}

static void ids_have_the_shape_of_the_service(void **unused)
{
    struct request_id parsed;
    struct request_id a;
    struct request_id b;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    a = submit(&bench, QUERY_HUNT, HUNT);
    b = submit(&bench, QUERY_HUNT, HUNT);
    assert_true(request_id_parse(a.s, &parsed));
    assert_int_equal(a.s[14], '4');
    assert_string_not_equal(a.s, b.s);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void run_sql(struct bench *bench, const char *text)
{
    lock_acquire(&bench->db->lock);
    assert_int_equal(sqlite3_exec(bench->db->sql, text, NULL, NULL, NULL), SQLITE_OK);
    lock_release(&bench->db->lock);
}

static void a_job_that_was_not_finished_is_run_by_the_next_start(void **unused)
{
    struct engine_job job;
    struct request_id id;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    id = submit(&bench, QUERY_HUNT, HUNT);
    assert_int_equal(end_of(&bench, &id), REQUEST_DONE);
    lock_acquire(&bench.db->lock);
    assert_int_equal(sqlite3_exec(bench.db->sql, "UPDATE job SET state = 0, results = NULL", NULL, NULL, NULL),
                     SQLITE_OK);
    lock_release(&bench.db->lock);
    stop(&bench);
    start(&bench);
    assert_int_equal(end_of(&bench, &id), REQUEST_DONE);
    assert_int_equal(engine_jobs_get(bench.jobs, &id, &job, NULL), 0);
    assert_int_equal(job.kind, QUERY_HUNT);
    assert_non_null(job.results);
    assert_non_null(job.body);
    engine_job_done(&job);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void finished_jobs_survive_a_restart(void **unused)
{
    struct request_id id;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    id = submit(&bench, QUERY_HUNT, HUNT);
    assert_int_equal(end_of(&bench, &id), REQUEST_DONE);
    stop(&bench);
    start(&bench);
    assert_int_equal(state_of(&bench, &id), REQUEST_DONE);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_job_that_cannot_run_fails_with_a_reason(void **unused)
{
    struct engine_job job;
    struct request_id id;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    id = submit(&bench, QUERY_HUNT, "{\"yara_rule\":\"no rule\"}");
    assert_int_equal(end_of(&bench, &id), REQUEST_FAILED);
    assert_int_equal(engine_jobs_get(bench.jobs, &id, &job, NULL), 0);
    assert_true(strlen(job.reason) > 0);
    assert_null(job.results);
    engine_job_done(&job);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_job_stays_in_progress_for_the_delay(void **unused)
{
    struct request_id id;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.config.delay_ms = 3600 * 1000;
    start(&bench);
    id = submit(&bench, QUERY_MULTI, MULTI);
    assert_int_equal(state_of(&bench, &id), REQUEST_INPROGRESS);
    stop(&bench);
    bench.config.delay_ms = 0;
    start(&bench);
    assert_int_equal(end_of(&bench, &id), REQUEST_DONE);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static int64_t number(struct bench *bench, const char *text)
{
    sqlite3_stmt *stmt = NULL;
    int64_t n;

    lock_acquire(&bench->db->lock);
    assert_int_equal(sqlite3_prepare_v2(bench->db->sql, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    lock_release(&bench->db->lock);
    return n;
}

static void a_job_that_brings_the_program_down_is_given_up(void **unused)
{
    struct engine_job job;
    struct request_id id;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    id = submit(&bench, QUERY_HUNT, HUNT);
    assert_int_equal(end_of(&bench, &id), REQUEST_DONE);
    assert_int_equal(number(&bench, "SELECT attempts FROM job"), 1);
    run_sql(&bench, "UPDATE job SET state = 0, attempts = 2, results = NULL");
    stop(&bench);
    start(&bench);
    assert_int_equal(end_of(&bench, &id), REQUEST_FAILED);
    assert_int_equal(engine_jobs_get(bench.jobs, &id, &job, NULL), 0);
    assert_string_equal(job.reason, "interrupted again and again");
    engine_job_done(&job);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void a_wanted_end_is_no_attempt(void **unused)
{
    const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    (void)submit(&bench, QUERY_HUNT,
                 "{\"yara_rule\":\"rule a { condition: for all i in (0..200000000) : (i >= 0) }\"}");
    while (number(&bench, "SELECT attempts FROM job") == 0 && clock_mono_ms() < end_ms)
        (void)nanosleep(&step, NULL);
    engine_jobs_free(bench.jobs);
    assert_int_equal(number(&bench, "SELECT attempts FROM job WHERE state = 0"), 0);
    engine_index_free(bench.index);
    engine_db_free(bench.db);
    fixture_done(&bench.fixture);
}

static void an_old_job_that_never_ended_is_dropped(void **unused)
{
    const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    (void)submit(&bench, QUERY_MULTI, MULTI);
    run_sql(&bench, "UPDATE job SET state = 0, kind = 0, created_ms = created_ms - 3601000");
    stop(&bench);
    start(&bench);
    while (number(&bench, "SELECT COUNT(*) FROM job") > 0 && clock_mono_ms() < end_ms)
        (void)nanosleep(&step, NULL);
    assert_int_equal(number(&bench, "SELECT COUNT(*) FROM job"), 0);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static int64_t hunts(struct bench *bench)
{
    int64_t n = -1;

    assert_int_equal(engine_quota_spent(bench->db, QUOTA_HUNTS, clock_now_s(), &n, NULL), 0);
    return n;
}

static void a_job_and_its_price_are_written_together_or_not_at_all(void **unused)
{
    const struct engine_price dear = { .kind = QUOTA_HUNTS, .n = 2, .limit = 2 };
    const struct engine_price cheap = { .kind = QUOTA_HUNTS, .n = 1, .limit = 1000 };
    struct request_id id = { "" };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    id = submit(&bench, QUERY_MULTI, MULTI);
    assert_int_equal(hunts(&bench), 1);
    assert_int_equal(engine_jobs_submit(bench.jobs, QUERY_HUNT, HUNT, &dear, &id, NULL), ENGINE_QUOTA_EXCEEDED);
    assert_int_equal(hunts(&bench), 1);
    run_sql(&bench, "CREATE TRIGGER no BEFORE INSERT ON job BEGIN SELECT RAISE(ABORT, 'no'); END");
    assert_true(engine_jobs_submit(bench.jobs, QUERY_HUNT, HUNT, &cheap, &id, NULL) < 0);
    assert_int_equal(hunts(&bench), 1);
    stop(&bench);
    fixture_done(&bench.fixture);
}

static void an_old_job_is_unknown(void **unused)
{
    struct engine_job job;
    struct request_id id;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    id = submit(&bench, QUERY_MULTI, MULTI);
    assert_int_equal(end_of(&bench, &id), REQUEST_DONE);
    lock_acquire(&bench.db->lock);
    assert_int_equal(sqlite3_exec(bench.db->sql, "UPDATE job SET created_ms = created_ms - 3601000", NULL, NULL, NULL),
                     SQLITE_OK);
    lock_release(&bench.db->lock);
    assert_int_equal(engine_jobs_get(bench.jobs, &id, &job, NULL), ENGINE_JOBS_ABSENT);
    stop(&bench);
    fixture_done(&bench.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_the_shape_of_the_service),
        cmocka_unit_test(a_job_that_was_not_finished_is_run_by_the_next_start),
        cmocka_unit_test(finished_jobs_survive_a_restart),
        cmocka_unit_test(a_job_that_cannot_run_fails_with_a_reason),
        cmocka_unit_test(a_job_stays_in_progress_for_the_delay),
        cmocka_unit_test(a_job_and_its_price_are_written_together_or_not_at_all),
        cmocka_unit_test(a_job_that_brings_the_program_down_is_given_up),
        cmocka_unit_test(a_wanted_end_is_no_attempt),
        cmocka_unit_test(an_old_job_that_never_ended_is_dropped),
        cmocka_unit_test(an_old_job_is_unknown),
    };

    return cmocka_run_group_tests(tests, start_yara, end_yara);
}
