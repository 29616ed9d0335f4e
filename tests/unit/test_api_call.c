#include "test_api_script.h"

#define RULE "rule r { condition: true }"
#define FAULT(code_, text_)                                                                                            \
    "{\"meta\":{\"trace_id\":\"trace-of-body\"},\"errors\":[{\"code\":" code_ ",\"message\":\"" text_ "\"}]}"

static const struct query_options no_options = QUERY_OPTIONS_NONE;

/* What one call came to. */
struct outcome {
    int r;
    bool sent;
    struct err err;
    size_t n_calls;  /* requests to /malquery/ */
    size_t n_logins; /* token requests */
};

static void ask_hunt(struct api *api, struct outcome *o)
{
    struct request_id id;

    o->r = api_hunt(api, RULE, strlen(RULE), &no_options, &id, &o->sent, &o->err);
}

static void ask_quotas(struct api *api, struct outcome *o)
{
    struct api_quotas quotas;

    o->r = api_quotas(api, &quotas, NULL, &o->err);
}

static int sink_nothing(void *closure, const void *data, size_t n, struct err *err)
{
    (void)closure;
    (void)data;
    (void)n;
    (void)err;
    return 0;
}

static void ask_download(struct api *api, struct outcome *o)
{
    const struct digest digest = digest_from(SHA_A);

    o->r = api_download(api, &digest, sink_nothing, NULL, &o->sent, &o->err);
}

static void ask_request(struct api *api, struct outcome *o)
{
    struct request_id id;
    struct api_result result = { 0 };

    assert_true(request_id_parse(REQID, &id));
    o->r = api_request(api, &id, &result, &o->err);
    api_result_done(&result);
}

typedef void ask_fn(struct api *api, struct outcome *o);

static struct outcome run(ask_fn *ask, struct script *script)
{
    struct api *api = api_of(script);
    struct outcome o = { 0 };

    ask(api, &o);
    o.n_calls = script_count(script, "GET /malquery/") + script_count(script, "POST /malquery/");
    o.n_logins = script_count(script, "POST /oauth2/token");
    end(api, script);
    return o;
}

/* The call meets this answer for ever. */
static struct outcome always(ask_fn *ask, struct script_step step)
{
    step.times = -1;
    return run(ask, SCRIPT(TOKEN_FOREVER, step));
}

static void the_token_and_accept_are_sent(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_STEP("abc"), ACCEPTED_STEP);
    struct api *api = api_of(script);
    struct outcome o = { 0 };

    ask_hunt(api, &o);
    assert_non_null(strstr(script_head(script, "POST /malquery"), "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(script_head(script, "POST /malquery"), "\r\nAccept: application/json\r\n"));
    assert_non_null(strstr(script_head(script, "POST /malquery"), "\r\nContent-Type: application/json\r\n"));
    end(api, script);
}

static void success_was_sent(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step)ACCEPTED_STEP);

    assert_int_equal(o.r, 0);
    assert_true(o.sent);
}

/* 401 and stale tokens. */

static void a_refused_token_is_renewed_once_also_for_a_post_that_spends(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_STEP("one"), TOKEN_STEP("two"),
                                   { .match = "POST /malquery", .status = 401, .headers = JSON_TYPE }, ACCEPTED_STEP);
    struct api *api = api_of(script);
    struct outcome o = { 0 };

    ask_hunt(api, &o);
    assert_int_equal(o.r, 0);
    assert_non_null(strstr(script_head(script, "POST /malquery"), "Bearer two"));
    end(api, script);
}

static void a_second_401_is_final(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step){ .status = 401, .body = FAULT("401", "bad token") });

    assert_int_equal(o.r, -EKEYREJECTED);
    assert_false(o.sent);
    assert_int_equal(o.n_calls, 2);
}

static void a_429_of_the_anonymous_bucket_renews_the_token(void **state)
{
    (void)state;
    struct outcome o =
        run(ask_hunt, SCRIPT(TOKEN_FOREVER,
                             { .match = "POST /malquery",
                               .status = 429,
                               .headers = "X-RateLimit-Limit: 15\r\nX-RateLimit-RetryAfter: 9999999999\r\n" },
                             ACCEPTED_STEP));

    assert_int_equal(o.r, 0);
    assert_int_equal(o.n_logins, 2);
}

