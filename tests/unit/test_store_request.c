#include "test_store_fixture.h"

#include <errno.h>

#include "util/clock.h"

static const struct request_id id_one = { "11111111-aaaa-bbbb-cccc-0123456789ab" };
static const struct request_id id_two = { "22222222-aaaa-bbbb-cccc-0123456789ab" };

static struct store_request get(struct fixture *fixture, const struct request_id *id)
{
    struct store_request request;

    assert_int_equal(store_request_get(fixture->store, id, &request, &fixture->err), 0);
    return request;
}

static struct store_request adopt(struct fixture *fixture, const struct request_id *id)
{
    assert_int_equal(store_request_adopt(fixture->store, id, QUERY_EXACT, 1000, &fixture->err), 0);
    return get(fixture, id);
}

static int finish(struct fixture *fixture, const struct store_request *request, const struct sample *samples, size_t n)
{
    return store_request_finish(
        fixture->store,
        &(struct store_answer){ .request = request, .samples = samples, .n_samples = n, .raw = "{}", .raw_n = 2 },
        &fixture->err);
}

static struct sample sample(uint32_t i)
{
    struct sample sample = { .digest = fixture_digest(i), .size_bytes = i, .first_seen_s = 1, .family = "emotet" };

    return sample;
}

static struct store_request done(struct store_request request)
{
    request.state = REQUEST_DONE;
    request.finished_s = 2000;
    request.has_stats = true;
    request.stats = (struct query_stats){ .clean = 1, .malware = 2, .pua = 3, .total = 10, .unknown = 4 };
    return request;
}

static void an_unknown_request_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request;

    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), STORE_ABSENT);
    assert_int_equal(fixture->err.code, 0);
}

static void an_adopted_request_is_in_progress(void **state)
{
    struct store_request request = adopt(*state, &id_one);

    assert_true(request.row > 0);
    assert_string_equal(request.id.s, id_one.s);
    assert_int_equal(request.kind, QUERY_EXACT);
    assert_int_equal(request.state, REQUEST_INPROGRESS);
    assert_int_equal(request.submitted_s, 1000);
    assert_int_equal(request.finished_s, 0);
    assert_int_equal(request.limit, 0);
    assert_int_equal(request.entry_row, 0);
    assert_false(request.has_stats);
}

static void adopting_again_leaves_it_alone(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = adopt(fixture, &id_one);

    assert_int_equal(store_request_adopt(fixture->store, &id_one, QUERY_HUNT, 9999, &fixture->err), 0);
    assert_int_equal(get(fixture, &id_one).row, request.row);
    assert_int_equal(get(fixture, &id_one).kind, QUERY_EXACT);
    assert_int_equal(get(fixture, &id_one).submitted_s, 1000);
}

static void finish_keeps_state_stats_and_count(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    struct sample samples[] = { sample(1), sample(2) };
    struct store_request got;

    assert_int_equal(finish(fixture, &request, samples, 2), 0);
    got = get(fixture, &id_one);
    assert_int_equal(got.state, REQUEST_DONE);
    assert_int_equal(got.finished_s, 2000);
    assert_int_equal(got.n_results, 2);
    assert_true(got.has_stats);
    assert_memory_equal(&got.stats, &request.stats, sizeof got.stats);
}

static void finish_keeps_the_reason_of_a_failure(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = adopt(fixture, &id_one);

    request.state = REQUEST_FAILED;
    (void)snprintf(request.error, sizeof request.error, "rule too slow");
    assert_int_equal(finish(fixture, &request, NULL, 0), 0);
    assert_int_equal(get(fixture, &id_one).state, REQUEST_FAILED);
    assert_string_equal(get(fixture, &id_one).error, "rule too slow");
}

static void finish_without_a_time_means_now(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    int64_t before_s = clock_now_s();

    request.finished_s = 0;
    assert_int_equal(finish(fixture, &request, NULL, 0), 0);
    assert_in_range(get(fixture, &id_one).finished_s, before_s, clock_now_s());
}

static void finish_stores_the_metadata(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    struct sample one = sample(7);
    struct store_sample got;

    assert_int_equal(finish(fixture, &request, &one, 1), 0);
    assert_int_equal(store_sample_get(fixture->store, &one.digest, &got, &fixture->err), 0);
    assert_string_equal(got.sample.family, "emotet");
}

static void finish_is_idempotent(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    struct sample one = sample(1);
    struct sample others[] = { sample(2), sample(3) };
    bool has = true;

    assert_int_equal(finish(fixture, &request, &one, 1), 0);
    request.state = REQUEST_FAILED;
    request.finished_s = 3000;
    assert_int_equal(finish(fixture, &request, others, 2), 0);
    assert_int_equal(get(fixture, &id_one).state, REQUEST_DONE);
    assert_int_equal(get(fixture, &id_one).finished_s, 2000);
    assert_int_equal(get(fixture, &id_one).n_results, 1);
    assert_int_equal(store_result_has(fixture->store, request.row, &others[0].digest, &has, &fixture->err), 0);
    assert_false(has);
}

static void finish_by_id_finds_the_row(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));

    request.row = 0;
    assert_int_equal(finish(fixture, &request, NULL, 0), 0);
    assert_int_equal(get(fixture, &id_one).state, REQUEST_DONE);
}

static void finish_of_an_unknown_request_is_absent_and_stores_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = { .row = 99, .state = REQUEST_DONE };
    struct sample one = sample(1);
    struct store_sample got;

    assert_int_equal(finish(fixture, &request, &one, 1), STORE_ABSENT);
    assert_int_equal(store_sample_get(fixture->store, &one.digest, &got, &fixture->err), STORE_ABSENT);
}

