/*
 * The one place where an answer becomes an outcome or an errno, and where it is decided what is sent again.
 *
 * A request that spends quota goes out again only after an answer that shows it was not accepted: 401, a redirection, a
 * rate limit. After a cut answer or a 5xx nobody knows, and the caller hears so through *ret_sent.
 */
#include "api/api_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"

static const char *const json_type = "application/json";
static const char *const anonymous_limit = "15"; /* calls a minute without a valid token; API page 5.1 */
static const char *const no_archive = "Could not find sample archive"; /* API page 2.7: the status is unknown */

const char *const api_headers[API_N_HEADERS] = {
    [API_HEADER_REGION] = "X-Cs-Region",
    [API_HEADER_TRACE] = "X-Cs-Traceid",
    [API_HEADER_LIMIT] = "X-RateLimit-Limit",
    [API_HEADER_REMAINING] = "X-RateLimit-Remaining",
    [API_HEADER_RETRY_AT] = "X-RateLimit-RetryAfter",
    [API_HEADER_RETRY_AFTER] = "Retry-After",
    [API_HEADER_DATE] = "Date",
};

enum absent { ABSENT_NEVER, ABSENT_404, ABSENT_4XX };

struct endpoint {
    const char *name;
    const char *route;
    const char *accept;
    enum http_method method;
    enum absent absent; /* which refusals mean "not known" */
    bool is_free;       /* costs no quota and may be repeated, whatever happened */
    bool is_transfer;   /* answers with bytes */
};

static const struct endpoint endpoints[API_N_OPS] = {
    /* clang-format off */
    [API_OP_QUOTAS] = { .name = "quotas", .route = "/malquery/aggregates/quotas/v1", .accept = "application/json",
                        .method = HTTP_GET, .is_free = true },
    [API_OP_FUZZY] = { .name = "fuzzy search", .route = "/malquery/combined/fuzzy-search/v1",
                       .accept = "application/json", .method = HTTP_POST, .is_free = true },
    [API_OP_DOWNLOAD] = { .name = "download", .route = "/malquery/entities/download-files/v1",
                          .accept = "application/octet-stream", .method = HTTP_GET, .absent = ABSENT_404,
                          .is_transfer = true },
    [API_OP_METADATA] = { .name = "metadata", .route = "/malquery/entities/metadata/v1", .accept = "application/json",
                          .method = HTTP_GET, .absent = ABSENT_404, .is_free = true },
    [API_OP_REQUEST] = { .name = "request", .route = "/malquery/entities/requests/v1", .accept = "application/json",
                         .method = HTTP_GET, .absent = ABSENT_4XX, .is_free = true },
    [API_OP_FETCH] = { .name = "archive", .route = "/malquery/entities/samples-fetch/v1", .accept = "application/zip",
                       .method = HTTP_GET, .absent = ABSENT_4XX, .is_free = true, .is_transfer = true },
    [API_OP_MULTI] = { .name = "multi-download", .route = "/malquery/entities/samples-multidownload/v1",
                       .accept = "application/json", .method = HTTP_POST, .absent = ABSENT_404 },
    [API_OP_EXACT] = { .name = "exact search", .route = "/malquery/queries/exact-search/v1",
                       .accept = "application/json", .method = HTTP_POST },
    [API_OP_HUNT] = { .name = "hunt", .route = "/malquery/queries/hunt/v1", .accept = "application/json",
                      .method = HTTP_POST },
    /* clang-format on */
};

enum { STATUS_QUOTA = -429 }; /* our own: a 429 that no waiting helps */
enum { ONCE_MORE = 1 };       /* outcome of try_once(): send it again */

/* The first row that fits counts. */
static const struct {
    int low, high;
    int error;
    const char *words;
} refusals[] = {
    /* clang-format off */
    { STATUS_QUOTA, STATUS_QUOTA, EDQUOT, "monthly quota used up" },
    { 401, 401, EKEYREJECTED, "the token was refused" },
    { 403, 403, EACCES, "not allowed, a scope or the subscription is missing" },
    { 404, 405, EPROTO, "the service has no such operation" },
    { 408, 408, ETIMEDOUT, "the service waited too long for the request" },
    { 429, 429, EAGAIN, "rate limited" },
    { 400, 499, EINVAL, "the service refused the request" },
    { 500, 599, EREMOTEIO, "the service failed" },
    { 300, 399, EPROTO, "the service redirects" },
    /* clang-format on */
};

