#include "test_store_fixture.h"

#include "util/clock.h"

static struct sample full(uint32_t i)
{
    struct sample sample = {
        .digest = fixture_digest(i),
        .size_bytes = 1000 + i,
        .first_seen_s = 1700000000,
        .sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        .md5 = "d41d8cd98f00b204e9800998ecf8427e",
        .filetype = "pe32",
        .label = "malware",
        .family = "trickbot",
    };

    return sample;
}

static struct sample bare(uint32_t i)
{
    struct sample sample = { .digest = fixture_digest(i),
                             .size_bytes = SAMPLE_NO_SIZE,
                             .first_seen_s = SAMPLE_NO_DATE };

    return sample;
}

static void put(struct fixture *fixture, struct sample sample)
{
    assert_int_equal(store_sample_put(fixture->store, &sample, 1, &fixture->err), 0);
}

static struct store_sample get(struct fixture *fixture, uint32_t i)
{
    struct digest digest = fixture_digest(i);
    struct store_sample sample;

    assert_int_equal(store_sample_get(fixture->store, &digest, &sample, &fixture->err), 0);
    return sample;
}

static void expect_equal(const struct sample *a, const struct sample *b)
{
    assert_true(digest_equal(&a->digest, &b->digest));
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->first_seen_s, b->first_seen_s);
    assert_string_equal(a->sha1, b->sha1);
    assert_string_equal(a->md5, b->md5);
    assert_string_equal(a->filetype, b->filetype);
    assert_string_equal(a->label, b->label);
    assert_string_equal(a->family, b->family);
}

static void what_was_put_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = full(1);
    struct store_sample got;

    put(fixture, sample);
    got = get(fixture, 1);
    expect_equal(&got.sample, &sample);
    assert_int_equal(got.state, STORE_SAMPLE_KNOWN);
    assert_string_equal(got.error, "");
}

static void what_was_put_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = full(1);
    struct store_sample got;

    put(fixture, sample);
    fixture_reopen(fixture);
    got = get(fixture, 1);
    expect_equal(&got.sample, &sample);
}

static void unknown_fields_come_back_unknown(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = bare(1);
    struct store_sample got;

    put(fixture, sample);
    got = get(fixture, 1);
    expect_equal(&got.sample, &sample);
}

static void unknown_fields_keep_the_old_value(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = full(1);
    struct store_sample got;

    put(fixture, sample);
    put(fixture, bare(1));
    got = get(fixture, 1);
    expect_equal(&got.sample, &sample);
}

static void known_fields_replace_the_old_value(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = full(1);

    put(fixture, sample);
    (void)snprintf(sample.family, sizeof sample.family, "emotet");
    sample.size_bytes = 0;
    put(fixture, sample);
    assert_string_equal(get(fixture, 1).sample.family, "emotet");
    assert_int_equal(get(fixture, 1).sample.size_bytes, 0);
}

static void the_time_of_the_check_is_noted(void **state)
{
    struct fixture *fixture = *state;
    int64_t before_s = clock_now_s();

    put(fixture, full(1));
    assert_in_range(get(fixture, 1).checked_s, before_s, clock_now_s());
}

static void a_digest_that_was_never_asked_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_sample sample;

    assert_int_equal(store_sample_get(fixture->store, &digest, &sample, &fixture->err), STORE_ABSENT);
    assert_int_equal(fixture->err.code, 0);
}

static void put_absent(struct fixture *fixture, uint32_t i, int64_t now_s)
{
    struct digest digest = fixture_digest(i);

    assert_int_equal(store_sample_put_absent(fixture->store, &digest, 1, now_s, &fixture->err), 0);
}

static void what_the_service_does_not_know_is_remembered(void **state)
{
    struct fixture *fixture = *state;

    put_absent(fixture, 1, 4711);
    assert_int_equal(get(fixture, 1).state, STORE_SAMPLE_ABSENT);
    assert_int_equal(get(fixture, 1).checked_s, 4711);
}

static void metadata_ends_absence(void **state)
{
    struct fixture *fixture = *state;

    put_absent(fixture, 1, 4711);
    put(fixture, full(1));
    assert_int_equal(get(fixture, 1).state, STORE_SAMPLE_KNOWN);
}

static void absence_does_not_end_metadata(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, full(1));
    put_absent(fixture, 1, 4711);
    assert_int_equal(get(fixture, 1).state, STORE_SAMPLE_KNOWN);
    assert_int_equal(get(fixture, 1).checked_s, 4711);
}

static void put_gone(struct fixture *fixture, uint32_t i)
{
    struct digest digest = fixture_digest(i);

    assert_int_equal(store_sample_put_gone(fixture->store, &digest, "not available", &fixture->err), 0);
}

