/*
 * http_pool -- kept connections. Inside http only: it has libcurl's types.
 *
 * Each handle is an easy handle for a multi handle of its own, which the thread of an exchange drives. That costs
 * little and buys two things: the connection stays in the multi handle between exchanges, and curl_multi_wakeup() ends
 * a wait at once, where a progress callback of an idle transfer runs only once a second.
 */
#pragma once

#include <curl/curl.h>

#include "http/http_internal.h"
#include "util/list.h"

struct http_handle {
    struct list entry; /* in idle or running; guarded by the pool's lock */
    CURL *easy;
    CURLM *multi;
};

struct http_pool {
    struct lock lock;    /* rank LOCK_HTTP */
    struct list idle;    /* guarded by lock */
    struct list running; /* guarded by lock */
};

void http_pool_init(struct http_pool *pool);

/* No handle may be taken. */
void http_pool_done(struct http_pool *pool);

/* A handle without a request, with the warmest connection there is. */
CHECKED int http_pool_take(struct http_pool *pool, struct http_handle **ret_handle, struct err *err);

/* Forgets the request and every pointer of it; the connection stays. */
void http_pool_give(struct http_pool *pool, struct http_handle *handle);

/* Ends the current or the next wait of every handle that is taken. */
void http_pool_wake(struct http_pool *pool);
