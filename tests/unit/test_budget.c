#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "model/budget.h"

static void changes_are_what_the_page_says(void **state)
{
    static const struct {
        const char *words;
        struct budget_change change;
    } good[] = {
        { "25", { COST_DOWNLOADS, 25, false } },
        { "0", { COST_DOWNLOADS, 0, false } },
        { "+10", { COST_DOWNLOADS, 10, true } },
        { "downloads 7", { COST_DOWNLOADS, 7, false } },
        { "hunts 3", { COST_HUNTS, 3, false } },
        { "hunts\t +3", { COST_HUNTS, 3, true } },
        { "unlimited", { COST_DOWNLOADS, BUDGET_UNLIMITED, false } },
        { "hunts unlimited", { COST_HUNTS, BUDGET_UNLIMITED, false } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct budget_change change;
        struct err err = { 0 };

        assert_int_equal(budget_parse_change(good[i].words, &change, &err), 0);
        assert_int_equal(change.cost, good[i].change.cost);
        assert_int_equal(change.n, good[i].change.n);
        assert_int_equal(change.is_added, good[i].change.is_added);
    }
}

static void what_is_no_budget_is_einval(void **state)
{
    static const char *const bad[] = { "",
                                       "-3",
                                       "+",
                                       "ten",
                                       "1 2",
                                       "hunts",
                                       "hunts ",
                                       "hunts+3",
                                       "huntsx 3",
                                       "1000000001",
                                       "9999999999999999999999",
                                       "+-3",
                                       "3.5",
                                       "\x1b[2J" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct budget_change change = { .n = 77 };
        struct err err = { 0 };

        assert_int_equal(budget_parse_change(bad[i], &change, &err), -EINVAL);
        assert_int_equal(change.n, 77);
        assert_true(err.text[0] != '\0');
        assert_null(strchr(err.text, '\x1b'));
    }
}

static void the_option_sets_what_it_says(void **state)
{
    static const struct {
        const char *text;
        int64_t downloads, hunts;
    } good[] = {
        { "25", 25, 2 },
        { "25:3", 25, 3 },
        { ":3", 1, 3 },
        { "unlimited", BUDGET_UNLIMITED, 2 },
        { "0:unlimited", 0, BUDGET_UNLIMITED },
    };
    static const char *const bad[] = { "x", "1:2:3", "+1", "1:x", "-1", "11111111111111111111111111111111111111111" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct budget budget = { .left = { 1, 2 } };
        struct err err = { 0 };

        assert_int_equal(budget_parse(good[i].text, &budget, &err), 0);
        assert_int_equal(budget.left[COST_DOWNLOADS], good[i].downloads);
        assert_int_equal(budget.left[COST_HUNTS], good[i].hunts);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct budget budget = { .left = { 1, 2 } };
        struct err err = { 0 };

        assert_int_equal(budget_parse(bad[i], &budget, &err), -EINVAL);
        assert_int_equal(budget.left[COST_DOWNLOADS], 1);
    }
}

static void a_quota_that_nobody_reaches_is_unlimited(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(128);

    (void)state;
    budget_print_quota(&text, 28, 50);
    buf_putc(&text, ' ');
    budget_print_quota(&text, 0, BUDGET_MAX - 1);
    buf_putc(&text, ' ');
    budget_print_quota(&text, 1, BUDGET_MAX);
    assert_string_equal(buf_text(&text), "28/50 0/999999999 1/unlimited");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_what_the_page_says),
        cmocka_unit_test(what_is_no_budget_is_einval),
        cmocka_unit_test(the_option_sets_what_it_says),
        cmocka_unit_test(a_quota_that_nobody_reaches_is_unlimited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