/* Refusals. */

static void a_403_is_a_missing_scope(void **state)
{
    (void)state;
    struct outcome o =
        always(ask_hunt, (struct script_step){ .status = 403, .body = FAULT("403", "scope not permitted") });

    assert_int_equal(o.r, -EACCES);
    assert_false(o.sent);
    assert_int_equal(o.n_calls, 1);
    assert_non_null(strstr(o.err.text, "scope not permitted"));
}

static void a_400_is_a_refused_request(void **state)
{
    (void)state;
    struct outcome o =
        always(ask_hunt, (struct script_step){ .status = 400, .body = FAULT("400", "Invalid user input") });

    assert_int_equal(o.r, -EINVAL);
    assert_false(o.sent);
    assert_non_null(strstr(o.err.text, "Invalid user input"));
}

static void a_404_where_none_is_documented_is_a_wrong_service(void **state)
{
    (void)state;
    assert_int_equal(always(ask_quotas, (struct script_step){ .status = 404, .body = FAULT("404", "no") }).r, -EPROTO);
}

static void a_page_of_html_with_404_is_not_an_absent_sample(void **state)
{
    (void)state;
    struct outcome o = always(ask_download, (struct script_step){ .status = 404, .body = "<html>not here</html>" });

    assert_int_equal(o.r, -EPROTO);
}

static void the_trace_id_comes_from_the_body(void **state)
{
    (void)state;
    struct outcome o =
        always(ask_hunt, (struct script_step){ .status = 400, .headers = TRACE, .body = FAULT("400", "x") });

    assert_string_equal(o.err.trace, "trace-of-body");
}

static void or_from_the_header(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step){ .status = 500, .headers = TRACE, .body = "<html>" });

    assert_string_equal(o.err.trace, "trace-of-header");
}

static void an_answer_that_is_no_json_is_a_protocol_error_with_its_trace(void **state)
{
    (void)state;
    struct outcome o = always(ask_quotas, (struct script_step){ .status = 200, .headers = TRACE, .body = "<html>" });

    assert_int_equal(o.r, -EPROTO);
    assert_string_equal(o.err.trace, "trace-of-header");
}

static void no_error_text_has_the_token_or_the_query(void **state)
{
    (void)state;
    struct outcome o = always(ask_download, (struct script_step){ .end = SCRIPT_DROP });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_null(strstr(o.err.text, "tok"));
    assert_null(strstr(o.err.text, SHA_A));
}

/* Failures of the service and of the network. */

static void a_get_outlives_a_bad_gateway(void **state)
{
    (void)state;
    struct outcome o = run(ask_request, SCRIPT(TOKEN_FOREVER, { .match = "GET", .status = 502, .body = "<html>" },
                                               { .match = "GET", .end = SCRIPT_DROP },
                                               { .match = "GET", .status = 200, .body = "{\"meta\":{}}" }));

    assert_int_equal(o.r, 0);
    assert_int_equal(o.n_calls, 3);
}

static void a_get_gives_up_after_its_tries(void **state)
{
    (void)state;
    struct outcome o = always(ask_quotas, (struct script_step){ .status = 503 });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_int_equal(o.n_calls, script_retry.tries_max);
}

static void a_500_is_not_repeated(void **state)
{
    (void)state;
    struct outcome o = always(ask_quotas, (struct script_step){ .status = 500, .body = FAULT("500", "oops") });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_int_equal(o.n_calls, 1);
}

static void a_post_that_spends_is_not_repeated_after_a_reset(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step){ .match = "POST /malquery", .end = SCRIPT_DROP });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_true(o.sent);
    assert_int_equal(o.n_calls, 1);
}

static void nor_after_a_bad_gateway(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step){ .status = 502 });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_true(o.sent);
    assert_int_equal(o.n_calls, 1);
}

