#include "test_api_script.h"

#include "util/clock.h"

enum { CALLERS = 16 };

#define QUOTAS_STEP                                                                                                    \
    {                                                                                                                  \
        .match = "GET /malquery/aggregates", .status = 200, .body = "{\"meta\":{\"hunt_limit\":1}}", .times = -1       \
    }

enum { DAY_S = 24 * 3600 };

static int64_t fake_s = 1753200000; /* that went by */
static int64_t fake_step_s;         /* by which somebody set the calendar */
static int64_t fake_suspended_s;    /* of it */

static int64_t fake_now_s(void)
{
    return fake_s + fake_step_s;
}

static int64_t fake_mono_ms(void)
{
    return (fake_s - fake_suspended_s) * 1000;
}

static int64_t fake_boot_ms(void)
{
    return fake_s * 1000;
}

static const struct clock_source fake = { .now_s = fake_now_s, .mono_ms = fake_mono_ms, .boot_ms = fake_boot_ms };

static int use_fake_clock(void **state)
{
    (void)state;
    fake_step_s = 0;
    fake_suspended_s = 0;
    clock_source_set(&fake);
    return 0;
}

static int use_real_clock(void **state)
{
    (void)state;
    clock_source_set(NULL);
    return 0;
}

static int ask_quotas(struct api *api, struct err *err)
{
    struct api_quotas quotas;

    return api_quotas(api, &quotas, NULL, err);
}

static int new_with(struct api_config config, struct err *err)
{
    struct api *api = NULL;
    int r = api_new(&config, secret_of("id"), secret_of("secret"), &api, err);

    api_free(api);
    return r;
}

/* The form. */

static void credentials_are_form_encoded(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER);
    struct api *api = api_of(script);

    assert_int_equal(api_login(api, NULL), 0);
    assert_string_equal(script_body(script, "POST /oauth2/token"), "client_id=id&client_secret=s%2Bcret");
    assert_non_null(
        strstr(script_head(script, "POST /oauth2/token"), "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
    end(api, script);
}

static void a_member_cid_goes_without_its_suffix_in_lower_case(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER);
    struct api *api =
        api_with((struct api_config){ .base_url = script->place, .member_cid = "0123456789ABCDEF0123456789ABCDEF-1F" });

    assert_int_equal(api_login(api, NULL), 0);
    assert_non_null(strstr(script_body(script, "POST"), "&member_cid=0123456789abcdef0123456789abcdef"));
    assert_null(strstr(script_body(script, "POST"), "-1F"));
    end(api, script);
}

static void a_bad_member_cid_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "x",
                                       "0123456789abcdef0123456789abcde",
                                       "0123456789abcdef0123456789abcdef-",
                                       "0123456789abcdef0123456789abcdefff",
                                       "0123456789abcdef0123456789abcdef-1F2",
                                       "0123456789abcdef0123456789abcdeg" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(new_with((struct api_config){ .base_url = "unix:/x", .member_cid = bad[i] }, NULL), -EINVAL);
}

/* Clouds. */

static void clouds_have_many_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *name;
    } rows[] = { { "us-1", "us-1" }, { "US1", "us-1" },        { " us-2\n", "us-2" },  { "us3", "us-3" },
                 { "EU-1", "eu-1" }, { "usgov1", "us-gov-1" }, { "gov1", "us-gov-1" }, { "GOV-2", "us-gov-2" },
                 { "auto", "us-1" }, { "", "us-1" },           { NULL, "us-1" },       { "autodiscover", "us-1" } };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct api *api = api_with((struct api_config){ .cloud = rows[i].given });
        char place[32];

        api_place(api, place, sizeof place);
        assert_string_equal(place, rows[i].name);
        api_free(api);
    }
}

static void an_unknown_cloud_is_refused(void **state)
{
    (void)state;
    struct err err = { 0 };

    assert_int_equal(new_with((struct api_config){ .cloud = "mars-1" }, &err), -EINVAL);
    assert_non_null(strstr(err.text, "mars-1"));
}

