/*
 * One exchange. libcurl silently repeats a request, POST included, when a kept connection turns out to be dead before
 * the first byte of the answer; requests that must not be sent twice therefore get a fresh connection (is_once).
 */
#include "http/http_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "util/secret.h"
#include "util/text.h"

enum { HTTP_RECEIVE_BYTES = 128 * KIB }; /* at a time; a quarter of the system calls that libcurl's own 16 KiB need */
enum { HTTP_POLL_MS = 30 * 1000 };       /* libcurl's own timers and http_cancel() end a wait earlier */

struct http_client {
    char *user_agent;
    char *proxy;
    char *ca_file;
    char *remaining_header;
    struct http_limit limit;
    struct http_pool pool;
    atomic_bool canceled;
};

/* One exchange, on the stack of its thread. */
struct exchange {
    struct http_client *client;
    const struct http_request *request;
    struct http_response *response;
    struct http_handle *handle;
    struct curl_slist *headers;
    struct buf url;
    char remaining[HTTP_VALUE_MAX + 1];
    bool has_body; /* the first byte of the body came, and its way is decided */
    int code;      /* what ended it here: 0, or a negative errno with err filled */
    struct err *err;
};

static const struct {
    CURLcode code;
    int error;
    bool is_before; /* nothing was sent, whatever the counters say */
    const char *words;
} failures[] = {
    /* clang-format off */
    { CURLE_COULDNT_RESOLVE_PROXY, ENETUNREACH, true, "the name of the proxy is unknown" },
    { CURLE_COULDNT_RESOLVE_HOST, ENETUNREACH, true, "the name is unknown" },
    { CURLE_COULDNT_CONNECT, ENETUNREACH, true, "no connection" },
    { CURLE_PROXY, ENETUNREACH, true, "the proxy refused" },
    { CURLE_INTERFACE_FAILED, ENETUNREACH, true, "no network" },
    { CURLE_SSL_CONNECT_ERROR, ENETUNREACH, true, "no TLS connection" },
    { CURLE_PEER_FAILED_VERIFICATION, ENETUNREACH, true, "its certificate is not trusted" },
    { CURLE_SSL_ISSUER_ERROR, ENETUNREACH, true, "its certificate is not trusted" },
    { CURLE_SSL_CACERT_BADFILE, ENETUNREACH, true, "the file of trusted certificates is unreadable" },
    { CURLE_SSL_CIPHER, ENETUNREACH, true, "no common TLS cipher" },
    { CURLE_SSL_ENGINE_INITFAILED, ENETUNREACH, true, "no TLS" },
    { CURLE_OPERATION_TIMEDOUT, ETIMEDOUT, false, "no answer in time" },
    { CURLE_SEND_ERROR, EREMOTEIO, false, "the connection broke while sending" },
    { CURLE_RECV_ERROR, EREMOTEIO, false, "the connection broke" },
    { CURLE_GOT_NOTHING, EREMOTEIO, false, "the connection was closed without an answer" },
    { CURLE_PARTIAL_FILE, EREMOTEIO, false, "the answer was cut" },
    { CURLE_WEIRD_SERVER_REPLY, EPROTO, false, "the answer is not HTTP" },
    { CURLE_UNSUPPORTED_PROTOCOL, EPROTO, false, "the answer is not HTTP/1" },
    { CURLE_BAD_CONTENT_ENCODING, EPROTO, false, "the answer has an unknown encoding" },
    { CURLE_FILESIZE_EXCEEDED, EFBIG, false, "the answer is too large" },
    { CURLE_OUT_OF_MEMORY, ENOMEM, false, "no memory" },
    /* clang-format on */
};

/* The client ----------------------------------------------------------------------------------------------------- */

static pthread_once_t setup_once = PTHREAD_ONCE_INIT;
static CURLcode setup_result;

