/* http_internal -- what the files of http share. */
#pragma once

#include "http/http.h"
#include "util/lock.h"

/*
 * How many exchanges run, and whether it makes sense to start one. The breaker is closed (open_until_ms 0), open
 * (nobody may try before open_until_ms), or half open (one exchange tries, the others are refused meanwhile).
 */
struct http_limit {
    struct lock lock; /* rank LOCK_HTTP; never held during an exchange */
    struct cond cond;
    size_t exchanges_max;
    size_t transfers_max;
    bool is_offline;  /* a breaker that stays open for good */
    size_t exchanges; /* running; this and all below: guarded by lock */
    size_t transfers;
    bool canceled;
    bool probing;
    int silent; /* exchanges in a row without an answer */
    int64_t open_until_ms;
    uint64_t remaining;      /* calls left in the minute, as the other side said ... */
    int64_t remaining_at_ms; /* ... then; -1: never */
};

/* How an exchange ended, for the breaker. */
enum http_end {
    HTTP_END_ANSWERED,
    HTTP_END_SILENT,
    HTTP_END_OURS, /* says nothing about the other side */
};

void http_limit_init(struct http_limit *limit, size_t exchanges_max, size_t transfers_max);
void http_limit_done(struct http_limit *limit);
void http_limit_cancel(struct http_limit *limit, bool canceled);

/* Waits for a slot, and a little longer when few calls are left. ENETUNREACH: the breaker is open. */
CHECKED int http_limit_enter(struct http_limit *limit, bool is_transfer, struct err *err);
void http_limit_leave(struct http_limit *limit, bool is_transfer, enum http_end end);

/* Notes the header with the calls left; "" says nothing. */
void http_limit_note(struct http_limit *limit, const char *remaining);

/* The breaker lets nothing through now. */
bool http_limit_is_open(struct http_limit *limit);

/* Waits; ECANCELED ends it. */
CHECKED int http_limit_wait(struct http_limit *limit, int64_t wait_ms, struct err *err);

struct http_limit *http_client_limit(struct http_client *client);
