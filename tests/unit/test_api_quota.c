#include "test_api_script.h"

static int ask(const char *body, struct api_quotas *quotas, struct buf *raw, struct err *err)
{
    struct script *script =
        SCRIPT(TOKEN_FOREVER, { .match = "GET /malquery/aggregates/quotas/v1 ", .status = 200, .body = body });
    struct api *api = api_of(script);
    int r = api_quotas(api, quotas, raw, err);

    end(api, script);
    return r;
}

static void the_observed_answer_is_read(void **state)
{
    (void)state;
    struct api_quotas q = { 0 };

    assert_int_equal(
        ask("{\"meta\":{\"hunt_count\":45,\"download_count\":48,\"monitor_count\":0,\"hunt_limit\":100,"
            "\"download_limit\":50,\"monitor_limit\":10,\"refresh_time\":\"2020-07-01T00:00:00Z\",\"days_left\":3,"
            "\"hunt_counts\":[{\"userid\":\"\",\"counter\":45}]},\"errors\":[]}",
            &q, NULL, NULL),
        0);
    assert_int_equal(q.hunt_count, 45);
    assert_int_equal(q.hunt_limit, 100);
    assert_int_equal(q.download_count, 48);
    assert_int_equal(q.download_limit, 50);
    assert_int_equal(q.monitor_limit, 10);
    assert_int_equal(q.days_left, 3);
    assert_string_equal(q.refresh_time, "2020-07-01T00:00:00Z");
}

static void the_raw_answer_comes_as_it_is(void **state)
{
    (void)state;
    static const char body[] = "{ \"meta\": { \"hunt_limit\": 1 } }\n";
    struct api_quotas q;
    struct buf raw = BUF_INIT(1024);

    assert_int_equal(ask(body, &q, &raw, NULL), 0);
    assert_string_equal(buf_text(&raw), body);
    buf_done(&raw);
}

static void an_answer_without_quotas_is_no_zero_quota(void **state)
{
    (void)state;
    struct api_quotas q;

    assert_int_equal(ask("{\"meta\":{}}", &q, NULL, NULL), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_observed_answer_is_read),
        cmocka_unit_test(the_raw_answer_comes_as_it_is),
        cmocka_unit_test(an_answer_without_quotas_is_no_zero_quota),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
