/*
 * engine -- a MalQuery-compatible service over a directory of samples, listening on loopback or a Unix socket.
 *
 * Units      sizes in bytes, *_s in seconds, *_ms in milliseconds.
 * Ownership  the config's texts are borrowed until engine_free(); secrets are copied.
 * Errors     a negative errno with err filled.
 * Threads    engine_new() and engine_free() in one thread, signals blocked; it makes threads of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/secret.h"

enum { ENGINE_MONITOR_LIMIT = 10 };

struct engine_config {
    const char *dir; /* absolute, links resolved */
    const char *index;
    const char *labels;      /* NULL: none */
    bool may_lack_labels;    /* the file may come later, or never */
    const char *request_log; /* NULL: none */
    const char *credentials; /* file that must never be served; NULL: none */
    const char *socket;      /* NULL: TCP */
    const char *listen;      /* numeric address */
    int64_t port;            /* 0: any */
    const char *cert;        /* with `key`: TLS */
    const char *key;
    const char *scopes;
    const char *region;
    const char *foreign_region; /* "": none */
    const char *zip_method;
    const char *zip_password;
    int64_t hunt_limit;
    int64_t download_limit;
    int64_t rate_limit;
    int64_t unauth_rate_limit;
    int64_t token_lifetime_s;
    int64_t job_delay_ms;
    int64_t retention_s;
    int64_t n_threads;
    bool has_watch;
};

struct engine;

/* Starts to listen; the first pass over the directory goes on in the background. */
CHECKED int engine_new(const struct engine_config *config, const struct secret *client_id,
                       const struct secret *client_secret, struct engine **ret_engine, struct err *err);

/* Stops; a search that runs is given up and run again by the next start. */
void engine_free(struct engine *engine);
DEFINE_CLEANUP(struct engine *, engine_free)

/* "http://127.0.0.1:4711", "https://…" or "unix:/run/malqueryd.sock" */
const char *engine_url(const struct engine *engine);

/* The rest of what a program needs: its command line, its credentials, its addresses. Last, because they build on us.
 */
#include "engine/engine_credentials.h"
#include "engine/engine_options.h"
#include "engine/engine_own.h"
#include "engine/engine_socket.h"