static void a_base_url_wins_over_the_cloud(void **state)
{
    (void)state;
    struct api *api = api_with((struct api_config){ .cloud = "eu-1", .base_url = "http://127.0.0.1:1/" });
    char place[32];

    api_place(api, place, sizeof place);
    assert_string_equal(place, "http://127.0.0.1:1");
    api_free(api);
}

static void plain_http_to_a_far_place_is_refused(void **state)
{
    (void)state;
    assert_int_equal(new_with((struct api_config){ .base_url = "http://api.example.com" }, NULL), -EINVAL);
}

static void no_credentials_are_refused(void **state)
{
    (void)state;
    const struct api_config config = { .cloud = "us-1" };
    struct api *api = NULL;

    assert_int_equal(api_new(&config, NULL, secret_of("x"), &api, NULL), -EINVAL);
}

/* Life of a token. */

static void a_token_is_used_again(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, QUOTAS_STEP);
    struct api *api = api_of(script);

    assert_int_equal(ask_quotas(api, NULL), 0);
    assert_int_equal(ask_quotas(api, NULL), 0);
    assert_int_equal(script_count(script, "POST /oauth2/token"), 1);
    end(api, script);
}

static size_t logins_after_s(int64_t wait_s)
{
    struct script *script = SCRIPT(TOKEN_FOREVER, QUOTAS_STEP);
    struct api *api = api_of(script);
    size_t n;

    assert_int_equal(ask_quotas(api, NULL), 0);
    fake_s += wait_s;
    assert_int_equal(ask_quotas(api, NULL), 0);
    n = script_count(script, "POST /oauth2/token");
    end(api, script);
    return n;
}

static void it_is_renewed_120_s_before_its_end(void **state)
{
    (void)state;
    assert_int_equal(logins_after_s(1799 - 120), 2);
}

static void and_not_earlier(void **state)
{
    (void)state;
    assert_int_equal(logins_after_s(1799 - 121), 1);
}

static size_t logins_after_a_step(int64_t step_s, int64_t wait_s)
{
    struct script *script = SCRIPT(TOKEN_FOREVER, QUOTAS_STEP);
    struct api *api = api_of(script);
    size_t n;

    assert_int_equal(ask_quotas(api, NULL), 0);
    fake_step_s += step_s;
    fake_s += wait_s;
    assert_int_equal(ask_quotas(api, NULL), 0);
    n = script_count(script, "POST /oauth2/token");
    end(api, script);
    return n;
}

static void setting_the_calendar_back_does_not_lengthen_its_life(void **state)
{
    (void)state;
    assert_int_equal(logins_after_a_step(-DAY_S, 1799 - 120), 2);
}

static void setting_the_calendar_ahead_does_not_end_it(void **state)
{
    (void)state;
    assert_int_equal(logins_after_a_step(DAY_S, 1), 1);
}

static void it_ages_while_the_machine_is_suspended(void **state)
{
    (void)state;
    fake_suspended_s = 3600;
    assert_int_equal(logins_after_s(3600), 2);
}

struct caller {
    struct api *api;
    int r;
};

static void *run_caller(void *closure)
{
    struct caller *caller = closure;

    caller->r = ask_quotas(caller->api, NULL);
    return NULL;
}

/* Sixteen calls at once; how many of them failed. */
static size_t failed_of_many(struct api *api)
{
    pthread_t threads[CALLERS];
    struct caller callers[CALLERS];
    size_t failed = 0;

    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){ .api = api };
        assert_int_equal(pthread_create(&threads[i], NULL, run_caller, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        failed += callers[i].r != 0;
    }
    return failed;
}

static void sixteen_callers_share_one_fetch(void **state)
{
    (void)state;
    struct script_step slow = TOKEN_FOREVER;

    slow.delay_ms = 100;
    struct script *script = SCRIPT(slow, QUOTAS_STEP);
    struct api *api = api_of(script);

    assert_int_equal(failed_of_many(api), 0);
    assert_int_equal(script_count(script, "POST /oauth2/token"), 1);
    end(api, script);
}

