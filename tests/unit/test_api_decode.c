#include "test_api_script.h"

#include "util/clock.h"

static struct buf body_of(const char *text)
{
    struct buf body = BUF_INIT(API_JSON_MAX);

    buf_puts(&body, text);
    return body;
}

static int decode_result(const char *text, struct api_result *result)
{
    struct buf body = body_of(text);
    struct err err = { 0 };
    int r = api_decode_result(&body, result, &err);

    buf_done(&body);
    return r;
}

static int decode_samples(const struct buf *body, struct api_samples *samples)
{
    int missing = 0;

    return api_decode_samples(body, samples, &missing, NULL);
}

/* The one sample of an answer. */
static struct sample sample_of(const char *members)
{
    struct buf body = BUF_INIT(API_JSON_MAX);
    struct api_samples samples = { 0 };
    struct sample sample;

    buf_printf(&body, "{\"resources\":[{\"sha256\":\"" SHA_A "\"%s}]}", members);
    assert_int_equal(decode_samples(&body, &samples), 0);
    assert_int_equal(samples.n, 1);
    sample = samples.items[0];
    api_samples_done(&samples);
    buf_done(&body);
    return sample;
}

static void an_observed_result_is_read(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(
        decode_result("{\"meta\":{\"query_time\":6360,\"trace_id\":\"x\",\"reqid\":\"" REQID
                      "\",\"reqtype\":\"hunt\",\"status\":\"done\",\"stats\":{\"clean_count\":0,\"malware_count\":4,"
                      "\"pua_count\":0,\"total_count\":5,\"unknown_count\":1}},\"resources\":[{\"sha256\":\"" SHA_B
                      "\",\"sha1\":\"2ca2622317bc840bf890d1e337d2c547be2cfebf\",\"md5\":"
                      "\"688bdedf1f9dd44d6db51a7f8499939c\",\"filesize\":245760,\"family\":\"Stonedrill\","
                      "\"first_seen\":\"2019/03/12\",\"filetype\":\"PE32\",\"label\":\"malware\",\"samples\":[]}]}",
                      &result),
        0);
    assert_int_equal(result.state, REQUEST_DONE);
    assert_true(result.has_stats);
    assert_int_equal(result.stats.malware, 4);
    assert_int_equal(result.stats.total, 5);
    assert_int_equal(result.samples.n, 1);
    assert_string_equal(digest_format(&result.samples.items[0].digest).s, SHA_B);
    assert_string_equal(result.samples.items[0].sha1, "2ca2622317bc840bf890d1e337d2c547be2cfebf");
    assert_string_equal(result.samples.items[0].md5, "688bdedf1f9dd44d6db51a7f8499939c");
    assert_int_equal(result.samples.items[0].size_bytes, 245760);
    assert_string_equal(result.samples.items[0].family, "Stonedrill");
    assert_string_equal(clock_date(result.samples.items[0].first_seen_s).s, "2019/03/12");
    assert_string_equal(result.samples.items[0].filetype, "PE32");
    assert_string_equal(result.samples.items[0].label, "malware");
    api_result_done(&result);
}

static void only_hunts_and_searches_say_that_they_are_one(void **state)
{
    static const struct {
        const char *meta;
        bool is_search;
    } answers[] = {
        { "{\"meta\":{\"reqtype\":\"hunt\"}}", true },
        { "{\"meta\":{\"reqtype\":\"Search\"}}", true },
        { "{\"meta\":{\"reqtype\":\"download\"}}", false },
        { "{\"meta\":{\"reqtype\":\"\"}}", false },
        { "{\"meta\":{\"reqtype\":7}}", false },
        { "{\"meta\":{}}", false },
        { "{}", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct api_result result = { 0 };

        assert_int_equal(decode_result(answers[i].meta, &result), 0);
        assert_int_equal(result.is_search, answers[i].is_search);
        api_result_done(&result);
    }
}

static void an_unknown_or_missing_state_is_in_progress(void **state)
{
    (void)state;
    static const char *const texts[] = { "{}", "{\"meta\":null}", "{\"meta\":{\"status\":\"queued\"}}",
                                         "{\"meta\":{\"status\":7}}", "{\"meta\":[]}" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct api_result result = { 0 };

        assert_int_equal(decode_result(texts[i], &result), 0);
        assert_int_equal(result.state, REQUEST_INPROGRESS);
        assert_false(result.has_stats);
    }
}

static void a_failed_request_has_its_reason(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(decode_result("{\"meta\":{\"status\":\"failed\"},\"errors\":[{\"code\":500,\"message\":\"too "
                                   "slow\"}],\"resources\":[]}",
                                   &result),
                     0);
    assert_int_equal(result.state, REQUEST_FAILED);
    assert_string_equal(result.reason, "too slow");
}

static void no_state_and_a_404_inside_is_absent(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(decode_result("{\"meta\":{},\"errors\":[{\"code\":404,\"message\":\"no\"}]}", &result),
                     API_ABSENT);
}

static void no_state_and_another_error_inside_is_the_services_failure(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(decode_result("{\"errors\":[{\"code\":500,\"message\":\"away\"}],\"resources\":[]}", &result),
                     -EREMOTEIO);
}

static void what_is_no_json_object_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const texts[] = { "",    "null", "[]",     "\"x\"", "{",         "{\"a\":",
                                         "{}x", "7",    "<html>", "{} {}", "{\"a\":1}]" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct api_result result = { 0 };

        assert_int_equal(decode_result(texts[i], &result), -EPROTO);
    }
}

