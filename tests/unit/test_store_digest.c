#include "test_store_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { ROUNDS = 5000, CONTENDERS = 4 };

static int lock_it(struct fixture *fixture, const struct digest *digest)
{
    int fd = -1;

    assert_int_equal(store_digest_lock(fixture->store, digest, NULL, &fd, &fixture->err), 0);
    assert_true(fd >= 0);
    return fd;
}

/* True when the lock was free; it is given back at once. */
static bool try_it(struct fixture *fixture, const struct digest *digest)
{
    const volatile bool cancelled = true;
    int fd = -1;
    int r = store_digest_lock(fixture->store, digest, &cancelled, &fd, &fixture->err);

    if (r == STORE_BUSY)
        return false;
    assert_int_equal(r, 0);
    store_digest_unlock(fd);
    return true;
}

static void a_held_lock_is_busy_for_the_same_process(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    int fd = lock_it(fixture, &digest);

    assert_false(try_it(fixture, &digest));
    store_digest_unlock(fd);
}

static void a_lock_is_free_after_its_release(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);

    store_digest_unlock(lock_it(fixture, &digest));
    assert_true(try_it(fixture, &digest));
}

static void two_digests_do_not_wait_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct digest one = fixture_digest(1);
    struct digest two = one;
    int fd = lock_it(fixture, &one);

    two.bytes[DIGEST_BYTES - 1] ^= 1;
    assert_true(try_it(fixture, &two));
    store_digest_unlock(fd);
}

static int count_locks(const struct fixture *fixture)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/locks", fixture->state);
    return fixture_count_path(path);
}

/* Who is found without a lock is taken for dead, and what it pays for is settled: in the ledger, which they share. */
static void mounts_that_share_the_state_share_the_locks(void **state)
{
    struct fixture *fixture = *state;
    struct store_config config = fixture->config;
    struct digest digest = fixture_digest(1);
    struct store *other = NULL;
    char cache[sizeof fixture->cache + 8];
    static const volatile bool at_once = true;
    int theirs = -1;
    int fd = lock_it(fixture, &digest);

    (void)snprintf(cache, sizeof cache, "%s-2", fixture->cache);
    config.cache_dir = cache;
    assert_int_equal(store_new(&config, &other, &fixture->err), 0);
    assert_int_equal(store_digest_lock(other, &digest, &at_once, &theirs, &fixture->err), STORE_BUSY);
    store_digest_unlock(fd);
    assert_int_equal(store_digest_lock(other, &digest, &at_once, &theirs, &fixture->err), 0);
    store_digest_unlock(theirs);
    store_free(other);
}

static void a_release_leaves_no_file(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);

    store_digest_unlock(lock_it(fixture, &digest));
    assert_int_equal(count_locks(fixture), 0);
}

static void releasing_nothing_is_harmless(void **state)
{
    (void)state;
    store_digest_unlock(-1);
}

/* In a child: 0 free, 1 busy. */
static int try_in_child(struct fixture *fixture, const struct digest *digest)
{
    pid_t pid = fork();

    if (pid == 0) {
        const volatile bool cancelled = true;
        struct store *store = NULL;
        int fd = -1;

        if (store_new(&fixture->config, &store, NULL) != 0)
            _exit(2);
        _exit(store_digest_lock(store, digest, &cancelled, &fd, NULL) == STORE_BUSY ? 1 : 0);
    }
    return fixture_wait(pid);
}

static void a_held_lock_is_busy_for_another_process(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    int fd = lock_it(fixture, &digest);

    assert_int_equal(try_in_child(fixture, &digest), 1);
    store_digest_unlock(fd);
    assert_int_equal(try_in_child(fixture, &digest), 0);
}

static void the_kill_of_a_holder_frees_the_lock(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct store *store = NULL;
        int fd = -1;

        if (store_new(&fixture->config, &store, NULL) != 0 || store_digest_lock(store, &digest, NULL, &fd, NULL) != 0)
            _exit(2);
        if (write(ready[1], "x", 1) != 1)
            _exit(3);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    assert_false(try_it(fixture, &digest));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(fixture_wait(pid), 128);
    assert_int_equal(count_locks(fixture), 1); /* its file is still there and does not hinder */
    assert_true(try_it(fixture, &digest));
}

