#include "test_api_script.h"

static int sink(void *closure, const void *data, size_t n, struct err *err)
{
    struct buf *bytes = closure;

    buf_append(bytes, data, n);
    return buf_check(bytes, err, "the sample");
}

/* Metadata. */

static int ask_metadata(struct script *script, struct api_samples *samples)
{
    const struct digest digests[] = { digest_from(SHA_A), digest_from(SHA_B) };
    struct api *api = api_of(script);
    int r = api_metadata(api, digests, 2, samples, NULL);

    api_free(api);
    return r;
}

static void ids_are_repeated_keys(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "GET /malquery", .status = 200, .body = "{}" });
    struct api_samples samples = { 0 };

    assert_int_equal(ask_metadata(script, &samples), 0);
    assert_int_equal(script_count(script, "GET /malquery/entities/metadata/v1?ids=" SHA_A "&ids=" SHA_B " HTTP/1.1"),
                     1);
    script_stop(script);
}

static void what_was_not_asked_for_is_dropped(void **state)
{
    (void)state;
    struct script *script =
        SCRIPT(TOKEN_FOREVER,
               { .match = "GET /malquery",
                 .status = 200,
                 .body = "{\"resources\":[{\"sha256\":\"" SHA_B "\",\"label\":\"first\"},{\"sha256\":\"" SHA_B
                         "\"},{\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\"}]}" });
    struct api_samples samples = { 0 };

    assert_int_equal(ask_metadata(script, &samples), 0);
    assert_int_equal(samples.n, 1);
    assert_string_equal(samples.items[0].label, "first");
    api_samples_done(&samples);
    script_stop(script);
}

static void a_404_means_that_none_is_known(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "GET /malquery", .status = 404, .body = "{}" });
    struct api_samples samples = { 0 };

    assert_int_equal(ask_metadata(script, &samples), 0);
    assert_int_equal(samples.n, 0);
    script_stop(script);
}

#define KNOWN_A "\"resources\":[{\"sha256\":\"" SHA_A "\"}"

static void an_error_inside_does_not_make_a_sample_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int r;
    } answers[] = {
        { "{" KNOWN_A "],\"errors\":[{\"code\":404},{\"code\":500,\"message\":\"away\"}]}", -EREMOTEIO },
        { "{\"errors\":[{\"code\":429,\"message\":\"slower\"}]}", -EREMOTEIO },
        { "{" KNOWN_A "],\"errors\":[{\"code\":404,\"message\":\"unknown\"}]}", 0 },
        { "{" KNOWN_A ",{\"sha256\":\"" SHA_B "\"}],\"errors\":[{\"code\":500}]}", 0 },
        { "{" KNOWN_A "],\"errors\":[null,7,{},{\"code\":\"x\"}]}", 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct script *script =
            SCRIPT(TOKEN_FOREVER, { .match = "GET /malquery", .status = 200, .body = answers[i].body });
        struct api_samples samples = { 0 };

        assert_int_equal(ask_metadata(script, &samples), answers[i].r);
        assert_int_equal(samples.n == 0, answers[i].r < 0);
        api_samples_done(&samples);
        script_stop(script);
    }
}

static void a_hundred_ids_fit_into_one_call(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "GET /malquery", .status = 200, .body = "{}" });
    struct api *api = api_of(script);
    struct digest digests[API_METADATA_MAX + 1] = { 0 };
    struct api_samples samples = { 0 };

    assert_int_equal(api_metadata(api, digests, API_METADATA_MAX, &samples, NULL), 0);
    assert_int_equal(api_metadata(api, digests, API_METADATA_MAX + 1, &samples, NULL), -EINVAL);
    end(api, script);
}

static void no_ids_ask_nothing(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER);
    struct api *api = api_of(script);
    struct api_samples samples = { 0 };

    assert_int_equal(api_metadata(api, NULL, 0, &samples, NULL), 0);
    assert_int_equal(script_count(script, ""), 0);
    end(api, script);
}

/* Downloads. */

