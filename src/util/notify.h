/*
 * notify -- words to whoever started us and wants to know how it goes: the protocol of sd_notify(3), a datagram of
 * NAME=VALUE lines to the socket that NOTIFY_SOCKET names.
 *
 * Nobody who listens is the usual case: then everything here does nothing. The socket is connected once, for what is
 * confined may not connect to it any more.
 *
 * Units      microseconds where systemd has them, else milliseconds.
 * Threads    notify_open() only before others start; the rest from any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/check.h"

/* Connects, and takes the variables out of the environment: no child shall speak in our name. */
void notify_open(void);

/* READY=1, and the line that systemctl status shows. */
void notify_ready(const char *status);

/* RELOADING=1; notify_ready() ends it. */
void notify_reloading(void);
void notify_stopping(void);

/* How often notify_alive() must be called, so that a watchdog does not end us; 0: there is none. */
int64_t notify_alive_ms(void);
void notify_alive(void);
