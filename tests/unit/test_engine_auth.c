#include "test_engine_fixture.h"

#include "engine/engine_auth.h"
#include "util/clock.h"

static int64_t now_ms = 1000;

static int64_t fake_mono_ms(void)
{
    return now_ms;
}

static int64_t fake_now_s(void)
{
    return now_ms / 1000;
}

static const struct clock_source fake = { .now_s = fake_now_s, .mono_ms = fake_mono_ms };

static struct engine_auth *start(unsigned scopes)
{
    struct engine_auth *auth = NULL;
    struct secret *id = NULL;
    struct secret *secret = NULL;

    clock_source_set(&fake);
    assert_int_equal(secret_new("id", 2, &id, NULL), 0);
    assert_int_equal(secret_new("secret", 6, &secret, NULL), 0);
    assert_int_equal(engine_auth_new(id, secret, scopes, 100, &auth, NULL), 0);
    secret_free(id);
    secret_free(secret);
    return auth;
}

static void only_the_whole_secret_is_right(void **unused)
{
    struct engine_auth *auth = start(SCOPE_READ);

    (void)unused;
    assert_true(engine_auth_is_client(auth, "id"));
    assert_false(engine_auth_is_client(auth, "id2"));
    assert_true(engine_auth_is_secret(auth, "secret"));
    assert_false(engine_auth_is_secret(auth, "secre"));
    assert_false(engine_auth_is_secret(auth, "secretx"));
    assert_false(engine_auth_is_secret(auth, ""));
    engine_auth_free(auth);
}

static void a_token_ends_with_its_lifetime(void **unused)
{
    struct engine_auth *auth = start(SCOPE_READ);
    struct engine_token_text token;

    (void)unused;
    assert_int_equal(engine_auth_issue(auth, &token, NULL), 0);
    assert_int_equal(engine_auth_scopes(auth, token.s), SCOPE_READ);
    now_ms += 100 * 1000 - 1;
    assert_int_equal(engine_auth_scopes(auth, token.s), SCOPE_READ);
    now_ms += 1;
    assert_int_equal(engine_auth_scopes(auth, token.s), 0);
    engine_auth_free(auth);
}

static void a_revoked_token_is_unknown_and_the_other_stays(void **unused)
{
    struct engine_auth *auth = start(SCOPE_READ | SCOPE_WRITE);
    struct engine_token_text a;
    struct engine_token_text b;

    (void)unused;
    assert_int_equal(engine_auth_issue(auth, &a, NULL), 0);
    assert_int_equal(engine_auth_issue(auth, &b, NULL), 0);
    assert_string_not_equal(a.s, b.s);
    assert_true(engine_auth_revoke(auth, a.s));
    assert_false(engine_auth_revoke(auth, a.s));
    assert_int_equal(engine_auth_scopes(auth, a.s), 0);
    assert_int_equal(engine_auth_scopes(auth, b.s), SCOPE_READ | SCOPE_WRITE);
    engine_auth_free(auth);
}

static void too_many_tokens_end_the_oldest(void **unused)
{
    struct engine_auth *auth = start(SCOPE_READ);
    struct engine_token_text first;
    struct engine_token_text last;

    (void)unused;
    assert_int_equal(engine_auth_issue(auth, &first, NULL), 0);
    for (int i = 0; i < ENGINE_TOKENS_MAX; i++)
        assert_int_equal(engine_auth_issue(auth, &last, NULL), 0);
    assert_int_equal(engine_auth_scopes(auth, first.s), 0);
    assert_int_equal(engine_auth_scopes(auth, last.s), SCOPE_READ);
    engine_auth_free(auth);
}

static void scopes_are_a_list_of_known_words(void **unused)
{
    unsigned scopes = 0;

    (void)unused;
    assert_true(engine_auth_parse_scopes("read,write", &scopes));
    assert_int_equal(scopes, SCOPE_READ | SCOPE_WRITE);
    assert_true(engine_auth_parse_scopes("write", &scopes));
    assert_int_equal(scopes, SCOPE_WRITE);
    assert_false(engine_auth_parse_scopes("", &scopes));
    assert_false(engine_auth_parse_scopes("read,admin", &scopes));
    assert_false(engine_auth_parse_scopes("rea", &scopes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_whole_secret_is_right),
        cmocka_unit_test(a_token_ends_with_its_lifetime),
        cmocka_unit_test(a_revoked_token_is_unknown_and_the_other_stays),
        cmocka_unit_test(too_many_tokens_end_the_oldest),
        cmocka_unit_test(scopes_are_a_list_of_known_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
