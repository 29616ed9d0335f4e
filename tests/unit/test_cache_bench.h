/* test_cache_bench -- a cache on a scripted server and a store in a directory of its own; for the tests of cache. */
#pragma once

#include "cache/cache_internal.h"
#include "input/input.h"
#include "test_api_script.h"
#include "util/clock.h"

struct bench {
    char dir[32];
    struct script *script;
    struct api *api;
    struct store *store;
    struct cache *cache;
};

static const struct caller bench_who = { .pid = 1, .program = "test" }; /* on whose behalf */

static inline struct store *bench_store(const struct bench *bench)
{
    struct store_config config;
    struct store *store = NULL;
    struct err err = { 0 };
    char state[64];
    char cache[64];

    (void)snprintf(state, sizeof state, "%s/state", bench->dir);
    (void)snprintf(cache, sizeof cache, "%s/cache", bench->dir);
    config = (struct store_config){ .state_dir = state, .cache_dir = cache };
    assert_int_equal(store_new(&config, &store, &err), 0);
    return store;
}

static inline void bench_up(struct bench *bench, const struct script_step *steps, size_t n_steps)
{
    struct err err = { 0 };

    *bench = (struct bench){ .dir = "/tmp/mq-cache-XXXXXX" };
    assert_non_null(mkdtemp(bench->dir));
    assert_int_equal(input_setup(&err), 0);
    bench->script = script_start(steps, n_steps);
    bench->api = api_of(bench->script);
    bench->store = bench_store(bench);
    assert_int_equal(
        cache_new(&(struct cache_config){ .api = bench->api,
                                          .store = bench->store,
                                          .poll_first_ms = 1,
                                          .poll_max_ms = 10,
                                          .yara_check = true,
                                          .first_budget = { .left = { BUDGET_UNLIMITED, BUDGET_UNLIMITED } } },
                  &bench->cache, &err),
        0);
    bench->cache->quotas.tried_s = clock_now_s(); /* so that no script has to answer for them */
}

static inline void bench_down(struct bench *bench)
{
    char command[64];
    FILE *rm;

    cache_cancel(bench->cache);
    cache_free(bench->cache);
    store_free(bench->store);
    end(bench->api, bench->script);
    input_teardown();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", bench->dir);
    rm = popen(command, "r");
    if (rm)
        (void)pclose(rm);
}

/* A rule on disk as a new submission. */
static inline struct store_entry bench_entry(struct bench *bench, const char *name, const char *text)
{
    struct store_entry entry = { .dir = STORE_HUNTS, .state = STORE_ENTRY_QUEUED, .suffix = ".yar" };
    struct err err = { 0 };

    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    assert_int_equal(store_entry_put(bench->store, &entry, text, strlen(text), &err), 0);
    return entry;
}

static inline struct store_entry bench_reload(struct bench *bench, int64_t row)
{
    struct store_entry entry;
    struct err err = { 0 };

    assert_int_equal(store_entry_get_row(bench->store, row, &entry, &err), 0);
    return entry;
}

/* How many events there were whose line has this text. */
static inline int bench_events(struct bench *bench, const char *text)
{
    static char lines[64 * KIB];
    size_t n = 0;
    int found = 0;

    (void)cache_events_read(bench->cache, 0, lines, sizeof lines - 1, &n); /* from the start: none are dropped */
    lines[n] = '\0';
    for (const char *at = lines; (at = strstr(at, text)); at += strlen(text))
        found++;
    return found;
}
