/*
 * The files at the root of the mount that say how things are: quotas, status.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

/* ---- quotas ---- */

/* The last answer if it is fresh; else it must be asked for. */
static int fresh_quotas(struct tree *tree, struct cache_quotas *ret_quotas, struct buf *raw, struct need *need)
{
    if (cache_quotas(tree->cache, ret_quotas, raw) && clock_is_fresh(ret_quotas->tried_s, CACHE_QUOTAS_FRESH_S))
        return 0;
    if (raw)
        buf_clear(raw);
    *need = (struct need){ .kind = NEED_QUOTAS };
    return TREE_NEED;
}

static int render_quotas(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                         struct err *err)
{
    struct cache_quotas quotas;
    int r = fresh_quotas(tree, &quotas, NULL, need);

    (void)subject;
    if (r != 0)
        return r;
    buf_puts(text, "hunts\t");
    budget_print_quota(text, quotas.hunt_count, quotas.hunt_limit);
    buf_puts(text, "\ndownloads\t");
    budget_print_quota(text, quotas.download_count, quotas.download_limit);
    buf_puts(text, "\nmonitors\t");
    budget_print_quota(text, quotas.monitor_count, quotas.monitor_limit);
    buf_puts(text, "\nrefresh\t");
    text_escape(text, quotas.refresh_time, sizeof quotas.refresh_time);
    buf_printf(text, "\ndays_left\t%lld\nasked\t%s\n", (long long)quotas.days_left, clock_iso(quotas.asked_s).s);
    return buf_check(text, err, "quotas");
}

static int render_quotas_json(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                              struct err *err)
{
    struct cache_quotas quotas;
    int r = fresh_quotas(tree, &quotas, text, need);

    (void)subject;
    return r == 0 ? buf_check(text, err, "quotas.json") : r;
}

/* ---- status ---- */

static const char *const reach_words[] = {
    [CACHE_UNTRIED] = "online",
    [CACHE_ONLINE] = "online",
    [CACHE_OFFLINE] = "offline",
    [CACHE_UNAUTHORIZED] = "unauthorized",
};

/* What may still be spent, and until when nothing can be. */
static void print_spending(struct tree *tree, const struct cache_health *health, struct buf *text)
{
    struct cache_quotas quotas = { 0 };
    struct budget budget;
    struct err ignored = { 0 };

    if (store_budget_get(tree->store, &budget, &ignored) == 0) { /* a disk that fails shows in last_error */
        buf_puts(text, "budget\tdownloads ");
        budget_print(text, budget.left[COST_DOWNLOADS]);
        buf_puts(text, " hunts ");
        budget_print(text, budget.left[COST_HUNTS]);
        buf_putc(text, '\n');
    }
    if (cache_quotas(tree->cache, &quotas, NULL)) {
        buf_puts(text, "month\tdownloads ");
        budget_print_quota(text, quotas.download_count, quotas.download_limit);
        buf_puts(text, " hunts ");
        budget_print_quota(text, quotas.hunt_count, quotas.hunt_limit);
        buf_puts(text, " until ");
        text_escape(text, quotas.refresh_time, sizeof quotas.refresh_time);
        buf_putc(text, '\n');
    }
    if (health->exhausted[0]) {
        buf_puts(text, "exhausted\t");
        text_escape(text, health->exhausted, sizeof health->exhausted);
        buf_putc(text, '\n');
    }
}
static const char *const kind_words[STORE_KINDS] = {
    [STORE_SEALED] = "sealed", [STORE_PLAIN] = "plain", [STORE_MEMORY] = "memory"
};

static int render_status(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                         struct err *err)
{
    struct cache_health health;
    struct store_usage usage;

    (void)subject;
    (void)need;
    cache_health(tree->cache, &health);
    store_room_usage(tree->store, &usage);
    buf_printf(text, "%s\n", reach_words[health.reach]);
    buf_puts(text, "service\t");
    text_escape(text, health.place, sizeof health.place);
    buf_printf(text, "\nversion\t%s\n", MQFS_VERSION);
    buf_printf(text, "mounted\t%s\n", clock_iso(tree->started_s).s);
    if (tree->config.confined)
        buf_printf(text, "confined\t%s\n", tree->config.confined);
    lock_acquire(&tree->lock);
    if (tree->passthrough[0])
        buf_printf(text, "passthrough\t%s\n", tree->passthrough);
    lock_release(&tree->lock);
    buf_printf(text, "submissions\t%lld\n", (long long)health.n_submissions);
    buf_printf(text, "downloads\t%lld\n", (long long)health.n_downloads);
    buf_printf(text, "downloaded_bytes\t%lld\n", (long long)health.n_download_bytes);
    buf_printf(text, "metadata_calls\t%lld\n", (long long)health.n_metadata_calls);
    buf_printf(text, "polls\t%lld\n", (long long)health.n_polls);
    buf_printf(text, "denied\t%lld\n", (long long)health.n_denied);
    print_spending(tree, &health, text);
    buf_printf(text, "local_samples\t%lld\n", (long long)usage.n_samples);
    buf_printf(text, "cache\t%s\n", kind_words[usage.kind]);
    buf_printf(text, "local_bytes\t%lld\n", (long long)usage.bytes);
    buf_printf(text, "cache_limit\t%lld\n", (long long)usage.limit_bytes);
    buf_printf(text, "cache_free\t%lld\n", (long long)usage.free_bytes);
    buf_printf(text, "evictions\t%lld\n", (long long)usage.n_evictions);
    if (health.last.code) {
        buf_printf(text, "last_error\t%s %s ", clock_iso(health.last_s).s, err_name(health.last.code));
        text_escape(text, health.last.text, ERR_TEXT_MAX);
        if (health.last.trace[0])
            buf_printf(text, " trace %s", health.last.trace);
        buf_putc(text, '\n');
    }
    return buf_check(text, err, "status");
}

void tree_note_passthrough(struct tree *tree, const char *note)
{
    lock_acquire(&tree->lock);
    (void)snprintf(tree->passthrough, sizeof tree->passthrough, "%s", note); /* cut, as promised */
    lock_release(&tree->lock);
}

int tree_status(struct tree *tree, struct buf *text, struct err *err)
{
    return render_status(tree, NULL, text, NULL, err);
}

const struct node_ops file_quotas = { .render = render_quotas };
const struct node_ops file_quotas_json = { .render = render_quotas_json };
const struct node_ops file_status = { .render = render_status };
