/*
 * http -- one HTTP exchange at a time over a pool of kept connections, and what may be repeated. The only user of
 * libcurl; it has never heard of the service.
 *
 * Units      waits in milliseconds, sizes in bytes.
 * Ownership  requests are borrowed for the call; a response is the caller's until http_response_done().
 * Errors     0 an answer came, whatever its status. < 0 a negative errno with err filled: ENETUNREACH no way there ·
 *            ETIMEDOUT no answer in time · EREMOTEIO the answer was cut · EPROTO not HTTP · EFBIG beyond a limit ·
 *            ECANCELED http_cancel() was called · EINVAL a place or a file that cannot be · ENOMEM · what a sink
 *            returned. No error text holds a header, a body, a path or a query.
 * Threads    any thread may call any function. http_perform() and http_retry_wait() block, so no lock may be held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

enum {
    HTTP_CONNECT_MS = 10 * 1000,
    HTTP_CALL_MS = 60 * 1000,      /* a whole exchange with a short answer */
    HTTP_STALL_BYTES_PER_S = 1024, /* a transfer slower than this ... */
    HTTP_STALL_S = 30,             /* ... for this long has stalled */
    HTTP_SLOT_WAIT_MS = 60 * 1000, /* waiting for one of the exchanges that may run at once */
    HTTP_BREAK_AFTER = 5,          /* exchanges in a row that got no answer */
    HTTP_BREAK_MS = 30 * 1000,     /* so long nobody tries again */
    HTTP_FEW = 10,                 /* calls left in the minute: slow down */
    HTTP_FEW_MS = 200,
    HTTP_VERY_FEW = 5,
    HTTP_VERY_FEW_MS = 500,
    HTTP_MINUTE_MS = 60 * 1000, /* how long a number of calls left is believed */
    HTTP_URL_MAX = 8 * 1024,
    HTTP_PLACE_MAX = 255,        /* bytes of a base URL or of a socket path with its "unix:" */
    HTTP_SOCKET_MAX = 107,       /* bytes of a socket path: sockaddr_un */
    HTTP_WANTED_MAX = 8,         /* response headers that a request may ask for */
    HTTP_VALUE_MAX = 255,        /* bytes of such a header's value, cut beyond */
    HTTP_HEADER_MAX = 20 * 1024, /* bytes of a request header */
};

/* Where a service is. */
struct http_place {
    char name[HTTP_PLACE_MAX + 1];    /* as it was given, without a slash at the end */
    char base[HTTP_PLACE_MAX + 1];    /* "https://host[:port][/path]" */
    char socket[HTTP_SOCKET_MAX + 1]; /* Unix socket, "" for none */
    bool is_plain;                    /* http, not https */
    bool is_local;                    /* loopback or a Unix socket: no proxy */
};

/*
 * "https://…", "http://…" on a loopback address (127.0.0.0/8, ::1, localhost), or "unix:/absolute/path". EINVAL:
 * anything else, also with a user, a query or a fragment in it.
 */
CHECKED int http_place_parse(const char *text, struct http_place *ret_place, struct err *err);

struct http_config {
    const char *user_agent;
    const char *proxy;            /* NULL: what the environment says */
    const char *ca_file;          /* NULL: the system's certificates */
    bool is_offline;              /* nothing leaves: every exchange is ENETUNREACH at once */
    const char *remaining_header; /* response header with the calls left in the minute; NULL: none */
    size_t exchanges_max;         /* at once */
    size_t transfers_max;         /* of these, with a sink */
};

struct http_client; /* connections to one service, shared by all threads */

/* Prepares libcurl, once a process; http_client_new() does it too. */
CHECKED int http_setup(struct err *err);

CHECKED int http_client_new(const struct http_config *config, struct http_client **ret_client, struct err *err);

/* No exchange may be running. */
void http_client_free(struct http_client *client);
DEFINE_CLEANUP(struct http_client *, http_client_free)

/* Makes all running and future exchanges and waits end at once with ECANCELED; http_resume() lets new ones begin. */
void http_cancel(struct http_client *client);
void http_resume(struct http_client *client);

/* True while every exchange is refused at once with ENETUNREACH: offline, or after several without any answer. */
bool http_is_resting(struct http_client *client);

