#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tree/tree_internal.h"

static void check(const struct view *view, const char *expected)
{
    char line[256];

    view_status(view, line, sizeof line);
    assert_string_equal(line, expected);
}

static struct view finished(void)
{
    struct view view = { .has_entry = true, .has_request = true };

    view.entry.state = STORE_ENTRY_SUBMITTED;
    view.request = (struct store_request){
        .state = REQUEST_DONE,
        .submitted_s = 1000,
        .finished_s = 1006,
        .n_results = 5,
        .limit = 1000,
        .has_stats = true,
        .stats = { .malware = 4, .unknown = 1, .total = 5 },
    };
    return view;
}

static void a_finished_hunt_counts_its_labels(void **state)
{
    struct view view = finished();

    (void)state;
    check(&view, "done results=5 malware=4 unknown=1 elapsed=6");
}

static void as_many_results_as_the_limit_are_limited(void **state)
{
    struct view view = finished();

    (void)state;
    view.request.limit = 5;
    check(&view, "done results=5 malware=4 unknown=1 elapsed=6 limited");
}

static void a_failed_request_says_why(void **state)
{
    struct view view = finished();

    (void)state;
    view.request.state = REQUEST_FAILED;
    memcpy(view.request.error, "out of shards", sizeof "out of shards");
    check(&view, "failed elapsed=6 error=out of shards");
}

static void a_rule_that_was_refused_is_rejected(void **state)
{
    struct view view = { .has_entry = true, .entry = { .state = STORE_ENTRY_REJECTED, .error = "line 1: no rule" } };

    (void)state;
    check(&view, "rejected error=line 1: no rule");
    assert_true(view_is_over(&view));
}

static void a_request_under_way_is_queued_and_not_over(void **state)
{
    struct view view = { .has_entry = true, .entry = { .state = STORE_ENTRY_SUBMITTING } };

    (void)state;
    check(&view, "queued");
    assert_false(view_is_over(&view));
}

static void a_draft_does_not_change_by_itself(void **state)
{
    struct view view = finished();

    (void)state;
    view.entry.state = STORE_ENTRY_DRAFT;
    check(&view,
          "draft changed and not sent: the results are those of what was sent before; `echo run > ctl` sends it");
    assert_true(view_is_over(&view));
}

static void a_clock_that_stepped_back_shows_no_negative_time(void **state)
{
    struct view view = finished();

    (void)state;
    view.request.finished_s = 900;
    check(&view, "done results=5 malware=4 unknown=1 elapsed=0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_hunt_counts_its_labels),
        cmocka_unit_test(as_many_results_as_the_limit_are_limited),
        cmocka_unit_test(a_failed_request_says_why),
        cmocka_unit_test(a_rule_that_was_refused_is_rejected),
        cmocka_unit_test(a_request_under_way_is_queued_and_not_over),
        cmocka_unit_test(a_draft_does_not_change_by_itself),
        cmocka_unit_test(a_clock_that_stepped_back_shows_no_negative_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
