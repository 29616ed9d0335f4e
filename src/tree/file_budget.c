/*
 * budget: what may still be spent by all mounts of this profile; writing to it is the user's word to spend more, or
 * less.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <string.h>

#include "util/text.h"

static int render_budget(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                         struct err *err)
{
    struct budget budget;
    int r = store_budget_get(tree->store, &budget, err);

    (void)subject;
    (void)need;
    for (enum cost cost = 0; r == 0 && cost < COSTS; cost++) {
        buf_printf(text, "%s\t", cost_names[cost]);
        budget_print(text, budget.left[cost]);
        buf_putc(text, '\n');
    }
    return r < 0 ? r : buf_check(text, err, "budget");
}

static int apply(struct tree *tree, const char *line, struct err *err)
{
    struct budget_change change;
    int r = budget_parse_change(line, &change, err);

    return r < 0 ? r : store_budget_set(tree->store, change.cost, change.n, change.is_added, err);
}

/* All lines of one write, in their order; the first that is no budget ends it. */
static int command_budget(struct tree *tree, const struct handle *handle, char *words, struct need *need,
                          struct err *err)
{
    cleanup_(buf_done) struct buf left = BUF_INIT(ERR_TEXT_MAX);
    struct err ignored = { 0 };
    char *line;
    int r = 0;

    (void)need; /* all is at hand */
    while (r == 0 && (line = strsep(&words, "\n"))) {
        line = text_trim(line);
        if (*line)
            r = apply(tree, line, err);
    }
    if (r < 0)
        return r;
    r = render_budget(tree, &handle->subject, &left, NULL, &ignored);
    if (r < 0)
        return 0; /* it is set, and the disk cannot say to what */
    for (size_t i = 0; i < left.n; i++)
        if (left.data[i] == '\n' || left.data[i] == '\t')
            left.data[i] = ' ';
    CACHE_EVENT(tree->cache, "budget", CACHE_TEXT("reason", text_trim(left.data)),
                CACHE_TEXT("program", handle->opener.program), CACHE_NUMBER("pid", handle->opener.pid),
                CACHE_NUMBER("uid", handle->opener.uid));
    return 0;
}

const struct node_ops file_budget = { .render = render_budget, .command = command_budget };
