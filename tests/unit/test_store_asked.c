#include "test_store_fixture.h"

#include <errno.h>

static const struct err why = { .code = EAGAIN, .text = "later" };
static const struct request_id id_one = { "11111111-aaaa-bbbb-cccc-0123456789ab" };

static struct store_entry put(struct fixture *fixture, const char *name, const char *text)
{
    struct store_entry entry = { .dir = STORE_DOWNLOADS, .state = STORE_ENTRY_QUEUED, .suffix = ".txt" };

    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    assert_int_equal(store_entry_put(fixture->store, &entry, text, strlen(text), &fixture->err), 0);
    return entry;
}

static void of_two_lists_that_share_a_sample_one_comes_first(void **state)
{
    struct fixture *fixture = *state;
    struct digest digests[2] = { { .bytes = { 1 } }, { .bytes = { 2 } } };
    struct store_asked asked = { .digest = digests[1] };
    struct store_entry one = put(fixture, "one", "1");
    struct store_entry two = put(fixture, "two", "2");
    struct store_sent first = { .text = "1", .n = 1, .options = "", .intended = digests, .n_intended = 2 };
    struct store_sent second = { .text = "2", .n = 1, .options = "", .intended = &digests[1], .n_intended = 1 };
    struct store_accepted accepted = { .id = &id_one, .kind = QUERY_MULTI, .asked = &asked, .n_asked = 1 };
    struct store_request request = { .id = id_one, .state = REQUEST_DONE };
    struct request_id id;

    assert_int_equal(store_entry_begin(fixture->store, one.row, &first, &fixture->err), 0);
    assert_int_equal(store_entry_begin(fixture->store, two.row, &second, &fixture->err), STORE_BUSY);
    assert_int_equal(store_asked_under_way(fixture->store, &digests[0], &id, &fixture->err), 0);
    assert_int_equal(store_entry_accepted(fixture->store, one.row, &first, &accepted, &fixture->err), 0);
    assert_int_equal(store_asked_under_way(fixture->store, &digests[0], &id, &fixture->err), STORE_ABSENT);
    assert_int_equal(store_entry_begin(fixture->store, two.row, &second, &fixture->err), STORE_BUSY);
    assert_int_equal(store_request_finish(fixture->store,
                                          &(struct store_answer){ .request = &request, .asked = &asked, .n_asked = 1 },
                                          &fixture->err),
                     0);
    assert_int_equal(store_entry_begin(fixture->store, two.row, &second, &fixture->err), 0);
    assert_int_equal(store_entry_set_state(fixture->store, two.row, STORE_ENTRY_QUEUED, &why, &fixture->err), 0);
    assert_int_equal(store_asked_under_way(fixture->store, &digests[1], &id, &fixture->err), STORE_ABSENT);
}

struct seen {
    struct store_asked items[4];
    size_t n;
};

static int see(void *closure, const struct store_asked *asked)
{
    struct seen *seen = closure;

    assert_true(seen->n < ARRAY_SIZE(seen->items));
    seen->items[seen->n++] = *asked;
    return 0;
}

static void what_has_no_reason_is_a_result(void **state)
{
    struct fixture *fixture = *state;
    struct store_asked asked[2] = { { .digest = { .bytes = { 1 } } },
                                    { .digest = { .bytes = { 2 } }, .reason = "no" } };
    struct store_entry entry = put(fixture, "list", "1");
    struct store_sent sent = { .dir = STORE_DOWNLOADS, .text = "1", .n = 1, .options = "" };
    struct store_accepted accepted = { .id = &id_one, .kind = QUERY_MULTI, .asked = asked, .n_asked = 2 };
    struct store_request request = { .id = id_one, .state = REQUEST_DONE };
    struct seen seen = { .n = 0 };
    bool has = false;

    assert_int_equal(store_entry_begin(fixture->store, entry.row, &sent, &fixture->err), 0);
    assert_int_equal(store_entry_accepted(fixture->store, entry.row, &sent, &accepted, &fixture->err), 0);
    assert_int_equal(store_request_finish(fixture->store,
                                          &(struct store_answer){ .request = &request, .asked = asked, .n_asked = 2 },
                                          &fixture->err),
                     0);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.n_results, 1);
    assert_int_equal(store_result_has(fixture->store, request.row, &asked[0].digest, &has, &fixture->err), 0);
    assert_true(has);
    assert_int_equal(store_result_has(fixture->store, request.row, &asked[1].digest, &has, &fixture->err), 0);
    assert_false(has);
    assert_int_equal(store_asked_list(fixture->store, request.row, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.items[1].reason, "no");
}

static void an_adopted_request_becomes_a_multi_download_once(void **state)
{
    struct fixture *fixture = *state;
    struct store_asked asked[2] = { { .digest = { .bytes = { 1 } } },
                                    { .digest = { .bytes = { 2 } }, .reason = "no" } };
    struct store_request request;
    struct request_id id;
    struct seen seen = { .n = 0 };

    assert_int_equal(store_request_adopt(fixture->store, &id_one, QUERY_HUNT, 1, &fixture->err), 0);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(store_request_adopt_asked(fixture->store, request.row, asked, 2, &fixture->err), 0);
    assert_int_equal(store_request_adopt_asked(fixture->store, request.row, asked, 2, &fixture->err), STORE_ABSENT);
    assert_int_equal(store_asked_list(fixture->store, request.row, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 2);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.kind, QUERY_MULTI);
    assert_int_equal(store_asked_under_way(fixture->store, &asked[0].digest, &id, &fixture->err), 0);
    assert_string_equal(id.s, id_one.s);
    assert_int_equal(store_asked_under_way(fixture->store, &asked[1].digest, &id, &fixture->err), STORE_ABSENT);
}

static void a_finished_request_becomes_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct store_asked asked = { .digest = { .bytes = { 1 } } };
    struct store_request request = { .id = id_one, .state = REQUEST_DONE };

    assert_int_equal(store_request_adopt(fixture->store, &id_one, QUERY_HUNT, 1, &fixture->err), 0);
    assert_int_equal(store_request_finish(fixture->store, &(struct store_answer){ .request = &request }, &fixture->err),
                     0);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(store_request_adopt_asked(fixture->store, request.row, &asked, 1, &fixture->err), STORE_ABSENT);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.kind, QUERY_HUNT);
}

static void a_verdict_about_another_text_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "list", "new");
    struct store_held old = { .state = STORE_ENTRY_QUEUED, .text = "old", .n = 3 };
    struct store_held held = { .state = STORE_ENTRY_QUEUED, .text = "new", .n = 3 };

    assert_int_equal(store_entry_settle(fixture->store, entry.row, &old, STORE_ENTRY_REJECTED, &why, &fixture->err),
                     STORE_ABSENT);
    assert_int_equal(store_entry_get_row(fixture->store, entry.row, &entry, &fixture->err), 0);
    assert_int_equal(entry.state, STORE_ENTRY_QUEUED);
    assert_int_equal(store_entry_settle(fixture->store, entry.row, &held, STORE_ENTRY_REJECTED, &why, &fixture->err),
                     0);
    assert_int_equal(store_entry_get_row(fixture->store, entry.row, &entry, &fixture->err), 0);
    assert_int_equal(entry.state, STORE_ENTRY_REJECTED);
    assert_int_equal(entry.code, EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(of_two_lists_that_share_a_sample_one_comes_first),
        STORE_TEST(what_has_no_reason_is_a_result),
        STORE_TEST(an_adopted_request_becomes_a_multi_download_once),
        STORE_TEST(a_finished_request_becomes_nothing_else),
        STORE_TEST(a_verdict_about_another_text_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
