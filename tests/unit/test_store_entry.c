#include "test_store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>

#include "util/text.h"

static const struct err why = { .code = EDQUOT, .text = "why", .trace = "id" };

static const char rule[] = "rule a { condition: true }";
static const struct request_id id_one = { "11111111-aaaa-bbbb-cccc-0123456789ab" };
static const struct request_id id_two = { "22222222-aaaa-bbbb-cccc-0123456789ab" };

static struct store_entry put_text(struct fixture *fixture, const char *name, enum store_entry_state state,
                                   const char *text)
{
    struct store_entry entry = { .dir = STORE_HUNTS, .state = state, .suffix = ".yar", .options = "limit=5\n" };

    (void)text_copy(entry.name, sizeof entry.name, name);
    assert_int_equal(store_entry_put(fixture->store, &entry, text, strlen(text), &fixture->err), 0);
    return entry;
}

static struct store_entry put(struct fixture *fixture, const char *name)
{
    return put_text(fixture, name, STORE_ENTRY_QUEUED, rule);
}

static struct store_entry get(struct fixture *fixture, const char *name)
{
    struct store_entry entry;

    assert_int_equal(store_entry_get(fixture->store, STORE_HUNTS, name, &entry, &fixture->err), 0);
    return entry;
}

static int accept_it(struct fixture *fixture, int64_t row, const struct request_id *id)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(1000);
    struct store_sent sent = { .dir = STORE_HUNTS, .options = "limit=5\n" };

    (void)store_entry_text(fixture->store, row, &text, &fixture->err); /* a removed entry has none */
    sent.text = buf_text(&text);
    sent.n = text.n;
    return store_entry_accepted(fixture->store, row, &sent,
                                &(struct store_accepted){ .id = id, .kind = QUERY_HUNT, .limit = 5, .now_s = 1000 },
                                &fixture->err);
}

static void what_was_put_comes_back_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = {
        .dir = STORE_FUZZY,
        .state = STORE_ENTRY_REJECTED,
        .created_s = 10,
        .changed_s = 20,
        .name = "wiper",
        .suffix = ".json",
        .options = "limit=5\n",
        .error = "line 3: syntax error",
        .trace = "t-1",
        .has_request = true,
        .request = id_one,
    };
    struct store_entry got;

    assert_int_equal(store_entry_put(fixture->store, &entry, "{}", 2, &fixture->err), 0);
    assert_int_equal(store_entry_get(fixture->store, STORE_FUZZY, "wiper", &got, &fixture->err), 0);
    assert_int_equal(got.row, entry.row);
    assert_int_equal(got.dir, STORE_FUZZY);
    assert_int_equal(got.state, STORE_ENTRY_REJECTED);
    assert_int_equal(got.created_s, 10);
    assert_int_equal(got.changed_s, 20);
    assert_string_equal(got.suffix, ".json");
    assert_string_equal(got.options, "limit=5\n");
    assert_string_equal(got.error, "line 3: syntax error");
    assert_string_equal(got.trace, "t-1");
    assert_true(got.has_request);
    assert_string_equal(got.request.s, id_one.s);
}

static void what_was_put_comes_back_by_row(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "wiper");
    struct store_entry got;

    assert_true(entry.row > 0);
    assert_int_equal(store_entry_get_row(fixture->store, entry.row, &got, &fixture->err), 0);
    assert_string_equal(got.name, "wiper");
}

static void the_same_name_in_two_directories_is_two_entries(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry one = { .dir = STORE_EXACT, .name = "a" };
    struct store_entry two = { .dir = STORE_FUZZY, .name = "a" };

    assert_int_equal(store_entry_put(fixture->store, &one, "", 0, &fixture->err), 0);
    assert_int_equal(store_entry_put(fixture->store, &two, "", 0, &fixture->err), 0);
    assert_int_not_equal(one.row, two.row);
}

static void an_unknown_name_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry got;

    assert_int_equal(store_entry_get(fixture->store, STORE_HUNTS, "nobody", &got, &fixture->err), STORE_ABSENT);
}

