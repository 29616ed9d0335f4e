/*
 * http_script -- a tiny HTTP server on a Unix socket that answers from a table and remembers what it was asked. For the
 * tests of http and api; header only.
 *
 * A request takes the first step that is not used up and whose `match` begins its request line; without one it gets a
 * 599. The test looks at script_count(), script_head() and script_body() afterwards.
 */
#pragma once

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SCRIPT_STEPS_MAX = 32, SCRIPT_SEEN_MAX = 64, SCRIPT_CONNECTIONS_MAX = 64, SCRIPT_HEAD_MAX = 16384 };

enum script_end {
    SCRIPT_KEEP,  /* a whole answer, and the connection stays */
    SCRIPT_DROP,  /* no answer: the connection is closed after the request was read */
    SCRIPT_CUT,   /* ten bytes fewer than promised */
    SCRIPT_STALL, /* no answer until the test ends */
    SCRIPT_LAST,  /* a whole answer, then the connection is closed without a word */
};

struct script_step {
    const char *match;   /* begin of the request line, NULL for any */
    int status;          /* 0: `raw` is the answer */
    const char *headers; /* whole lines with CR LF, NULL for none */
    const char *body;    /* NULL for none */
    size_t body_n;       /* 0: strlen(body) */
    const char *raw;
    enum script_end end;
    int times;    /* 0: once, -1: for ever */
    int delay_ms; /* before the answer */
};

struct script {
    char dir[32];
    char place[64]; /* "unix:/tmp/…/s" */
    int listener;
    pthread_t thread;
    pthread_t workers[SCRIPT_CONNECTIONS_MAX];
    pthread_mutex_t mutex; /* guards all below */
    struct script_step steps[SCRIPT_STEPS_MAX];
    int used[SCRIPT_STEPS_MAX];
    size_t n_steps;
    int connections[SCRIPT_CONNECTIONS_MAX];
    size_t n_connections;
    char *heads[SCRIPT_SEEN_MAX];
    char *bodies[SCRIPT_SEEN_MAX];
    size_t n_seen;
    atomic_bool is_over;
};

struct script_worker {
    struct script *script;
    int fd;
};

static inline void script_nap(int ms)
{
    struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    (void)nanosleep(&ts, NULL);
}

static inline void script_send(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, data, n, MSG_NOSIGNAL);

        if (done <= 0)
            return;
        data += done;
        n -= (size_t)done;
    }
}

/* Reads one request; false at the end of the connection. Head and body are the caller's. */
static inline bool script_read(int fd, char **ret_head, char **ret_body)
{
    char *head = calloc(1, SCRIPT_HEAD_MAX);
    char *body;
    const char *length;
    size_t n = 0;
    size_t body_n = 0;

    while (n + 1 < SCRIPT_HEAD_MAX && !strstr(head, "\r\n\r\n")) {
        if (read(fd, head + n, 1) != 1) {
            free(head);
            return false;
        }
        n++;
    }
    length = strcasestr(head, "\r\ncontent-length:");
    if (length)
        body_n = (size_t)strtoull(length + strlen("\r\ncontent-length:"), NULL, 10);
    body = calloc(1, body_n + 1);
    for (n = 0; n < body_n;) {
        ssize_t done = read(fd, body + n, body_n - n);

        if (done <= 0)
            break;
        n += (size_t)done;
    }
    *ret_head = head;
    *ret_body = body;
    return true;
}

static inline struct script_step script_take(struct script *script, char *head, char *body)
{
    struct script_step step = { .status = 599 };

    pthread_mutex_lock(&script->mutex);
    for (size_t i = 0; i < script->n_steps; i++) {
        const struct script_step *s = &script->steps[i];

        if (script->used[i] < 0 || (s->match && strncmp(head, s->match, strlen(s->match)) != 0))
            continue;
        step = *s;
        if (s->times >= 0 && ++script->used[i] >= (s->times ? s->times : 1))
            script->used[i] = -1;
        break;
    }
    if (script->n_seen < SCRIPT_SEEN_MAX) {
        script->heads[script->n_seen] = head;
        script->bodies[script->n_seen++] = body;
    } else {
        free(head);
        free(body);
    }
    pthread_mutex_unlock(&script->mutex);
    return step;
}

/* False: the connection ends here. */
static inline bool script_answer(struct script *script, int fd, const struct script_step *step)
{
    size_t n = step->body_n ? step->body_n : step->body ? strlen(step->body) : 0;
    char head[2048];

    for (int ms = 0; ms < step->delay_ms && !atomic_load(&script->is_over); ms += 5)
        script_nap(5);
    if (step->end == SCRIPT_DROP)
        return false;
    while (step->end == SCRIPT_STALL && !atomic_load(&script->is_over))
        script_nap(5);
    if (step->end == SCRIPT_STALL)
        return false;
    if (!step->status) {
        script_send(fd, step->raw, strlen(step->raw));
        return false;
    }
    snprintf(head, sizeof head, "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\n%s\r\n", step->status,
             n + (step->end == SCRIPT_CUT ? 10 : 0), step->headers ? step->headers : "");
    script_send(fd, head, strlen(head));
    if (n)
        script_send(fd, step->body, n);
    return step->end == SCRIPT_KEEP;
}

