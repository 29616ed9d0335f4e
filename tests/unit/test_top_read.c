/* A look at a directory that looks like a mount: plain files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "top/top_internal.h"

#define STATUS                                                                                                         \
    "offline\nservice\tus-1\nversion\t9\nsubmissions\t3\ndownloads\t6\ndownloaded_bytes\t3145728\ndenied\t2\n"         \
    "budget\tdownloads 4 hunts unlimited\nmonth\tdownloads 28/50 hunts 83/100 until 2026-12-01\n"                      \
    "exhausted\tthe budget\nlocal_samples\t18\nlocal_bytes\t2048\ncache_limit\t4096\nevictions\t1\n"                   \
    "last_error\t2026-11-24 ENOENT no such thing\n"

struct fixture {
    char root[32];
    struct top_facts facts;
    struct err err;
};

static void put(const struct fixture *fixture, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", fixture->root, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make(const struct fixture *fixture, const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", fixture->root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* `hunts/NAME` that changed `s` seconds after 1970, long ago in any case. */
static void hunt(const struct fixture *fixture, const char *name, const char *status, time_t s)
{
    char path[128];

    (void)snprintf(path, sizeof path, "hunts/%s", name);
    make(fixture, path);
    (void)snprintf(path, sizeof path, "hunts/%s/status", name);
    put(fixture, path, status);
    (void)snprintf(path, sizeof path, "%s/hunts/%s", fixture->root, name);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){ { .tv_sec = s }, { .tv_sec = s } }, 0), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    (void)snprintf(fixture->root, sizeof fixture->root, "/tmp/mq-top-XXXXXX");
    assert_non_null(mkdtemp(fixture->root));
    put(fixture, "status", STATUS);
    put(fixture, "metrics",
        "# TYPE\nmalqueryfs_requests{state=\"inprogress\"} 1\nmalqueryfs_requests{state=\"done\"} 7\n");
    put(fixture, "transfers", "what\thave\tsize\trate\nabc\t10\t20\t5\n");
    put(fixture, "events", "");
    make(fixture, "hunts");
    *state = fixture;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st;
    (void)type;
    (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(nftw(fixture->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(fixture);
    return 0;
}

static void look(struct fixture *fixture)
{
    assert_int_equal(top_read(fixture->root, &fixture->facts, &fixture->err), 0);
}

static void the_numbers_are_those_of_the_files(void **state)
{
    struct fixture *fixture = *state;
    const struct top_facts *facts = &fixture->facts;

    look(fixture);
    assert_string_equal(facts->reach, "offline");
    assert_string_equal(facts->service, "us-1");
    assert_string_equal(facts->exhausted, "the budget");
    assert_string_equal(facts->last_error, "2026-11-24 ENOENT no such thing");
    assert_string_equal(facts->until, "2026-12-01");
    assert_int_equal(facts->budget[TOP_DOWNLOADS], 4);
    assert_true(facts->budget[TOP_HUNTS] == TOP_UNLIMITED);
    assert_int_equal(facts->used[TOP_DOWNLOADS], 28);
    assert_int_equal(facts->limit[TOP_DOWNLOADS], 50);
    assert_int_equal(facts->used[TOP_HUNTS], 83);
    assert_int_equal(facts->limit[TOP_HUNTS], 100);
    assert_int_equal(facts->n_downloads, 6);
    assert_int_equal(facts->n_samples, 18);
    assert_int_equal(facts->cache_limit, 4096);
    assert_int_equal(facts->n_inprogress, 1);
    assert_int_equal(facts->n_done, 7);
    assert_int_equal(facts->n_transfers, 1);
    assert_string_equal(facts->transfers[0].what, "abc");
    assert_int_equal(facts->transfers[0].have, 10);
    assert_int_equal(facts->transfers[0].size, 20);
    assert_int_equal(facts->transfers[0].rate, 5);
}

static void a_status_without_money_is_unknown(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "status", "online\nmonth\tnonsense\nbudget\n");
    look(fixture);
    assert_int_equal(fixture->facts.budget[TOP_HUNTS], TOP_UNKNOWN);
    assert_int_equal(fixture->facts.limit[TOP_HUNTS], TOP_UNKNOWN);
}

static void a_month_without_a_limit_is_unlimited(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "status", "online\nmonth\tdownloads 3/unlimited hunts 1/20 until 2026-12-01\n");
    look(fixture);
    assert_int_equal(fixture->facts.used[TOP_DOWNLOADS], 3);
    assert_int_equal(fixture->facts.limit[TOP_DOWNLOADS], TOP_UNLIMITED);
    assert_int_equal(fixture->facts.limit[TOP_HUNTS], 20);
}