static void and_share_its_failure(void **state)
{
    (void)state;
    struct script *script =
        SCRIPT({ .match = "POST /oauth2/token", .status = 500, .body = "{}", .delay_ms = 100, .times = -1 });
    struct api *api = api_of(script);

    assert_int_equal(failed_of_many(api), CALLERS);
    assert_int_equal(script_count(script, "POST /oauth2/token"), 1);
    end(api, script);
}

/* Refusals. */

static int login_against(int status, const char *body, struct err *err)
{
    struct script *script = SCRIPT({ .match = "POST /oauth2/token", .status = status, .body = body, .times = -1 });
    struct api *api = api_of(script);
    int r = api_login(api, err);

    end(api, script);
    return r;
}

static void refused_credentials_are_ekeyrejected(void **state)
{
    (void)state;
    static const int statuses[] = { 400, 401, 403 };

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        assert_int_equal(login_against(statuses[i], "{}", NULL), -EKEYREJECTED);
}

static void the_words_do_not_repeat_the_client_id(void **state)
{
    (void)state;
    struct err err = { 0 };

    assert_int_equal(login_against(400, "{\"errors\":[{\"code\":400,\"message\":\"for clientID=id.\"}]}", &err),
                     -EKEYREJECTED);
    assert_null(strstr(err.text, "clientID"));
}

static void refused_credentials_are_tried_again_later_only(void **state)
{
    (void)state;
    struct script *script = SCRIPT({ .match = "POST /oauth2/token", .status = 403, .body = "{}" }, TOKEN_FOREVER);
    struct api *api = api_of(script);

    assert_int_equal(api_login(api, NULL), -EKEYREJECTED);
    assert_int_equal(api_login(api, NULL), -EKEYREJECTED);
    assert_int_equal(script_count(script, "POST /oauth2/token"), 1);
    fake_s += API_REJECTED_S;
    assert_int_equal(api_login(api, NULL), 0);
    end(api, script);
}

static void setting_the_calendar_back_does_not_lengthen_a_refusal(void **state)
{
    (void)state;
    struct script *script = SCRIPT({ .match = "POST /oauth2/token", .status = 403, .body = "{}" }, TOKEN_FOREVER);
    struct api *api = api_of(script);

    assert_int_equal(api_login(api, NULL), -EKEYREJECTED);
    fake_step_s -= DAY_S;
    fake_s += API_REJECTED_S;
    assert_int_equal(api_login(api, NULL), 0);
    end(api, script);
}

static void a_login_outlives_a_bad_gateway(void **state)
{
    (void)state;
    struct script *script = SCRIPT({ .match = "POST /oauth2/token", .status = 503 }, TOKEN_FOREVER);
    struct api *api = api_of(script);

    assert_int_equal(api_login(api, NULL), 0);
    end(api, script);
}

static void a_broken_login_service_is_eremoteio(void **state)
{
    (void)state;
    assert_int_equal(login_against(500, "<html>", NULL), -EREMOTEIO);
}

static void an_answer_without_a_token_is_eproto(void **state)
{
    (void)state;
    assert_int_equal(login_against(201, "{\"expires_in\":1799}", NULL), -EPROTO);
}

static void a_token_that_breaks_the_header_is_refused(void **state)
{
    (void)state;
    assert_int_equal(login_against(201, "{\"access_token\":\"a\\r\\nX: y\"}", NULL), -EPROTO);
}

/* Regions. */

/* Two clouds, us-1 and `second`; the first answers a login with `first_step`. */
struct pair {
    struct script *one;
    struct script *two;
    struct api_cloud clouds[2];
    struct api *api;
};

static void pair_start(struct pair *pair, struct script_step first_step, struct script_step second_step,
                       struct api_cloud second, bool is_auto)
{
    pair->one = SCRIPT(first_step);
    pair->two = SCRIPT(second_step);
    second.base = pair->two->place;
    pair->clouds[0] = (struct api_cloud){ "us-1", pair->one->place, true };
    pair->clouds[1] = second;
    pair->api = api_of(pair->one);
    pair->api->clouds = pair->clouds;
    pair->api->n_clouds = 2;
    pair->api->cloud = &pair->clouds[0];
    pair->api->is_auto = is_auto;
}

