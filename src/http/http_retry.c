/*
 * What is worth repeating: no answer at all, 429, and the three statuses of a front end whose back end is away. The
 * wait is what the other side asked for plus a little, because waiting exactly so long meets the next refusal; or else
 * a random part of a ceiling that doubles, so that many clients do not come back together.
 */
#include "http/http_internal.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include <curl/curl.h>

#include "util/clock.h"
#include "util/text.h"

static const int errors[] = { ENETUNREACH, ETIMEDOUT, EREMOTEIO };
static const int statuses[] = { 429, 502, 503, 504 };

static bool is_in(const int *list, size_t n, int value)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* A random number in [low, high]; without random bytes the middle, which is only less polite. */
static int64_t random_between(int64_t low, int64_t high)
{
    uint64_t bits;

    if (high <= low)
        return low;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits)
        return low + (high - low) / 2;
    return low + (int64_t)(bits % ((uint64_t)(high - low) + 1));
}

/* Its own clock, so that a wait is right when ours is not. */
static int64_t its_now_s(const struct http_try *last)
{
    time_t date = last->date && *last->date ? curl_getdate(last->date, NULL) : -1;

    return date < 0 ? clock_now_s() : date;
}

/* Seconds from now that the other side asked for; may be negative when that time is over. */
static bool asked_wait_s(const struct http_try *last, int64_t *ret_wait_s)
{
    uint64_t s;
    time_t date;

    if (text_parse_u64(last->retry_at, INT64_MAX, &s)) {
        *ret_wait_s = (int64_t)s - its_now_s(last);
        return true;
    }
    if (text_parse_u64(last->retry_after, INT64_MAX, &s)) {
        *ret_wait_s = (int64_t)s;
        return true;
    }
    date = *last->retry_after ? curl_getdate(last->retry_after, NULL) : -1;
    if (date < 0)
        return false;
    *ret_wait_s = date - its_now_s(last);
    return true;
}

int64_t http_retry_delay_ms(const struct http_retry *retry, int tries, const struct http_try *last)
{
    int64_t ceiling_ms = retry->backoff_ms;
    int64_t wait_s;
    int64_t wait_ms;

    if (!asked_wait_s(last, &wait_s)) {
        for (int i = 1; i < tries && ceiling_ms < retry->backoff_max_ms; i++)
            ceiling_ms *= 2;
        return random_between(1, ceiling_ms < retry->backoff_max_ms ? ceiling_ms : retry->backoff_max_ms);
    }
    if (wait_s > retry->asked_max_ms / 1000) /* also what would overflow below */
        return retry->asked_max_ms;
    wait_ms = wait_s * 1000 + random_between(retry->jitter_min_ms, retry->jitter_max_ms);
    if (wait_ms < retry->asked_min_ms)
        return retry->asked_min_ms;
    return wait_ms < retry->asked_max_ms ? wait_ms : retry->asked_max_ms;
}

int http_retry_wait(struct http_client *client, const struct http_retry *retry, int tries, const struct http_try *last,
                    struct err *err)
{
    struct http_limit *limit = http_client_limit(client);

    if (tries >= retry->tries_max)
        return HTTP_NO_MORE;
    if (!is_in(errors, ARRAY_SIZE(errors), last->error) && !is_in(statuses, ARRAY_SIZE(statuses), last->status))
        return HTTP_NO_MORE;
    if (http_limit_is_open(limit))
        return HTTP_NO_MORE;
    return http_limit_wait(limit, http_retry_delay_ms(retry, tries, last), err);
}