static void the_leftover_of_a_killed_holder_is_swept_at_start(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);

    assert_int_equal(try_in_child(fixture, &digest), 0); /* exits without a release */
    assert_int_equal(count_locks(fixture), 1);
    fixture_reopen(fixture);
    assert_int_equal(count_locks(fixture), 0);
}

static void a_held_lock_survives_the_start_of_another_store(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store *other = NULL;
    int fd = lock_it(fixture, &digest);

    assert_int_equal(store_new(&fixture->config, &other, &fixture->err), 0);
    store_free(other);
    assert_false(try_it(fixture, &digest));
    store_digest_unlock(fd);
}

struct contest {
    struct fixture *fixture;
    struct digest digest;
    atomic_int inside;
    atomic_bool overlapped;
    atomic_int n;
};

/* Tries in a tight loop, so that many tries fall between the removal of the name and the release. */
static void *contend(void *closure)
{
    struct contest *contest = closure;
    const volatile bool cancelled = true;

    for (int i = 0; i < ROUNDS; i++) {
        int fd = -1;
        int r = store_digest_lock(contest->fixture->store, &contest->digest, &cancelled, &fd, NULL);

        if (r < 0)
            return contest;
        if (r == STORE_BUSY)
            continue;
        if (atomic_fetch_add(&contest->inside, 1) != 0)
            atomic_store(&contest->overlapped, true);
        (void)sched_yield();
        (void)atomic_fetch_sub(&contest->inside, 1);
        store_digest_unlock(fd);
        (void)atomic_fetch_add(&contest->n, 1);
    }
    return NULL;
}

static void only_one_thread_is_inside(void **state)
{
    struct contest contest = { .fixture = *state, .digest = fixture_digest(1) };
    pthread_t threads[CONTENDERS];
    void *failed = NULL;

    for (int i = 0; i < CONTENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contest), 0);
    for (int i = 0; i < CONTENDERS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_false(atomic_load(&contest.overlapped));
    assert_true(atomic_load(&contest.n) > 0);
}

struct waiter {
    struct fixture *fixture;
    struct digest digest;
    volatile bool cancel;
    int r;
};

static void *wait_for_lock(void *closure)
{
    struct waiter *waiter = closure;
    int fd = -1;

    waiter->r = store_digest_lock(waiter->fixture->store, &waiter->digest, &waiter->cancel, &fd, NULL);
    store_digest_unlock(fd);
    return NULL;
}

static void a_waiter_gives_up_when_cancelled(void **state)
{
    struct fixture *fixture = *state;
    struct waiter waiter = { .fixture = fixture, .digest = fixture_digest(1), .r = -1 };
    int fd = lock_it(fixture, &waiter.digest);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wait_for_lock, &waiter), 0);
    __atomic_store_n(&waiter.cancel, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0); /* would hang for ever */
    assert_int_equal(waiter.r, STORE_BUSY);
    store_digest_unlock(fd);
}

static void a_waiter_gets_the_lock_after_its_release(void **state)
{
    struct fixture *fixture = *state;
    struct waiter waiter = { .fixture = fixture, .digest = fixture_digest(1), .r = -1 };
    int fd = lock_it(fixture, &waiter.digest);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wait_for_lock, &waiter), 0);
    store_digest_unlock(fd);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_held_lock_is_busy_for_the_same_process),
        STORE_TEST(a_lock_is_free_after_its_release),
        STORE_TEST(two_digests_do_not_wait_for_each_other),
        STORE_TEST(mounts_that_share_the_state_share_the_locks),
        STORE_TEST(a_release_leaves_no_file),
        STORE_TEST(releasing_nothing_is_harmless),
        STORE_TEST(a_held_lock_is_busy_for_another_process),
        STORE_TEST(the_kill_of_a_holder_frees_the_lock),
        STORE_TEST(the_leftover_of_a_killed_holder_is_swept_at_start),
        STORE_TEST(a_held_lock_survives_the_start_of_another_store),
        STORE_TEST(only_one_thread_is_inside),
        STORE_TEST(a_waiter_gives_up_when_cancelled),
        STORE_TEST(a_waiter_gets_the_lock_after_its_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
