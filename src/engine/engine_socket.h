/*
 * engine_socket -- the listening socket: loopback TCP, another address when asked for, or a Unix socket.
 *
 * Ownership  descriptors are the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"

enum { ENGINE_URL_MAX = 256 };

struct engine_url_text {
    char s[ENGINE_URL_MAX];
};

/* Listens on a numeric address; port 0 is any free one. The URL names the port that it became. */
CHECKED int engine_socket_tcp(const char *address, int64_t port, bool has_tls, int *ret_fd,
                              struct engine_url_text *ret_url, struct err *err);

/*
 * Listens on a Unix socket, mode 0600. A socket that nobody answers on is replaced, anything else at that path is
 * EADDRINUSE or EEXIST.
 */
CHECKED int engine_socket_unix(const char *path, int *ret_fd, struct engine_url_text *ret_url, struct err *err);

/* True for 127.0.0.0/8 and ::1. */
bool engine_socket_is_loopback(const char *address);
