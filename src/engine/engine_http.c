#include "engine/engine_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include <microhttpd.h>

#include "engine/engine_route.h"
#include "engine/engine_trace.h"
#include "util/log.h"
#include "util/text.h"

enum {
    CONNECTION_MEMORY = 256 * KIB, /* headers and the request line */
    STACK_BYTES = 2 * MIB,
    PEM_MAX = 256 * KIB,
    PEER_MAX = INET6_ADDRSTRLEN,
};

struct engine_http {
    struct engine *engine;
    struct MHD_Daemon *daemon;
    struct buf cert;
    struct buf key;
};

/* One request while its body comes in. */
struct exchange {
    char *uri;
    bool is_started;
    struct buf body;
    bool is_too_long;
    char *ids[ENGINE_IDS_MAX];
    size_t n_ids;
};

static void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    if (exchange->body.data)
        explicit_bzero(exchange->body.data, exchange->body.room); /* it may be a secret */
    buf_done(&exchange->body);
    for (size_t i = 0; i < exchange->n_ids; i++)
        free(exchange->ids[i]);
    free(exchange->uri);
    free(exchange);
}

/* Comes first, with the request line; what it returns is the context of the request. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);

    (void)context;
    (void)connection;
    if (!exchange)
        return NULL;
    exchange->body = (struct buf)BUF_INIT(0); /* its limit comes with the headers */
    exchange->uri = strdup(uri);
    return exchange;
}

/* What does not fit is swallowed and forgotten; the reply then says so. */
static void take_body(struct exchange *exchange, const char *data, size_t n)
{
    if (exchange->is_too_long)
        return;
    buf_append(&exchange->body, data, n);
    if (exchange->body.code) {
        exchange->is_too_long = true;
        buf_clear(&exchange->body);
    }
}

/* Splits the values of every ?ids= at commas; empty pieces do not count. */
static enum MHD_Result take_argument(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct exchange *exchange = context;

    (void)kind;
    if (strcmp(name, "ids") != 0)
        return MHD_YES;
    while (value && *value && exchange->n_ids < ENGINE_IDS_MAX) {
        size_t n = strcspn(value, ",");

        if (n > 0)
            exchange->ids[exchange->n_ids] = strndup(value, n);
        if (n > 0 && exchange->ids[exchange->n_ids])
            exchange->n_ids++;
        value += n + (value[n] == ',');
    }
    return MHD_YES;
}

static void find_peer(struct MHD_Connection *connection, char *peer)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;

    (void)text_copy(peer, PEER_MAX, "local"); /* fits */
    if (address && address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, peer, PEER_MAX);
    else if (address && address->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, peer, PEER_MAX);
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    /* A header is refused only without memory or with a line break in it, which ours have not. */
    (void)MHD_add_response_header(response, name, value);
}

static void add_number(struct MHD_Response *response, const char *name, int64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%lld", (long long)value); /* fits */
    add_header(response, name, text);
}

static void add_headers(struct MHD_Response *response, const struct engine_reply *reply)
{
    if (reply->content_type)
        add_header(response, "Content-Type", reply->content_type);
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "X-Cs-Region", reply->region);
    add_header(response, "X-Cs-Traceid", reply->trace.s);
    if (*reply->location)
        add_header(response, "Location", reply->location);
    if (reply->allow)
        add_header(response, "Allow", reply->allow);
    if (!reply->has_rate)
        return;
    add_number(response, "X-Ratelimit-Limit", reply->rate.limit);
    add_number(response, "X-Ratelimit-Remaining", reply->rate.remaining);
    if (!reply->rate.is_allowed)
        add_number(response, "X-Ratelimit-Retryafter", reply->rate.retry_after_s);
}

/* The response takes the body or the descriptor over. */
static struct MHD_Response *make_response(struct engine_reply *reply)
{
    struct MHD_Response *response;
    size_t n = 0;
    char *data;