static void finish_refuses_a_request_that_still_runs(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = adopt(fixture, &id_one);

    assert_int_equal(finish(fixture, &request, NULL, 0), -EINVAL);
}

static void finish_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));

    assert_int_equal(finish(fixture, &request, NULL, 0), 0);
    fixture_reopen(fixture);
    assert_int_equal(get(fixture, &id_one).state, REQUEST_DONE);
}

static void ten_thousand_results_are_stored_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    cleanup_(freep) struct sample *samples = calloc(QUERY_LIMIT_MAX, sizeof *samples);

    for (uint32_t i = 0; i < QUERY_LIMIT_MAX; i++)
        samples[i] = sample(i);
    assert_int_equal(finish(fixture, &request, samples, QUERY_LIMIT_MAX), 0);
    assert_int_equal(get(fixture, &id_one).n_results, QUERY_LIMIT_MAX);
}

static void the_raw_answer_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    cleanup_(buf_done) struct buf raw = BUF_INIT(MIB);
    static const char answer[] = "{\"a\":\0 1}";

    assert_int_equal(
        store_request_finish(fixture->store,
                             &(struct store_answer){ .request = &request, .raw = answer, .raw_n = sizeof answer },
                             &fixture->err),
        0);
    assert_int_equal(store_request_raw(fixture->store, request.row, &raw, &fixture->err), 0);
    assert_int_equal(raw.n, sizeof answer);
    assert_memory_equal(raw.data, answer, sizeof answer);
}

static void without_a_raw_answer_there_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    cleanup_(buf_done) struct buf raw = BUF_INIT(MIB);

    assert_int_equal(store_request_finish(fixture->store, &(struct store_answer){ .request = &request }, &fixture->err),
                     0);
    assert_int_equal(store_request_raw(fixture->store, request.row, &raw, &fixture->err), STORE_ABSENT);
}

static void what_was_sent_is_kept_when_the_entry_changes(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = { .dir = STORE_HUNTS, .name = "a", .state = STORE_ENTRY_QUEUED };
    cleanup_(buf_done) struct buf text = BUF_INIT(100);

    assert_int_equal(store_entry_put(fixture->store, &entry, "sent", 4, &fixture->err), 0);
    assert_int_equal(
        store_entry_accepted(fixture->store, entry.row,
                             &(struct store_sent){ .dir = STORE_HUNTS, .text = "sent", .n = 4, .options = "" },
                             &(struct store_accepted){ .id = &id_one, .kind = QUERY_HUNT, .limit = 5, .now_s = 1 },
                             &fixture->err),
        0);
    assert_int_equal(store_entry_put(fixture->store, &entry, "edited", 6, &fixture->err), 0);
    assert_int_equal(store_request_text(fixture->store, get(fixture, &id_one).row, &text, &fixture->err), 0);
    assert_string_equal(buf_text(&text), "sent");
}

static void nothing_was_sent_for_an_adopted_request(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = adopt(fixture, &id_one);
    cleanup_(buf_done) struct buf text = BUF_INIT(100);

    assert_int_equal(store_request_text(fixture->store, request.row, &text, &fixture->err), STORE_ABSENT);
}

struct seen {
    int n;
    int stop_with;
    char last[REQUEST_ID_TEXT + 1];
};

static int see(void *closure, const struct store_request *request)
{
    struct seen *seen = closure;

    seen->n++;
    memcpy(seen->last, request->id.s, sizeof seen->last);
    return seen->stop_with;
}

static void list_names_all_requests(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    struct seen seen = { 0 };

    (void)adopt(fixture, &id_two);
    assert_int_equal(finish(fixture, &request, NULL, 0), 0);
    assert_int_equal(store_request_list(fixture->store, false, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 2);
}

static void list_of_unfinished_requests_leaves_out_the_finished(void **state)
{
    struct fixture *fixture = *state;
    struct store_request request = done(adopt(fixture, &id_one));
    struct seen seen = { 0 };

    (void)adopt(fixture, &id_two);
    assert_int_equal(finish(fixture, &request, NULL, 0), 0);
    assert_int_equal(store_request_list(fixture->store, true, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.last, id_two.s);
}

static void list_stops_when_told(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = { .stop_with = 55 };

    (void)adopt(fixture, &id_one);
    (void)adopt(fixture, &id_two);
    assert_int_equal(store_request_list(fixture->store, false, see, &seen, &fixture->err), 55);
    assert_int_equal(seen.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_unknown_request_is_absent),
        STORE_TEST(an_adopted_request_is_in_progress),
        STORE_TEST(adopting_again_leaves_it_alone),
        STORE_TEST(finish_keeps_state_stats_and_count),
        STORE_TEST(finish_keeps_the_reason_of_a_failure),
        STORE_TEST(finish_without_a_time_means_now),
        STORE_TEST(finish_stores_the_metadata),
        STORE_TEST(finish_is_idempotent),
        STORE_TEST(finish_by_id_finds_the_row),
        STORE_TEST(finish_of_an_unknown_request_is_absent_and_stores_nothing),
        STORE_TEST(finish_refuses_a_request_that_still_runs),
        STORE_TEST(finish_survives_a_restart),
        STORE_TEST(ten_thousand_results_are_stored_at_once),
        STORE_TEST(the_raw_answer_comes_back),
        STORE_TEST(without_a_raw_answer_there_is_none),
        STORE_TEST(what_was_sent_is_kept_when_the_entry_changes),
        STORE_TEST(nothing_was_sent_for_an_adopted_request),
        STORE_TEST(list_names_all_requests),
        STORE_TEST(list_of_unfinished_requests_leaves_out_the_finished),
        STORE_TEST(list_stops_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
