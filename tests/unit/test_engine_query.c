#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_query.h"
#include "util/text.h"

#define RULE "\"yara_rule\":\"rule a { condition: true }\""

static int parse(enum query_kind kind, const char *text, struct engine_query *query, struct err *err)
{
    cleanup_(json_object_putp) json_object *body = NULL;

    assert_int_equal(engine_json_parse(text, strlen(text), &body, NULL), 0);
    return engine_query_parse(kind, body, query, err);
}

static void expect_bad(enum query_kind kind, const char *text)
{
    struct engine_query query;
    struct err err = { 0 };

    if (parse(kind, text, &query, &err) != -EINVAL)
        fail_msg("accepted: %s", text);
    assert_int_equal(err.code, EINVAL);
    engine_query_done(&query);
}

static int64_t date_of(const char *text)
{
    int64_t s = 0;

    assert_true(text_parse_date(text, &s));
    return s;
}

static void options_are_read(void **unused)
{
    struct engine_query query;

    (void)unused;
    assert_int_equal(
        parse(QUERY_HUNT,
              "{\"options\":{\"limit\":7,\"min_size\":\"1.5 KB\",\"max_size\":\"8mb\",\"min_date\":\"2014/01/01\","
              "\"max_date\":\"2014/01/31\",\"filter_filetypes\":[\"PE32\",\"pdf\"],\"filter_meta\":[\"sha256\","
              "\"type\",\"size\",\"nonsense\"],\"submitted_by_customer\":true,\"app\":5}," RULE "}",
              &query, NULL),
        0);
    assert_string_equal(query.rule, "rule a { condition: true }");
    assert_int_equal(query.limit, 7);
    assert_int_equal(query.min_size_bytes, 1536);
    assert_int_equal(query.max_size_bytes, 8 * MIB);
    assert_int_equal(query.min_date_s, date_of("2014/01/01"));
    assert_int_equal(query.max_date_s, date_of("2014/01/31"));
    assert_int_equal(query.n_types, 2);
    assert_int_equal(query.fields, FIELD_SHA256 | FIELD_FILETYPE | FIELD_FILESIZE);
    engine_query_done(&query);
}

static void limit_has_a_default_and_a_maximum(void **unused)
{
    static const struct {
        const char *text;
        int32_t limit;
    } cases[] = {
        { "{" RULE "}", 100 },
        { "{\"options\":{}," RULE "}", 100 },
        { "{\"options\":{\"limit\":0}," RULE "}", 100 },
        { "{\"options\":{\"limit\":10001}," RULE "}", 10000 },
        { "{\"options\":{\"limit\":9999999999999}," RULE "}", 10000 },
    };
    struct engine_query query;

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(parse(QUERY_HUNT, cases[i].text, &query, NULL), 0);
        assert_int_equal(query.limit, cases[i].limit);
        engine_query_done(&query);
    }
}

static void wrong_options_are_refused(void **unused)
{
    static const char *const options[] = {
        "[]",
        "\"x\"",
        "{\"limit\":-1}",
        "{\"limit\":\"5\"}",
        "{\"limit\":1.5}",
        "{\"min_size\":128000}",
        "{\"min_size\":\"-1\"}",
        "{\"max_size\":\"8 XB\"}",
        "{\"max_size\":\"99999999999999999999\"}",
        "{\"min_date\":\"2014-01-01\"}",
        "{\"min_date\":\"2014/1/1\"}",
        "{\"max_date\":\"2014/02/30\"}",
        "{\"max_date\":20140101}",
        "{\"filter_meta\":\"sha256\"}",
        "{\"filter_meta\":[1]}",
        "{\"filter_filetypes\":\"pe32\"}",
        "{\"filter_filetypes\":[null]}",
        "{\"submitted_by_customer\":\"yes\"}",
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        char text[256];

        (void)snprintf(text, sizeof text, "{\"options\":%s," RULE "}", options[i]);
        expect_bad(QUERY_HUNT, text);
    }
}

static void too_many_file_types_are_refused(void **unused)
{
    struct buf text = BUF_INIT(64 * KIB);

    (void)unused;
    buf_puts(&text, "{\"options\":{\"filter_filetypes\":[\"a\"");
    for (int i = 0; i < ENGINE_TYPES_MAX; i++)
        buf_puts(&text, ",\"a\"");
    buf_puts(&text, "]}," RULE "}");
    expect_bad(QUERY_HUNT, buf_text(&text));
    buf_done(&text);
}