    if (reply->fd >= 0) {
        response = MHD_create_response_from_fd64((uint64_t)reply->fd_bytes, reply->fd);
        if (response)
            (void)steal_fd(&reply->fd); /* the response's now */
        return response;
    }
    data = buf_take(&reply->body, &n);
    if (data)
        response = MHD_create_response_from_buffer(n, data, MHD_RESPMEM_MUST_FREE);
    else
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        free(data);
    return response;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct engine_reply *reply)
{
    struct MHD_Response *response = make_response(reply);
    enum MHD_Result result;

    if (!response)
        return MHD_NO; /* no memory: the connection is closed */
    add_headers(response, reply);
    result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(struct engine_http *http, struct MHD_Connection *connection, const char *path,
                              const char *method, struct exchange *exchange)
{
    struct engine_reply reply;
    char peer[PEER_MAX];
    enum MHD_Result result;
    struct engine_request request = {
        .method = method,
        .path = path,
        .uri = exchange->uri ? exchange->uri : path,
        .authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION),
        .peer = peer,
        .body = buf_text(&exchange->body),
        .n_body = exchange->body.n,
        .is_body_too_long = exchange->is_too_long,
    };

    find_peer(connection, peer);
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, exchange); /* just the number */
    request.ids = (const char *const *)exchange->ids;
    request.n_ids = exchange->n_ids;
    engine_reply_init(&reply, http->engine->config.region);
    engine_route_serve(http->engine, &request, &reply);
    engine_trace_request(http->engine, &request, &reply);
    result = send_reply(connection, &reply);
    engine_reply_done(&reply);
    return result;
}

/* The headers are there, the body is not. */
static void start_body(const struct engine_http *http, struct MHD_Connection *connection, const char *path,
                       const char *method, struct exchange *exchange)
{
    const char *authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

    exchange->is_started = true;
    exchange->body = (struct buf)BUF_INIT(engine_route_body_max(http->engine, method, path, authorization));
}

/* NOLINTNEXTLINE(readability-function-size): the signature is libmicrohttpd's */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *n_data,
                                  void **request_context)
{
    struct exchange *exchange = *request_context;

    (void)version;
    if (!exchange)
        return MHD_NO; /* no memory */
    if (!exchange->is_started) {
        start_body(context, connection, path, method, exchange);
        return MHD_YES;
    }
    if (*n_data > 0) {
        take_body(exchange, data, *n_data);
        *n_data = 0;
        return MHD_YES;
    }
    return answer(context, connection, path, method, exchange);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    exchange_free(*request_context);
    *request_context = NULL;
}

static void on_log(void *context, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *context, const char *format, va_list args)
{
    char text[256];

    (void)context;
    if (vsnprintf(text, sizeof text, format, args) > 0)
        log_event(LOG_LEVEL_DEBUG, text, LOG_TEXT(LOG_OP, "http"));
}

CHECKED static int read_pem(const char *path, struct buf *pem, struct err *err)
{
    cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char chunk[4 * KIB];
    ssize_t n;

    if (fd < 0)
        return err_sys(err, "open '%s'", path);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_append(pem, chunk, (size_t)n);
    explicit_bzero(chunk, sizeof chunk);
    if (n < 0)
        return err_sys(err, "read '%s'", path);
    return buf_check(pem, err, path);
}

static void wipe_pem(struct buf *pem)
{
    if (pem->data)
        explicit_bzero(pem->data, pem->room);
    buf_done(pem);
}

static void http_free(struct engine_http *http)
{
    if (!http)
        return;
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    wipe_pem(&http->cert);
    wipe_pem(&http->key);
    free(http);
}
DEFINE_CLEANUP(struct engine_http *, http_free)

/* TLS is two more options, or none. */
CHECKED static int load_tls(struct engine_http *http, struct err *err)
{
    const struct engine_config *config = &http->engine->config;
    int r;

    if (!config->cert)
        return 0;
    r = read_pem(config->cert, &http->cert, err);
    return r < 0 ? r : read_pem(config->key, &http->key, err);
}

static struct MHD_Daemon *start_daemon(struct engine_http *http, int listen_fd)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG;
    const struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, http->cert.data },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, http->key.data },
        { MHD_OPTION_END, 0, NULL },
    };

    if (http->cert.data)
        flags |= MHD_USE_TLS;
    /* The logger comes first, so that it hears of the other options. */
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)ENGINE_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ENGINE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_ARRAY, http->cert.data ? tls : &tls[2], MHD_OPTION_END);
}

int engine_http_start(struct engine *engine, int listen_fd, struct engine_http **ret_http, struct err *err)
{
    cleanup_(closep) int fd = listen_fd;
    cleanup_(http_freep) struct engine_http *http = calloc(1, sizeof *http);
    int r;

    if (!http)
        return err_set(err, ENOMEM, "no memory for the server");
    http->engine = engine;
    http->cert = (struct buf)BUF_INIT(PEM_MAX);
    http->key = (struct buf)BUF_INIT(PEM_MAX);
    r = load_tls(http, err);
    if (r < 0)
        return r;
    http->daemon = start_daemon(http, fd);
    if (!http->daemon)
        return err_set(err, EINVAL, "the server does not start%s", engine->config.cert ? " (certificate or key?)" : "");
    (void)steal_fd(&fd); /* the daemon's now */
    *ret_http = steal_ptr(&http);
    return 0;
}

void engine_http_stop(struct engine_http *http)
{
    http_free(http);
}