static void pair_end(struct pair *pair)
{
    api_free(pair->api);
    script_stop(pair->one);
    script_stop(pair->two);
}

static struct script_step moved(const char *headers)
{
    return (struct script_step){ .match = "POST /oauth2/token", .status = 308, .headers = headers, .times = -1 };
}

static void a_redirected_login_is_repeated_in_the_region(void **state)
{
    (void)state;
    struct pair pair;

    pair_start(&pair, moved("X-Cs-Region: us-2\r\n"), (struct script_step)TOKEN_FOREVER,
               (struct api_cloud){ "us-2", NULL, true }, false);
    assert_int_equal(api_login(pair.api, NULL), 0);
    assert_string_equal(script_body(pair.two, "POST"), "client_id=id&client_secret=s%2Bcret");
    pair_end(&pair);
}

static void a_login_is_moved_once_at_most(void **state)
{
    (void)state;
    struct pair pair;

    pair_start(&pair, moved("X-Cs-Region: us-2\r\n"), moved("X-Cs-Region: us-1\r\n"),
               (struct api_cloud){ "us-2", NULL, true }, false);
    assert_int_equal(api_login(pair.api, NULL), -EPROTO);
    assert_int_equal(script_count(pair.one, "") + script_count(pair.two, ""), 2);
    pair_end(&pair);
}

static void a_login_is_not_moved_to_an_unknown_region(void **state)
{
    (void)state;
    struct pair pair;
    char headers[200] = "";

    pair_start(&pair, moved(headers), (struct script_step)TOKEN_FOREVER, (struct api_cloud){ "us-2", NULL, true },
               true);
    snprintf(headers, sizeof headers, "X-Cs-Region: elsewhere\r\nLocation: %s/oauth2/token\r\n", pair.two->place);
    assert_int_equal(api_login(pair.api, NULL), -EPROTO);
    assert_int_equal(script_count(pair.two, ""), 0);
    pair_end(&pair);
}

static void a_login_is_not_moved_to_a_cloud_that_must_be_named(void **state)
{
    (void)state;
    struct pair pair;

    pair_start(&pair, moved("X-Cs-Region: us-gov-1\r\n"), (struct script_step)TOKEN_FOREVER,
               (struct api_cloud){ "us-gov-1", NULL, false }, true);
    assert_int_equal(api_login(pair.api, NULL), -EPROTO);
    assert_int_equal(script_count(pair.two, ""), 0);
    pair_end(&pair);
}

static void a_login_is_not_moved_away_from_such_a_cloud(void **state)
{
    (void)state;
    struct pair pair;

    pair_start(&pair, moved("X-Cs-Region: us-2\r\n"), (struct script_step)TOKEN_FOREVER,
               (struct api_cloud){ "us-2", NULL, true }, false);
    pair.clouds[0].is_discoverable = false;
    assert_int_equal(api_login(pair.api, NULL), -EPROTO);
    assert_int_equal(script_count(pair.two, ""), 0);
    pair_end(&pair);
}

static struct script_step token_of_us_2(void)
{
    struct script_step step = TOKEN_FOREVER;

    step.headers = "X-Cs-Region: us-2\r\n";
    return step;
}

static void auto_follows_the_region_of_a_token(void **state)
{
    (void)state;
    struct pair pair;

    pair_start(&pair, token_of_us_2(), token_of_us_2(), (struct api_cloud){ "us-2", NULL, true }, true);
    assert_int_equal(api_login(pair.api, NULL), 0);
    assert_int_equal(script_count(pair.two, "POST /oauth2/token"), 1);
    pair_end(&pair);
}

static void a_named_cloud_does_not(void **state)
{
    (void)state;
    struct pair pair;

    pair_start(&pair, token_of_us_2(), token_of_us_2(), (struct api_cloud){ "us-2", NULL, true }, false);
    assert_int_equal(api_login(pair.api, NULL), 0);
    assert_int_equal(script_count(pair.two, ""), 0);
    pair_end(&pair);
}

