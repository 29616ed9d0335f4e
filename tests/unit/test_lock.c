#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/clock.h"
#include "util/lock.h"

static struct lock low;
static struct lock high;
static struct cond cond;

static int setup(void **state)
{
    (void)state;
    lock_init(&low, LOCK_TREE);
    lock_init(&high, LOCK_STORE);
    cond_init(&cond);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cond_done(&cond);
    lock_done(&high);
    lock_done(&low);
    return 0;
}

/* Runs `act` in a child; true when an assertion ended it. */
static bool aborts(void (*act)(void))
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = { 0, 0 };

        (void)signal(SIGABRT, SIG_DFL); /* cmocka's or a sanitizer's handler would say something else */
        (void)setrlimit(RLIMIT_CORE, &no_core);
        if (!freopen("/dev/null", "w", stderr)) /* the same words, twice */
            _exit(0);
        act();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void take_rising(void) NO_THREAD_SAFETY
{
    lock_acquire(&low);
    lock_acquire(&high);
    lock_release(&high);
    lock_release(&low);
    lock_assert_none_held();
}

static void take_falling(void) NO_THREAD_SAFETY
{
    lock_acquire(&high);
    lock_acquire(&low);
}

static void take_twice(void) NO_THREAD_SAFETY
{
    lock_acquire(&low);
    lock_acquire(&low);
}

static void block_with_a_lock(void) NO_THREAD_SAFETY
{
    lock_acquire(&low);
    lock_assert_none_held();
}

static void release_what_is_not_held(void) NO_THREAD_SAFETY
{
    lock_release(&low);
}

static void wait_without_the_lock(void) NO_THREAD_SAFETY
{
    cond_wait(&cond, &low);
}

static void rising_ranks_are_fine(void **state)
{
    (void)state;
    assert_false(aborts(take_rising));
}

static void falling_ranks_abort(void **state)
{
    (void)state;
    assert_true(aborts(take_falling));
}

static void taking_a_lock_twice_aborts(void **state)
{
    (void)state;
    assert_true(aborts(take_twice));
}

static void blocking_with_a_lock_aborts(void **state)
{
    (void)state;
    assert_true(aborts(block_with_a_lock));
}

static void releasing_what_is_not_held_aborts(void **state)
{
    (void)state;
    assert_true(aborts(release_what_is_not_held));
}

static void waiting_without_the_lock_aborts(void **state)
{
    (void)state;
    assert_true(aborts(wait_without_the_lock));
}

static void a_lock_may_be_released_out_of_order(void **state) NO_THREAD_SAFETY
{
    (void)state;
    lock_acquire(&low);
    lock_acquire(&high);
    lock_release(&low);
    lock_release(&high);
    lock_assert_none_held();
}

static void *acquire_low(void *unused) NO_THREAD_SAFETY
{
    (void)unused;
    lock_acquire(&low);
    lock_release(&low);
    return NULL;
}

static void what_one_thread_holds_is_nothing_to_another(void **state) NO_THREAD_SAFETY
{
    pthread_t thread;

    (void)state;
    lock_acquire(&high);
    assert_int_equal(pthread_create(&thread, NULL, acquire_low, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    lock_release(&high);
}

static void a_wait_ends_after_its_time(void **state) NO_THREAD_SAFETY
{
    int64_t start_ms = clock_mono_ms();

    (void)state;
    lock_acquire(&low);
    while (cond_wait_ms(&cond, &low, 30))
        continue; /* a spurious wake-up */
    lock_release(&low);
    assert_in_range(clock_mono_ms() - start_ms, 29, 5000);
}

static void a_wait_in_the_past_returns_at_once(void **state) NO_THREAD_SAFETY
{
    (void)state;
    lock_acquire(&low);
    while (cond_wait_ms(&cond, &low, -1))
        continue; /* a spurious wake-up */
    lock_release(&low);
}

static bool said; /* guarded by low */

static void *say(void *unused) NO_THREAD_SAFETY
{
    (void)unused;
    lock_acquire(&low);
    said = true;
    cond_signal(&cond);
    lock_release(&low);
    return NULL;
}

static void a_signal_ends_a_wait_with_the_lock_held(void **state) NO_THREAD_SAFETY
{
    pthread_t thread;

    (void)state;
    lock_acquire(&low);
    said = false;
    assert_int_equal(pthread_create(&thread, NULL, say, NULL), 0);
    while (!said)
        cond_wait(&cond, &low);
    lock_release(&low); /* asserts that the wait gave it back */
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rising_ranks_are_fine),
        cmocka_unit_test(falling_ranks_abort),
        cmocka_unit_test(taking_a_lock_twice_aborts),
        cmocka_unit_test(blocking_with_a_lock_aborts),
        cmocka_unit_test(releasing_what_is_not_held_aborts),
        cmocka_unit_test(waiting_without_the_lock_aborts),
        cmocka_unit_test(a_lock_may_be_released_out_of_order),
        cmocka_unit_test(what_one_thread_holds_is_nothing_to_another),
        cmocka_unit_test(a_wait_ends_after_its_time),
        cmocka_unit_test(a_wait_in_the_past_returns_at_once),
        cmocka_unit_test(a_signal_ends_a_wait_with_the_lock_held),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