static void an_unknown_row_is_absent_everywhere(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;
    cleanup_(buf_done) struct buf text = BUF_INIT(100);
    struct store_entry got;
    int64_t n = 0;

    assert_int_equal(store_entry_get_row(store, 7, &got, NULL), STORE_ABSENT);
    assert_int_equal(store_entry_text(store, 7, &text, NULL), STORE_ABSENT);
    assert_int_equal(store_entry_text_size(store, 7, &n, NULL), STORE_ABSENT);
    assert_int_equal(store_entry_set_state(store, 7, STORE_ENTRY_DRAFT, NULL, NULL), STORE_ABSENT);
    assert_int_equal(store_entry_rename(store, 7, "x", "", NULL), STORE_ABSENT);
    assert_int_equal(store_entry_delete(store, 7, NULL), STORE_ABSENT);
}

static void the_text_comes_back_byte_by_byte(void **state)
{
    struct fixture *fixture = *state;
    static const char bytes[] = "a\0b\xff\r\n";
    struct store_entry entry = { .dir = STORE_HUNTS, .name = "a" };
    cleanup_(buf_done) struct buf text = BUF_INIT(100);
    int64_t n = 0;

    assert_int_equal(store_entry_put(fixture->store, &entry, bytes, sizeof bytes, &fixture->err), 0);
    assert_int_equal(store_entry_text(fixture->store, entry.row, &text, &fixture->err), 0);
    assert_int_equal(store_entry_text_size(fixture->store, entry.row, &n, &fixture->err), 0);
    assert_int_equal(text.n, sizeof bytes);
    assert_int_equal(n, sizeof bytes);
    assert_memory_equal(text.data, bytes, sizeof bytes);
}

static void an_empty_text_is_a_text(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = { .dir = STORE_HUNTS, .name = "a" };
    cleanup_(buf_done) struct buf text = BUF_INIT(100);
    int64_t n = -1;

    assert_int_equal(store_entry_put(fixture->store, &entry, NULL, 0, &fixture->err), 0);
    assert_int_equal(store_entry_text(fixture->store, entry.row, &text, &fixture->err), 0);
    assert_int_equal(store_entry_text_size(fixture->store, entry.row, &n, &fixture->err), 0);
    assert_int_equal(n, 0);
}

static void a_text_beyond_the_limit_of_the_buffer_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    cleanup_(buf_done) struct buf text = BUF_INIT(3);

    assert_true(store_entry_text(fixture->store, entry.row, &text, &fixture->err) < 0);
}

static void put_again_keeps_row_and_creation(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry first = { .dir = STORE_HUNTS, .name = "a", .created_s = 10 };
    struct store_entry again = { .dir = STORE_HUNTS, .name = "a", .created_s = 99 };

    assert_int_equal(store_entry_put(fixture->store, &first, "1", 1, &fixture->err), 0);
    assert_int_equal(store_entry_put(fixture->store, &again, "2", 1, &fixture->err), 0);
    assert_int_equal(again.row, first.row);
    assert_int_equal(again.created_s, 10);
}

static void put_again_keeps_the_request_that_is_shown(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    (void)put_text(fixture, "a", STORE_ENTRY_DRAFT, "rule b { condition: true }");
    assert_int_equal(get(fixture, "a").state, STORE_ENTRY_DRAFT);
    assert_true(get(fixture, "a").has_request);
    assert_string_equal(get(fixture, "a").request.s, id_one.s);
}

static void every_state_follows_every_state(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");

    for (int from = STORE_ENTRY_DRAFT; from <= STORE_ENTRY_FAILED; from++) {
        for (int to = STORE_ENTRY_DRAFT; to <= STORE_ENTRY_FAILED; to++) {
            assert_int_equal(store_entry_set_state(fixture->store, entry.row, (enum store_entry_state)from, NULL, NULL),
                             0);
            assert_int_equal(store_entry_set_state(fixture->store, entry.row, (enum store_entry_state)to, &why, NULL),
                             0);
            assert_int_equal(get(fixture, "a").state, to);
            assert_string_equal(get(fixture, "a").error, "why");
            assert_string_equal(get(fixture, "a").trace, "id");
        }
    }
}

static void a_state_without_words_clears_the_words(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");

    assert_int_equal(store_entry_set_state(fixture->store, entry.row, STORE_ENTRY_REJECTED, &why, NULL), 0);
    assert_int_equal(store_entry_set_state(fixture->store, entry.row, STORE_ENTRY_QUEUED, NULL, NULL), 0);
    assert_string_equal(get(fixture, "a").error, "");
    assert_string_equal(get(fixture, "a").trace, "");
}

