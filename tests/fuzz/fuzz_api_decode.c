/* Any bytes as an answer of the service, through every decoder; what comes out must keep the promises of the model. */
#include <stdlib.h>
#include <string.h>

#include "api/api_internal.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text)
{
    if (!text_is_utf8(text, strlen(text)) || strpbrk(text, "\n\r\t\x7f"))
        abort();
}

static void check_samples(const struct api_samples *samples)
{
    if (samples->n > API_RESULTS_MAX)
        abort();
    for (size_t i = 0; i < samples->n; i++) {
        struct buf line = BUF_INIT(64 * KIB);

        if (samples->items[i].size_bytes < SAMPLE_NO_SIZE)
            abort();
        check_text(samples->items[i].family);
        check_text(samples->items[i].label);
        check_text(samples->items[i].filetype);
        api_encode_sample(&line, &samples->items[i]);
        if (line.code || strchr(buf_text(&line), '\n'))
            abort();
        buf_done(&line);
    }
}

static void check_token(const struct buf *body)
{
    struct secret *bearer = NULL;
    int64_t life_s = -1;

    if (api_decode_token(body, &bearer, &life_s, NULL) < 0)
        return;
    if (life_s < 0 || strpbrk(secret_text(bearer) + strlen("Bearer "), " \r\n"))
        abort();
    secret_free(bearer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf body = BUF_INIT(API_JSON_MAX);
    struct api_fault fault;
    struct api_quotas quotas;
    struct request_id id;
    struct api_samples samples = { 0 };
    struct api_result result = { 0 };
    int missing = 0;

    buf_append(&body, data, n);
    api_decode_fault(&body, &fault);
    check_text(fault.message);
    check_token(&body);
    if (api_decode_quotas(&body, &quotas, NULL) == 0)
        check_text(quotas.refresh_time);
    if (api_decode_reqid(&body, &id, NULL) == 0)
        check_text(id.s);
    if (api_decode_samples(&body, &samples, &missing, NULL) == 0)
        check_samples(&samples);
    if (api_decode_result(&body, &result, NULL) == 0) {
        check_samples(&result.samples);
        check_text(result.reason);
    }
    api_samples_done(&samples);
    api_result_done(&result);
    buf_done(&body);
    return 0;
}
