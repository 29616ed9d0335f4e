/*
 * engine_http -- the only user of libmicrohttpd: connections in, engine_route_serve() in the middle, bytes out.
 *
 * Threads    a thread per connection, bounded; a slow reader stops nobody else.
 */
#pragma once

#include "engine/engine_core.h"

enum {
    ENGINE_CONNECTIONS_MAX = 256,
    ENGINE_TIMEOUT_S = 60, /* without a byte */
};

/* Serves what comes in on the listening socket, which it takes over. */
CHECKED int engine_http_start(struct engine *engine, int listen_fd, struct engine_http **ret_http, struct err *err);
void engine_http_stop(struct engine_http *http);
