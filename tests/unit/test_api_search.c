#include "test_api_script.h"

#define RULE "rule demo { strings: $a = { 4D 5A } condition: $a at 0 }"

static const struct query_options limit_5 = { .limit = 5,
                                              .min_size_bytes = -1,
                                              .max_size_bytes = -1,
                                              .min_date_s = INT64_MIN,
                                              .max_date_s = INT64_MIN,
                                              .submitted_by_customer = -1 };
static const struct pattern mz = { PATTERN_HEX, "4D5A9000" };

static void a_hunt_sends_its_rule_and_returns_the_id(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, ACCEPTED_STEP);
    struct api *api = api_of(script);
    struct request_id id;
    bool sent;

    assert_int_equal(api_hunt(api, RULE, strlen(RULE), &limit_5, &id, &sent, NULL), 0);
    assert_string_equal(id.s, REQID);
    assert_string_equal(script_body(script, "POST /malquery/queries/hunt/v1 "),
                        "{\"options\":{\"limit\":5},\"yara_rule\":\"" RULE "\"}");
    end(api, script);
}

static void an_exact_search_sends_its_patterns(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, ACCEPTED_STEP);
    struct api *api = api_of(script);
    struct request_id id;
    bool sent;

    assert_int_equal(api_exact(api, &mz, 1, &limit_5, &id, &sent, NULL), 0);
    assert_string_equal(script_body(script, "POST /malquery/queries/exact-search/v1 "),
                        "{\"options\":{\"limit\":5},\"patterns\":[{\"type\":\"hex\",\"value\":\"4d5a9000\"}]}");
    end(api, script);
}

static void an_accepted_hunt_without_an_id_was_sent(void **state)
{
    (void)state;
    struct script *script = SCRIPT(
        TOKEN_FOREVER,
        { .match = "POST /malquery", .status = 200, .headers = TRACE, .body = "{\"meta\":{\"status\":\"done\"}}" });
    struct api *api = api_of(script);
    struct request_id id;
    struct err err = { 0 };
    bool sent = false;

    assert_int_equal(api_hunt(api, RULE, strlen(RULE), &limit_5, &id, &sent, &err), -EPROTO);
    assert_true(sent);
    assert_string_equal(err.trace, "trace-of-header");
    end(api, script);
}

static void a_bad_pattern_is_not_sent(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, ACCEPTED_STEP);
    struct api *api = api_of(script);
    const struct pattern bad = { PATTERN_HEX, "4D??9000" };
    struct request_id id;
    bool sent = true;

    assert_int_equal(api_exact(api, &bad, 1, &limit_5, &id, &sent, NULL), -EINVAL);
    assert_false(sent);
    assert_int_equal(script_count(script, ""), 0);
    end(api, script);
}

/* Polls once; the service answers so. */
static int poll(int status, const char *body, struct api_result *result)
{
    struct script *script =
        SCRIPT(TOKEN_FOREVER,
               { .match = "GET /malquery/entities/requests/v1?ids=" REQID " ", .status = status, .body = body });
    struct api *api = api_of(script);
    struct request_id id;
    int r;

    assert_true(request_id_parse(REQID, &id));
    r = api_request(api, &id, result, NULL);
    end(api, script);
    return r;
}

static void a_finished_request_has_results_and_its_raw_answer(void **state)
{
    (void)state;
    static const char body[] = "{\"meta\":{\"status\":\"done\"},\"resources\":[{\"sha256\":\"" SHA_A "\"}]}";
    struct api_result result = { 0 };

    assert_int_equal(poll(200, body, &result), 0);
    assert_int_equal(result.state, REQUEST_DONE);
    assert_int_equal(result.samples.n, 1);
    assert_string_equal(buf_text(&result.raw), body);
    api_result_done(&result);
}

static void an_unknown_request_is_absent(void **state)
{
    (void)state;
    static const int statuses[] = { 400, 404, 410 };
    struct api_result result = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        assert_int_equal(poll(statuses[i], "{\"errors\":[{\"code\":404,\"message\":\"no\"}]}", &result), API_ABSENT);
}

static void a_missing_scope_is_not_an_unknown_request(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(poll(403, "{}", &result), -EACCES);
}

