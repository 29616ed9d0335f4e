#include "test_store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static const struct caller who = { .uid = 1000, .pid = 42, .program = "cat \"x\"" };
static const struct store_month unknown = { 0 };
static const struct request_id id = { "11111111-aaaa-bbbb-cccc-0123456789ab" };

static struct digest digest_no(unsigned int n)
{
    struct digest digest = { .bytes = { (uint8_t)n } };

    return digest;
}

static void give(struct fixture *fixture, enum cost cost, int64_t n)
{
    assert_int_equal(store_budget_set(fixture->store, cost, n, false, &fixture->err), 0);
}

static int64_t left(struct fixture *fixture, enum cost cost)
{
    struct budget budget;

    assert_int_equal(store_budget_get(fixture->store, &budget, &fixture->err), 0);
    return budget.left[cost];
}

static int begin(struct fixture *fixture, int64_t n, const struct digest *digest, const struct store_month *month,
                 int64_t *ret_row)
{
    const struct store_spend spend = { .cost = COST_DOWNLOADS,
                                       .n = n,
                                       .operation = "download",
                                       .name = "",
                                       .digest = digest,
                                       .entry_row = digest ? 0 : 7,
                                       .who = &who };
    int64_t used = -1;

    fixture->err = (struct err){ 0 };
    return store_spend_begin(fixture->store, &spend, month, ret_row, &used, &fixture->err);
}

static int64_t begun(struct fixture *fixture, int64_t n, const struct digest *digest)
{
    int64_t row = 0;

    assert_int_equal(begin(fixture, n, digest, &unknown, &row), 0);
    assert_true(row > 0);
    return row;
}

static void settle(struct fixture *fixture, int64_t row, enum store_spend_state state)
{
    const struct err why = { .code = EREMOTEIO, .text = "cut" };
    struct store_settled settled = { .state = state, .is_verified = state == STORE_SPEND_PAID };

    if (state != STORE_SPEND_PAID)
        settled.why = &why;
    assert_int_equal(store_spend_settle(fixture->store, row, &settled, &fixture->err), 0);
}

static void the_first_budget_is_given_once(void **state)
{
    struct fixture *fixture = *state;
    const struct budget first = { .left = { 10, BUDGET_UNLIMITED } };
    const struct budget other = { .left = { 99, 99 } };

    assert_int_equal(left(fixture, COST_DOWNLOADS), 0); /* before: nothing may be spent */
    assert_int_equal(store_budget_begin(fixture->store, &first, &fixture->err), 0);
    give(fixture, COST_DOWNLOADS, 3);
    assert_int_equal(store_budget_begin(fixture->store, &other, &fixture->err), 0);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 3);
    assert_int_equal(left(fixture, COST_HUNTS), BUDGET_UNLIMITED);
    fixture_reopen(fixture);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 3);
}

static void a_budget_is_set_or_added_to(void **state)
{
    struct fixture *fixture = *state;

    give(fixture, COST_DOWNLOADS, 5);
    assert_int_equal(store_budget_set(fixture->store, COST_DOWNLOADS, 10, true, &fixture->err), 0);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 15);
    assert_int_equal(left(fixture, COST_HUNTS), 0);
    assert_int_equal(store_budget_set(fixture->store, COST_DOWNLOADS, -16, true, &fixture->err), -EINVAL);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 15);
    give(fixture, COST_DOWNLOADS, BUDGET_UNLIMITED);
    assert_int_equal(store_budget_set(fixture->store, COST_DOWNLOADS, 10, true, &fixture->err), 0);
    assert_int_equal(left(fixture, COST_DOWNLOADS), BUDGET_UNLIMITED);
}

static void say(struct fixture *fixture, const char *said, int64_t downloads, int64_t hunts)
{
    const struct budget budget = { .left = { downloads, hunts } };

    assert_int_equal(store_budget_say(fixture->store, said, &budget, &fixture->err), 0);
}

static void what_a_mount_is_told_again_changes_nothing(void **state)
{
    struct fixture *fixture = *state;

    give(fixture, COST_HUNTS, 2);
    say(fixture, "25", 25, -1);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 25);
    assert_int_equal(left(fixture, COST_HUNTS), 2);
    begun(fixture, 20, NULL);
    fixture_reopen(fixture);
    say(fixture, "25", 25, -1);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 5);
    say(fixture, "", -1, -1);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 5);
    say(fixture, "25", 25, -1);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 25);
    say(fixture, "0:unlimited", 0, BUDGET_UNLIMITED);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 0);
    assert_int_equal(left(fixture, COST_HUNTS), BUDGET_UNLIMITED);
}