struct outcome {
    int r;
    bool sent;
    struct err err;
    struct buf bytes;
    size_t n_calls;
};

static struct outcome download_script(struct script *script)
{
    const struct digest digest = digest_from(SHA_A);
    struct api *api = api_of(script);
    struct outcome o = { .bytes = BUF_INIT(1024) };

    o.r = api_download(api, &digest, sink, &o.bytes, &o.sent, &o.err);
    o.n_calls = script_count(script, "GET /malquery/entities/download-files/v1?ids=" SHA_A " ");
    end(api, script);
    return o;
}

static struct outcome download(struct script_step step)
{
    step.match = "GET /malquery";
    step.times = -1;
    return download_script(SCRIPT(TOKEN_FOREVER, step));
}

static void a_download_is_the_bytes(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200, .body = "MZ\0x", .body_n = 4 });

    assert_int_equal(o.r, 0);
    assert_true(o.sent);
    assert_int_equal(o.bytes.n, 4);
    assert_memory_equal(o.bytes.data, "MZ\0x", 4);
    buf_done(&o.bytes);
}

static void an_unknown_sample_is_absent_and_cost_nothing(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 404, .body = "{\"errors\":[{\"code\":404}]}" });

    assert_int_equal(o.r, API_ABSENT);
    assert_false(o.sent);
}

static void json_with_status_200_is_not_a_sample(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){
        .status = 200, .headers = JSON_TYPE, .body = "{\"errors\":[{\"code\":500,\"message\":\"broken\"}]}" });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_true(o.sent);
    assert_int_equal(o.bytes.n, 0);
    assert_non_null(strstr(o.err.text, "broken"));
}

static void json_that_says_404_is_absent(void **state)
{
    (void)state;
    assert_int_equal(
        download((struct script_step){ .status = 200, .headers = JSON_TYPE, .body = "{\"errors\":[{\"code\":404}]}" })
            .r,
        API_ABSENT);
}

static void json_that_says_nothing_is_a_protocol_error(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200, .headers = JSON_TYPE, .body = "{}" });

    assert_int_equal(o.r, -EPROTO);
    assert_true(o.sent);
    assert_int_equal(o.n_calls, 1);
}

static void a_cut_sample_is_not_asked_for_again(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200, .body = "MZ", .end = SCRIPT_CUT });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_true(o.sent);
    assert_int_equal(o.n_calls, 1);
    buf_done(&o.bytes);
}

static void a_sample_beyond_the_sinks_limit_is_efbig(void **state)
{
    (void)state;
    static char big[4096];

    memset(big, 'x', sizeof big);
    struct outcome o = download((struct script_step){ .status = 200, .body = big, .body_n = sizeof big });

    assert_int_equal(o.r, -EFBIG);
    buf_done(&o.bytes);
}

static void a_refused_token_does_not_spoil_a_download(void **state)
{
    (void)state;
    struct outcome o = download_script(SCRIPT(TOKEN_FOREVER, { .match = "GET", .status = 401, .body = "{}" },
                                              { .match = "GET", .status = 200, .body = "MZ" }));

    assert_int_equal(o.r, 0);
    assert_string_equal(buf_text(&o.bytes), "MZ");
    buf_done(&o.bytes);
}

static void a_rate_limited_download_is_asked_for_again(void **state)
{
    (void)state;
    struct outcome o = download_script(
        SCRIPT(TOKEN_FOREVER, { .match = "GET", .status = 429, .headers = "X-RateLimit-RetryAfter: 1\r\n" },
               { .match = "GET", .status = 200, .body = "MZ" }));

    assert_int_equal(o.r, 0);
    buf_done(&o.bytes);
}

/* Multi-downloads. */