static void blanks_at_the_end_are_fine(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(decode_result("{}\r\n \t", &result), 0);
}

static void bytes_behind_a_nul_are_a_protocol_error(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(64);
    struct api_samples samples = { 0 };

    buf_append(&body, "{}\0{}", 5);
    assert_int_equal(decode_samples(&body, &samples), -EPROTO);
    buf_done(&body);
}

/* Brackets behind a quote that only a lenient parser ends would not be counted, and cost a kilobyte of memory each. */
static void what_is_not_quite_json_is_a_protocol_error(void **state)
{
    static const char *const bodies[] = { "{\"a\":['\"',{},{}]}", "{'\"':{},\"b\":1}", "{\"a\":1}/* { */",
                                          "{/* \" */\"a\":{}}", "{'a':1}" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct buf body = BUF_INIT(256);
        struct api_samples samples = { 0 };

        buf_puts(&body, bodies[i]);
        assert_int_equal(decode_samples(&body, &samples), -EPROTO);
        buf_done(&body);
    }
}

static void deep_nesting_is_beyond_a_limit(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(1024);
    struct api_samples samples = { 0 };

    buf_puts(&body, "{\"a\":");
    for (int i = 0; i < API_JSON_DEPTH; i++)
        buf_putc(&body, '[');
    for (int i = 0; i < API_JSON_DEPTH; i++)
        buf_putc(&body, ']');
    buf_putc(&body, '}');
    assert_int_equal(decode_samples(&body, &samples), -EFBIG);
    buf_done(&body);
}

static void a_flood_of_objects_is_beyond_a_limit(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(API_JSON_MAX);
    struct api_samples samples = { 0 };

    buf_puts(&body, "{\"resources\":[{}");
    for (int i = 0; i < API_JSON_NODES_MAX; i++)
        buf_puts(&body, ",{}");
    buf_puts(&body, "]}");
    assert_int_equal(decode_samples(&body, &samples), -EFBIG);
    buf_done(&body);
}

static void brackets_in_a_text_do_not_count(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(API_JSON_MAX);
    struct api_samples samples = { 0 };

    buf_puts(&body, "{\"meta\":{\"yara_rule\":\"\\\"");
    for (int i = 0; i <= API_JSON_NODES_MAX; i++)
        buf_putc(&body, '{');
    buf_puts(&body, "\"}}");
    assert_int_equal(decode_samples(&body, &samples), 0);
    buf_done(&body);
}

static void too_many_results_are_beyond_a_limit(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(API_JSON_MAX);
    struct api_samples samples = { 0 };

    buf_puts(&body, "{\"resources\":[0");
    for (int i = 0; i < API_RESULTS_MAX; i++)
        buf_puts(&body, ",0");
    buf_puts(&body, "]}");
    assert_int_equal(decode_samples(&body, &samples), -EFBIG);
    buf_done(&body);
}

static void an_item_without_a_digest_is_dropped(void **state)
{
    (void)state;
    struct buf body = body_of("{\"resources\":[null,7,{},{\"sha256\":null},{\"sha256\":\"" SHA_A
                              "0\"},{\"sha256\":\"zz\"},{\"sha256\":\"" SHA_B "\"}]}");
    struct api_samples samples = { 0 };

    assert_int_equal(decode_samples(&body, &samples), 0);
    assert_int_equal(samples.n, 1);
    assert_string_equal(digest_format(&samples.items[0].digest).s, SHA_B);
    api_samples_done(&samples);
    buf_done(&body);
}