/* One call with its repetitions. */
struct attempt {
    struct api *api;
    const struct endpoint *endpoint;
    const struct api_ask *ask;
    struct http_response *response;
    uint64_t generation; /* of the token that the last try had */
    uint64_t stale;      /* a token that was refused */
    int tries;
    bool is_renewed;
    bool is_moved;
};

static void ticket_done(struct api_ticket *ticket)
{
    secret_free(ticket->bearer);
}

static int exchange(const struct attempt *a, const struct api_ticket *ticket, bool *ret_sent, struct err *err)
{
    const struct endpoint *endpoint = a->endpoint;
    const struct http_header headers[] = {
        { "Authorization", secret_text(ticket->bearer) },
        { "Accept", endpoint->accept },
        { "Content-Type", json_type },
    };
    char target[HTTP_URL_MAX];
    struct http_request request = {
        .method = endpoint->method,
        .place = &ticket->place,
        .target = target,
        .headers = headers,
        .n_headers = ARRAY_SIZE(headers) - (endpoint->method == HTTP_GET),
        .body = a->ask->body ? a->ask->body->data : NULL,
        .body_n = a->ask->body ? a->ask->body->n : 0,
        .total_ms = endpoint->is_transfer ? 0 : HTTP_CALL_MS,
        .is_once = !endpoint->is_free,
        .wanted = api_headers,
        .n_wanted = API_N_HEADERS,
        .body_max = API_JSON_MAX,
        .sink = endpoint->is_transfer ? a->ask->sink : NULL,
        .closure = a->ask->closure,
        .sink_status = 200,
        .sink_refuses = json_type,
        .sink_max = API_SAMPLE_BYTES_MAX,
    };
    int r;

    if (snprintf(target, sizeof target, "%s%s", endpoint->route, a->ask->query) >= (int)sizeof target)
        return err_set(err, EFBIG, "%s: too many ids at once", endpoint->name);
    r = http_perform(a->api->http, &request, a->response, ret_sent, err);
    if (r < 0)
        (void)err_wrap(err, "%s", endpoint->name); /* the code is r */
    return r;
}

static const char *header(const struct attempt *a, enum api_header which)
{
    return a->response->values[which];
}

/* API page 4: a 429 of the service itself, not of the gateway, on what costs quota. */
static bool is_quota(const struct attempt *a)
{
    return !a->endpoint->is_free && a->response->status == 429 && !*header(a, API_HEADER_RETRY_AT) &&
           !*header(a, API_HEADER_RETRY_AFTER) && strcmp(header(a, API_HEADER_REMAINING), "0") != 0 &&
           strcmp(header(a, API_HEADER_LIMIT), anonymous_limit) != 0;
}

static bool is_token_refused(const struct attempt *a)
{
    int status = a->response->status;

    return status == 401 || (status == 429 && strcmp(header(a, API_HEADER_LIMIT), anonymous_limit) == 0);
}

static bool may_repeat(const struct attempt *a, int r, bool sent)
{
    const struct endpoint *endpoint = a->endpoint;

    if (r < 0)
        return endpoint->is_free ? a->response->n_sunk == 0 : endpoint->method == HTTP_GET && !sent;
    return a->response->status == 429 ? !is_quota(a) : endpoint->is_free;
}

/* 0: once more; HTTP_NO_MORE; or a negative errno that replaces what happened. */
static int again(struct attempt *a, int r, bool sent, struct err *err)
{
    struct http_try last = { .error = -r,
                             .status = r < 0 ? 0 : a->response->status,
                             .retry_at = header(a, API_HEADER_RETRY_AT),
                             .retry_after = header(a, API_HEADER_RETRY_AFTER),
                             .date = header(a, API_HEADER_DATE) };

    if (r == 0 && is_token_refused(a) && !a->is_renewed) {
        a->is_renewed = true;
        a->stale = a->generation;
        return 0;
    }
    if ((last.status == 307 || last.status == 308) && !a->is_moved) {
        a->is_moved = true;
        return api_auth_redirect(a->api, header(a, API_HEADER_REGION), a->generation, err);
    }
    if (!may_repeat(a, r, sent))
        return HTTP_NO_MORE;
    a->tries++;
    return http_retry_wait(a->api->http, &a->api->retry, a->tries, &last, err);
}

