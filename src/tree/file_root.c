/*
 * The files at the root of the mount: README, quotas, status.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/clock.h"
#include "util/text.h"

/* ---- README: the table of nodes in words ---- */

enum { README_DEPTH_MAX = 4, README_COLUMN = 36, README_ROWS_MAX = 32 };

static const char readme_head[] = "malqueryfs: MalQuery as a directory\n\n"
                                  "  cp wiper.yar hunts/                       schedules a hunt\n"
                                  "  cat hunts/wiper/wait                      waits for it\n"
                                  "  cd hunts/wiper/samples && sha256sum -c ../SHA256SUMS\n\n";

static const char readme_costs[] =
    "\nWhat costs what:\n"
    "  listing, stat, find, metadata, waiting    nothing\n"
    "  closing a new rule in hunts/              one hunt of the month\n"
    "  reading a sample that is not local        one download of the month, once per hash for ever\n"
    "  reading a sample that is local            nothing\n";

/* Directories with the same layout share their rows: those are explained once. */
struct explained {
    const struct node_spec *rows[README_ROWS_MAX];
    size_t n;
};

static bool is_explained(struct explained *explained, const struct node_spec *rows)
{
    for (size_t i = 0; i < explained->n; i++)
        if (explained->rows[i] == rows)
            return true;
    assert(explained->n < README_ROWS_MAX);
    explained->rows[explained->n++] = rows;
    return false;
}

static void put_rows(struct buf *text, const struct node_spec *dir, int depth, struct explained *explained)
{
    for (size_t i = 0; depth < README_DEPTH_MAX && i < dir->n_children; i++) {
        const struct node_spec *spec = &dir->children[i];
        const char *name = spec->name ? spec->name : spec->pattern;
        int column = 2 * depth + (int)strlen(name);

        buf_printf(text, "  %*s%s%s%*s %s\n", 2 * depth, "", name, S_ISDIR(spec->mode) ? "/" : " ",
                   column < README_COLUMN ? README_COLUMN - column : 0, "", spec->doc);
        if (spec->children && !is_explained(explained, spec->children))
            put_rows(text, spec, depth + 1, explained);
    }
}

static int render_readme(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                         struct err *err)
{
    struct explained explained = { .n = 0 };

    (void)tree;
    (void)subject;
    (void)need;
    buf_puts(text, readme_head);
    buf_puts(text, "What is here:\n");
    put_rows(text, &tree_root, 0, &explained);
    buf_puts(text, readme_costs);
    return buf_check(text, err, "README");
}

/* ---- quotas ---- */

/* The last answer if it is fresh; else it must be asked for. */
static int fresh_quotas(struct tree *tree, struct cache_quotas *ret_quotas, struct buf *raw, struct need *need)
{
    if (cache_quotas(tree->cache, ret_quotas, raw) && clock_now_s() - ret_quotas->tried_s < CACHE_QUOTAS_FRESH_S)
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
    buf_printf(text, "hunts\t%lld/%lld\n", (long long)quotas.hunt_count, (long long)quotas.hunt_limit);
    buf_printf(text, "downloads\t%lld/%lld\n", (long long)quotas.download_count, (long long)quotas.download_limit);
    buf_printf(text, "monitors\t%lld/%lld\n", (long long)quotas.monitor_count, (long long)quotas.monitor_limit);
    buf_puts(text, "refresh\t");
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

static int render_status(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                         struct err *err)
{
    struct cache_health health;
    int64_t bytes = 0;
    int64_t n = 0;

    (void)subject;
    (void)need;
    cache_health(tree->cache, &health);
    store_object_usage(tree->store, &bytes, &n);
    buf_printf(text, "%s\n", reach_words[health.reach]);
    buf_puts(text, "service\t");
    text_escape(text, health.place, sizeof health.place);
    buf_printf(text, "\nversion\t%s\n", MQFS_VERSION);
    buf_printf(text, "mounted\t%s\n", clock_iso(tree->started_s).s);
    buf_printf(text, "submissions\t%lld\n", (long long)health.n_submissions);
    buf_printf(text, "downloads\t%lld\n", (long long)health.n_downloads);
    buf_printf(text, "downloaded_bytes\t%lld\n", (long long)health.n_download_bytes);
    buf_printf(text, "metadata_calls\t%lld\n", (long long)health.n_metadata_calls);
    buf_printf(text, "polls\t%lld\n", (long long)health.n_polls);
    buf_printf(text, "local_samples\t%lld\n", (long long)n);
    buf_printf(text, "local_bytes\t%lld\n", (long long)bytes);
    if (health.last.code) {
        buf_printf(text, "last_error\t%s %s ", clock_iso(health.last_s).s, err_name(health.last.code));
        text_escape(text, health.last.text, ERR_TEXT_MAX);
        if (health.last.trace[0])
            buf_printf(text, " trace %s", health.last.trace);
        buf_putc(text, '\n');
    }
    return buf_check(text, err, "status");
}

const struct node_ops file_readme = { .render = render_readme };
const struct node_ops file_quotas = { .render = render_quotas };
const struct node_ops file_quotas_json = { .render = render_quotas_json };
const struct node_ops file_status = { .render = render_status };
