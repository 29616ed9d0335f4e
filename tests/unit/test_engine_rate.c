#include "test_engine_fixture.h"

#include "engine/engine_rate.h"
#include "util/clock.h"

static int64_t now_ms = 1000000;

static int64_t fake_mono_ms(void)
{
    return now_ms;
}

static int64_t fake_now_s(void)
{
    return 5000 + now_ms / 1000;
}

static const struct clock_source fake = { .now_s = fake_now_s, .mono_ms = fake_mono_ms };

static struct engine_rate *start(int64_t data_max)
{
    struct engine_rate *rate = NULL;

    clock_source_set(&fake);
    assert_int_equal(engine_rate_new(data_max, ENGINE_RATE_UNAUTH, &rate, NULL), 0);
    return rate;
}

static void the_window_slides(void **unused)
{
    struct engine_rate *rate = start(2);
    struct engine_verdict verdict;

    (void)unused;
    assert_int_equal(engine_rate_take(rate, BUCKET_DATA, "a").remaining, 1);
    now_ms += 30000;
    assert_int_equal(engine_rate_take(rate, BUCKET_DATA, "b").remaining, 0);
    verdict = engine_rate_take(rate, BUCKET_DATA, "c");
    assert_false(verdict.is_allowed);
    assert_int_equal(verdict.limit, 2);
    assert_int_equal(verdict.remaining, 0);
    assert_int_equal(verdict.retry_after_s, fake_now_s() + 30);
    now_ms += 30000;
    assert_true(engine_rate_take(rate, BUCKET_DATA, "c").is_allowed);
    assert_false(engine_rate_take(rate, BUCKET_DATA, "c").is_allowed);
    engine_rate_free(rate);
}

static void peers_without_a_token_are_counted_apart(void **unused)
{
    struct engine_rate *rate = start(2);

    (void)unused;
    for (int i = 0; i < ENGINE_RATE_UNAUTH; i++)
        assert_true(engine_rate_take(rate, BUCKET_UNAUTH, "a").is_allowed);
    assert_false(engine_rate_take(rate, BUCKET_UNAUTH, "a").is_allowed);
    assert_true(engine_rate_take(rate, BUCKET_UNAUTH, "b").is_allowed);
    assert_true(engine_rate_take(rate, BUCKET_TOKEN, "a").is_allowed);
    assert_true(engine_rate_take(rate, BUCKET_DATA, "a").is_allowed);
    engine_rate_free(rate);
}

static void more_peers_than_places_only_forget_the_quietest(void **unused)
{
    struct engine_rate *rate = start(2);
    char name[16];

    (void)unused;
    for (int i = 0; i < ENGINE_RATE_UNAUTH; i++)
        assert_true(engine_rate_take(rate, BUCKET_UNAUTH, "busy").is_allowed);
    for (int i = 0; i < 2 * ENGINE_RATE_PEERS_MAX; i++) {
        now_ms++;
        (void)snprintf(name, sizeof name, "peer%d", i);
        assert_true(engine_rate_take(rate, BUCKET_UNAUTH, name).is_allowed);
        assert_false(engine_rate_take(rate, BUCKET_UNAUTH, "busy").is_allowed);
    }
    engine_rate_free(rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_slides),
        cmocka_unit_test(peers_without_a_token_are_counted_apart),
        cmocka_unit_test(more_peers_than_places_only_forget_the_quietest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
