/*
 * parallel -- the same task for items 0 … n - 1, taken in order by several threads.
 *
 * Threads    the caller works too and returns when every item that was taken is finished: what was processed is always
 *            a prefix of the items. When threads cannot be made, fewer work.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { PARALLEL_THREADS_MAX = 64 };

/* Works on item `item` as worker `worker` (below the number of threads); false ends the run after what is taken. */
typedef bool (*parallel_task)(void *context, size_t worker, size_t item);

/* `stop` ends the run from outside; it may be set at any time. NULL: nobody does. */
void parallel_run(size_t n_threads, size_t n_items, atomic_bool *stop, parallel_task task, void *context);