static void an_intent_is_spent_at_once_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    int64_t row = 0;

    give(fixture, COST_DOWNLOADS, 3);
    begun(fixture, 2, NULL);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 1);
    assert_int_equal(begin(fixture, 2, NULL, &unknown, &row), -EDQUOT);
    assert_non_null(strstr(fixture->err.text, "echo +1 > budget"));
    assert_int_equal(left(fixture, COST_DOWNLOADS), 1);
    begun(fixture, 1, NULL);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 0);
}

static void only_what_was_free_is_given_back_and_once(void **state)
{
    struct fixture *fixture = *state;
    int64_t rows[3];

    give(fixture, COST_DOWNLOADS, 10);
    for (size_t i = 0; i < 3; i++)
        rows[i] = begun(fixture, 2, NULL);
    settle(fixture, rows[0], STORE_SPEND_PAID);
    settle(fixture, rows[1], STORE_SPEND_UNSURE);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 4);
    settle(fixture, rows[2], STORE_SPEND_FREE);
    settle(fixture, rows[2], STORE_SPEND_FREE);
    settle(fixture, rows[1], STORE_SPEND_FREE);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 6);
}

/* The user's number stands: what was begun before it is not part of it. */
static void a_budget_set_meanwhile_is_not_raised_by_what_comes_back(void **state)
{
    struct fixture *fixture = *state;
    int64_t row;

    give(fixture, COST_DOWNLOADS, 10);
    row = begun(fixture, 4, NULL);
    give(fixture, COST_DOWNLOADS, 5);
    settle(fixture, row, STORE_SPEND_FREE);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 5);
}

/* Adding names no number, so what comes back still belongs to the budget. */
static void a_budget_added_to_meanwhile_gets_back_what_was_free(void **state)
{
    struct fixture *fixture = *state;
    int64_t row;

    give(fixture, COST_DOWNLOADS, 10);
    row = begun(fixture, 4, NULL);
    assert_int_equal(store_budget_set(fixture->store, COST_DOWNLOADS, 5, true, &fixture->err), 0);
    settle(fixture, row, STORE_SPEND_FREE);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 15);
}

static void the_month_counts_what_the_service_may_not_have_counted(void **state)
{
    struct fixture *fixture = *state;
    struct store_month month = { .used = 40, .limit = 50, .reserve = 5 };
    int64_t row = begun(fixture, 0, NULL);

    give(fixture, COST_DOWNLOADS, 1000);
    row = begun(fixture, 3, NULL); /* under way: 43 */
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_FREE);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID); /* 44 */
    assert_int_equal(begin(fixture, 2, NULL, &month, &row), STORE_SPENT);
    assert_int_equal(left(fixture, COST_DOWNLOADS), 996);
    assert_int_equal(begin(fixture, 1, NULL, &month, &row), 0);
    assert_int_equal(begin(fixture, 1, NULL, &month, &row), STORE_SPENT);
    settle(fixture, row, STORE_SPEND_PAID);
    assert_int_equal(store_spend_seen(fixture->store, &month.seen, &fixture->err), 0);
    month.used = 42; /* the service has counted what is settled; 3 more are under way */
    assert_int_equal(begin(fixture, 1, NULL, &month, &row), STORE_SPENT);
    month.reserve = 0;
    assert_int_equal(begin(fixture, 5, NULL, &month, &row), 0);
    assert_int_equal(begin(fixture, 1, NULL, &month, &row), STORE_SPENT);
}

static void a_month_that_nobody_knows_forbids_nothing(void **state)
{
    struct fixture *fixture = *state;

    give(fixture, COST_DOWNLOADS, 100);
    begun(fixture, 100, NULL);
}

static int tries(struct fixture *fixture, const struct digest *digest)
{
    struct err last = { 0 };
    int n = -1;

    assert_int_equal(store_spend_tries(fixture->store, digest, &n, &last, &fixture->err), 0);
    if (n > 0)
        assert_true(last.code == 0 || strcmp(last.text, "cut") == 0);
    return n;
}

