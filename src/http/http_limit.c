/*
 * Three brakes in front of every exchange: slots (so many at once, fewer of them transfers, so that a row of stalled
 * downloads leaves room for short calls), a pause when the other side says that few calls are left in the minute, and a
 * breaker that stops asking a service which does not answer. Only silence opens the breaker: an answer, even a 503,
 * shows that there is a way. What is believed for a while ages while the machine is suspended; what waits does not.
 */
#include "http/http_internal.h"

#include <errno.h>

#include "util/clock.h"
#include "util/text.h"

static const struct {
    uint64_t at_most;
    int64_t wait_ms;
} pauses[] = {
    { HTTP_VERY_FEW, HTTP_VERY_FEW_MS },
    { HTTP_FEW, HTTP_FEW_MS },
};

void http_limit_init(struct http_limit *limit, size_t exchanges_max, size_t transfers_max)
{
    *limit =
        (struct http_limit){ .exchanges_max = exchanges_max, .transfers_max = transfers_max, .remaining_at_ms = -1 };
    lock_init(&limit->lock, LOCK_HTTP);
    cond_init(&limit->cond);
}

void http_limit_done(struct http_limit *limit)
{
    cond_done(&limit->cond);
    lock_done(&limit->lock);
}

void http_limit_cancel(struct http_limit *limit, bool canceled)
{
    lock_acquire(&limit->lock);
    limit->canceled = canceled;
    cond_broadcast(&limit->cond);
    lock_release(&limit->lock);
}

static bool has_slot_locked(const struct http_limit *limit, bool is_transfer)
{
    return limit->exchanges < limit->exchanges_max && (!is_transfer || limit->transfers < limit->transfers_max);
}

static bool is_open_locked(const struct http_limit *limit)
{
    if (limit->is_offline)
        return true;
    return limit->open_until_ms && (limit->probing || clock_boot_ms() < limit->open_until_ms);
}

static int check_breaker_locked(struct http_limit *limit, struct err *err)
{
    int64_t left_ms = limit->open_until_ms - clock_boot_ms();

    if (limit->is_offline)
        return err_set(err, ENETUNREACH, "nothing is sent, this mount is offline (-o offline)");
    if (is_open_locked(limit))
        return err_set(err, ENETUNREACH, "service unreachable, trying again in %lld s",
                       left_ms > 0 ? (long long)(left_ms + 999) / 1000 : 1LL);
    limit->probing = limit->open_until_ms != 0;
    return 0;
}

static int take_slot_locked(struct http_limit *limit, bool is_transfer, struct err *err) REQUIRES(&limit->lock)
{
    int64_t until_ms = clock_mono_ms() + HTTP_SLOT_WAIT_MS;
    bool in_time = true;

    while (!limit->canceled && in_time && !has_slot_locked(limit, is_transfer))
        in_time = cond_wait_ms(&limit->cond, &limit->lock, until_ms - clock_mono_ms());
    if (limit->canceled)
        return err_set(err, ECANCELED, "canceled");
    if (!has_slot_locked(limit, is_transfer))
        return err_set(err, ETIMEDOUT, "too many exchanges at once");
    if (check_breaker_locked(limit, err) < 0)
        return -ENETUNREACH;
    limit->exchanges++;
    limit->transfers += is_transfer;
    return 0;
}

static int64_t pause_locked(const struct http_limit *limit)
{
    if (limit->remaining_at_ms < 0 || clock_boot_ms() - limit->remaining_at_ms > HTTP_MINUTE_MS)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(pauses); i++)
        if (limit->remaining <= pauses[i].at_most)
            return pauses[i].wait_ms;
    return 0;
}

int http_limit_enter(struct http_limit *limit, bool is_transfer, struct err *err)
{
    int64_t pause_ms = 0;
    int r;

    lock_acquire(&limit->lock);
    r = take_slot_locked(limit, is_transfer, err);
    if (r == 0)
        pause_ms = pause_locked(limit);
    lock_release(&limit->lock);
    if (r < 0 || pause_ms == 0)
        return r;
    r = http_limit_wait(limit, pause_ms, err);
    if (r < 0)
        http_limit_leave(limit, is_transfer, HTTP_END_OURS);
    return r;
}

void http_limit_leave(struct http_limit *limit, bool is_transfer, enum http_end end)
{
    lock_acquire(&limit->lock);
    limit->exchanges--;
    limit->transfers -= is_transfer;
    if (end == HTTP_END_ANSWERED) {
        limit->silent = 0;
        limit->open_until_ms = 0;
    } else if (end == HTTP_END_SILENT && ++limit->silent >= HTTP_BREAK_AFTER) {
        limit->silent = HTTP_BREAK_AFTER;
        limit->open_until_ms = clock_boot_ms() + HTTP_BREAK_MS;
    }
    limit->probing = false;
    cond_broadcast(&limit->cond);
    lock_release(&limit->lock);
}

void http_limit_note(struct http_limit *limit, const char *remaining)
{
    uint64_t n;

    if (!text_parse_u64(remaining, UINT32_MAX, &n))
        return;
    lock_acquire(&limit->lock);
    limit->remaining = n;
    limit->remaining_at_ms = clock_boot_ms();
    lock_release(&limit->lock);
}

bool http_limit_is_open(struct http_limit *limit)
{
    bool is_open;

    lock_acquire(&limit->lock);
    is_open = is_open_locked(limit);
    lock_release(&limit->lock);
    return is_open;
}

/* Woken early by every exchange that ends; the time left is then counted again. */
static void wait_locked(struct http_limit *limit, int64_t wait_ms) REQUIRES(&limit->lock)
{
    int64_t until_ms = clock_mono_ms() + wait_ms;
    bool in_time = true;

    while (!limit->canceled && in_time && clock_mono_ms() < until_ms)
        in_time = cond_wait_ms(&limit->cond, &limit->lock, until_ms - clock_mono_ms());
}

int http_limit_wait(struct http_limit *limit, int64_t wait_ms, struct err *err)
{
    bool canceled;

    lock_assert_none_held();
    lock_acquire(&limit->lock);
    wait_locked(limit, wait_ms);
    canceled = limit->canceled;
    lock_release(&limit->lock);
    return canceled ? err_set(err, ECANCELED, "canceled") : 0;
}