/* The end. */

static void a_token_is_revoked_at_the_end_even_after_cancel(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_STEP("a+b"), { .match = "POST /oauth2/revoke", .status = 200, .body = "{}" });
    struct api *api = api_of(script);

    assert_int_equal(api_login(api, NULL), 0);
    api_cancel(api);
    api_free(api);
    assert_string_equal(script_body(script, "POST /oauth2/revoke"), "token=a%2Bb");
    assert_non_null(strstr(script_head(script, "POST /oauth2/revoke"), "\r\nAuthorization: Basic aWQ6cytjcmV0\r\n"));
    script_stop(script);
}

static void a_token_of_a_service_that_ends_with_us_is_not_revoked(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER);
    struct api *api = api_with((struct api_config){ .base_url = script->place, .ends_with_us = true });

    assert_int_equal(api_login(api, NULL), 0);
    api_free(api);
    assert_int_equal(script_count(script, "POST /oauth2/revoke"), 0);
    script_stop(script);
}

static void a_stalled_revoke_ends_after_a_second(void **state)
{
    (void)state;
    struct script *script = SCRIPT(TOKEN_FOREVER, { .match = "POST /oauth2/revoke", .end = SCRIPT_STALL });
    struct api *api = api_of(script);
    int64_t before_ms = script_ms();

    assert_int_equal(api_login(api, NULL), 0);
    api_free(api);
    assert_true(script_ms() - before_ms < 3000);
    script_stop(script);
}

#define FAKE(test) cmocka_unit_test_setup_teardown(test, use_fake_clock, use_real_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_are_form_encoded),
        cmocka_unit_test(a_member_cid_goes_without_its_suffix_in_lower_case),
        cmocka_unit_test(a_bad_member_cid_is_refused),
        cmocka_unit_test(clouds_have_many_spellings),
        cmocka_unit_test(an_unknown_cloud_is_refused),
        cmocka_unit_test(a_base_url_wins_over_the_cloud),
        cmocka_unit_test(plain_http_to_a_far_place_is_refused),
        cmocka_unit_test(no_credentials_are_refused),
        cmocka_unit_test(a_token_is_used_again),
        FAKE(it_is_renewed_120_s_before_its_end),
        FAKE(and_not_earlier),
        FAKE(setting_the_calendar_back_does_not_lengthen_its_life),
        FAKE(setting_the_calendar_ahead_does_not_end_it),
        FAKE(it_ages_while_the_machine_is_suspended),
        FAKE(setting_the_calendar_back_does_not_lengthen_a_refusal),
        cmocka_unit_test(sixteen_callers_share_one_fetch),
        cmocka_unit_test(and_share_its_failure),
        cmocka_unit_test(refused_credentials_are_ekeyrejected),
        cmocka_unit_test(the_words_do_not_repeat_the_client_id),
        FAKE(refused_credentials_are_tried_again_later_only),
        cmocka_unit_test(a_login_outlives_a_bad_gateway),
        cmocka_unit_test(a_broken_login_service_is_eremoteio),
        cmocka_unit_test(an_answer_without_a_token_is_eproto),
        cmocka_unit_test(a_token_that_breaks_the_header_is_refused),
        cmocka_unit_test(a_redirected_login_is_repeated_in_the_region),
        cmocka_unit_test(a_login_is_moved_once_at_most),
        cmocka_unit_test(a_login_is_not_moved_to_an_unknown_region),
        cmocka_unit_test(a_login_is_not_moved_to_a_cloud_that_must_be_named),
        cmocka_unit_test(a_login_is_not_moved_away_from_such_a_cloud),
        cmocka_unit_test(auto_follows_the_region_of_a_token),
        cmocka_unit_test(a_named_cloud_does_not),
        cmocka_unit_test(a_token_is_revoked_at_the_end_even_after_cancel),
        cmocka_unit_test(a_token_of_a_service_that_ends_with_us_is_not_revoked),
        cmocka_unit_test(a_stalled_revoke_ends_after_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
