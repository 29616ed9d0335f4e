#include "test_store_fixture.h"

#include <sqlite3.h>

#include "store/store_db.h"

static const struct request_id id_one = { "11111111-aaaa-bbbb-cccc-0123456789ab" };
static const struct request_id id_two = { "22222222-aaaa-bbbb-cccc-0123456789ab" };

enum { MANY = 1000 };

static struct sample sample(uint32_t i)
{
    struct sample sample = { .digest = fixture_digest(i), .size_bytes = i, .first_seen_s = 1 };

    return sample;
}

/* A finished request with n results: samples 0, 1, … in this order. */
static int64_t finished(struct fixture *fixture, const struct request_id *id, uint32_t n)
{
    struct store_request request;
    cleanup_(freep) struct sample *samples = calloc(n + 1, sizeof *samples);

    for (uint32_t i = 0; i < n; i++)
        samples[i] = sample(i);
    assert_int_equal(store_request_adopt(fixture->store, id, QUERY_HUNT, 1, &fixture->err), 0);
    assert_int_equal(store_request_get(fixture->store, id, &request, &fixture->err), 0);
    request.state = REQUEST_DONE;
    assert_int_equal(
        store_request_finish(fixture->store,
                             &(struct store_answer){ .request = &request, .samples = samples, .n_samples = n },
                             &fixture->err),
        0);
    return request.row;
}

static size_t page(struct fixture *fixture, int64_t row, int64_t from, struct sample *samples, size_t max)
{
    size_t n = 12345;

    assert_int_equal(store_result_page(fixture->store, row, from, samples, max, &n, &fixture->err), 0);
    return n;
}

static void pages_give_every_result_in_order(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, MANY);
    struct sample samples[64];
    uint32_t seen = 0;
    size_t n;

    while ((n = page(fixture, row, seen, samples, ARRAY_SIZE(samples))) > 0)
        for (size_t i = 0; i < n; i++)
            assert_int_equal(samples[i].size_bytes, seen++);
    assert_int_equal(seen, MANY);
}

static void the_last_page_is_short(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, 10);
    struct sample samples[8];

    assert_int_equal(page(fixture, row, 7, samples, 8), 3);
    assert_int_equal(samples[0].size_bytes, 7);
}

static void a_page_beyond_the_end_is_empty(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, 10);
    struct sample samples[8];

    assert_int_equal(page(fixture, row, 10, samples, 8), 0);
}

static void a_page_of_nothing_is_empty(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, 10);

    assert_int_equal(page(fixture, row, 0, NULL, 0), 0);
}

static void results_of_two_requests_are_kept_apart(void **state)
{
    struct fixture *fixture = *state;
    int64_t one = finished(fixture, &id_one, 3);
    int64_t two = finished(fixture, &id_two, 5);
    struct sample samples[8];

    assert_int_equal(page(fixture, one, 0, samples, 8), 3);
    assert_int_equal(page(fixture, two, 0, samples, 8), 5);
}

static void a_sample_that_is_named_twice_is_one_result(void **state)
{
    struct fixture *fixture = *state;
    struct sample twice[] = { sample(1), sample(2), sample(1), sample(3) };
    struct sample samples[8];
    struct store_request request;

    assert_int_equal(store_request_adopt(fixture->store, &id_one, QUERY_HUNT, 1, &fixture->err), 0);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    request.state = REQUEST_DONE;
    assert_int_equal(
        store_request_finish(fixture->store,
                             &(struct store_answer){ .request = &request, .samples = twice, .n_samples = 4 },
                             &fixture->err),
        0);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.n_results, 3);
    assert_int_equal(page(fixture, request.row, 2, samples, 8), 1); /* no gap where the double was */
    assert_int_equal(samples[0].size_bytes, 3);
}

static void a_page_shows_what_is_known_now(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, 1);
    struct sample later = sample(0);
    struct sample samples[1];

    (void)snprintf(later.family, sizeof later.family, "emotet");
    assert_int_equal(store_sample_put(fixture->store, &later, 1, &fixture->err), 0);
    assert_int_equal(page(fixture, row, 0, samples, 1), 1);
    assert_string_equal(samples[0].family, "emotet");
}

/* The plan may scan nothing and sort nothing: else a listing of 100,000 is quadratic. */
static void a_page_is_a_range_of_an_index(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(buf_done) struct buf sql = BUF_INIT(4096);
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;
    char path[PATH_MAX];
    int n = 0;

    (void)snprintf(path, sizeof path, "%s/state.db", fixture->state);
    buf_printf(&sql, "EXPLAIN QUERY PLAN %s", store_sql_texts[SQL_RESULT_PAGE]);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, buf_text(&sql), -1, &statement, NULL), SQLITE_OK);
    for (; sqlite3_step(statement) == SQLITE_ROW; n++) {
        const char *detail = (const char *)sqlite3_column_text(statement, 3);

        if (strncmp(detail, "SEARCH ", 7) != 0)
            fail_msg("%s", detail);
    }
    assert_int_equal(n, 2);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void has_tells_results_from_others(void **state)
{
    struct fixture *fixture = *state;
    int64_t one = finished(fixture, &id_one, 3);
    int64_t two = finished(fixture, &id_two, 5);
    struct digest digest = fixture_digest(4);
    bool in_one = true;
    bool in_two = false;

    assert_int_equal(store_result_has(fixture->store, one, &digest, &in_one, &fixture->err), 0);
    assert_int_equal(store_result_has(fixture->store, two, &digest, &in_two, &fixture->err), 0);
    assert_false(in_one);
    assert_true(in_two);
}

struct seen {
    struct fixture *fixture;
    uint32_t n;
    uint32_t stop_at;
    bool in_order;
    int gone;
};

static int see(void *closure, const struct store_sample *got)
{
    struct seen *seen = closure;

    seen->in_order = seen->in_order && got->sample.size_bytes == seen->n;
    seen->gone += got->state == STORE_SAMPLE_GONE;
    return ++seen->n == seen->stop_at ? 31 : 0;
}

static void list_gives_every_result_in_order(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, MANY);
    struct seen seen = { .in_order = true };

    assert_int_equal(store_result_list(fixture->store, row, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, MANY);
    assert_true(seen.in_order);
}

static void list_stops_when_told(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, 512);
    struct seen seen = { .in_order = true, .stop_at = 300 };

    assert_int_equal(store_result_list(fixture->store, row, see, &seen, &fixture->err), 31);
    assert_int_equal(seen.n, 300);
}

static void list_shows_the_state_of_each_sample(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = finished(fixture, &id_one, 3);
    struct digest digest = fixture_digest(1);
    struct seen seen = { 0 };

    assert_int_equal(store_sample_put_gone(fixture->store, &digest, "gone", &fixture->err), 0);
    assert_int_equal(store_result_list(fixture->store, row, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.gone, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(pages_give_every_result_in_order),
        STORE_TEST(the_last_page_is_short),
        STORE_TEST(a_page_beyond_the_end_is_empty),
        STORE_TEST(a_page_of_nothing_is_empty),
        STORE_TEST(results_of_two_requests_are_kept_apart),
        STORE_TEST(a_sample_that_is_named_twice_is_one_result),
        STORE_TEST(a_page_shows_what_is_known_now),
        STORE_TEST(a_page_is_a_range_of_an_index),
        STORE_TEST(has_tells_results_from_others),
        STORE_TEST(list_gives_every_result_in_order),
        STORE_TEST(list_stops_when_told),
        STORE_TEST(list_shows_the_state_of_each_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