static inline void *script_serve(void *closure)
{
    struct script_worker *worker = closure;
    struct script *script = worker->script;
    bool goes_on = true;
    char *head;
    char *body;

    while (goes_on && script_read(worker->fd, &head, &body)) {
        struct script_step step = script_take(script, head, body);

        goes_on = script_answer(script, worker->fd, &step);
    }
    shutdown(worker->fd, SHUT_RDWR);
    free(worker);
    return NULL;
}

static inline void *script_listen(void *closure)
{
    struct script *script = closure;
    int fd;

    while ((fd = accept4(script->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct script_worker *worker = malloc(sizeof *worker);
        bool fits;

        *worker = (struct script_worker){ .script = script, .fd = fd };
        pthread_mutex_lock(&script->mutex);
        fits = script->n_connections < SCRIPT_CONNECTIONS_MAX && !atomic_load(&script->is_over);
        if (fits) {
            script->connections[script->n_connections] = fd;
            pthread_create(&script->workers[script->n_connections++], NULL, script_serve, worker);
        }
        pthread_mutex_unlock(&script->mutex);
        if (!fits) {
            close(fd);
            free(worker);
        }
    }
    return NULL;
}

/* Starts a server with these steps. */
static inline struct script *script_start(const struct script_step *steps, size_t n_steps)
{
    struct script *script = calloc(1, sizeof *script);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(script->dir, sizeof script->dir, "/tmp/mqfs-http-XXXXXX");
    if (!mkdtemp(script->dir))
        abort();
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", script->dir);
    snprintf(script->place, sizeof script->place, "unix:%s/s", script->dir);
    memcpy(script->steps, steps, n_steps * sizeof *steps);
    script->n_steps = n_steps;
    pthread_mutex_init(&script->mutex, NULL);
    script->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(script->listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(script->listener, 64) < 0)
        abort();
    pthread_create(&script->thread, NULL, script_listen, script);
    return script;
}

#define SCRIPT(...)                                                                                                    \
    script_start((const struct script_step[]){ __VA_ARGS__ },                                                          \
                 sizeof((const struct script_step[]){ __VA_ARGS__ }) / sizeof(struct script_step))

static inline void script_stop(struct script *script)
{
    atomic_store(&script->is_over, true);
    shutdown(script->listener, SHUT_RDWR);
    pthread_join(script->thread, NULL);
    for (size_t i = 0; i < script->n_connections; i++) {
        shutdown(script->connections[i], SHUT_RDWR);
        pthread_join(script->workers[i], NULL);
        close(script->connections[i]);
    }
    close(script->listener);
    unlink(script->place + strlen("unix:"));
    rmdir(script->dir);
    for (size_t i = 0; i < script->n_seen; i++) {
        free(script->heads[i]);
        free(script->bodies[i]);
    }
    pthread_mutex_destroy(&script->mutex);
    free(script);
}

/* Requests so far whose request line begins like this. */
static inline size_t script_count(struct script *script, const char *match)
{
    size_t n = 0;

    pthread_mutex_lock(&script->mutex);
    for (size_t i = 0; i < script->n_seen; i++)
        n += strncmp(script->heads[i], match, strlen(match)) == 0;
    pthread_mutex_unlock(&script->mutex);
    return n;
}

/* Head or body of the last such request, "" when there was none. Valid until script_stop(). */
static inline const char *script_last(struct script *script, const char *match, bool is_body)
{
    const char *text = "";

    pthread_mutex_lock(&script->mutex);
    for (size_t i = 0; i < script->n_seen; i++)
        if (strncmp(script->heads[i], match, strlen(match)) == 0)
            text = is_body ? script->bodies[i] : script->heads[i];
    pthread_mutex_unlock(&script->mutex);
    return text;
}

static inline const char *script_head(struct script *script, const char *match)
{
    return script_last(script, match, false);
}

static inline const char *script_body(struct script *script, const char *match)
{
    return script_last(script, match, true);
}

static inline size_t script_connections(struct script *script)
{
    size_t n;

    pthread_mutex_lock(&script->mutex);
    n = script->n_connections;
    pthread_mutex_unlock(&script->mutex);
    return n;
}

static inline int64_t script_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits, at most 5 s, until so many requests of that kind came. */
static inline bool script_await(struct script *script, const char *match, size_t n)
{
    for (int64_t until = script_ms() + 5000; script_ms() < until;) {
        if (script_count(script, match) >= n)
            return true;
        script_nap(2);
    }
    return false;
}