static void nor_on_a_connection_that_died_while_it_was_kept(void **state)
{
    (void)state;
    struct script *script = SCRIPT({ .match = "POST /oauth2/token", .status = 201, .body = "{\"access_token\":\"t\"}" },
                                   { .match = "POST /malquery", .end = SCRIPT_DROP }, ACCEPTED_STEP);
    struct outcome o = run(ask_hunt, script);

    assert_int_equal(o.r, -EREMOTEIO);
    assert_int_equal(o.n_calls, 1);
}

static void a_download_is_not_repeated_after_it_was_sent(void **state)
{
    (void)state;
    struct outcome o = always(ask_download, (struct script_step){ .match = "GET", .end = SCRIPT_DROP });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_true(o.sent);
    assert_int_equal(o.n_calls, 1);
}

static void a_service_that_is_away_got_nothing(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER);
    struct api *api = api_of(script);
    struct outcome o = { 0 };

    assert_int_equal(api_login(api, NULL), 0);
    script_stop(script);
    ask_hunt(api, &o);
    assert_int_equal(o.r, -ENETUNREACH);
    assert_false(o.sent);
    api_free(api);
}

static void cancel_ends_a_call_at_once(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER);
    struct api *api = api_of(script);
    struct outcome o = { 0 };

    api_cancel(api);
    ask_hunt(api, &o);
    assert_int_equal(o.r, -ECANCELED);
    assert_false(o.sent);
    end(api, script);
}

/* Rate limit and quota. */

static void a_rate_limit_with_a_time_is_waited_for(void **state)
{
    (void)state;
    struct outcome o =
        run(ask_hunt, SCRIPT(TOKEN_FOREVER,
                             { .match = "POST /malquery",
                               .status = 429,
                               .headers = "X-RateLimit-Limit: 6000\r\nX-RateLimit-RetryAfter: 1753200060\r\n" },
                             ACCEPTED_STEP));

    assert_int_equal(o.r, 0);
    assert_int_equal(o.n_calls, 2);
}

static void a_rate_limit_that_stays_is_eagain_and_nothing_was_accepted(void **state)
{
    (void)state;
    struct outcome o =
        always(ask_hunt, (struct script_step){ .status = 429, .headers = "X-RateLimit-RetryAfter: 1753200060\r\n" });

    assert_int_equal(o.r, -EAGAIN);
    assert_false(o.sent);
    assert_int_equal(o.n_calls, script_retry.tries_max);
}

static void the_standard_header_counts_too(void **state)
{
    (void)state;
    assert_int_equal(always(ask_hunt, (struct script_step){ .status = 429, .headers = "Retry-After: 1\r\n" }).r,
                     -EAGAIN);
}

static void a_429_without_a_time_is_the_quota_and_is_not_repeated(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step){ .status = 429,
                                                              .headers = "X-RateLimit-Remaining: 5000\r\n",
                                                              .body = FAULT("429", "limit reached") });

    assert_int_equal(o.r, -EDQUOT);
    assert_false(o.sent);
    assert_int_equal(o.n_calls, 1);
    assert_non_null(strstr(o.err.text, "monthly quota"));
}

static void it_is_for_downloads_too(void **state)
{
    (void)state;
    assert_int_equal(always(ask_download, (struct script_step){ .status = 429, .body = FAULT("429", "x") }).r, -EDQUOT);
}

static void it_is_not_when_no_calls_are_left_in_the_minute(void **state)
{
    (void)state;
    assert_int_equal(
        always(ask_hunt, (struct script_step){ .status = 429, .headers = "X-RateLimit-Remaining: 0\r\n" }).r, -EAGAIN);
}

static void it_is_not_for_what_is_free(void **state)
{
    (void)state;
    struct outcome o = always(ask_quotas, (struct script_step){ .status = 429 });

    assert_int_equal(o.r, -EAGAIN);
    assert_int_equal(o.n_calls, script_retry.tries_max);
}

/* Redirections of data. */