void api_call_fault(const struct http_response *response, struct api_fault *ret_fault)
{
    api_decode_fault(&response->body, ret_fault);
    if (!ret_fault->trace[0])
        (void)text_copy(ret_fault->trace, sizeof ret_fault->trace,
                        response->values[API_HEADER_TRACE]); /* cut is fine */
}

int api_call_refuse(const char *name, int status, const struct api_fault *fault, struct err *err)
{
    const char *colon = fault->message[0] ? ": " : "";
    int error = EPROTO;
    const char *words = "the service gave an answer that makes no sense";

    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        if (status < refusals[i].low || status > refusals[i].high)
            continue;
        error = refusals[i].error;
        words = refusals[i].words;
        break;
    }
    (void)err_set(err, error, "%s: %s (%d)%s%s", name, words, status < 0 ? -status : status, colon, fault->message);
    err_trace(err, fault->trace);
    return -error;
}

/* Only the service's own words count: an HTML page with a 404 says that we are somewhere else. */
static bool is_absent(const struct endpoint *endpoint, int status, const struct api_fault *fault)
{
    if (!fault->is_json)
        return false;
    if (endpoint->absent == ABSENT_4XX)
        return (status >= 400 && status < 500 && status != 401 && status != 403 && status != 408 && status != 429) ||
               (status == 500 && strstr(fault->message, no_archive));
    return endpoint->absent == ABSENT_404 && status == 404;
}

static bool is_success(const struct attempt *a)
{
    return a->endpoint->is_transfer ? a->response->is_sunk : a->response->status / 100 == 2;
}

/* What the last answer means. */
static int settle(const struct attempt *a, bool *ret_sent, struct err *err)
{
    int status = a->response->status;
    struct api_fault fault;

    *ret_sent = true;
    if (is_success(a))
        return 0;
    api_call_fault(a->response, &fault);
    if (status / 100 == 2) /* words where bytes were promised: the status inside counts */
        status = fault.code;
    if (is_absent(a->endpoint, status, &fault)) {
        *ret_sent = false;
        return API_ABSENT;
    }
    *ret_sent = status < 300 || status >= 500;
    return api_call_refuse(a->endpoint->name, is_quota(a) ? STATUS_QUOTA : status, &fault, err);
}

static int try_once(struct attempt *a, bool *ret_sent, struct err *err)
{
    cleanup_(ticket_done) struct api_ticket ticket = { 0 };
    int next;
    int r;

    *ret_sent = false;
    r = api_auth_ticket(a->api, a->stale, &ticket, err);
    if (r < 0) {
        (void)err_wrap(err, "%s", a->endpoint->name); /* the code is r */
        return r;
    }
    a->generation = ticket.generation;
    http_response_done(a->response);
    r = exchange(a, &ticket, ret_sent, err);
    next = again(a, r, *ret_sent, err);
    if (next == 0)
        return ONCE_MORE;
    if (next < 0)
        *ret_sent = false; /* what came before was refused */
    if (next < 0 || r < 0)
        return next < 0 ? next : r;
    return 0;
}

int api_call_run(struct api *api, const struct api_ask *ask, struct http_response *ret_response, bool *ret_sent,
                 struct err *err)
{
    struct attempt a = { .api = api, .endpoint = &endpoints[ask->op], .ask = ask, .response = ret_response };
    int r;

    *ret_response = (struct http_response){ 0 };
    do {
        r = try_once(&a, ret_sent, err);
    } while (r == ONCE_MORE);
    return r < 0 ? r : settle(&a, ret_sent, err);
}

int api_call_blame(const struct http_response *response, const char *name, int r, struct err *err)
{
    (void)err_wrap(err, "%s", name); /* the code is r */
    err_trace(err, response->values[API_HEADER_TRACE]);
    return r;
}

int api_call_submit(struct api *api, enum api_op op, const struct buf *body, struct request_id *ret_id, bool *ret_sent,
                    struct err *err)
{
    cleanup_(http_response_done) struct http_response response = { 0 };
    const struct api_ask ask = { .op = op, .query = "", .body = body };
    int r = api_call_run(api, &ask, &response, ret_sent, err);

    if (r)
        return r;
    r = api_decode_reqid(&response.body, ret_id, err);
    return r < 0 ? api_call_blame(&response, endpoints[op].name, r, err) : 0;
}
