#include "engine/engine_search.h"

#include <errno.h>
#include <string.h>

#include "engine/engine_hunt.h"
#include "util/parallel.h"
#include "util/clock.h"
#include "util/log.h"

/*
 * Candidates are taken newest first and what was processed is always a prefix of them, so the search may end as soon as
 * `limit` matches are known: no newer match can be missing.
 */
struct search {
    struct engine_index *index;
    const struct engine_query *query;
    const struct engine_search_config *config;
    struct engine_own own;      /* looked for once: nine calls for each candidate otherwise */
    struct engine_rules *rules; /* NULL: patterns */
    struct engine_scanner *scanners[PARALLEL_THREADS_MAX];
    struct engine_samples candidates;
    bool *is_hit; /* one per candidate */
    atomic_size_t n_hits;
    atomic_size_t n_timeouts;
    struct lock lock; /* rank LOCK_ENGINE */
    struct err err;   /* guarded by lock: the first one */
};

static void search_done(struct search *search)
{
    for (size_t i = 0; i < PARALLEL_THREADS_MAX; i++)
        engine_scanner_freep(&search->scanners[i]);
    engine_rules_freep(&search->rules);
    engine_samples_done(&search->candidates);
    lock_done(&search->lock);
    free(search->is_hit);
}

/* A search without this file would be a wrong answer, so the whole search ends. */
static bool give_up(struct search *search, const struct err *err)
{
    lock_acquire(&search->lock);
    if (!search->err.code)
        search->err = *err;
    lock_release(&search->lock);
    return false;
}

CHECKED static int examine(struct search *search, size_t worker, int fd, bool *ret_match, struct err *err)
{
    int r = 0;

    if (!search->rules)
        return engine_pattern_scan(fd, search->query->patterns, search->query->n_patterns, search->config->stop,
                                   ret_match, err);
    if (!search->scanners[worker])
        r = engine_scanner_new(search->rules, search->config->file_s, &search->scanners[worker], err);
    return r < 0 ? r : engine_scanner_scan(search->scanners[worker], fd, ret_match, err);
}

/* A scan that failed may mean that somebody changed the file meanwhile: then it is not this sample any more. */
static bool is_gone(struct search *search, const struct digest *digest)
{
    cleanup_(closep) int fd = -1;
    int64_t size;

    return engine_index_open(search->index, digest, NULL, &fd, &size, NULL) == ENGINE_INDEX_ABSENT;
}

static void log_timeout(const struct digest *digest, const struct err *err)
{
    log_event(LOG_LEVEL_WARN, err->text, LOG_TEXT(LOG_OP, "search"), LOG_TEXT(LOG_HASH, digest_format(digest).s),
              LOG_NUMBER(LOG_ERRNO, err->code));
}

static bool search_task(void *context, size_t worker, size_t item)
{
    struct search *search = context;
    const struct digest *digest = &search->candidates.items[item].digest;
    cleanup_(closep) int fd = -1;
    struct err err = { 0 };
    int64_t size;
    int r;

    if (clock_mono_ms() > search->config->deadline_ms) {
        (void)err_set(&err, ETIMEDOUT, "the search takes too long"); /* handed on below */
        return give_up(search, &err);
    }
    r = engine_index_open(search->index, digest, &search->own, &fd, &size, &err);
    if (r < 0)
        return give_up(search, &err);
    if (r == 0)
        r = examine(search, worker, fd, &search->is_hit[item], &err);
    if (r == -ETIMEDOUT && search->rules) {
        atomic_fetch_add(&search->n_timeouts, 1);
        log_timeout(digest, &err);
    } else if (r < 0 && !is_gone(search, digest)) {
        return give_up(search, &err);
    }
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

CHECKED static int check_end(struct search *search, struct err *err)
{
    size_t n_timeouts = atomic_load(&search->n_timeouts);

    if (atomic_load(search->config->stop))
        return err_set(err, ECANCELED, "the search was stopped");
    if (search->err.code) /* all other threads have ended */
        return err_set(err, search->err.code, "%s", search->err.text);
    if (n_timeouts)
        return err_set(err, ETIMEDOUT, "%zu file%s took longer than %d s each", n_timeouts, n_timeouts == 1 ? "" : "s",
                       search->config->file_s);
    return 0;
}

int engine_search_run(struct engine_index *index, const struct engine_query *query,
                      const struct engine_search_config *config, struct engine_samples *ret_samples, struct err *err)
{
    cleanup_(search_done) struct search search = { .index = index, .query = query, .config = config };
    int r = 0;

    lock_init(&search.lock, LOCK_ENGINE);
    search.own = engine_index_own(index);
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
    parallel_run(config->n_threads, search.candidates.n, config->stop, search_task, &search);
    r = check_end(&search, err);
    if (r < 0)
        return r;
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