static void setup(void)
{
    setup_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_setup(struct err *err)
{
    (void)pthread_once(&setup_once, setup); /* valid arguments: cannot fail */
    if (setup_result != CURLE_OK)
        return err_set(err, ENOMEM, "libcurl does not start: %s", curl_easy_strerror(setup_result));
    return 0;
}

static int copy_text(const char *text, char **ret_copy, struct err *err)
{
    if (!text)
        return 0;
    *ret_copy = strdup(text);
    return *ret_copy ? 0 : err_set(err, ENOMEM, "no memory for the connections");
}

int http_client_new(const struct http_config *config, struct http_client **ret_client, struct err *err)
{
    cleanup_(http_client_freep) struct http_client *client = NULL;

    if (http_setup(err) < 0)
        return -ENOMEM;
    if (config->ca_file && access(config->ca_file, R_OK) < 0)
        return err_set(err, EINVAL, "the file of trusted certificates '%s' is unreadable", config->ca_file);
    client = calloc(1, sizeof *client);
    if (!client)
        return err_set(err, ENOMEM, "no memory for the connections");
    http_limit_init(&client->limit, config->exchanges_max, config->transfers_max);
    client->limit.is_offline = config->is_offline;
    http_pool_init(&client->pool);
    if (copy_text(config->user_agent, &client->user_agent, err) < 0 ||
        copy_text(config->proxy, &client->proxy, err) < 0 || copy_text(config->ca_file, &client->ca_file, err) < 0 ||
        copy_text(config->remaining_header, &client->remaining_header, err) < 0)
        return -ENOMEM;
    *ret_client = steal_ptr(&client);
    return 0;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    http_pool_done(&client->pool);
    http_limit_done(&client->limit);
    free(client->user_agent);
    free(client->proxy);
    free(client->ca_file);
    free(client->remaining_header);
    free(client);
}

struct http_limit *http_client_limit(struct http_client *client)
{
    return &client->limit;
}

void http_cancel(struct http_client *client)
{
    atomic_store(&client->canceled, true); /* first: who starts to run now sees it */
    http_limit_cancel(&client->limit, true);
    http_pool_wake(&client->pool);
}

void http_resume(struct http_client *client)
{
    http_limit_cancel(&client->limit, false);
    atomic_store(&client->canceled, false);
}

bool http_is_resting(struct http_client *client)
{
    return http_limit_is_open(&client->limit);
}

/* What comes in ---------------------------------------------------------------------------------------------------- */

/* Copies the value when `line` is the header `name` and none of that name came before. */
static void note_value(const char *line, size_t n, const char *name, char *ret_value)
{
    size_t name_n = strlen(name);

    if (*ret_value || n <= name_n || line[name_n] != ':' || strncasecmp(line, name, name_n) != 0)
        return;
    line += name_n + 1;
    n -= name_n + 1;
    while (n > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        n--;
    }
    while (n > 0 && strchr(" \t\r\n", line[n - 1]))
        n--;
    if (n > HTTP_VALUE_MAX)
        n = HTTP_VALUE_MAX;
    memcpy(ret_value, line, n);
    ret_value[n] = '\0';
}

static void forget_values(struct exchange *x)
{
    x->response->content_type[0] = '\0';
    x->remaining[0] = '\0';
    for (size_t i = 0; i < HTTP_WANTED_MAX; i++)
        x->response->values[i][0] = '\0';
}

static size_t on_header(char *data, size_t size, size_t n, void *closure)
{
    struct exchange *x = closure;

    n *= size;
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0)
        forget_values(x); /* another answer begins: the one before was a 1xx */
    note_value(data, n, "content-type", x->response->content_type);
    if (x->client->remaining_header)
        note_value(data, n, x->client->remaining_header, x->remaining);
    for (size_t i = 0; i < x->request->n_wanted; i++)
        note_value(data, n, x->request->wanted[i], x->response->values[i]);
    return n;
}

/* The one rule for the way of a body. */
static bool goes_to_sink(const struct exchange *x)
{
    const struct http_request *request = x->request;

    return request->sink && x->response->status == request->sink_status &&
           strncasecmp(x->response->content_type, request->sink_refuses, strlen(request->sink_refuses)) != 0;
}

static int to_sink(struct exchange *x, const void *data, size_t n)
{
    if (n > x->request->sink_max - x->response->n_sunk)
        return err_set(x->err, EFBIG, "the answer is larger than %llu bytes", (unsigned long long)x->request->sink_max);
    x->response->n_sunk += n;
    return x->request->sink(x->request->closure, data, n, x->err);
}

static int to_body(struct exchange *x, const void *data, size_t n)
{
    buf_append(&x->response->body, data, n);
    return buf_check(&x->response->body, x->err, "the answer");
}

static void note_status(struct exchange *x)
{
    long status = 0;

    (void)curl_easy_getinfo(x->handle->easy, CURLINFO_RESPONSE_CODE, &status); /* a valid handle: cannot fail */
    x->response->status = (int)status;
    x->response->is_sunk = goes_to_sink(x);
}

static size_t on_body(char *data, size_t size, size_t n, void *closure)
{
    struct exchange *x = closure;

    n *= size;
    if (!x->has_body)
        note_status(x);
    x->has_body = true;
    x->code = x->response->is_sunk ? to_sink(x, data, n) : to_body(x, data, n);
    return x->code < 0 ? CURL_WRITEFUNC_ERROR : n;
}

/* What goes out ---------------------------------------------------------------------------------------------------- */

/* Headers may hold a credential. */
static void headers_free(struct curl_slist *headers)
{
    for (struct curl_slist *header = headers; header; header = header->next)
        secret_wipe(header->data, strlen(header->data));
    curl_slist_free_all(headers);
}