static void a_sample_that_did_not_arrive_was_tried(void **state)
{
    struct fixture *fixture = *state;
    struct digest one = digest_no(1);
    struct digest two = digest_no(2);

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, &one), STORE_SPEND_UNSURE);
    begun(fixture, 1, &one); /* a process that died */
    settle(fixture, begun(fixture, 1, &two), STORE_SPEND_FREE);
    assert_int_equal(tries(fixture, &one), 2);
    assert_int_equal(tries(fixture, &two), 0);
    fixture_reopen(fixture);
    assert_int_equal(tries(fixture, &one), 2);
    assert_int_equal(store_spend_forgive(fixture->store, &one, &fixture->err), 0);
    assert_int_equal(tries(fixture, &one), 0);
    settle(fixture, begun(fixture, 1, &one), STORE_SPEND_UNSURE);
    settle(fixture, begun(fixture, 1, &one), STORE_SPEND_PAID); /* it arrived */
    assert_int_equal(tries(fixture, &one), 0);
}

static void open_intents_are_listed(void **state)
{
    struct fixture *fixture = *state;
    struct store_intent intents[4];
    struct digest one = digest_no(1);
    int64_t single;
    int64_t list;
    size_t n = 0;

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    single = begun(fixture, 1, &one);
    list = begun(fixture, 9, NULL);
    assert_int_equal(store_spend_open(fixture->store, intents, 4, &n, &fixture->err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(intents[0].row, single);
    assert_true(intents[0].has_digest && digest_equal(&intents[0].digest, &one));
    assert_int_equal(intents[1].row, list);
    assert_false(intents[1].has_digest);
    assert_int_equal(intents[1].entry_row, 7);
    assert_int_equal(store_spend_open(fixture->store, intents, 1, &n, &fixture->err), 0);
    assert_int_equal(n, 1);
}

/* ---- audit.jsonl ---- */

static void audit_path(const struct fixture *fixture, char *ret_path, size_t room)
{
    (void)snprintf(ret_path, room, "%s/audit.jsonl", fixture->state);
}

static char *audit(struct fixture *fixture)
{
    static char text[64 * KIB];
    char path[160];
    size_t n;
    FILE *file;

    assert_int_equal(store_audit_flush(fixture->store, &fixture->err), 0);
    audit_path(fixture, path, sizeof path);
    file = fopen(path, "re");
    assert_non_null(file);
    n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    (void)fclose(file);
    return text;
}

static int count(const char *text, const char *word)
{
    int n = 0;

    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        n++;
    return n;
}

static void write_audit(struct fixture *fixture, const char *mode, const char *text)
{
    char path[160];
    FILE *file;

    audit_path(fixture, path, sizeof path);
    file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void each_settled_call_is_a_line_in_its_order(void **state)
{
    struct fixture *fixture = *state;
    struct store_settled paid = { .state = STORE_SPEND_PAID, .request = &id, .month = { .used = 4, .limit = 50 } };
    struct digest one = digest_no(0xab);
    int64_t first;
    int64_t second;
    char *text;

    give(fixture, COST_DOWNLOADS, 100);
    first = begun(fixture, 1, &one);
    second = begun(fixture, 3, NULL);
    assert_string_equal(audit(fixture), "");
    assert_int_equal(store_spend_settle(fixture->store, second, &paid, &fixture->err), 0);
    settle(fixture, first, STORE_SPEND_UNSURE);
    text = audit(fixture);
    assert_int_equal(count(text, "\n"), 2);
    assert_ptr_equal(strstr(text, "{\"seq\":1,"), text);
    assert_non_null(strstr(text, "\"id\":\"11111111-aaaa-bbbb-cccc-0123456789ab\""));
    assert_non_null(strstr(text, "\"outcome\":\"paid\",\"quota\":\"downloads\",\"cost\":3,\"verified\":null,"
                                 "\"uid\":1000,\"pid\":42,\"program\":\"cat \\\"x\\\"\",\"month_used\":8"));
    assert_non_null(strstr(text, "\n{\"seq\":2,"));
    assert_non_null(strstr(text, "\"sha256\":\"ab00"));
    assert_non_null(strstr(text, "\"outcome\":\"unsure\",\"quota\":\"downloads\",\"cost\":1,\"verified\":false"));
    assert_non_null(strstr(text, "\"reason\":\"cut\""));
}

static void a_line_is_written_once_whatever_died_before_it_was_noted(void **state)
{
    struct fixture *fixture = *state;
    char copy[64 * KIB];

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    (void)text_copy(copy, sizeof copy, audit(fixture));
    assert_string_equal(audit(fixture), copy);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    write_audit(fixture, "ae", "{\"seq\":2,\"by\":\"the one that died\"}\n"); /* not noted in the database */
    assert_int_equal(count(audit(fixture), "\"seq\":2,"), 1);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    assert_int_equal(count(audit(fixture), "\n"), 3);
    assert_int_equal(count(audit(fixture), "\"seq\":3,"), 1);
}

static void a_torn_line_is_cut_off_and_written_again(void **state)
{
    struct fixture *fixture = *state;
    char *text;

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    write_audit(fixture, "we", "{\"seq\":1,\"ti");
    text = audit(fixture);
    assert_int_equal(count(text, "\n"), 1);
    assert_int_equal(count(text, "\"seq\":1,"), 1);
    assert_non_null(strstr(text, "\"outcome\":\"paid\""));
}

/* The state was deleted, or came back from a backup, and the file stayed. */
static void lines_of_another_state_hold_nothing_back(void **state)
{
    struct fixture *fixture = *state;

    write_audit(fixture, "we", "{\"seq\":1,\"of\":\"another\"}\n{\"seq\":900,\"of\":\"another\"}\n");
    (void)audit(fixture); /* as every mount does when it starts */
    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    assert_int_equal(count(audit(fixture), "\"outcome\":\"paid\""), 2);
    assert_int_equal(count(audit(fixture), "\n"), 4);
}

/* A mount that is stopped in the middle of a line must not stop the others. */
static void an_audit_that_another_process_holds_is_written_later(void **state)
{
    struct fixture *fixture = *state;
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char path[160];
    int fd;

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    audit_path(fixture, path, sizeof path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    assert_string_equal(audit(fixture), "");
    close(fd);
    assert_int_equal(count(audit(fixture), "\"seq\":1,"), 1);
}

static void an_audit_that_was_moved_away_begins_anew(void **state)
{
    struct fixture *fixture = *state;

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    (void)audit(fixture);
    write_audit(fixture, "we", "");
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    assert_ptr_equal(strstr(audit(fixture), "{\"seq\":2,"), audit(fixture));
}

static void an_audit_that_was_renamed_is_left_and_a_new_one_begun(void **state)
{
    struct fixture *fixture = *state;
    char path[160];
    char old[168];

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    (void)audit(fixture);
    audit_path(fixture, path, sizeof path);
    (void)snprintf(old, sizeof old, "%s.1", path);
    assert_int_equal(rename(path, old), 0);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    assert_ptr_equal(strstr(audit(fixture), "{\"seq\":2,"), audit(fixture));
    assert_int_equal(count(audit(fixture), "\n"), 1);
}

/* The disk was full when the first one was written, and had room again for the second. */
static void a_torn_line_that_a_refusal_followed_is_written_again(void **state)
{
    struct fixture *fixture = *state;
    struct digest one = digest_no(0xcd);

    give(fixture, COST_DOWNLOADS, 100);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    write_audit(fixture, "we", "{\"seq\":1,\"ti");
    assert_int_equal(store_audit_denied(fixture->store, &one, &who, "it only looks", &fixture->err), 0);
    assert_int_equal(count(audit(fixture), "\"outcome\":\"paid\""), 1);
}

/* A file manager or a backup can be refused for months before something is paid for. */
static void any_number_of_refusals_may_stand_before_a_paid_line(void **state)
{
    enum { MANY = 65 };
    struct fixture *fixture = *state;
    char *many = malloc(MIB + 1);
    char path[160];
    struct stat st;

    assert_non_null(many);
    memset(many, ' ', MIB);
    memcpy(many, "{", 1);
    memcpy(many + MIB - 2, "}\n", sizeof "}\n");
    give(fixture, COST_DOWNLOADS, 100);
    for (int i = 0; i < MANY; i++)
        write_audit(fixture, "ae", many);
    free(many);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    assert_int_equal(store_audit_flush(fixture->store, &fixture->err), 0);
    audit_path(fixture, path, sizeof path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > (off_t)MANY * MIB);
}

/* What the refusing thread works on. */
struct refusal {
    struct store *store;
    int r;
};

static void *refuse(void *closure)
{
    struct refusal *refusal = closure;
    struct digest one = digest_no(0xcd);
    struct err err = { 0 };

    refusal->r = store_audit_denied(refusal->store, &one, &who, "it only looks", &err);
    return NULL;
}

static off_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* Else it would stand behind a torn line, and go with it. */
static void a_refusal_waits_while_another_process_has_the_file(void **state)
{
    enum { LOOKS = 20 };
    const struct timespec step = { .tv_nsec = 5 * 1000 * 1000 };
    struct fixture *fixture = *state;
    struct refusal refusal = { .store = fixture->store, .r = -1 };
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    pthread_t thread;
    char path[160];
    int fd;

    audit_path(fixture, path, sizeof path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    assert_int_equal(write(fd, "{\"seq\":1", 8), 8);
    assert_int_equal(pthread_create(&thread, NULL, refuse, &refusal), 0);
    for (int i = 0; i < LOOKS && size_of(path) == 8; i++)
        (void)nanosleep(&step, NULL); /* nothing happens, so there is nothing to wait for */
    assert_int_equal(ftruncate(fd, 0), 0);
    (void)close(fd); /* with its lock */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(refusal.r, 0);
    assert_int_equal(count(audit(fixture), "\"operation\":\"denied\""), 1);
}

static void more_lines_than_a_page_are_all_written(void **state)
{
    struct fixture *fixture = *state;

    give(fixture, COST_DOWNLOADS, 1000);
    for (int i = 0; i < 130; i++)
        settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    assert_int_equal(count(audit(fixture), "\"outcome\":\"paid\""), 130);
}

static void many_refusals_wait_once_for_a_process_that_is_stopped(void **state)
{
    enum { MANY = 20, MOST_S = 8 };
    struct fixture *fixture = *state;
    struct digest one = digest_no(0xcd);
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    time_t began_s = time(NULL);
    char path[160];
    int fd;

    audit_path(fixture, path, sizeof path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(store_audit_denied(fixture->store, &one, &who, "it only looks", &fixture->err), 0);
    assert_true(time(NULL) - began_s < MOST_S);
    (void)close(fd); /* with its lock */
    assert_int_equal(count(audit(fixture), "\"operation\":\"denied\""), MANY);
}

static void a_refusal_is_a_line_without_a_number(void **state)
{
    struct fixture *fixture = *state;
    struct digest one = digest_no(0xcd);
    char *text;

    give(fixture, COST_DOWNLOADS, 100);
    assert_int_equal(store_audit_denied(fixture->store, &one, &who, "it only looks", &fixture->err), 0);
    settle(fixture, begun(fixture, 1, NULL), STORE_SPEND_PAID);
    text = audit(fixture);
    assert_non_null(strstr(text, "\"operation\":\"denied\",\"sha256\":\"cd00"));
    assert_non_null(strstr(text, "\"reason\":\"it only looks\"}\n{\"seq\":1,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_first_budget_is_given_once),
        STORE_TEST(a_budget_is_set_or_added_to),
        STORE_TEST(what_a_mount_is_told_again_changes_nothing),
        STORE_TEST(an_intent_is_spent_at_once_whole_or_not_at_all),
        STORE_TEST(only_what_was_free_is_given_back_and_once),
        STORE_TEST(a_budget_set_meanwhile_is_not_raised_by_what_comes_back),
        STORE_TEST(a_budget_added_to_meanwhile_gets_back_what_was_free),
        STORE_TEST(the_month_counts_what_the_service_may_not_have_counted),
        STORE_TEST(a_month_that_nobody_knows_forbids_nothing),
        STORE_TEST(a_sample_that_did_not_arrive_was_tried),
        STORE_TEST(open_intents_are_listed),
        STORE_TEST(each_settled_call_is_a_line_in_its_order),
        STORE_TEST(a_line_is_written_once_whatever_died_before_it_was_noted),
        STORE_TEST(a_torn_line_is_cut_off_and_written_again),
        STORE_TEST(lines_of_another_state_hold_nothing_back),
        STORE_TEST(an_audit_that_another_process_holds_is_written_later),
        STORE_TEST(an_audit_that_was_moved_away_begins_anew),
        STORE_TEST(an_audit_that_was_renamed_is_left_and_a_new_one_begun),
        STORE_TEST(a_torn_line_that_a_refusal_followed_is_written_again),
        STORE_TEST(a_refusal_waits_while_another_process_has_the_file),
        STORE_TEST(many_refusals_wait_once_for_a_process_that_is_stopped),
        STORE_TEST(any_number_of_refusals_may_stand_before_a_paid_line),
        STORE_TEST(more_lines_than_a_page_are_all_written),
        STORE_TEST(a_refusal_is_a_line_without_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
