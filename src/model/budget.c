#include "model/budget.h"

#include <errno.h>
#include <string.h>

#include "util/text.h"

const char *const cost_names[COSTS] = { [COST_DOWNLOADS] = "downloads", [COST_HUNTS] = "hunts" };

const char *cost_noun(enum cost cost, int64_t n)
{
    static const char *const one[COSTS] = { [COST_DOWNLOADS] = "download", [COST_HUNTS] = "hunt" };

    return n == 1 ? one[cost] : cost_names[cost];
}

static const char unlimited[] = "unlimited";

enum { PART_MAX = 31, SHOWN_MAX = 40 };

static bool parse_number(const char *text, int64_t *ret_n)
{
    uint64_t n;

    if (strcmp(text, unlimited) == 0) {
        *ret_n = BUDGET_UNLIMITED;
        return true;
    }
    if (!text_parse_u64(text, BUDGET_MAX, &n))
        return false;
    *ret_n = (int64_t)n;
    return true;
}

static int refuse(const char *text, const char *known, struct err *err)
{
    cleanup_(buf_done) struct buf shown = BUF_INIT(4 * SHOWN_MAX);

    text_escape(&shown, text, SHOWN_MAX);
    return err_set(err, EINVAL, "'%s' is no budget: %s", buf_text(&shown), known);
}

int budget_parse_change(const char *words, struct budget_change *ret_change, struct err *err)
{
    struct budget_change change = { .cost = COST_DOWNLOADS };
    const char *rest = words;

    for (enum cost cost = 0; cost < COSTS; cost++) {
        size_t n = strlen(cost_names[cost]);

        if (strncmp(words, cost_names[cost], n) != 0 || !strchr(" \t", words[n]) || !words[n])
            continue;
        change.cost = cost;
        rest = words + n + strspn(words + n, " \t");
    }
    change.is_added = *rest == '+';
    if (!parse_number(rest + change.is_added, &change.n))
        return refuse(words, "25, +10, hunts 3, hunts +3 or unlimited", err);
    *ret_change = change;
    return 0;
}

int budget_parse(const char *text, struct budget *budget, struct err *err)
{
    struct budget parsed = *budget;
    const char *rest = text;

    for (enum cost cost = 0; rest && cost < COSTS; cost++) {
        const char *colon = strchr(rest, ':');
        size_t n = colon ? (size_t)(colon - rest) : strlen(rest);
        char part[PART_MAX + 1];

        if (n > PART_MAX)
            return refuse(text, "DOWNLOADS or DOWNLOADS:HUNTS, numbers or unlimited", err);
        memcpy(part, rest, n);
        part[n] = '\0';
        if (n > 0 && !parse_number(part, &parsed.left[cost]))
            return refuse(text, "DOWNLOADS or DOWNLOADS:HUNTS, numbers or unlimited", err);
        rest = colon ? colon + 1 : NULL;
    }
    if (rest)
        return refuse(text, "DOWNLOADS or DOWNLOADS:HUNTS, numbers or unlimited", err);
    *budget = parsed;
    return 0;
}

void budget_print(struct buf *buf, int64_t left)
{
    if (left == BUDGET_UNLIMITED)
        buf_puts(buf, unlimited);
    else
        buf_printf(buf, "%lld", (long long)left);
}

void budget_print_quota(struct buf *buf, int64_t count, int64_t limit)
{
    buf_printf(buf, "%lld/", (long long)count);
    budget_print(buf, limit >= BUDGET_MAX ? BUDGET_UNLIMITED : limit);
}