static int add_header(struct exchange *x, const char *name, const char *value)
{
    cleanup_(freep) char *line = NULL;
    struct curl_slist *longer = NULL;

    if (strlen(value) > HTTP_HEADER_MAX || strpbrk(value, "\r\n"))
        return err_set(x->err, EINVAL, "a bad value for the header '%s'", name);
    if (asprintf(&line, "%s: %s", name, value) < 0)
        line = NULL;
    if (line) {
        longer = curl_slist_append(x->headers, line);
        secret_wipe(line, strlen(line));
    }
    if (!longer)
        return err_set(x->err, ENOMEM, "no memory for a request");
    x->headers = longer;
    return 0;
}

static int add_headers(struct exchange *x)
{
    struct curl_slist *longer;

    for (size_t i = 0; i < x->request->n_headers; i++) {
        int r = add_header(x, x->request->headers[i].name, x->request->headers[i].value);

        if (r < 0)
            return r;
    }
    longer = curl_slist_append(x->headers, "Expect:"); /* no 100-continue: it costs a second with some servers */
    if (!longer)
        return err_set(x->err, ENOMEM, "no memory for a request");
    x->headers = longer;
    return 0;
}

/* curl_easy_setopt() fails when it has no memory; all results are collected and looked at once. */
#define SET(option, value) (failed |= curl_easy_setopt(easy, (option), (value)) != CURLE_OK)

static bool set_always(const struct exchange *x, CURL *easy)
{
    bool failed = false;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a thread that resolves a name when an exchange ends early */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* one request a connection at a time */
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (x->client->ca_file)
        SET(CURLOPT_CAINFO, x->client->ca_file);
    if (x->client->user_agent)
        SET(CURLOPT_USERAGENT, x->client->user_agent);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_BUFFERSIZE, (long)HTTP_RECEIVE_BYTES);
    return !failed;
}

static bool set_place(const struct exchange *x, CURL *easy)
{
    const struct http_place *place = x->request->place;
    bool failed = false;

    SET(CURLOPT_URL, buf_text(&x->url));
    SET(CURLOPT_PROTOCOLS_STR, place->is_plain ? "http" : "https");
    if (place->socket[0])
        SET(CURLOPT_UNIX_SOCKET_PATH, place->socket);
    if (place->is_local)
        SET(CURLOPT_PROXY, ""); /* the environment's too */
    else if (x->client->proxy)
        SET(CURLOPT_PROXY, x->client->proxy);
    return !failed;
}

static bool set_times(const struct exchange *x, CURL *easy)
{
    bool failed = false;

    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
    if (x->request->total_ms) {
        SET(CURLOPT_TIMEOUT_MS, (long)x->request->total_ms);
    } else {
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_STALL_BYTES_PER_S);
        SET(CURLOPT_LOW_SPEED_TIME, (long)HTTP_STALL_S);
    }
    return !failed;
}

static bool set_request(const struct exchange *x, CURL *easy)
{
    const struct http_request *request = x->request;
    bool failed = false;

    SET(CURLOPT_HTTPHEADER, x->headers);
    if (request->is_once)
        SET(CURLOPT_FRESH_CONNECT, 1L);
    if (request->user) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, request->user);
        SET(CURLOPT_PASSWORD, request->password);
    }
    if (request->method == HTTP_POST) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_n);
        SET(CURLOPT_POSTFIELDS, request->body_n ? (const char *)request->body : "");
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    return !failed;
}

static int prepare(struct exchange *x)
{
    CURL *easy = x->handle->easy;
    int r;

    buf_printf(&x->url, "%s%s", x->request->place->base, x->request->target);
    r = buf_check(&x->url, x->err, "the URL");
    if (r < 0)
        return r;
    x->response->body.max = x->request->body_max;
    if (x->request->is_secret && !buf_reserve(&x->response->body, x->request->body_max))
        return buf_check(&x->response->body, x->err, "the answer");
    r = add_headers(x);
    if (r < 0)
        return r;
    if (!set_always(x, easy) || !set_place(x, easy) || !set_times(x, easy) || !set_request(x, easy))
        return err_set(x->err, ENOMEM, "no memory for a request");
    return 0;
}

/* The exchange ----------------------------------------------------------------------------------------------------- */

