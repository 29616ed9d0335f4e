#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "top/top_internal.h"
#include "util/text.h"

static struct top_facts facts;

/* A mount in the middle of its work. */
static int setup(void **state)
{
    (void)state;
    facts = (struct top_facts){
        .reach = "online",
        .service = "us-1",
        .until = "2026-12-01T00:00:00Z",
        .budget = { [TOP_DOWNLOADS] = 4, [TOP_HUNTS] = TOP_UNLIMITED },
        .used = { 25, 83 },
        .limit = { 50, 100 },
        .n_downloads = 6,
        .n_download_bytes = 3 << 20,
        .cache_bytes = 1 << 30,
        .cache_limit = 8LL << 30,
        .n_inprogress = 1,
        .transfers = { { .what = "0a958aa7f90a731b8794e0c2d5d1ad42706676a567607b63caa97b94f4eab8f8",
                         .have = 30 << 20,
                         .size = 40 << 20,
                         .rate = 2 << 20 },
                       { .what = "01234567-89ab-cdef-0123-456789abcdef", .have = 1536, .size = 0, .rate = 512 } },
        .n_transfers = 2,
        .requests = { { .name = "hunts/wiper", .status = "inprogress elapsed=310" } },
        .n_requests = 1,
        .events = { "12:00:01 submitted name wiper" },
        .n_events = 1,
    };
    return 0;
}

static struct buf draw(struct top_frame frame)
{
    struct buf picture = BUF_INIT(TOP_FRAME_MAX);

    frame.root = "/mnt/mq";
    top_render(&facts, &frame, &picture);
    assert_int_equal(picture.code, 0);
    return picture;
}

static void assert_shows(const struct buf *picture, const char *text)
{
    if (!strstr(buf_text(picture), text))
        fail_msg("'%s' is not in:\n%s", text, buf_text(picture));
}

static void a_picture_shows_month_budget_transfers_and_requests(void **state)
{
    struct buf picture = draw((struct top_frame){ .columns = 80 });

    (void)state;
    assert_shows(&picture, "malqueryfs  /mnt/mq  online  00:00:00Z  us-1\n");
    assert_shows(&picture, "downloads [######------] 25/50 ");
    assert_shows(&picture, "hunts [#########---] 83/100\n");
    assert_shows(&picture, "downloads 4 left ");
    assert_shows(&picture, "hunts unlimited\n");
    assert_shows(&picture, "1.0G of 8.0G");
    assert_shows(&picture, " 0a958aa7f90a731b [##################------]  75 % of 40.0M  2.0M/s  5s\n");
    assert_shows(&picture, " 01234567-89ab-cd 1.5K  512B/s\n");
    assert_shows(&picture, " hunts/wiper              inprogress elapsed=310\n");
    assert_shows(&picture, " 12:00:01 submitted name wiper\n");
    assert_null(strchr(buf_text(&picture), '\033'));
    buf_done(&picture);
}

static void more_bytes_than_the_metadata_says_are_a_full_bar(void **state)
{
    struct buf picture;

    (void)state;
    facts.transfers[0].size = 1;
    facts.transfers[0].have = INT64_MAX;
    picture = draw((struct top_frame){ .columns = 80 });
    assert_shows(&picture, " 0a958aa7f90a731b [########################] 999 % of 1B  2.0M/s  0s\n");
    buf_done(&picture);
}

static void a_month_without_a_limit_has_no_bar(void **state)
{
    struct buf picture;

    (void)state;
    facts.used[TOP_DOWNLOADS] = 3;
    facts.limit[TOP_DOWNLOADS] = TOP_UNLIMITED;
    picture = draw((struct top_frame){ .columns = 80 });
    assert_shows(&picture, "downloads 3, unlimited ");
    buf_done(&picture);
}

static void what_the_service_has_not_said_is_a_question_mark(void **state)
{
    struct buf picture;

    (void)state;
    facts.limit[TOP_HUNTS] = TOP_UNKNOWN;
    facts.budget[TOP_HUNTS] = TOP_UNKNOWN;
    picture = draw((struct top_frame){ .columns = 80 });
    assert_shows(&picture, "25/50         hunts ?\n");
    assert_shows(&picture, "4 left                       hunts ?\n");
    buf_done(&picture);
}

static void what_the_service_refuses_is_said_as_it_said_it(void **state)
{
    struct buf picture;

    (void)state;
    picture = draw((struct top_frame){ .columns = 80 });
    assert_null(strstr(buf_text(&picture), "refused"));
    buf_done(&picture);
    (void)text_copy(facts.exhausted, sizeof facts.exhausted, "no downloads are left until 2026/12/01"); /* fits */
    picture = draw((struct top_frame){ .columns = 80 });
    assert_shows(&picture, "\nrefused  no downloads are left until 2026/12/01\n");
    buf_done(&picture);
}

static void a_picture_is_never_larger_than_its_frame(void **state)
{
    (void)state;
    memset(facts.last_error, 'x', sizeof facts.last_error - 1);
    facts.n_transfers = TOP_TRANSFERS_MAX;
    facts.n_requests = TOP_REQUESTS_MAX;
    facts.n_events = TOP_EVENTS_MAX;
    for (int columns = 1; columns < 200; columns += 13)
        for (int rows = 1; rows < 60; rows++) {
            struct buf picture = draw((struct top_frame){ .columns = columns, .rows = rows, .notice = "q quits" });
            int n = 0;

            for (const char *line = buf_text(&picture); *line; line += strcspn(line, "\n") + 1, n++)
                if (strcspn(line, "\n") > (size_t)columns)
                    fail_msg("%d columns: %.*s", columns, (int)strcspn(line, "\n"), line);
            assert_int_equal(n, rows);
            buf_done(&picture);
        }
}

static void foreign_text_reaches_no_terminal_as_it_is(void **state)
{
    struct buf picture;

    (void)state;
    (void)snprintf(facts.requests[0].name, sizeof facts.requests[0].name, "hunts/\033]0;x\a\xff\xc3");
    picture = draw((struct top_frame){ .columns = 80 });
    assert_shows(&picture, " hunts/?]0;x???");
    buf_done(&picture);
}

static void a_terminal_gets_attributes_that_end_with_their_line(void **state)
{
    struct buf picture = draw((struct top_frame){ .columns = 80, .rows = 24, .has_attributes = true, .notice = "q" });
    int n = 0;

    (void)state;
    for (const char *line = buf_text(&picture); *line; line += strcspn(line, "\n") + 1)
        if (*line == '\033') {
            n++;
            assert_memory_equal(line + strcspn(line, "\n") - 3, "\033[m", 3);
        }
    assert_int_equal(n, 5); /* the bar, three headings, the notice */
    buf_done(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_picture_shows_month_budget_transfers_and_requests, setup),
        cmocka_unit_test_setup(more_bytes_than_the_metadata_says_are_a_full_bar, setup),
        cmocka_unit_test_setup(a_month_without_a_limit_has_no_bar, setup),
        cmocka_unit_test_setup(what_the_service_has_not_said_is_a_question_mark, setup),
        cmocka_unit_test_setup(what_the_service_refuses_is_said_as_it_said_it, setup),
        cmocka_unit_test_setup(a_picture_is_never_larger_than_its_frame, setup),
        cmocka_unit_test_setup(foreign_text_reaches_no_terminal_as_it_is, setup),
        cmocka_unit_test_setup(a_terminal_gets_attributes_that_end_with_their_line, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
