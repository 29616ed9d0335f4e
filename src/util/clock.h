/*
 * clock -- the two clocks, behind a source that tests can replace.
 *
 * Units      seconds since the epoch (UTC) and milliseconds since an arbitrary start.
 * Threads    any; clock_source_set() only before other threads start.
 */
#pragma once

#include <stdint.h>

struct clock_source {
    int64_t (*now_s)(void);   /* wall clock */
    int64_t (*mono_ms)(void); /* never steps back */
};

enum { CLOCK_ISO_MAX = 32 };
struct clock_text {
    char s[CLOCK_ISO_MAX];
};

int64_t clock_now_s(void);
int64_t clock_mono_ms(void);

/* "2026-03-01T12:00:00Z" */
struct clock_text clock_iso(int64_t s);

/* "2026/03/01", the spelling of the service */
struct clock_text clock_date(int64_t s);

/* The year of an instant, UTC. */
int clock_year(int64_t s);

/* Replaces both clocks, for tests; NULL restores the real ones. */
void clock_source_set(const struct clock_source *source);
