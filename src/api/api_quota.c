#include "api/api_internal.h"

int api_quotas(struct api *api, struct api_quotas *ret_quotas, struct buf *ret_raw, struct err *err)
{
    cleanup_(http_response_done) struct http_response response = { 0 };
    const struct api_ask ask = { .op = API_OP_QUOTAS, .query = "" };
    bool sent;
    int r = api_call_run(api, &ask, &response, &sent, err);

    if (r < 0)
        return r;
    r = api_decode_quotas(&response.body, ret_quotas, err);
    if (r < 0)
        return api_call_blame(&response, "quotas", r, err);
    if (ret_raw)
        buf_append(ret_raw, buf_text(&response.body), response.body.n);
    return ret_raw ? buf_check(ret_raw, err, "the quotas") : 0;
}
