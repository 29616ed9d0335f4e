/* Any bytes as a word to the file `budget` and as the value of the option; what is accepted is in range, and written
 * down again it is the same. */
#include <string.h>

#include "fuzz_check.h"

#include "model/budget.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_refused(const struct err *err)
{
    check(err->code != 0 && err->text[0] && text_is_line(err->text));
}

static bool is_in_range(int64_t n)
{
    return n == BUDGET_UNLIMITED || (n >= 0 && n <= BUDGET_MAX);
}

static void check_change(const char *words)
{
    cleanup_(buf_done) struct buf printed = BUF_INIT(KIB);
    struct budget_change change;
    struct budget_change again;
    struct err err = { 0 };

    if (budget_parse_change(words, &change, &err) < 0) {
        check_refused(&err);
        return;
    }
    check(is_in_range(change.n));
    buf_printf(&printed, "%s %s", cost_names[change.cost], change.is_added ? "+" : "");
    budget_print(&printed, change.n);
    check(budget_parse_change(buf_text(&printed), &again, NULL) == 0);
    check(again.cost == change.cost && again.n == change.n && again.is_added == change.is_added);
}

static void check_option(const char *text)
{
    enum { LEFT = 7 }; /* what is not said stays */
    cleanup_(buf_done) struct buf printed = BUF_INIT(KIB);
    struct budget budget = { .left = { LEFT, LEFT } };
    struct budget again = { .left = { 0 } };
    struct err err = { 0 };

    if (budget_parse(text, &budget, &err) < 0) {
        check_refused(&err);
        check(budget.left[COST_DOWNLOADS] == LEFT && budget.left[COST_HUNTS] == LEFT);
        return;
    }
    budget_print(&printed, budget.left[COST_DOWNLOADS]);
    buf_putc(&printed, ':');
    budget_print(&printed, budget.left[COST_HUNTS]);
    check(budget_parse(buf_text(&printed), &again, NULL) == 0);
    for (enum cost cost = 0; cost < COSTS; cost++)
        check(is_in_range(budget.left[cost]) && again.left[cost] == budget.left[cost]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *words = strndup((const char *)data, n);

    check(words);
    check_change(words);
    check_option(words);
    free(words);
    return 0;
}
