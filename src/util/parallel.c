#include "util/parallel.h"

#include <pthread.h>

struct run {
    atomic_size_t next;
    atomic_bool is_over;
    atomic_bool *stop;
    size_t n_items;
    parallel_task task;
    void *context;
};

struct worker {
    struct run *run;
    size_t number;
    pthread_t thread;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct run *run = worker->run;

    while (!atomic_load(&run->is_over) && !(run->stop && atomic_load(run->stop))) {
        size_t item = atomic_fetch_add(&run->next, 1);

        if (item >= run->n_items)
            break;
        if (!run->task(run->context, worker->number, item))
            atomic_store(&run->is_over, true);
    }
    return NULL;
}

void parallel_run(size_t n_threads, size_t n_items, atomic_bool *stop, parallel_task task, void *context)
{
    struct run run = { .stop = stop, .n_items = n_items, .task = task, .context = context };
    struct worker workers[PARALLEL_THREADS_MAX];
    size_t n = 0;

    if (n_threads > PARALLEL_THREADS_MAX)
        n_threads = PARALLEL_THREADS_MAX;
    workers[0] = (struct worker){ .run = &run };
    for (n = 1; n < n_threads && n < n_items; n++) {
        workers[n] = (struct worker){ .run = &run, .number = n };
        if (pthread_create(&workers[n].thread, NULL, work, &workers[n]) != 0)
            break;
    }
    (void)work(&workers[0]); /* always NULL */
    for (size_t i = 1; i < n; i++)
        (void)pthread_join(workers[i].thread, NULL); /* a thread of ours, joined once: cannot fail */
}
