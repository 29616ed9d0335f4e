/*
 * The `metrics` file: the numbers of this mount in the Prometheus text format, from memory and disk. A metric is a row
 * of the table below, or several rows in a row that differ in their label.
 */
#include "tree/tree_internal.h"

#include <string.h>

/* Everything that a row can point to. */
struct facts {
    struct cache_health health;
    struct cache_events events;
    struct cache_quotas quotas;
    bool has_quotas;
    int64_t one;
    int64_t started_s;
    int64_t is_online, is_offline, is_unauthorized;
    struct store_usage usage;
    int64_t n_open;
    int64_t n_requests[REQUEST_FAILED + 1];
    struct budget budget;
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

static const char *const type_names[] = { [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge" };

static const struct metric {
    const char *name;
    const char *help; /* NULL: one more value of the metric above */
    enum metric_type type;
    const char *label; /* "" or {name="value"} */
    size_t at;         /* of an int64_t in struct facts */
    bool is_quota;     /* left out while the quotas are not known */
} metrics[] = {
/* clang-format off */
#define AT(member) .at = offsetof(struct facts, member)
#define COUNTER .type = METRIC_COUNTER, .label = ""
#define GAUGE .type = METRIC_GAUGE, .label = ""
#define GAUGE_OF(label_) .type = METRIC_GAUGE, .label = "{" label_ "}"
    { "malqueryfs_build_info", "The version that runs; the value is always 1.",
      GAUGE_OF("version=\"" MQFS_VERSION "\""), AT(one) },
    { "malqueryfs_start_time_seconds", "When this mount was made, in seconds since the epoch.", GAUGE, AT(started_s) },
    { "malqueryfs_up", "1 unless the last call to the service did not reach it or was refused.", GAUGE, AT(is_online) },
    { "malqueryfs_service_state", "What the last call to the service showed; one of the states is 1.",
      GAUGE_OF("state=\"online\""), AT(is_online) },
    { "malqueryfs_service_state", NULL, GAUGE_OF("state=\"offline\""), AT(is_offline) },
    { "malqueryfs_service_state", NULL, GAUGE_OF("state=\"unauthorized\""), AT(is_unauthorized) },
    { "malqueryfs_submissions_total", "Requests that the service accepted from this mount.", COUNTER,
      AT(health.n_submissions) },
    { "malqueryfs_downloads_total", "Samples that were downloaded and verified.", COUNTER, AT(health.n_downloads) },
    { "malqueryfs_download_bytes_total", "Bytes of those samples.", COUNTER, AT(health.n_download_bytes) },
    { "malqueryfs_metadata_calls_total", "Calls for metadata, each for up to 100 samples.", COUNTER,
      AT(health.n_metadata_calls) },
    { "malqueryfs_denied_total", "Opens of samples that are not local by programs that only look.", COUNTER,
      AT(health.n_denied) },
    { "malqueryfs_polls_total", "Calls for the state of a request.", COUNTER, AT(health.n_polls) },
    { "malqueryfs_events_total", "Events, those that are not kept any more too.", COUNTER, AT(events.n) },
    { "malqueryfs_local_samples", "Samples that are local.", GAUGE, AT(usage.n_samples) },
    { "malqueryfs_local_bytes", "Bytes that they and archives take in the cache.", GAUGE, AT(usage.bytes) },
    { "malqueryfs_cache_limit_bytes", "Bytes that the cache may take.", GAUGE, AT(usage.limit_bytes) },
    { "malqueryfs_cache_free_bytes", "Bytes that may come without an eviction.", GAUGE, AT(usage.free_bytes) },
    { "malqueryfs_evictions_total", "Samples and archives that this mount evicted.", COUNTER, AT(usage.n_evictions) },
    { "malqueryfs_evicted_bytes_total", "Bytes that they took.", COUNTER, AT(usage.eviction_bytes) },
    { "malqueryfs_requests", "Requests of this profile, by their state.", GAUGE_OF("state=\"inprogress\""),
      AT(n_requests[REQUEST_INPROGRESS]) },
    { "malqueryfs_requests", NULL, GAUGE_OF("state=\"done\""), AT(n_requests[REQUEST_DONE]) },
    { "malqueryfs_requests", NULL, GAUGE_OF("state=\"failed\""), AT(n_requests[REQUEST_FAILED]) },
    { "malqueryfs_budget_left", "What this profile may still spend.", GAUGE_OF("kind=\"hunts\""),
      AT(budget.left[COST_HUNTS]) },
    { "malqueryfs_budget_left", NULL, GAUGE_OF("kind=\"downloads\""), AT(budget.left[COST_DOWNLOADS]) },
    { "malqueryfs_open_handles", "Files and directories that are open.", GAUGE, AT(n_open) },
    { "malqueryfs_quota_limit", "What the month allows, as the service said last.", GAUGE_OF("kind=\"hunts\""),
      AT(quotas.hunt_limit), .is_quota = true },
    { "malqueryfs_quota_limit", NULL, GAUGE_OF("kind=\"downloads\""), AT(quotas.download_limit), .is_quota = true },
    { "malqueryfs_quota_limit", NULL, GAUGE_OF("kind=\"monitors\""), AT(quotas.monitor_limit), .is_quota = true },
    { "malqueryfs_quota_used", "What of it is used, as the service said last.", GAUGE_OF("kind=\"hunts\""),
      AT(quotas.hunt_count), .is_quota = true },
    { "malqueryfs_quota_used", NULL, GAUGE_OF("kind=\"downloads\""), AT(quotas.download_count), .is_quota = true },
    { "malqueryfs_quota_used", NULL, GAUGE_OF("kind=\"monitors\""), AT(quotas.monitor_count), .is_quota = true },
#undef AT
#undef COUNTER
#undef GAUGE
#undef GAUGE_OF
    /* clang-format on */
};

static int count_request(void *closure, const struct store_request *request)
{
    int64_t *n_requests = closure;

    n_requests[request->state]++;
    return 0;
}

static int64_t count_handles(struct tree *tree)
{
    int64_t n = 0;

    lock_acquire(&tree->lock);
    list_for_each (link, &tree->handles)
        n++;
    lock_release(&tree->lock);
    return n;
}

static int collect(struct tree *tree, struct facts *facts, struct err *err)
{
    enum cache_reach reach;
    int r = store_budget_get(tree->store, &facts->budget, err);

    if (r < 0)
        return r;
    cache_health(tree->cache, &facts->health);
    cache_events(tree->cache, &facts->events);
    facts->has_quotas = cache_quotas(tree->cache, &facts->quotas, NULL);
    store_room_usage(tree->store, &facts->usage);
    reach = facts->health.reach;
    facts->is_offline = reach == CACHE_OFFLINE;
    facts->is_unauthorized = reach == CACHE_UNAUTHORIZED;
    facts->is_online = !facts->is_offline && !facts->is_unauthorized; /* untried counts as online, as in `status` */
    facts->started_s = tree->started_s;
    facts->n_open = count_handles(tree);
    return store_request_list(tree->store, false, count_request, facts->n_requests, err);
}

static int64_t value_of(const struct facts *facts, const struct metric *metric)
{
    int64_t value;

    memcpy(&value, (const char *)facts + metric->at, sizeof value);
    return value;
}

static void print_value(struct buf *text, int64_t value)
{
    if (value == BUDGET_UNLIMITED)
        buf_puts(text, "+Inf\n");
    else
        buf_printf(text, "%lld\n", (long long)value);
}

static int render_metrics(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                          struct err *err)
{
    struct facts facts = { .one = 1 };
    int r = collect(tree, &facts, err);

    (void)subject;
    (void)need; /* nothing is asked for the sake of a number */
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(metrics); i++) {
        const struct metric *metric = &metrics[i];

        if (metric->is_quota && !facts.has_quotas)
            continue;
        if (metric->help)
            buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                       type_names[metric->type]);
        buf_printf(text, "%s%s ", metric->name, metric->label);
        print_value(text, value_of(&facts, metric));
    }
    return r < 0 ? r : buf_check(text, err, "metrics");
}

const struct node_ops file_metrics = { .render = render_metrics };
