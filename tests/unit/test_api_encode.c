#include "test_api_script.h"

#include "model/search.h"
#include "util/text.h"

#define RULE "rule r { condition: true }"

static const struct query_options none = QUERY_OPTIONS_NONE;

static void assert_body(struct buf *body, const char *expected)
{
    assert_string_equal(buf_text(body), expected);
    buf_done(body);
}

static int64_t date(const char *text)
{
    int64_t s;

    assert_true(text_parse_date(text, &s));
    return s;
}

static void a_hunt_has_options_and_the_rule(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(API_BODY_MAX);

    assert_int_equal(api_encode_hunt(&body, RULE, strlen(RULE), &none, NULL), 0);
    assert_body(&body, "{\"options\":{\"limit\":1000},\"yara_rule\":\"" RULE "\"}");
}

static void all_options_are_in_the_strictest_spelling(void **state)
{
    (void)state;
    struct query_options options = none;
    struct buf body = BUF_INIT(API_BODY_MAX);

    options.limit = 50;
    options.n_filetypes = 2;
    (void)text_copy(options.filetypes[0], sizeof options.filetypes[0], "PE32");
    (void)text_copy(options.filetypes[1], sizeof options.filetypes[1], "java.arc");
    options.min_size_bytes = 0;
    options.max_size_bytes = 819200;
    options.min_date_s = date("2024-01-01");
    options.max_date_s = date("2024/12/31");
    options.submitted_by_customer = 1;
    assert_int_equal(api_encode_hunt(&body, RULE, strlen(RULE), &options, NULL), 0);
    assert_body(&body, "{\"options\":{\"limit\":50,\"filter_filetypes\":[\"pe32\",\"java.arc\"],\"min_size\":\"0\","
                       "\"max_size\":\"819200\",\"min_date\":\"2024/01/01\",\"max_date\":\"2024/12/31\","
                       "\"submitted_by_customer\":true},\"yara_rule\":\"" RULE "\"}");
}

static void a_rule_is_escaped_and_otherwise_unchanged(void **state)
{
    (void)state;
    static const char rule[] = "rule r { strings: $a = \"a\\\\b\"\r\n// ä/\x01\n condition: $a }";
    struct buf body = BUF_INIT(API_BODY_MAX);

    assert_int_equal(api_encode_hunt(&body, rule, strlen(rule), &none, NULL), 0);
    assert_body(&body, "{\"options\":{\"limit\":1000},\"yara_rule\":\"rule r { strings: $a = "
                       "\\\"a\\\\\\\\b\\\"\\r\\n// ä/\\u0001\\n condition: $a }\"}");
}

static void a_rule_that_is_no_text_is_refused(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(API_BODY_MAX);

    assert_int_equal(api_encode_hunt(&body, "", 0, &none, NULL), -EINVAL);
    assert_int_equal(api_encode_hunt(&body, "a\xff", 2, &none, NULL), -EINVAL);
    assert_int_equal(api_encode_hunt(&body, "a\0b", 3, &none, NULL), -EINVAL);
}

static void a_rule_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    static char rule[QUERY_RULE_MAX + 1];
    struct buf body = BUF_INIT(API_BODY_MAX);

    memset(rule, '\x01', sizeof rule);
    assert_int_equal(api_encode_hunt(&body, rule, sizeof rule, &none, NULL), -EFBIG);
    assert_int_equal(api_encode_hunt(&body, rule, sizeof rule - 1, &none, NULL), 0); /* six bytes for each */
    buf_done(&body);
}

static void a_limit_that_the_service_does_not_take_is_refused(void **state)
{
    (void)state;
    static const int32_t limits[] = { -1, 0, QUERY_LIMIT_MAX + 1 };
    struct query_options options = none;
    struct buf body = BUF_INIT(API_BODY_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        options.limit = limits[i];
        assert_int_equal(api_encode_hunt(&body, RULE, strlen(RULE), &options, NULL), -EINVAL);
    }
}