static void absent_members_are_unknown(void **state)
{
    (void)state;
    struct sample sample = sample_of("");

    assert_int_equal(sample.size_bytes, SAMPLE_NO_SIZE);
    assert_true(sample.first_seen_s == SAMPLE_NO_DATE);
    assert_string_equal(sample.sha1, "");
    assert_string_equal(sample.family, "");
}

static void members_of_another_type_are_unknown(void **state)
{
    (void)state;
    struct sample sample = sample_of(",\"filesize\":[],\"first_seen\":7,\"label\":{},\"family\":null,\"md5\":true");

    assert_int_equal(sample.size_bytes, SAMPLE_NO_SIZE);
    assert_true(sample.first_seen_s == SAMPLE_NO_DATE);
    assert_string_equal(sample.label, "");
    assert_string_equal(sample.family, "");
    assert_string_equal(sample.md5, "");
}

static void impossible_sizes_are_unknown(void **state)
{
    (void)state;
    static const char *const sizes[] = {
        "-1", "-9223372036854775808", "9223372036854775807", "99999999999999999999", "1.5", "1e300", "\"x\""
    };
    char members[64];

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        snprintf(members, sizeof members, ",\"filesize\":%s", sizes[i]);
        assert_int_equal(sample_of(members).size_bytes, SAMPLE_NO_SIZE);
    }
}

static void sizes_have_64_bits_and_several_spellings(void **state)
{
    (void)state;
    static const char *const sizes[] = { "5000000000", "5e9", "\"5000000000\"" };
    char members[64];

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        snprintf(members, sizeof members, ",\"filesize\":%s", sizes[i]);
        assert_true(sample_of(members).size_bytes == 5000000000);
    }
}

static void foreign_bytes_in_a_text_are_replaced(void **state)
{
    (void)state;
    struct sample sample = sample_of(",\"family\":\"a\\nb\\u0000c\xff\xc3\xa4\x7f\"");

    assert_string_equal(sample.family, "a?b?c?\xc3\xa4?");
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    /* 15 two-byte characters and one that does not fit into SAMPLE_TYPE_MAX = 31 bytes */
    struct sample sample = sample_of(",\"filetype\":\"ääääääääääääääääää\"");

    assert_string_equal(sample.filetype, "äääääääääääääää");
}

static void hashes_are_hex_of_their_length_in_lower_case(void **state)
{
    (void)state;
    struct sample sample = sample_of(",\"md5\":\"688BDEDF1F9DD44D6DB51A7F8499939C\",\"sha1\":\"688bdedf\"");

    assert_string_equal(sample.md5, "688bdedf1f9dd44d6db51a7f8499939c");
    assert_string_equal(sample.sha1, "");
}

static void an_instant_counts_as_its_day(void **state)
{
    (void)state;
    assert_string_equal(clock_date(sample_of(",\"first_seen\":\"2020-06-09T10:11:12Z\"").first_seen_s).s, "2020/06/09");
}

static void stats_stay_in_their_range(void **state)
{
    (void)state;
    struct api_result result = { 0 };

    assert_int_equal(decode_result("{\"meta\":{\"stats\":{\"total_count\":99999999999,\"clean_count\":-5}}}", &result),
                     0);
    assert_int_equal(result.stats.total, INT32_MAX);
    assert_int_equal(result.stats.clean, 0);
}

static void a_fault_has_its_words_and_trace(void **state)
{
    (void)state;
    struct buf body =
        body_of("{\"meta\":{\"trace_id\":\"t1\"},\"errors\":[{\"code\":400,\"message\":\"Invalid\\nx\"}]}");
    struct api_fault fault;

    api_decode_fault(&body, &fault);
    assert_true(fault.is_json);
    assert_int_equal(fault.code, 400);
    assert_string_equal(fault.message, "Invalid?x");
    assert_string_equal(fault.trace, "t1");
    buf_done(&body);
}

static void a_fault_may_say_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = { "{\"errors\":null}", "{\"errors\":[]}", "{\"errors\":[null]}",
                                         "{\"errors\":\"x\"}", "{\"errors\":{\"0\":1}}" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct buf body = body_of(texts[i]);
        struct api_fault fault;

        api_decode_fault(&body, &fault);
        assert_true(fault.is_json);
        assert_string_equal(fault.message, "");
        buf_done(&body);
    }
}