static void a_gone_sample_keeps_its_metadata_and_the_reason(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = full(1);
    struct store_sample got;

    put(fixture, sample);
    put_gone(fixture, 1);
    got = get(fixture, 1);
    expect_equal(&got.sample, &sample);
    assert_int_equal(got.state, STORE_SAMPLE_GONE);
    assert_string_equal(got.error, "not available");
}

static void a_gone_sample_stays_gone_when_metadata_comes(void **state)
{
    struct fixture *fixture = *state;

    put_gone(fixture, 1);
    put(fixture, full(1));
    assert_int_equal(get(fixture, 1).state, STORE_SAMPLE_GONE);
    assert_int_equal(get(fixture, 1).sample.size_bytes, 1001);
}

static void put_error(struct fixture *fixture, uint32_t i, const char *why)
{
    struct digest digest = fixture_digest(i);

    assert_int_equal(store_sample_put_error(fixture->store, &digest, why, &fixture->err), 0);
}

static void clearing_the_error_ends_gone(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, full(1));
    put_gone(fixture, 1);
    put_error(fixture, 1, NULL);
    assert_int_equal(get(fixture, 1).state, STORE_SAMPLE_KNOWN);
    assert_string_equal(get(fixture, 1).error, "");
}

static void an_error_does_not_change_the_state(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, full(1));
    put_error(fixture, 1, "cut");
    assert_int_equal(get(fixture, 1).state, STORE_SAMPLE_KNOWN);
    assert_string_equal(get(fixture, 1).error, "cut");
}

static void an_error_alone_does_not_make_a_sample_asked(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_sample sample;

    put_error(fixture, 1, "cut");
    assert_int_equal(store_sample_get(fixture->store, &digest, &sample, &fixture->err), STORE_ABSENT);
}

static void an_error_from_before_the_metadata_is_kept(void **state)
{
    struct fixture *fixture = *state;

    put_error(fixture, 1, "cut");
    put(fixture, full(1));
    assert_string_equal(get(fixture, 1).error, "cut");
}

struct seen {
    int n;
    int stop_at;
    bool calls_store;
    struct store *store;
};

static int see(void *closure, const struct digest *digest)
{
    struct seen *seen = closure;
    struct store_sample sample;

    if (seen->calls_store && store_sample_get(seen->store, digest, &sample, NULL) != 0)
        return -1;
    return ++seen->n == seen->stop_at ? 99 : 0;
}

static void put_many(struct fixture *fixture, uint32_t n)
{
    cleanup_(freep) struct sample *samples = calloc(n, sizeof *samples);

    for (uint32_t i = 0; i < n; i++)
        samples[i] = full(i);
    assert_int_equal(store_sample_put(fixture->store, samples, n, &fixture->err), 0);
}

static void list_names_each_sample_once(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = { 0 };

    put_many(fixture, 1537); /* three pages and one */
    assert_int_equal(store_sample_list(fixture->store, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 1537);
}

static void list_leaves_out_what_has_no_metadata(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = { 0 };

    put(fixture, full(1));
    put(fixture, full(2));
    put_gone(fixture, 2);
    put_gone(fixture, 3);
    put_absent(fixture, 4, 1);
    put_error(fixture, 5, "cut");
    assert_int_equal(store_sample_list(fixture->store, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 2);
}

static void list_stops_when_told(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = { .stop_at = 5 };

    put_many(fixture, 10);
    assert_int_equal(store_sample_list(fixture->store, see, &seen, &fixture->err), 99);
    assert_int_equal(seen.n, 5);
}

static void list_lets_the_callback_use_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = { .calls_store = true, .store = fixture->store };

    put_many(fixture, 10);
    assert_int_equal(store_sample_list(fixture->store, see, &seen, &fixture->err), 0);
    assert_int_equal(seen.n, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_was_put_comes_back),
        STORE_TEST(what_was_put_survives_a_restart),
        STORE_TEST(unknown_fields_come_back_unknown),
        STORE_TEST(unknown_fields_keep_the_old_value),
        STORE_TEST(known_fields_replace_the_old_value),
        STORE_TEST(the_time_of_the_check_is_noted),
        STORE_TEST(a_digest_that_was_never_asked_is_absent),
        STORE_TEST(what_the_service_does_not_know_is_remembered),
        STORE_TEST(metadata_ends_absence),
        STORE_TEST(absence_does_not_end_metadata),
        STORE_TEST(a_gone_sample_keeps_its_metadata_and_the_reason),
        STORE_TEST(a_gone_sample_stays_gone_when_metadata_comes),
        STORE_TEST(clearing_the_error_ends_gone),
        STORE_TEST(an_error_does_not_change_the_state),
        STORE_TEST(an_error_alone_does_not_make_a_sample_asked),
        STORE_TEST(an_error_from_before_the_metadata_is_kept),
        STORE_TEST(list_names_each_sample_once),
        STORE_TEST(list_leaves_out_what_has_no_metadata),
        STORE_TEST(list_stops_when_told),
        STORE_TEST(list_lets_the_callback_use_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