static void patterns_have_a_kind_and_a_value(void **state)
{
    (void)state;
    static const struct pattern patterns[] = { { PATTERN_HEX, " 89 48\t20 8B " },
                                               { PATTERN_ASCII, "Trick \"Bot\"" },
                                               { PATTERN_WIDE, "ab" } };
    struct buf body = BUF_INIT(API_BODY_MAX);

    assert_int_equal(api_encode_search(&body, QUERY_EXACT, patterns, 3, &none, NULL), 0);
    assert_body(&body, "{\"options\":{\"limit\":1000},\"patterns\":[{\"type\":\"hex\",\"value\":\"8948208b\"},"
                       "{\"type\":\"ascii\",\"value\":\"Trick \\\"Bot\\\"\"},{\"type\":\"wide\",\"value\":\"ab\"}]}");
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    static const struct pattern bad[] = {
        { PATTERN_HEX, "89482" }, { PATTERN_HEX, "894820" },     { PATTERN_HEX, "8948??20" }, { PATTERN_HEX, "" },
        { PATTERN_ASCII, "abc" }, { PATTERN_ASCII, "abcd\xff" }, { PATTERN_WIDE, "a" },
    };
    struct buf body = BUF_INIT(API_BODY_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(api_encode_search(&body, QUERY_EXACT, &bad[i], 1, &none, NULL), -EINVAL);
    assert_int_equal(body.n, 0);
}

static void a_search_without_patterns_is_refused(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(API_BODY_MAX);

    assert_int_equal(api_encode_search(&body, QUERY_EXACT, NULL, 0, &none, NULL), -EINVAL);
}

static void a_search_with_too_many_patterns_is_refused(void **state)
{
    (void)state;
    static struct pattern patterns[SEARCH_PATTERNS_MAX + 1];
    struct buf body = BUF_INIT(API_BODY_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
        patterns[i] = (struct pattern){ PATTERN_ASCII, "text" };
    assert_int_equal(api_encode_search(&body, QUERY_EXACT, patterns, SEARCH_PATTERNS_MAX + 1, &none, NULL), -EINVAL);
    assert_int_equal(api_encode_search(&body, QUERY_EXACT, patterns, SEARCH_PATTERNS_MAX, &none, NULL), 0);
    buf_done(&body);
}

static void a_fuzzy_search_has_only_a_limit(void **state)
{
    (void)state;
    static const struct pattern text = { PATTERN_ASCII, "text" };
    struct query_options options = none;
    struct buf exact = BUF_INIT(API_BODY_MAX);
    struct buf fuzzy = BUF_INIT(API_BODY_MAX);

    options.limit = 7;
    options.min_size_bytes = 5;
    assert_int_equal(api_encode_search(&exact, QUERY_EXACT, &text, 1, &options, NULL), 0);
    assert_body(&exact, "{\"options\":{\"limit\":7,\"min_size\":\"5\"},"
                        "\"patterns\":[{\"type\":\"ascii\",\"value\":\"text\"}]}");
    assert_int_equal(api_encode_search(&fuzzy, QUERY_FUZZY, &text, 1, &options, NULL), 0);
    assert_body(&fuzzy, "{\"options\":{\"limit\":7},\"patterns\":[{\"type\":\"ascii\",\"value\":\"text\"}]}");
}

static void a_search_may_stand_without_options(void **state)
{
    (void)state;
    static const struct pattern text = { PATTERN_ASCII, "text" };
    static const enum query_kind kinds[] = { QUERY_EXACT, QUERY_FUZZY };
    struct buf body = BUF_INIT(API_BODY_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        assert_int_equal(api_encode_search(&body, kinds[i], &text, 1, NULL, NULL), 0);
        assert_body(&body, "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"text\"}]}");
    }
}

static void a_search_is_limited_like_a_hunt(void **state)
{
    (void)state;
    static const struct pattern text = { PATTERN_ASCII, "text" };
    struct query_options options = none;
    struct buf body = BUF_INIT(API_BODY_MAX);

    options.limit = 0;
    assert_int_equal(api_encode_search(&body, QUERY_FUZZY, &text, 1, &options, NULL), -EINVAL);
    assert_int_equal(body.n, 0);
}

static void a_multi_download_has_a_limit(void **state)
{
    (void)state;
    static struct digest digests[API_MULTI_MAX + 1];
    struct buf body = BUF_INIT(API_BODY_MAX);

    assert_int_equal(api_encode_multi(&body, digests, 0, NULL), -EINVAL);
    assert_int_equal(api_encode_multi(&body, digests, API_MULTI_MAX + 1, NULL), -EINVAL);
    assert_int_equal(api_encode_multi(&body, digests, API_MULTI_MAX, NULL), 0);
    buf_done(&body);
}

static void a_sample_has_the_fields_of_the_service(void **state)
{
    (void)state;
    const struct sample sample = { .digest = digest_from(SHA_A),
                                   .size_bytes = 151552,
                                   .first_seen_s = date("2020/06/09"),
                                   .sha1 = "s1",
                                   .md5 = "m5",
                                   .filetype = "PE32",
                                   .label = "malware",
                                   .family = "a/\"b\"" };
    struct buf text = BUF_INIT(4096);

    api_encode_sample(&text, &sample);
    assert_body(&text, "{\"sha256\":\"" SHA_A "\",\"sha1\":\"s1\",\"md5\":\"m5\",\"filesize\":151552,"
                       "\"label\":\"malware\",\"family\":\"a/\\\"b\\\"\",\"first_seen\":\"2020/06/09\","
                       "\"filetype\":\"PE32\"}");
}

static void what_is_unknown_of_a_sample_is_left_out(void **state)
{
    (void)state;
    const struct sample sample = { .digest = digest_from(SHA_A),
                                   .size_bytes = SAMPLE_NO_SIZE,
                                   .first_seen_s = SAMPLE_NO_DATE };
    struct buf text = BUF_INIT(4096);

    api_encode_sample(&text, &sample);
    assert_body(&text, "{\"sha256\":\"" SHA_A "\"}");
}

static void a_string_is_json_whatever_its_bytes(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4096);

    api_encode_string(&text, "a\"b\\c\n\x01ä\xff\xc3");
    assert_body(&text, "\"a\\\"b\\\\c\\n\\u0001ä??\"");
}

static void a_string_may_be_empty(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4096);

    api_encode_string(&text, "");
    assert_body(&text, "\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hunt_has_options_and_the_rule),
        cmocka_unit_test(all_options_are_in_the_strictest_spelling),
        cmocka_unit_test(a_rule_is_escaped_and_otherwise_unchanged),
        cmocka_unit_test(a_rule_that_is_no_text_is_refused),
        cmocka_unit_test(a_rule_beyond_the_limit_is_refused),
        cmocka_unit_test(a_limit_that_the_service_does_not_take_is_refused),
        cmocka_unit_test(patterns_have_a_kind_and_a_value),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(a_search_without_patterns_is_refused),
        cmocka_unit_test(a_search_with_too_many_patterns_is_refused),
        cmocka_unit_test(a_fuzzy_search_has_only_a_limit),
        cmocka_unit_test(a_search_may_stand_without_options),
        cmocka_unit_test(a_search_is_limited_like_a_hunt),
        cmocka_unit_test(a_multi_download_has_a_limit),
        cmocka_unit_test(a_sample_has_the_fields_of_the_service),
        cmocka_unit_test(what_is_unknown_of_a_sample_is_left_out),
        cmocka_unit_test(a_string_is_json_whatever_its_bytes),
        cmocka_unit_test(a_string_may_be_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
