#include "engine/engine_core.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine_hunt.h"
#include "engine/engine_http.h"
#include "engine/engine_socket.h"
#include "util/log.h"
#include "util/text.h"

enum { RETRY_MS = 30 * 1000 };
enum { DB_FILES = 4 }; /* the database and what SQLite puts beside it */

struct started {
    struct engine engine;
    struct engine_url_text url;
    char db_files[DB_FILES][PATH_MAX];
};

CHECKED static int start_zip(struct engine *engine, struct err *err)
{
    const char *slash = strrchr(engine->config.index, '/');

    if (!slash)
        return err_set(err, EINVAL, "the path of the index is not absolute");
    engine->index_dir = strndup(engine->config.index, (size_t)(slash - engine->config.index) + 1);
    if (!engine->index_dir)
        return err_set(err, ENOMEM, "no memory to start");
    engine->zip.dir = engine->index_dir;
    engine->zip.password = engine->config.zip_password;
    engine->zip.stop = &engine->is_stopping;
    if (!engine_zip_parse_method(engine->config.zip_method, &engine->zip.method))
        return err_set(err, EINVAL, "unknown zip method '%s'", engine->config.zip_method);
    engine_zip_clean(engine->index_dir);
    return 0;
}

/* Our own files are no samples, wherever they lie, nor are the archives that are being made beside the index. */
static void set_excludes(struct started *started, struct engine_index_config *config)
{
    static const char *const suffixes[DB_FILES] = { "", "-wal", "-shm", "-journal" };
    const struct engine_config *c = &started->engine.config;
    const char *const others[] = { c->labels, c->request_log, c->credentials, c->key, started->engine.index_dir };
    size_t n = 0;

    static_assert(DB_FILES + ARRAY_SIZE(others) <= ENGINE_OWN_MAX, "every file of ours has a place");
    for (size_t i = 0; i < DB_FILES; i++) {
        if (snprintf(started->db_files[i], PATH_MAX, "%s%s", c->index, suffixes[i]) < PATH_MAX)
            config->excludes[n++] = started->db_files[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        config->excludes[n++] = others[i];
}

CHECKED static int start_index(struct started *started, struct err *err)
{
    struct engine *engine = &started->engine;
    struct engine_index_config config = {
        .dir = engine->config.dir,
        .labels = engine->config.labels,
        .may_lack_labels = engine->config.may_lack_labels,
        .n_threads = (size_t)engine->config.n_threads,
        .has_watch = engine->config.has_watch,
        .retry_ms = RETRY_MS,
    };
    struct engine_jobs_config jobs = {
        .n_threads = (size_t)engine->config.n_threads,
        .delay_ms = engine->config.job_delay_ms,
        .retention_s = engine->config.retention_s,
    };
    int r = engine_own_check_index(config.dir, engine->config.index, err);

    if (r == 0)
        r = engine_db_open(engine->config.index, &engine->db, err);
    if (r < 0)
        return r;
    set_excludes(started, &config);
    r = engine_index_new(engine->db, &config, &engine->index, err);
    if (r == 0)
        r = engine_archives_new(engine->index, &engine->zip, ENGINE_ARCHIVES_BYTES, &engine->archives, err);
    if (r < 0)
        return r;
    jobs.archives = engine->archives;
    return engine_jobs_new(engine->db, engine->index, &jobs, &engine->jobs, err);
}

CHECKED static int start_server(struct started *started, struct err *err)
{
    struct engine *engine = &started->engine;
    const struct engine_config *c = &engine->config;
    int fd = -1;
    int r;

    if (c->request_log) {
        engine->request_log_fd = open(c->request_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (engine->request_log_fd < 0)
            return err_sys(err, "open '%s'", c->request_log);
    }
    if (c->socket)
        r = engine_socket_unix(c->socket, &fd, &started->url, err);
    else
        r = engine_socket_tcp(c->listen, c->port, c->cert != NULL, &fd, &started->url, err);
    return r < 0 ? r : engine_http_start(engine, fd, &engine->http, err);
}

CHECKED static int start(struct started *started, const struct secret *client_id, const struct secret *client_secret,
                         struct err *err)
{
    struct engine *engine = &started->engine;
    const struct engine_config *c = &engine->config;
    unsigned scopes;
    int r;

    if (!engine_auth_parse_scopes(c->scopes, &scopes))
        return err_set(err, EINVAL, "scopes are read, write or both, not '%s'", c->scopes);
    r = engine_auth_new(client_id, client_secret, scopes, c->token_lifetime_s, &engine->auth, err);
    if (r == 0)
        r = engine_rate_new(c->rate_limit, c->unauth_rate_limit, &engine->rate, err);
    if (r == 0)
        r = start_zip(engine, err);
    if (r == 0)
        r = engine_hunt_start(err);
    if (r < 0)
        return r;
    engine->has_yara = true;
    r = start_index(started, err);
    return r < 0 ? r : start_server(started, err);
}

int engine_new(const struct engine_config *config, const struct secret *client_id, const struct secret *client_secret,
               struct engine **ret_engine, struct err *err)
{
    struct started *started = calloc(1, sizeof *started);
    cleanup_(engine_freep) struct engine *engine = started ? &started->engine : NULL;
    int r;

    if (!started)
        return err_set(err, ENOMEM, "no memory to start");
    engine->config = *config;
    engine->request_log_fd = -1;
    r = start(started, client_id, client_secret, err);
    if (r < 0)
        return r;
    *ret_engine = steal_ptr(&engine);
    return 0;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    atomic_store(&engine->is_stopping, true);
    engine_http_stop(engine->http);
    if (engine->http && engine->config.socket)
        (void)unlink(engine->config.socket); /* a socket that stays is replaced at the next start */
    engine_jobs_free(engine->jobs);
    engine_archives_free(engine->archives);
    engine_index_free(engine->index);
    engine_db_free(engine->db);
    engine_auth_free(engine->auth);
    engine_rate_free(engine->rate);
    if (engine->has_yara)
        engine_hunt_end();
    closep(&engine->request_log_fd);
    free(engine->index_dir);
    free(container_of(engine, struct started, engine));
}

const char *engine_url(const struct engine *engine)
{
    const struct started *started = (const struct started *)(const void *)engine; /* its first member */

    return started->url.s;
}