static void a_multi_download_sends_digests_and_returns_the_id(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, ACCEPTED_STEP);
    struct api *api = api_of(script);
    const struct digest digests[] = { digest_from(SHA_A), digest_from(SHA_B) };
    struct request_id id;
    bool sent;

    assert_int_equal(api_multi_start(api, digests, 2, &id, &sent, NULL), 0);
    assert_string_equal(id.s, REQID);
    assert_string_equal(script_body(script, "POST /malquery/entities/samples-multidownload/v1 "),
                        "{\"samples\":[\"" SHA_A "\",\"" SHA_B "\"]}");
    end(api, script);
}

static void a_multi_download_of_unknown_samples_is_absent(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "POST /malquery", .status = 404, .body = "{}" });
    struct api *api = api_of(script);
    const struct digest digest = digest_from(SHA_A);
    struct request_id id;
    bool sent = true;

    assert_int_equal(api_multi_start(api, &digest, 1, &id, &sent, NULL), API_ABSENT);
    assert_false(sent);
    end(api, script);
}

static int fetch(struct script *script, struct buf *bytes)
{
    struct api *api = api_of(script);
    struct request_id id;
    int r;

    assert_true(request_id_parse(REQID, &id));
    r = api_multi_fetch(api, &id, sink, bytes, NULL);
    end(api, script);
    return r;
}

static void an_archive_is_fetched_again_after_a_reset(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT(64);

    assert_int_equal(fetch(SCRIPT(TOKEN_FOREVER, { .match = "GET", .end = SCRIPT_DROP },
                                  { .match = "GET /malquery/entities/samples-fetch/v1?ids=" REQID " ",
                                    .status = 200,
                                    .headers = "Content-Type: application/zip\r\n",
                                    .body = "PK" }),
                           &bytes),
                     0);
    assert_string_equal(buf_text(&bytes), "PK");
    buf_done(&bytes);
}

static void but_not_after_its_first_bytes(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT(64);

    assert_int_equal(fetch(SCRIPT(TOKEN_FOREVER, { .match = "GET", .status = 200, .body = "PK", .end = SCRIPT_CUT },
                                  { .match = "GET", .status = 200, .body = "PK" }),
                           &bytes),
                     -EREMOTEIO);
    assert_string_equal(buf_text(&bytes), "PK");
    buf_done(&bytes);
}

static void an_unknown_archive_is_absent_whatever_the_status(void **state)
{
    (void)state;
    static const int statuses[] = { 400, 404, 500 };
    struct buf bytes = BUF_INIT(64);

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        assert_int_equal(
            fetch(SCRIPT(TOKEN_FOREVER,
                         { .match = "GET",
                           .status = statuses[i],
                           .body = "{\"errors\":[{\"code\":404,\"message\":\"Could not find sample archive\"}]}" }),
                  &bytes),
            API_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_repeated_keys),
        cmocka_unit_test(what_was_not_asked_for_is_dropped),
        cmocka_unit_test(a_404_means_that_none_is_known),
        cmocka_unit_test(an_error_inside_does_not_make_a_sample_unknown),
        cmocka_unit_test(a_hundred_ids_fit_into_one_call),
        cmocka_unit_test(no_ids_ask_nothing),
        cmocka_unit_test(a_download_is_the_bytes),
        cmocka_unit_test(an_unknown_sample_is_absent_and_cost_nothing),
        cmocka_unit_test(json_with_status_200_is_not_a_sample),
        cmocka_unit_test(json_that_says_404_is_absent),
        cmocka_unit_test(json_that_says_nothing_is_a_protocol_error),
        cmocka_unit_test(a_cut_sample_is_not_asked_for_again),
        cmocka_unit_test(a_sample_beyond_the_sinks_limit_is_efbig),
        cmocka_unit_test(a_refused_token_does_not_spoil_a_download),
        cmocka_unit_test(a_rate_limited_download_is_asked_for_again),
        cmocka_unit_test(a_multi_download_sends_digests_and_returns_the_id),
        cmocka_unit_test(a_multi_download_of_unknown_samples_is_absent),
        cmocka_unit_test(an_archive_is_fetched_again_after_a_reset),
        cmocka_unit_test(but_not_after_its_first_bytes),
        cmocka_unit_test(an_unknown_archive_is_absent_whatever_the_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