static void bodies_without_a_target_are_refused(void **unused)
{
    (void)unused;
    expect_bad(QUERY_HUNT, "[]");
    expect_bad(QUERY_HUNT, "{}");
    expect_bad(QUERY_HUNT, "{\"yara_rule\":5}");
    expect_bad(QUERY_HUNT, "{\"yara_rule\":\"a\\u0000b\"}");
    expect_bad(QUERY_EXACT, "{}");
    expect_bad(QUERY_EXACT, "{\"patterns\":[]}");
    expect_bad(QUERY_EXACT, "{\"patterns\":{}}");
    expect_bad(QUERY_EXACT, "{\"patterns\":[\"deadbeef\"]}");
    expect_bad(QUERY_EXACT, "{\"patterns\":[{\"type\":\"hex\"}]}");
    expect_bad(QUERY_EXACT, "{\"patterns\":[{\"type\":\"HEX\",\"value\":\"deadbeef\"}]}");
    expect_bad(QUERY_FUZZY, "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"abc\"}]}");
    expect_bad(QUERY_FUZZY,
               "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"abcd\"},{\"type\":\"hex\",\"value\":\"zz\"}]}");
    expect_bad(QUERY_MULTI, "{}");
    expect_bad(QUERY_MULTI, "{\"samples\":[]}");
    expect_bad(QUERY_MULTI, "{\"samples\":[\"abc\"]}");
    expect_bad(QUERY_MULTI, "{\"samples\":[7]}");
}

static void a_sample_asked_twice_counts_once(void **unused)
{
    struct engine_query query;

    (void)unused;
    assert_int_equal(parse(QUERY_MULTI,
                           "{\"samples\":[\"AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
                           "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\","
                           "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}",
                           &query, NULL),
                     0);
    assert_int_equal(query.n_samples, 2);
    engine_query_done(&query);
}

static void fuzzy_search_ignores_the_options_of_a_hunt(void **unused)
{
    struct engine_query query;

    (void)unused;
    assert_int_equal(
        parse(QUERY_FUZZY,
              "{\"options\":{\"limit\":3,\"min_size\":\"nonsense\"},\"patterns\":[{\"type\":\"ascii\",\"value\":"
              "\"abcd\"}]}",
              &query, NULL),
        0);
    assert_int_equal(query.limit, 3);
    assert_int_equal(query.min_size_bytes, -1);
    engine_query_done(&query);
}

static void filters_include_both_ends(void **unused)
{
    struct sample sample = { .size_bytes = 1000, .first_seen_s = date_of("2020/06/09"), .filetype = "PE32" };
    struct engine_query query = { .min_size_bytes = 1000,
                                  .max_size_bytes = 1000,
                                  .min_date_s = sample.first_seen_s,
                                  .max_date_s = sample.first_seen_s,
                                  .has_types = true,
                                  .n_types = 2,
                                  .types = { "bogus", "pe32" } };

    (void)unused;
    assert_true(engine_query_admits(&query, &sample));
    sample.size_bytes = 999;
    assert_false(engine_query_admits(&query, &sample));
    sample.size_bytes = 1001;
    assert_false(engine_query_admits(&query, &sample));
    sample.size_bytes = 1000;
    sample.first_seen_s = date_of("2020/06/08");
    assert_false(engine_query_admits(&query, &sample));
    sample.first_seen_s = date_of("2020/06/10");
    assert_false(engine_query_admits(&query, &sample));
    sample.first_seen_s = date_of("2020/06/09");
    memcpy(sample.filetype, "PDF", 4);
    assert_false(engine_query_admits(&query, &sample));
}

static void an_unknown_file_type_matches_nothing(void **unused)
{
    struct sample sample = { .filetype = "" };
    struct engine_query query;

    (void)unused;
    assert_int_equal(
        parse(QUERY_HUNT, "{\"options\":{\"filter_filetypes\":[\"averyveryverylongname\"]}," RULE "}", &query, NULL),
        0);
    assert_false(engine_query_admits(&query, &sample));
    engine_query_done(&query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(limit_has_a_default_and_a_maximum),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(too_many_file_types_are_refused),
        cmocka_unit_test(bodies_without_a_target_are_refused),
        cmocka_unit_test(a_sample_asked_twice_counts_once),
        cmocka_unit_test(fuzzy_search_ignores_the_options_of_a_hunt),
        cmocka_unit_test(filters_include_both_ends),
        cmocka_unit_test(an_unknown_file_type_matches_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
