#include "engine/engine_search.h"

#include <errno.h>
#include <string.h>

#include "engine/engine_hunt.h"
#include "engine/engine_parallel.h"
#include "util/log.h"

/*
 * Candidates are taken newest first and what was processed is always a prefix of them, so the search may end as soon as
 * `limit` matches are known: no newer match can be missing.
 */
struct search {
    struct engine_index *index;
    const struct engine_query *query;
    atomic_bool *stop;
    struct engine_rules *rules; /* NULL: patterns */
    struct engine_scanner *scanners[ENGINE_THREADS_MAX];
    struct engine_samples candidates;
    bool *is_hit; /* one per candidate */
    atomic_size_t n_hits;
};

static void search_done(struct search *search)
{
    for (size_t i = 0; i < ENGINE_THREADS_MAX; i++)
        engine_scanner_freep(&search->scanners[i]);
    engine_rules_freep(&search->rules);
    engine_samples_done(&search->candidates);
    free(search->is_hit);
}

CHECKED static int examine(struct search *search, size_t worker, int fd, bool *ret_match, struct err *err)
{
    int r = 0;

    if (!search->rules)
        return engine_pattern_scan(fd, search->query->patterns, search->query->n_patterns, search->stop, ret_match,
                                   err);
    if (!search->scanners[worker])
        r = engine_scanner_new(search->rules, &search->scanners[worker], err);
    return r < 0 ? r : engine_scanner_scan(search->scanners[worker], fd, ret_match, err);
}

/* A file that is gone or cannot be examined is no match; the search goes on. */
static bool search_task(void *context, size_t worker, size_t item)
{
    struct search *search = context;
    const struct digest *digest = &search->candidates.items[item].digest;
    cleanup_(closep) int fd = -1;
    struct err err = { 0 };
    int64_t size;
    int r = engine_index_open(search->index, digest, &fd, &size, &err);

    if (r == 0)
        r = examine(search, worker, fd, &search->is_hit[item], &err);
    if (r < 0)
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "search"), LOG_TEXT(LOG_HASH, digest_format(digest).s),
                  LOG_NUMBER(LOG_ERRNO, err.code));
    if (search->is_hit[item])
        atomic_fetch_add(&search->n_hits, 1);
    return atomic_load(&search->n_hits) < (size_t)search->query->limit;
}

static void keep_admitted(const struct engine_query *query, struct engine_samples *samples)
{
    size_t n = 0;

    for (size_t i = 0; i < samples->n; i++)
        if (engine_query_admits(query, &samples->items[i]))
            samples->items[n++] = samples->items[i];
    samples->n = n;
}

static void keep_hits(struct search *search)
{
    struct engine_samples *samples = &search->candidates;
    size_t n = 0;

    for (size_t i = 0; i < samples->n && n < (size_t)search->query->limit; i++)
        if (search->is_hit[i])
            samples->items[n++] = samples->items[i];
    samples->n = n;
}

int engine_search_run(struct engine_index *index, const struct engine_query *query, size_t n_threads, atomic_bool *stop,
                      struct engine_samples *ret_samples, struct err *err)
{
    cleanup_(search_done) struct search search = { .index = index, .query = query, .stop = stop };
    int r = 0;

    if (query->rule)
        r = engine_rules_new(query->rule, &search.rules, err);
    if (r == 0)
        r = engine_index_list(index, query->patterns, query->n_patterns, &search.candidates, err);
    if (r < 0)
        return r;
    keep_admitted(query, &search.candidates);
    search.is_hit = calloc(search.candidates.n + 1, sizeof *search.is_hit);
    if (!search.is_hit)
        return err_set(err, ENOMEM, "no memory to search");
    engine_parallel_run(n_threads, search.candidates.n, stop, search_task, &search);
    if (atomic_load(stop))
        return err_set(err, ECANCELED, "the search was stopped");
    keep_hits(&search);
    *ret_samples = search.candidates;
    search.candidates = (struct engine_samples){ 0 };
    return 0;
}

int engine_search_fuzzy(struct engine_index *index, const struct engine_query *query,
                        struct engine_samples *ret_samples, size_t *ret_total, struct err *err)
{
    int r = engine_index_list(index, query->patterns, query->n_patterns, ret_samples, err);

    if (r < 0)
        return r;
    *ret_total = ret_samples->n;
    if (ret_samples->n > (size_t)query->limit)
        ret_samples->n = (size_t)query->limit;
    return 0;
}
