#include "test_engine_fixture.h"

#include "util/parallel.h"

enum { ITEMS = 5000, THREADS = 8 };

struct bench {
    atomic_int n_done[ITEMS];
    size_t last; /* the task of this item ends the run */
    atomic_bool stop;
};

static bool task(void *context, size_t worker, size_t item)
{
    struct bench *bench = context;

    assert_true(worker < THREADS);
    atomic_fetch_add(&bench->n_done[item], 1);
    return item != bench->last;
}

static void every_item_is_done_once(void **unused)
{
    static struct bench bench = { .last = ITEMS };

    (void)unused;
    parallel_run(THREADS, ITEMS, &bench.stop, task, &bench);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(atomic_load(&bench.n_done[i]), 1);
}

static void what_was_done_before_an_end_is_a_prefix(void **unused)
{
    static struct bench bench = { .last = 700 };
    size_t n = 0;

    (void)unused;
    parallel_run(THREADS, ITEMS, &bench.stop, task, &bench);
    while (n < ITEMS && atomic_load(&bench.n_done[n]) == 1)
        n++;
    assert_true(n > 700);
    for (; n < ITEMS; n++)
        assert_int_equal(atomic_load(&bench.n_done[n]), 0);
}

static void a_task_can_end_the_run(void **unused)
{
    static struct bench bench = { .last = 700 };

    (void)unused;
    parallel_run(1, ITEMS, &bench.stop, task, &bench);
    assert_int_equal(atomic_load(&bench.n_done[700]), 1);
    assert_int_equal(atomic_load(&bench.n_done[701]), 0);
}

static void nothing_is_done_after_a_stop(void **unused)
{
    static struct bench bench = { .last = ITEMS, .stop = true };

    (void)unused;
    parallel_run(THREADS, ITEMS, &bench.stop, task, &bench);
    assert_int_equal(atomic_load(&bench.n_done[0]), 0);
}

static void no_items_and_one_thread_are_fine(void **unused)
{
    static struct bench bench = { .last = ITEMS };

    (void)unused;
    parallel_run(1, 0, &bench.stop, task, &bench);
    assert_int_equal(atomic_load(&bench.n_done[0]), 0);
    parallel_run(1, 1, &bench.stop, task, &bench);
    assert_int_equal(atomic_load(&bench.n_done[0]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once),          cmocka_unit_test(what_was_done_before_an_end_is_a_prefix),
        cmocka_unit_test(a_task_can_end_the_run),           cmocka_unit_test(nothing_is_done_after_a_stop),
        cmocka_unit_test(no_items_and_one_thread_are_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