static void an_intent_survives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = fork();

    if (pid == 0) {
        struct store_entry entry = { .dir = STORE_HUNTS, .name = "a" };
        struct store *store = NULL;

        if (store_new(&fixture->config, &store, NULL) != 0 || store_entry_put(store, &entry, rule, 4, NULL) != 0 ||
            store_entry_set_state(store, entry.row, STORE_ENTRY_SUBMITTING, NULL, NULL) != 0)
            _exit(1);
        (void)raise(SIGKILL);
    }
    assert_int_equal(fixture_wait(pid), 128);
    assert_int_equal(get(fixture, "a").state, STORE_ENTRY_SUBMITTING);
}

static void accepted_sets_entry_and_request_together(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_request request;

    assert_int_equal(store_entry_set_state(fixture->store, entry.row, STORE_ENTRY_SUBMITTING, &why, NULL), 0);
    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    entry = get(fixture, "a");
    assert_int_equal(entry.state, STORE_ENTRY_SUBMITTED);
    assert_string_equal(entry.request.s, id_one.s);
    assert_string_equal(entry.error, "");
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.state, REQUEST_INPROGRESS);
    assert_int_equal(request.kind, QUERY_HUNT);
    assert_int_equal(request.limit, 5);
    assert_int_equal(request.submitted_s, 1000);
    assert_int_equal(request.entry_row, entry.row);
}

/* A trigger of the test lets the last statement of the transaction fail. */
static void accepted_is_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_request request;
    char path[PATH_MAX];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/state.db", fixture->state);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TRIGGER stop BEFORE UPDATE ON entry WHEN new.state = 3"
                                  " BEGIN SELECT raise(ABORT, 'stopped'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_true(accept_it(fixture, entry.row, &id_one) < 0);
    assert_int_equal(get(fixture, "a").state, STORE_ENTRY_QUEUED);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), STORE_ABSENT);
}

static void accepted_keeps_the_request_of_an_entry_that_was_removed(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_request request;

    assert_int_equal(store_entry_delete(fixture->store, entry.row, &fixture->err), 0);
    assert_int_equal(accept_it(fixture, entry.row, &id_one), STORE_ABSENT);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.entry_row, 0);
}

static void accepted_takes_over_an_adopted_request(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_request request;

    assert_int_equal(store_request_adopt(fixture->store, &id_one, QUERY_EXACT, 1, &fixture->err), 0);
    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.entry_row, entry.row);
    assert_int_equal(request.kind, QUERY_HUNT);
    assert_int_equal(request.limit, 5);
}

/* Edited while it was sent: a draft, or queued when changes are sent; what was sent is kept with the request. */
static void accept_an_older_text(struct fixture *fixture, enum store_entry_state edited)
{
    struct store_entry entry = put_text(fixture, "a", edited, "rule b { condition: true }");
    struct store_sent sent = { .dir = STORE_HUNTS, .text = rule, .n = strlen(rule), .options = "limit=5\n" };
    cleanup_(buf_done) struct buf text = BUF_INIT(1000);
    struct store_request request;

    assert_int_equal(
        store_entry_accepted(fixture->store, entry.row, &sent,
                             &(struct store_accepted){ .id = &id_one, .kind = QUERY_HUNT, .limit = 5, .now_s = 1000 },
                             &fixture->err),
        0);
    entry = get(fixture, "a");
    assert_int_equal(entry.state, edited);
    assert_string_equal(entry.request.s, id_one.s);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(store_request_text(fixture->store, request.row, &text, &fixture->err), 0);
    assert_string_equal(buf_text(&text), rule);
}

static void a_text_that_was_edited_on_the_way_stays_a_draft(void **state)
{
    accept_an_older_text(*state, STORE_ENTRY_DRAFT);
}

static void a_text_that_was_queued_on_the_way_stays_queued(void **state)
{
    accept_an_older_text(*state, STORE_ENTRY_QUEUED);
}