/* Where bytes go: 0, or a negative errno with err filled, which ends the exchange. Called on the caller's thread. */
typedef int http_sink(void *closure, const void *data, size_t n, struct err *err);

enum http_method { HTTP_GET, HTTP_POST };

struct http_header {
    const char *name;
    const char *value;
};

struct http_request {
    enum http_method method;
    const struct http_place *place;
    const char *target;                /* "/path?query", already encoded */
    const struct http_header *headers; /* to send; their memory in here is wiped afterwards */
    size_t n_headers;
    const char *user; /* NULL, or HTTP Basic */
    const char *password;
    const void *body; /* of a POST */
    size_t body_n;
    int64_t total_ms; /* limit of the whole exchange; 0: only stalls end it */
    bool is_once;     /* a connection of its own, because libcurl repeats what fails on a kept one */
    bool is_secret;   /* the answer is kept in one piece of memory, so that http_response_done() wipes all of it */
    const char *const *wanted; /* names of response headers, at most HTTP_WANTED_MAX */
    size_t n_wanted;
    size_t body_max; /* bytes of an answer that goes into the response */
    http_sink *sink; /* NULL, or gets the body when the status is sink_status and the type does not begin with ... */
    void *closure;
    int sink_status;
    const char *sink_refuses; /* ... this content type */
    uint64_t sink_max;        /* bytes that the sink may get */
};

struct http_response {
    int status;
    char content_type[HTTP_VALUE_MAX + 1];            /* "" when missing */
    char values[HTTP_WANTED_MAX][HTTP_VALUE_MAX + 1]; /* of the headers wanted, in their order; "" when missing */
    bool is_sunk;                                     /* the body belongs to the sink, even an empty one */
    uint64_t n_sunk;                                  /* bytes that the sink got; valid after a failure too */
    struct buf body;                                  /* what did not go to the sink */
};

/* Wipes and frees the body; a response of zeros is fine. */
void http_response_done(struct http_response *response);

/*
 * One exchange: no redirect followed, no repetition. *ret_sent, written always: the request may have reached the other
 * side. ENETUNREACH at once for HTTP_BREAK_MS after HTTP_BREAK_AFTER exchanges in a row without an answer.
 */
CHECKED int http_perform(struct http_client *client, const struct http_request *request,
                         struct http_response *ret_response, bool *ret_sent, struct err *err);

/* What is repeated, and how long to wait before. */
struct http_retry {
    int tries_max;
    int64_t backoff_ms; /* ceiling of the first wait; doubles, and the wait is a random part of it */
    int64_t backoff_max_ms;
    int64_t asked_min_ms; /* limits of a wait that the other side asked for ... */
    int64_t asked_max_ms;
    int64_t jitter_min_ms; /* ... with this much added */
    int64_t jitter_max_ms;
};

#define HTTP_RETRY_DEFAULT                                                                                             \
    {                                                                                                                  \
        .tries_max = 5, .backoff_ms = 500, .backoff_max_ms = 30 * 1000, .asked_min_ms = 1000,                          \
        .asked_max_ms = 5 * 60 * 1000, .jitter_min_ms = 1000, .jitter_max_ms = 5000                                    \
    }

/* How a try ended. */
struct http_try {
    int error;               /* errno without an answer, else 0 */
    int status;              /* of the answer, else 0 */
    const char *retry_at;    /* header value: seconds since the epoch; "" when missing */
    const char *retry_after; /* header value: seconds from now, or a date; "" when missing */
    const char *date;        /* header value: now, as the other side sees it; NULL or "": as we see it */
};

enum { HTTP_NO_MORE = 1 };

/*
 * After `tries` tries of a request that may be repeated: 0, after a wait, to try again; HTTP_NO_MORE when that end is
 * final or there were enough (err is untouched); ECANCELED.
 */
CHECKED int http_retry_wait(struct http_client *client, const struct http_retry *retry, int tries,
                            const struct http_try *last, struct err *err);

/* The wait itself, for http_retry_wait() and its test. */
int64_t http_retry_delay_ms(const struct http_retry *retry, int tries, const struct http_try *last);