/* Runs the transfer to its end; what ended it goes to *ret_code unless we ended it. */
static int drive(struct exchange *x, CURLcode *ret_code)
{
    CURLM *multi = x->handle->multi;
    CURLMcode failed = CURLM_OK;
    int n_running = 1;
    int n_left;
    CURLMsg *msg;

    while (failed == CURLM_OK && n_running) {
        if (atomic_load(&x->client->canceled))
            return err_set(x->err, ECANCELED, "canceled");
        failed = curl_multi_perform(multi, &n_running);
        if (failed == CURLM_OK && n_running)
            failed = curl_multi_poll(multi, NULL, 0, HTTP_POLL_MS, NULL);
    }
    msg = curl_multi_info_read(multi, &n_left);
    if (failed != CURLM_OK || !msg)
        return err_set(x->err, ENOMEM, "libcurl failed: %s", curl_multi_strerror(failed));
    *ret_code = msg->data.result;
    return 0;
}

/* One byte of the request may have left. A request on its way to a proxy counts, which errs on the safe side. */
static bool may_be_sent(const struct exchange *x)
{
    curl_off_t pretransfer_us = 0;
    long request_bytes = 0;

    (void)curl_easy_getinfo(x->handle->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us); /* cannot fail */
    (void)curl_easy_getinfo(x->handle->easy, CURLINFO_REQUEST_SIZE, &request_bytes);        /* cannot fail */
    return pretransfer_us > 0 || request_bytes > 0;
}

/* What a proxy said to CONNECT when that is a no: nothing of the request has left then. 0: it said none. */
static long refusal_of_proxy(const struct exchange *x)
{
    enum { OK_MAX = 299 };
    long status = 0;

    (void)curl_easy_getinfo(x->handle->easy, CURLINFO_HTTP_CONNECTCODE, &status); /* cannot fail */
    return status > OK_MAX ? status : 0;
}

static int fail(struct exchange *x, CURLcode code, bool *sent)
{
    const char *place = x->request->place->name;
    long refusal = refusal_of_proxy(x);

    if (x->code < 0)
        return x->code;
    if (refusal) {
        *sent = false;
        return err_set(x->err, ENETUNREACH, "%s: the proxy refused with %ld", place, refusal);
    }
    if (code == CURLE_OPERATION_TIMEDOUT && !*sent)
        return err_set(x->err, ENETUNREACH, "%s: no connection in time", place);
    for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
        if (failures[i].code != code)
            continue;
        *sent = *sent && !failures[i].is_before;
        return err_set(x->err, failures[i].error, "%s: %s", place, failures[i].words);
    }
    return err_set(x->err, EREMOTEIO, "%s: %s", place, curl_easy_strerror(code));
}

static int run(struct exchange *x, bool *ret_sent)
{
    CURLcode code = CURLE_OK;
    int r;

    if (curl_multi_add_handle(x->handle->multi, x->handle->easy) != CURLM_OK)
        return err_set(x->err, ENOMEM, "no memory for a request");
    r = drive(x, &code);
    *ret_sent = may_be_sent(x);
    if (r == 0 && code != CURLE_OK)
        r = fail(x, code, ret_sent);
    if (r == 0 || x->response->status == 0)
        note_status(x);
    (void)curl_multi_remove_handle(x->handle->multi, x->handle->easy); /* it is in there */
    return r;
}

static enum http_end end_of(const struct exchange *x, int r)
{
    static const int ours[] = { ECANCELED, ENOMEM, EINVAL, EFBIG };

    if (r == 0 || x->response->status)
        return HTTP_END_ANSWERED;
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (r == -ours[i])
            return HTTP_END_OURS;
    return HTTP_END_SILENT;
}

static int exchange(struct http_client *client, const struct http_request *request, struct http_response *response,
                    bool *ret_sent, struct err *err)
{
    struct exchange x = {
        .client = client, .request = request, .response = response, .url = BUF_INIT(HTTP_URL_MAX), .err = err
    };
    int r = http_limit_enter(&client->limit, request->sink, err);

    if (r < 0)
        return r;
    r = http_pool_take(&client->pool, &x.handle, err);
    if (r == 0) {
        r = prepare(&x);
        if (r == 0)
            r = run(&x, ret_sent);
        http_pool_give(&client->pool, x.handle);
    }
    http_limit_leave(&client->limit, request->sink, end_of(&x, r));
    http_limit_note(&client->limit, x.remaining);
    headers_free(x.headers);
    buf_done(&x.url);
    return r;
}

int http_perform(struct http_client *client, const struct http_request *request, struct http_response *ret_response,
                 bool *ret_sent, struct err *err)
{
    int r;

    lock_assert_none_held();
    assert(request->n_wanted <= HTTP_WANTED_MAX);
    *ret_sent = false;
    *ret_response = (struct http_response){ 0 };
    r = exchange(client, request, ret_response, ret_sent, err);
    if (r < 0)
        http_response_done(ret_response);
    return r;
}

void http_response_done(struct http_response *response)
{
    if (response->body.data)
        secret_wipe(response->body.data, response->body.room);
    buf_done(&response->body);
}