static void a_redirect_to_an_unknown_region_is_refused(void **state)
{
    (void)state;
    struct outcome o = always(ask_hunt, (struct script_step){ .match = "POST /malquery",
                                                              .status = 308,
                                                              .headers = "X-Cs-Region: mars-1\r\n"
                                                                         "Location: https://evil.example.com/\r\n" });

    assert_int_equal(o.r, -EPROTO);
    assert_false(o.sent);
    assert_int_equal(o.n_calls, 1);
}

static void a_redirect_away_from_an_explicit_place_is_refused(void **state)
{
    (void)state;
    struct outcome o = always(
        ask_hunt, (struct script_step){ .match = "POST /malquery", .status = 308, .headers = "X-Cs-Region: us-2\r\n" });

    assert_int_equal(o.r, -EPROTO);
}

static void a_redirected_call_logs_in_at_the_other_cloud_and_repeats(void **state)
{
    (void)state;
    struct script *one =
        SCRIPT(TOKEN_STEP("one"), { .match = "POST /malquery", .status = 308, .headers = "X-Cs-Region: us-2\r\n" });
    struct script *two = SCRIPT(TOKEN_STEP("two"), ACCEPTED_STEP);
    const struct api_cloud clouds[] = { { "us-1", one->place, true }, { "us-2", two->place, true } };
    struct api *api = api_of(one);
    struct outcome o = { 0 };
    char place[32];

    api->clouds = clouds;
    api->n_clouds = 2;
    api->cloud = &clouds[0];
    ask_hunt(api, &o);
    assert_int_equal(o.r, 0);
    assert_non_null(strstr(script_head(two, "POST /malquery"), "Bearer two"));
    api_place(api, place, sizeof place);
    assert_string_equal(place, "us-2");
    end(api, one);
    script_stop(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_and_accept_are_sent),
        cmocka_unit_test(success_was_sent),
        cmocka_unit_test(a_refused_token_is_renewed_once_also_for_a_post_that_spends),
        cmocka_unit_test(a_second_401_is_final),
        cmocka_unit_test(a_429_of_the_anonymous_bucket_renews_the_token),
        cmocka_unit_test(a_403_is_a_missing_scope),
        cmocka_unit_test(a_400_is_a_refused_request),
        cmocka_unit_test(a_404_where_none_is_documented_is_a_wrong_service),
        cmocka_unit_test(a_page_of_html_with_404_is_not_an_absent_sample),
        cmocka_unit_test(the_trace_id_comes_from_the_body),
        cmocka_unit_test(or_from_the_header),
        cmocka_unit_test(an_answer_that_is_no_json_is_a_protocol_error_with_its_trace),
        cmocka_unit_test(no_error_text_has_the_token_or_the_query),
        cmocka_unit_test(a_get_outlives_a_bad_gateway),
        cmocka_unit_test(a_get_gives_up_after_its_tries),
        cmocka_unit_test(a_500_is_not_repeated),
        cmocka_unit_test(a_post_that_spends_is_not_repeated_after_a_reset),
        cmocka_unit_test(nor_after_a_bad_gateway),
        cmocka_unit_test(nor_on_a_connection_that_died_while_it_was_kept),
        cmocka_unit_test(a_download_is_not_repeated_after_it_was_sent),
        cmocka_unit_test(a_service_that_is_away_got_nothing),
        cmocka_unit_test(cancel_ends_a_call_at_once),
        cmocka_unit_test(a_rate_limit_with_a_time_is_waited_for),
        cmocka_unit_test(a_rate_limit_that_stays_is_eagain_and_nothing_was_accepted),
        cmocka_unit_test(the_standard_header_counts_too),
        cmocka_unit_test(a_429_without_a_time_is_the_quota_and_is_not_repeated),
        cmocka_unit_test(it_is_for_downloads_too),
        cmocka_unit_test(it_is_not_when_no_calls_are_left_in_the_minute),
        cmocka_unit_test(it_is_not_for_what_is_free),
        cmocka_unit_test(a_redirect_to_an_unknown_region_is_refused),
        cmocka_unit_test(a_redirect_away_from_an_explicit_place_is_refused),
        cmocka_unit_test(a_redirected_call_logs_in_at_the_other_cloud_and_repeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
