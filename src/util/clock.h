/*
 * clock -- the three clocks, behind a source that tests can replace.
 *
 *   clock_now_s    what a calendar shows: for people, and for what other processes read later. It may step anywhere.
 *   clock_mono_ms  for waits. It stands still while the machine is suspended, so a wait is not over when it resumes.
 *   clock_boot_ms  for how old something is that others keep too, like a token. It goes on while we are suspended.
 *
 * Units      seconds since the epoch (UTC) and milliseconds since an arbitrary start.
 * Threads    any; clock_source_set() only before other threads start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clock_source {
    int64_t (*now_s)(void);   /* wall clock */
    int64_t (*mono_ms)(void); /* never steps back */
    int64_t (*boot_ms)(void); /* likewise; NULL: mono_ms */
};

enum { CLOCK_ISO_MAX = 32 };
struct clock_text {
    char s[CLOCK_ISO_MAX];
};

int64_t clock_now_s(void);
int64_t clock_mono_ms(void);
int64_t clock_boot_ms(void);

/* True when less than `for_s` went by since the calendar showed `since_s`. What lies ahead was noted by a clock that
 * was wrong, and is not believed. */
bool clock_is_fresh(int64_t since_s, int64_t for_s);

/* "2026-03-01T12:00:00Z" */
struct clock_text clock_iso(int64_t s);

/* "2026/03/01", the spelling of the service */
struct clock_text clock_date(int64_t s);

/* The year of an instant, UTC. */
int clock_year(int64_t s);

/* Replaces the clocks, for tests; NULL restores the real ones. */
void clock_source_set(const struct clock_source *source);
