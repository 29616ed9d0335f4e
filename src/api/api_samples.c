#include "api/api_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void api_samples_done(struct api_samples *samples)
{
    free(samples->items);
    samples->items = NULL;
    samples->n = 0;
}

/* Metadata --------------------------------------------------------------------------------------------------------- */

static bool is_asked(const struct digest *digests, size_t n, const struct digest *digest)
{
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&digests[i], digest))
            return true;
    return false;
}

static bool is_listed(const struct api_samples *samples, size_t n, const struct digest *digest)
{
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&samples->items[i].digest, digest))
            return true;
    return false;
}

/* Drops what was not asked for, and repetitions; at most n + 1 items are looked at per item kept. */
static void keep_asked(struct api_samples *samples, const struct digest *digests, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < samples->n; i++) {
        const struct digest *digest = &samples->items[i].digest;

        if (is_asked(digests, n, digest) && !is_listed(samples, kept, digest))
            samples->items[kept++] = samples->items[i];
    }
    samples->n = kept;
}

/* The key is repeated, as falconpy and PSFalcon do (API page 2.2). */
static int make_query(const struct digest *digests, size_t n, struct buf *query, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(query, "%cids=%s", i ? '&' : '?', digest_format(&digests[i]).s);
    return buf_check(query, err, "the list of digests");
}

int api_metadata(struct api *api, const struct digest *digests, size_t n, struct api_samples *ret_samples,
                 struct err *err)
{
    cleanup_(http_response_done) struct http_response response = { 0 };
    cleanup_(buf_done) struct buf query = BUF_INIT(HTTP_URL_MAX);
    struct api_ask ask = { .op = API_OP_METADATA };
    int missing = 0;
    bool sent;
    int r;

    if (n > API_METADATA_MAX)
        return err_set(err, EINVAL, "metadata of more than %d samples at once", API_METADATA_MAX);
    *ret_samples = (struct api_samples){ 0 };
    if (n == 0)
        return 0;
    r = make_query(digests, n, &query, err);
    if (r < 0)
        return r;
    ask.query = buf_text(&query);
    r = api_call_run(api, &ask, &response, &sent, err);
    if (r)
        return r == API_ABSENT ? 0 : r; /* none of them is known */
    r = api_decode_samples(&response.body, ret_samples, &missing, err);
    if (r < 0)
        return api_call_blame(&response, "metadata", r, err);
    keep_asked(ret_samples, digests, n);
    if (ret_samples->n == n || missing == 0)
        return 0;
    api_samples_done(ret_samples); /* else who asks would take the others for unknown */
    return api_call_blame(&response, "metadata", missing, err);
}

/* Bytes ------------------------------------------------------------------------------------------------------------ */

int api_download(struct api *api, const struct digest *digest, api_sink *sink, void *closure, bool *ret_sent,
                 struct err *err)
{
    cleanup_(http_response_done) struct http_response response = { 0 };
    char query[sizeof "?ids=" + DIGEST_TEXT];
    const struct api_ask ask = { .op = API_OP_DOWNLOAD, .query = query, .sink = sink, .closure = closure };

    (void)snprintf(query, sizeof query, "?ids=%s", digest_format(digest).s); /* fits */
    return api_call_run(api, &ask, &response, ret_sent, err);
}

int api_multi_start(struct api *api, const struct digest *digests, size_t n, struct request_id *ret_id, bool *ret_sent,
                    struct err *err)
{
    cleanup_(buf_done) struct buf body = BUF_INIT(API_BODY_MAX);
    int r = api_encode_multi(&body, digests, n, err);

    *ret_sent = false;
    if (r < 0)
        return r;
    return api_call_submit(api, API_OP_MULTI, &body, ret_id, ret_sent, err);
}

int api_multi_fetch(struct api *api, const struct request_id *id, api_sink *sink, void *closure, struct err *err)
{
    cleanup_(http_response_done) struct http_response response = { 0 };
    char query[sizeof "?ids=" + REQUEST_ID_TEXT];
    const struct api_ask ask = { .op = API_OP_FETCH, .query = query, .sink = sink, .closure = closure };
    bool sent;

    (void)snprintf(query, sizeof query, "?ids=%s", id->s); /* fits */
    return api_call_run(api, &ask, &response, &sent, err);
}
