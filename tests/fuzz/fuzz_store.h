/* fuzz_store -- a store in a directory in memory, until the process ends; for the targets of the store. */
#pragma once

#include "fuzz_dir.h"
#include "store/store_internal.h"

static struct store *store;

static inline void store_end(void)
{
    store_free(store);
    dir_free();
}

static inline void store_start(void)
{
    char state[PATH_ROOM];
    char cache[PATH_ROOM];
    struct store_config config = { .state_dir = state, .cache_dir = cache };

    dir_new();
    (void)dir_path("state", state);
    (void)dir_path("cache", cache);
    check(store_new(&config, &store, NULL) == 0);
    check(atexit(store_end) == 0);
}