static int decode_token(const char *text, struct secret **bearer, int64_t *life_s)
{
    struct buf body = body_of(text);
    int r = api_decode_token(&body, bearer, life_s, NULL);

    buf_done(&body);
    return r;
}

static void a_token_becomes_a_header(void **state)
{
    (void)state;
    struct secret *bearer = NULL;
    int64_t life_s = 0;

    assert_int_equal(decode_token("{\"access_token\":\"ab.c\",\"expires_in\":600}", &bearer, &life_s), 0);
    assert_string_equal(secret_text(bearer), "Bearer ab.c");
    assert_int_equal(life_s, 600);
    secret_free(bearer);
}

static void a_life_that_is_not_said_is_half_an_hour(void **state)
{
    (void)state;
    struct secret *bearer = NULL;
    int64_t life_s = 0;

    assert_int_equal(decode_token("{\"access_token\":\"a\"}", &bearer, &life_s), 0);
    assert_int_equal(life_s, API_TOKEN_LIFE_S);
    secret_free(bearer);
}

static void a_life_has_a_limit(void **state)
{
    (void)state;
    struct secret *bearer = NULL;
    int64_t life_s = 0;

    assert_int_equal(decode_token("{\"access_token\":\"a\",\"expires_in\":9223372036854775807}", &bearer, &life_s), 0);
    assert_int_equal(life_s, API_TOKEN_LIFE_MAX_S);
    secret_free(bearer);
}

static void a_request_id_need_not_be_a_uuid(void **state)
{
    (void)state;
    struct buf body = body_of("{\"meta\":{\"reqid\":\"FC4DB762-288c-40cc-0f4f-4f19b65649a8\"}}");
    struct request_id id;

    assert_int_equal(api_decode_reqid(&body, &id, NULL), 0);
    assert_string_equal(id.s, "fc4db762-288c-40cc-0f4f-4f19b65649a8");
    buf_done(&body);
}

static void a_request_id_of_another_shape_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const texts[] = { "{}", "{\"meta\":{\"reqid\":7}}", "{\"meta\":{\"reqid\":\"../../x\"}}",
                                         "{\"meta\":{\"reqid\":\"" REQID "0\"}}" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct buf body = body_of(texts[i]);
        struct request_id id;

        assert_int_equal(api_decode_reqid(&body, &id, NULL), -EPROTO);
        buf_done(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_observed_result_is_read),
        cmocka_unit_test(only_hunts_and_searches_say_that_they_are_one),
        cmocka_unit_test(an_unknown_or_missing_state_is_in_progress),
        cmocka_unit_test(a_failed_request_has_its_reason),
        cmocka_unit_test(no_state_and_a_404_inside_is_absent),
        cmocka_unit_test(no_state_and_another_error_inside_is_the_services_failure),
        cmocka_unit_test(what_is_no_json_object_is_a_protocol_error),
        cmocka_unit_test(blanks_at_the_end_are_fine),
        cmocka_unit_test(bytes_behind_a_nul_are_a_protocol_error),
        cmocka_unit_test(what_is_not_quite_json_is_a_protocol_error),
        cmocka_unit_test(deep_nesting_is_beyond_a_limit),
        cmocka_unit_test(a_flood_of_objects_is_beyond_a_limit),
        cmocka_unit_test(brackets_in_a_text_do_not_count),
        cmocka_unit_test(too_many_results_are_beyond_a_limit),
        cmocka_unit_test(an_item_without_a_digest_is_dropped),
        cmocka_unit_test(absent_members_are_unknown),
        cmocka_unit_test(members_of_another_type_are_unknown),
        cmocka_unit_test(impossible_sizes_are_unknown),
        cmocka_unit_test(sizes_have_64_bits_and_several_spellings),
        cmocka_unit_test(foreign_bytes_in_a_text_are_replaced),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(hashes_are_hex_of_their_length_in_lower_case),
        cmocka_unit_test(an_instant_counts_as_its_day),
        cmocka_unit_test(stats_stay_in_their_range),
        cmocka_unit_test(a_fault_has_its_words_and_trace),
        cmocka_unit_test(a_fault_may_say_nothing),
        cmocka_unit_test(a_token_becomes_a_header),
        cmocka_unit_test(a_life_that_is_not_said_is_half_an_hour),
        cmocka_unit_test(a_life_has_a_limit),
        cmocka_unit_test(a_request_id_need_not_be_a_uuid),
        cmocka_unit_test(a_request_id_of_another_shape_is_a_protocol_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