static void a_fuzzy_search_sends_only_the_limit_and_is_done_at_once(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "POST /malquery/combined/fuzzy-search/v1 ",
                                                    .status = 200,
                                                    .body = "{\"resources\":[{\"sha256\":\"" SHA_A "\"}]}" });
    struct api *api = api_of(script);
    struct query_options options = limit_5;
    struct api_result result = { 0 };

    options.min_size_bytes = 7;
    assert_int_equal(api_fuzzy(api, &mz, 1, &options, &result, NULL), 0);
    assert_int_equal(result.state, REQUEST_DONE);
    assert_string_equal(script_body(script, "POST /malquery"),
                        "{\"options\":{\"limit\":5},\"patterns\":[{\"type\":\"hex\",\"value\":\"4d5a9000\"}]}");
    api_result_done(&result);
    end(api, script);
}

/* Of either kind: the text that callers compare and show is what goes out. */
static void a_search_posts_the_text_of_its_encoder(void **state)
{
    (void)state;
    static const struct pattern patterns[] = { { PATTERN_HEX, "4D 5a 90 00" }, { PATTERN_WIDE, "\"\u00e4/\n\"" } };
    struct script *script =
        SCRIPT(TOKEN_FOREVER, { .match = "POST /malquery/combined/", .status = 200, .body = "{\"resources\":[]}" },
               ACCEPTED_STEP);
    struct api *api = api_of(script);
    struct query_options options = limit_5;
    struct buf exact = BUF_INIT(API_BODY_MAX);
    struct buf fuzzy = BUF_INIT(API_BODY_MAX);
    struct api_result result = { 0 };
    struct request_id id;
    bool sent;

    options.max_date_s = 0;
    assert_int_equal(api_exact(api, patterns, 2, &options, &id, &sent, NULL), 0);
    assert_int_equal(api_fuzzy(api, patterns, 2, &options, &result, NULL), 0);
    assert_int_equal(api_encode_search(&exact, QUERY_EXACT, patterns, 2, &options, NULL), 0);
    assert_int_equal(api_encode_search(&fuzzy, QUERY_FUZZY, patterns, 2, &options, NULL), 0);
    assert_string_equal(script_body(script, "POST /malquery/queries/exact-search/v1 "), buf_text(&exact));
    assert_string_equal(script_body(script, "POST /malquery/combined/fuzzy-search/v1 "), buf_text(&fuzzy));
    buf_done(&exact);
    buf_done(&fuzzy);
    api_result_done(&result);
    end(api, script);
}

static void a_fuzzy_search_is_free_and_repeated(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "POST /malquery", .end = SCRIPT_DROP },
                                   { .match = "POST /malquery", .status = 200, .body = "{}" });
    struct api *api = api_of(script);
    struct api_result result = { 0 };

    assert_int_equal(api_fuzzy(api, &mz, 1, &limit_5, &result, NULL), 0);
    api_result_done(&result);
    end(api, script);
}

static void an_error_inside_is_no_empty_result(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int r;
    } errors[] = { { "{\"errors\":[{\"code\":404}]}", -EPROTO }, { "{\"errors\":[{\"code\":500}]}", -EREMOTEIO } };

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct script *script =
            SCRIPT(TOKEN_FOREVER, { .match = "POST /malquery", .status = 200, .body = errors[i].body });
        struct api *api = api_of(script);
        struct api_result result = { 0 };

        assert_int_equal(api_fuzzy(api, &mz, 1, &limit_5, &result, NULL), errors[i].r);
        end(api, script);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hunt_sends_its_rule_and_returns_the_id),
        cmocka_unit_test(an_exact_search_sends_its_patterns),
        cmocka_unit_test(an_accepted_hunt_without_an_id_was_sent),
        cmocka_unit_test(a_bad_pattern_is_not_sent),
        cmocka_unit_test(a_finished_request_has_results_and_its_raw_answer),
        cmocka_unit_test(an_unknown_request_is_absent),
        cmocka_unit_test(a_missing_scope_is_not_an_unknown_request),
        cmocka_unit_test(a_fuzzy_search_sends_only_the_limit_and_is_done_at_once),
        cmocka_unit_test(a_search_posts_the_text_of_its_encoder),
        cmocka_unit_test(a_fuzzy_search_is_free_and_repeated),
        cmocka_unit_test(an_error_inside_is_no_empty_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