static void only_a_queued_entry_with_this_text_may_be_sent(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_sent sent = { .dir = STORE_HUNTS, .text = rule, .n = strlen(rule), .options = "limit=7\n" };

    assert_int_equal(store_entry_begin(fixture->store, entry.row, &sent, &fixture->err), 0);
    assert_int_equal(get(fixture, "a").state, STORE_ENTRY_SUBMITTING);
    assert_string_equal(get(fixture, "a").options, "limit=7\n");
    assert_int_equal(store_entry_begin(fixture->store, entry.row, &sent, &fixture->err), STORE_ABSENT);
    entry = put_text(fixture, "b", STORE_ENTRY_QUEUED, "rule b { condition: true }");
    assert_int_equal(store_entry_begin(fixture->store, entry.row, &sent, &fixture->err), STORE_ABSENT);
    assert_int_equal(store_entry_show(fixture->store, entry.row, &sent, &id_one, &fixture->err), STORE_ABSENT);
    assert_int_equal(get(fixture, "b").state, STORE_ENTRY_QUEUED);
}

static void rename_changes_name_and_suffix(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");

    assert_int_equal(store_entry_rename(fixture->store, entry.row, "b", ".yara", &fixture->err), 0);
    assert_int_equal(get(fixture, "b").row, entry.row);
    assert_string_equal(get(fixture, "b").suffix, ".yara");
}

static void rename_refuses_a_name_that_is_taken(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_entry other = put(fixture, "b");

    assert_int_equal(store_entry_rename(fixture->store, entry.row, "b", ".yar", &fixture->err), STORE_EXISTS);
    assert_int_equal(get(fixture, "a").row, entry.row);
    assert_int_equal(get(fixture, "b").row, other.row);
}

static void rename_to_its_own_name_changes_the_suffix(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");

    assert_int_equal(store_entry_rename(fixture->store, entry.row, "a", ".yara", &fixture->err), 0);
    assert_string_equal(get(fixture, "a").suffix, ".yara");
}

static void delete_keeps_the_requests(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_request request;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(store_entry_delete(fixture->store, entry.row, &fixture->err), 0);
    assert_int_equal(store_entry_get(fixture->store, STORE_HUNTS, "a", &entry, NULL), STORE_ABSENT);
    assert_int_equal(store_request_get(fixture->store, &id_one, &request, &fixture->err), 0);
    assert_int_equal(request.entry_row, 0);
}

static void a_row_is_never_used_twice(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");

    assert_int_equal(store_entry_delete(fixture->store, entry.row, &fixture->err), 0);
    assert_int_not_equal(put(fixture, "b").row, entry.row);
}

static int join_names(void *closure, const struct store_entry *entry)
{
    buf_puts(closure, entry->name);
    buf_putc(closure, ' ');
    return strcmp(entry->name, "stop") == 0 ? 42 : 0;
}

static void list_is_sorted_by_name_and_of_one_directory(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry other = { .dir = STORE_EXACT, .name = "other" };
    cleanup_(buf_done) struct buf names = BUF_INIT(100);

    (void)put(fixture, "c");
    (void)put(fixture, "a");
    (void)put(fixture, "b");
    assert_int_equal(store_entry_put(fixture->store, &other, "", 0, &fixture->err), 0);
    assert_int_equal(store_entry_list(fixture->store, STORE_HUNTS, join_names, &names, &fixture->err), 0);
    assert_string_equal(buf_text(&names), "a b c ");
}

static void list_stops_when_told(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(buf_done) struct buf names = BUF_INIT(100);

    (void)put(fixture, "stop");
    (void)put(fixture, "unseen");
    assert_int_equal(store_entry_list(fixture->store, STORE_HUNTS, join_names, &names, &fixture->err), 42);
    assert_string_equal(buf_text(&names), "stop ");
}

/* ---- find_same ---- */

static int find(struct fixture *fixture, enum store_dir dir, const char *text, const char *options,
                struct store_entry *ret_entry)
{
    return store_entry_find_same(
        fixture->store, &(struct store_sent){ .dir = dir, .text = text, .n = strlen(text), .options = options },
        ret_entry, &fixture->err);
}

static void find_same_finds_what_was_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_entry same;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=5\n", &same), 0);
    assert_int_equal(same.row, entry.row);
    assert_string_equal(same.request.s, id_one.s);
}

static void find_same_needs_text_options_and_directory(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_entry same;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(find(fixture, STORE_HUNTS, "rule b { condition: true }", "limit=5\n", &same), STORE_ABSENT);
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=6\n", &same), STORE_ABSENT);
    assert_int_equal(find(fixture, STORE_EXACT, rule, "limit=5\n", &same), STORE_ABSENT);
}