static void what_is_not_over_comes_first_and_then_what_changed_last(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wanted[] = { "hunts/slow", "hunts/new", "hunts/old" };

    hunt(fixture, "old", "done results=1\n", 100);
    hunt(fixture, "new", "failed elapsed=1 error=x\nmore\n", 300);
    hunt(fixture, "slow", "inprogress elapsed=9\n", 50);
    put(fixture, "hunts/wiper.yar", "rule");
    look(fixture);
    assert_int_equal(fixture->facts.n_requests, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(fixture->facts.requests[i].name, wanted[i]);
    assert_string_equal(fixture->facts.requests[1].status, "failed elapsed=1 error=x");
}

static void of_many_requests_those_that_changed_last_are_kept(void **state)
{
    struct fixture *fixture = *state;
    char name[32];

    for (int i = 0; i < TOP_REQUESTS_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        hunt(fixture, name, "done\n", 1000 + i);
    }
    look(fixture);
    assert_int_equal(fixture->facts.n_requests, TOP_REQUESTS_MAX);
    assert_string_equal(fixture->facts.requests[TOP_REQUESTS_MAX - 1].name, "hunts/n10");
}

static void the_status_of_what_is_over_is_read_once(void **state)
{
    struct fixture *fixture = *state;

    hunt(fixture, "over", "done results=1\n", 100);
    hunt(fixture, "slow", "inprogress elapsed=9\n", 100);
    look(fixture);
    put(fixture, "hunts/over/status", "not read\n");
    put(fixture, "hunts/slow/status", "inprogress elapsed=10\n");
    look(fixture);
    assert_string_equal(fixture->facts.requests[0].status, "inprogress elapsed=10");
    assert_string_equal(fixture->facts.requests[1].status, "done results=1");
}

static void an_event_is_told_in_words(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "events",
        "cut\":1}\n{\"time\":\"2026-11-24T08:01:02Z\",\"event\":\"failed\",\"errno\":\"EIO\",\"reason\":\"a, "
        "\\\"b\\\": "
        "c\",\"bytes\":7}\n"
        "{\"time\":\"2026-11-24T08:01:03Z\",\"event\":\"downloaded\",\"sha256\":"
        "\"0a958aa7f90a731b8794e0c2d5d1ad42706676a567607b63caa97b94f4eab8f8\",\"bytes\":7}\n");
    look(fixture);
    assert_int_equal(fixture->facts.n_events, 2);
    assert_string_equal(fixture->facts.events[1], "08:01:03 downloaded sha256 0a958aa7f90a bytes 7");
    assert_string_equal(fixture->facts.events[0], "08:01:02 failed errno EIO reason a, \"b\": c bytes 7");
}

static void of_many_events_the_newest_are_kept(void **state)
{
    struct fixture *fixture = *state;
    cleanup_(buf_done) struct buf lines = BUF_INIT(1 << 20);

    for (int i = 0; i < 1000; i++)
        buf_printf(&lines, "{\"time\":\"2026-11-24T08:01:02Z\",\"event\":\"online\",\"bytes\":%d}\n", i);
    put(fixture, "events", buf_text(&lines));
    look(fixture);
    assert_int_equal(fixture->facts.n_events, TOP_EVENTS_MAX);
    assert_string_equal(fixture->facts.events[TOP_EVENTS_MAX - 1], "08:01:02 online bytes 999");
}

static void hostile_files_are_read_all_the_same(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "events", "\n{\n{\"time\":\"\",\"event\":\"x\n,\"event\":\n\"\\");
    put(fixture, "transfers", "\n\n\t\t\t\nabc\n-1\t-1\t-1\t-1\nx\t99999999999999999999999\t1\t1\n");
    look(fixture);
    assert_int_equal(fixture->facts.n_transfers, 0);
}

static void another_directory_is_no_mount(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "status", "all is well\n");
    assert_int_equal(top_read(fixture->root, &fixture->facts, &fixture->err), -ENODEV);
}

static void a_pipe_instead_of_a_file_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    char path[64];

    (void)snprintf(path, sizeof path, "%s/status", fixture->root);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(top_read(fixture->root, &fixture->facts, &fixture->err), -ENODEV);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(the_numbers_are_those_of_the_files),
        CLAIM(a_status_without_money_is_unknown),
        CLAIM(a_month_without_a_limit_is_unlimited),
        CLAIM(what_is_not_over_comes_first_and_then_what_changed_last),
        CLAIM(of_many_requests_those_that_changed_last_are_kept),
        CLAIM(the_status_of_what_is_over_is_read_once),
        CLAIM(an_event_is_told_in_words),
        CLAIM(of_many_events_the_newest_are_kept),
        CLAIM(hostile_files_are_read_all_the_same),
        CLAIM(another_directory_is_no_mount),
        CLAIM(a_pipe_instead_of_a_file_does_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
