#include "api/api_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void api_result_done(struct api_result *result)
{
    api_samples_done(&result->samples);
    buf_done(&result->raw);
}

int api_hunt(struct api *api, const char *rule, size_t rule_n, const struct query_options *options,
             struct request_id *ret_id, bool *ret_sent, struct err *err)
{
    cleanup_(buf_done) struct buf body = BUF_INIT(API_BODY_MAX);
    int r = api_encode_hunt(&body, rule, rule_n, options, err);

    *ret_sent = false;
    if (r < 0)
        return r;
    return api_call_submit(api, API_OP_HUNT, &body, ret_id, ret_sent, err);
}

int api_exact(struct api *api, const struct pattern *patterns, size_t n_patterns, const struct query_options *options,
              struct request_id *ret_id, bool *ret_sent, struct err *err)
{
    cleanup_(buf_done) struct buf body = BUF_INIT(API_BODY_MAX);
    int r = api_encode_search(&body, QUERY_EXACT, patterns, n_patterns, options, err);

    *ret_sent = false;
    if (r < 0)
        return r;
    return api_call_submit(api, API_OP_EXACT, &body, ret_id, ret_sent, err);
}

/* Runs an operation that answers with a result, and keeps the answer as it came. */
static int run(struct api *api, const struct api_ask *ask, const char *name, struct api_result *ret_result,
               struct err *err)
{
    cleanup_(http_response_done) struct http_response response = { 0 };
    struct api_result result = { 0 };
    bool sent;
    int r = api_call_run(api, ask, &response, &sent, err);

    if (r)
        return r;
    r = api_decode_result(&response.body, &result, err);
    if (r < 0)
        return api_call_blame(&response, name, r, err);
    if (r > 0)
        return r;
    result.raw = response.body;
    response.body = (struct buf){ 0 };
    *ret_result = result;
    return 0;
}

int api_fuzzy(struct api *api, const struct pattern *patterns, size_t n_patterns, const struct query_options *options,
              struct api_result *ret_result, struct err *err)
{
    cleanup_(buf_done) struct buf body = BUF_INIT(API_BODY_MAX);
    const struct api_ask ask = { .op = API_OP_FUZZY, .query = "", .body = &body };
    struct api_result result = { 0 };
    int r = api_encode_search(&body, QUERY_FUZZY, patterns, n_patterns, options, err);

    if (r < 0)
        return r;
    r = run(api, &ask, "fuzzy search", &result, err);
    if (r != 0)
        return r < 0 ? r : err_set(err, EPROTO, "fuzzy search: the answer is no result");
    if (result.state == REQUEST_INPROGRESS)
        result.state = REQUEST_DONE; /* the answer is the result, whatever its status says */
    *ret_result = result;
    return 0;
}

int api_request(struct api *api, const struct request_id *id, struct api_result *ret_result, struct err *err)
{
    char query[sizeof "?ids=" + REQUEST_ID_TEXT];
    const struct api_ask ask = { .op = API_OP_REQUEST, .query = query };

    (void)snprintf(query, sizeof query, "?ids=%s", id->s); /* fits */
    return run(api, &ask, "request", ret_result, err);
}