static void find_same_keeps_options_and_text_apart(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put_text(fixture, "a", STORE_ENTRY_QUEUED, "xtext");
    struct store_entry same;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(find(fixture, STORE_HUNTS, "text", "limit=5\nx", &same), STORE_ABSENT);
}

static void find_same_passes_over_what_was_never_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry same;

    (void)put(fixture, "a");
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=5\n", &same), STORE_ABSENT);
}

static void find_same_remembers_what_an_edited_entry_sent(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_entry same;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    (void)put_text(fixture, "a", STORE_ENTRY_QUEUED, "rule b { condition: true }");
    assert_int_equal(accept_it(fixture, entry.row, &id_two), 0);
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=5\n", &same), 0);
    assert_string_equal(same.request.s, id_one.s);
    assert_int_equal(same.row, entry.row);
}

static void find_same_remembers_what_a_removed_entry_sent(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_entry same;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(store_entry_delete(fixture->store, entry.row, &fixture->err), 0);
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=5\n", &same), 0);
    assert_string_equal(same.request.s, id_one.s);
    assert_int_equal(same.row, 0);
}

static void find_same_prefers_a_request_that_has_not_failed(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = put(fixture, "a");
    struct store_request failed = { .id = id_two, .state = REQUEST_FAILED };
    struct store_entry same;

    assert_int_equal(accept_it(fixture, entry.row, &id_one), 0);
    assert_int_equal(accept_it(fixture, entry.row, &id_two), 0);
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=5\n", &same), 0);
    assert_string_equal(same.request.s, id_two.s); /* the newest */
    assert_int_equal(store_request_finish(fixture->store, &(struct store_answer){ .request = &failed }, &fixture->err),
                     0);
    assert_int_equal(find(fixture, STORE_HUNTS, rule, "limit=5\n", &same), 0);
    assert_string_equal(same.request.s, id_one.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_was_put_comes_back_by_name),
        STORE_TEST(what_was_put_comes_back_by_row),
        STORE_TEST(the_same_name_in_two_directories_is_two_entries),
        STORE_TEST(an_unknown_name_is_absent),
        STORE_TEST(an_unknown_row_is_absent_everywhere),
        STORE_TEST(the_text_comes_back_byte_by_byte),
        STORE_TEST(an_empty_text_is_a_text),
        STORE_TEST(a_text_beyond_the_limit_of_the_buffer_is_an_error),
        STORE_TEST(put_again_keeps_row_and_creation),
        STORE_TEST(put_again_keeps_the_request_that_is_shown),
        STORE_TEST(every_state_follows_every_state),
        STORE_TEST(a_state_without_words_clears_the_words),
        STORE_TEST(an_intent_survives_a_kill),
        STORE_TEST(accepted_sets_entry_and_request_together),
        STORE_TEST(accepted_is_all_or_nothing),
        STORE_TEST(accepted_keeps_the_request_of_an_entry_that_was_removed),
        STORE_TEST(accepted_takes_over_an_adopted_request),
        STORE_TEST(a_text_that_was_edited_on_the_way_stays_a_draft),
        STORE_TEST(a_text_that_was_queued_on_the_way_stays_queued),
        STORE_TEST(only_a_queued_entry_with_this_text_may_be_sent),
        STORE_TEST(rename_changes_name_and_suffix),
        STORE_TEST(rename_refuses_a_name_that_is_taken),
        STORE_TEST(rename_to_its_own_name_changes_the_suffix),
        STORE_TEST(delete_keeps_the_requests),
        STORE_TEST(a_row_is_never_used_twice),
        STORE_TEST(list_is_sorted_by_name_and_of_one_directory),
        STORE_TEST(list_stops_when_told),
        STORE_TEST(find_same_finds_what_was_accepted),
        STORE_TEST(find_same_needs_text_options_and_directory),
        STORE_TEST(find_same_keeps_options_and_text_apart),
        STORE_TEST(find_same_passes_over_what_was_never_accepted),
        STORE_TEST(find_same_remembers_what_an_edited_entry_sent),
        STORE_TEST(find_same_remembers_what_a_removed_entry_sent),
        STORE_TEST(find_same_prefers_a_request_that_has_not_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
