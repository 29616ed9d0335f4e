#include "util/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

static int64_t real_now_s(void)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with a valid clock and address */
    return ts.tv_sec;
}

static int64_t read_ms(clockid_t id)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(id, &ts); /* cannot fail with a valid clock and address */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t real_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t real_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

static const struct clock_source real_source = { .now_s = real_now_s,
                                                 .mono_ms = real_mono_ms,
                                                 .boot_ms = real_boot_ms };
static const struct clock_source *current = &real_source;

int64_t clock_now_s(void)
{
    return current->now_s();
}

int64_t clock_mono_ms(void)
{
    return current->mono_ms();
}

int64_t clock_boot_ms(void)
{
    return current->boot_ms ? current->boot_ms() : current->mono_ms();
}

bool clock_is_fresh(int64_t since_s, int64_t for_s)
{
    int64_t age_s = 0;

    return !__builtin_sub_overflow(clock_now_s(), since_s, &age_s) && age_s >= 0 && age_s < for_s;
}

static bool split(int64_t s, struct tm *ret_tm)
{
    time_t t = (time_t)s;

    return gmtime_r(&t, ret_tm) != NULL; /* NULL: a year that does not fit */
}

struct clock_text clock_iso(int64_t s)
{
    struct clock_text text = { "?" };
    struct tm tm = { 0 };

    if (split(s, &tm))
        (void)strftime(text.s, sizeof text.s, "%Y-%m-%dT%H:%M:%SZ", &tm); /* fits up to the year 10^12 */
    return text;
}

struct clock_text clock_date(int64_t s)
{
    struct clock_text text = { "?" };
    struct tm tm = { 0 };

    if (split(s, &tm))
        (void)strftime(text.s, sizeof text.s, "%Y/%m/%d", &tm); /* likewise */
    return text;
}

int clock_year(int64_t s)
{
    struct tm tm = { 0 };

    return split(s, &tm) ? tm.tm_year + 1900 : 0;
}

void clock_source_set(const struct clock_source *source)
{
    current = source ? source : &real_source;
}
