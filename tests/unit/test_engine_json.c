#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_json.h"

static int parse(const char *text, json_object **value)
{
    return engine_json_parse(text, strlen(text), value, NULL);
}

static void hostile_texts_are_refused(void **unused)
{
    static const char *const bad[] = { "",     "{",        "{\"a\":1}x", "{\"a\":1}{}", "{a:1}",
                                       "[1,]", "\"\xff\"", "nul",        "// a\n1",     "{\"a\":\"\xc3\"}" };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_object *value = NULL;

        if (parse(bad[i], &value) != -EPROTO)
            fail_msg("accepted: %s", bad[i]);
        assert_null(value);
    }
}

static void characters_beyond_ascii_are_taken(void **unused)
{
    json_object *value = NULL;

    (void)unused;
    assert_int_equal(parse("\"\u00e4 \u20ac \U0001f600 \\u00e4\"", &value), 0);
    assert_string_equal(json_object_get_string(value), "\u00e4 \u20ac \U0001f600 \u00e4");
    json_object_putp(&value);
    assert_int_equal(parse("\"\\\u00e4\"", &value), -EPROTO); /* an escape that there is not */
}

static void nesting_has_a_limit(void **unused)
{
    char text[2 * ENGINE_JSON_DEPTH_MAX + 3];
    json_object *value = NULL;

    (void)unused;
    for (int depth = 1; depth <= ENGINE_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        if (depth < ENGINE_JSON_DEPTH_MAX) {
            assert_int_equal(parse(text, &value), 0);
            json_object_putp(&value);
        }
    }
    assert_int_equal(parse(text, &value), -EPROTO);
}

static void a_bare_number_is_a_value(void **unused)
{
    json_object *value = NULL;

    (void)unused;
    assert_int_equal(parse("12", &value), 0);
    assert_int_equal(json_object_get_int(value), 12);
    json_object_putp(&value);
}

static void output_has_one_blank_per_level_and_keeps_the_order(void **unused)
{
    struct buf out = BUF_INIT(4096);
    json_object *value = NULL;

    (void)unused;
    assert_int_equal(parse("{\"z\":[1,{\"a\":\"x/\\\"y\"}],\"e\":[],\"o\":{},\"n\":null,\"b\":true}", &value), 0);
    engine_json_write(&out, value);
    assert_string_equal(buf_text(&out),
                        "{\n \"z\": [\n  1,\n  {\n   \"a\": \"x/\\\"y\"\n  }\n ],\n \"e\": [],\n \"o\": {},\n"
                        " \"n\": null,\n \"b\": true\n}\n");
    json_object_putp(&value);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_texts_are_refused),
        cmocka_unit_test(characters_beyond_ascii_are_taken),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(a_bare_number_is_a_value),
        cmocka_unit_test(output_has_one_blank_per_level_and_keeps_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
