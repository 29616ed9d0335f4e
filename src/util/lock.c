#include "util/lock.h"

#include <errno.h>
#include <time.h>

static _Thread_local uint64_t held; /* bit per rank; what this thread holds */

static uint64_t rank_bit(const struct lock *lock)
{
    return 1ULL << lock->rank;
}

void lock_init(struct lock *lock, enum lock_rank rank)
{
    int r = pthread_mutex_init(&lock->mutex, NULL);

    assert(r == 0 && rank > 0 && rank < LOCK_RANK_MAX);
    (void)r; /* glibc: cannot fail with default attributes */
    lock->rank = rank;
}

void lock_done(struct lock *lock)
{
    (void)pthread_mutex_destroy(&lock->mutex); /* EBUSY would be a bug that lock_acquire() asserts elsewhere */
}

void lock_acquire(struct lock *lock) NO_THREAD_SAFETY
{
    int r;

    assert(held < rank_bit(lock)); /* ranks only rise */
    r = pthread_mutex_lock(&lock->mutex);
    assert(r == 0);
    (void)r;
    held |= rank_bit(lock);
}

void lock_release(struct lock *lock) NO_THREAD_SAFETY
{
    assert(held & rank_bit(lock));
    held &= ~rank_bit(lock);
    (void)pthread_mutex_unlock(&lock->mutex); /* asserted above */
}

void lock_assert_none_held(void)
{
    assert(held == 0);
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);                      /* glibc: cannot fail */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* likewise */
    (void)pthread_cond_init(&cond->cond, &attr);             /* likewise */
    (void)pthread_condattr_destroy(&attr);                   /* likewise */
}

void cond_done(struct cond *cond)
{
    (void)pthread_cond_destroy(&cond->cond); /* glibc: cannot fail */
}

void cond_signal(struct cond *cond)
{
    (void)pthread_cond_signal(&cond->cond); /* glibc: cannot fail */
}

void cond_broadcast(struct cond *cond)
{
    (void)pthread_cond_broadcast(&cond->cond); /* glibc: cannot fail */
}

void cond_wait(struct cond *cond, struct lock *lock)
{
    assert(held & rank_bit(lock));
    held &= ~rank_bit(lock);
    (void)pthread_cond_wait(&cond->cond, &lock->mutex); /* no timeout: cannot fail */
    held |= rank_bit(lock);
}

bool cond_wait_ms(struct cond *cond, struct lock *lock, int64_t wait_ms)
{
    struct timespec until = { 0 };
    int r;

    assert(held & rank_bit(lock));
    if (wait_ms < 0)
        wait_ms = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail with a valid clock and address */
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    held &= ~rank_bit(lock);
    r = pthread_cond_timedwait(&cond->cond, &lock->mutex, &until);
    held |= rank_bit(lock);
    return r != ETIMEDOUT;
}
