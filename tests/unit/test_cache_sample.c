#include "test_cache_bench.h"

#define DOWNLOAD "GET /malquery/entities/download-files/v1"
#define METADATA "GET /malquery/entities/metadata/v1"
#define BYTES "MZ not really"
#define BYTES_STEP                                                                                                     \
    {                                                                                                                  \
        .match = DOWNLOAD, .status = 200, .headers = "Content-Type: application/octet-stream\r\n", .body = BYTES       \
    }

static struct digest digest_of_bytes(void)
{
    struct digest digest;
    struct err err = { 0 };

    assert_int_equal(digest_of(BYTES, strlen(BYTES), &digest, &err), 0);
    return digest;
}

static void know(struct bench *bench, const struct digest *digest, int64_t size)
{
    struct sample sample = { .digest = *digest, .size_bytes = size, .first_seen_s = SAMPLE_NO_DATE };
    struct err err = { 0 };

    assert_int_equal(store_sample_put(bench->store, &sample, 1, &err), 0);
}

static int fetch(struct bench *bench, const struct digest *digest)
{
    struct err err = { 0 };

    return cache_fetch_bytes(bench->cache, digest, &bench_who, &err);
}

static void a_sample_is_downloaded_once(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, BYTES_STEP };
    struct digest digest = digest_of_bytes();
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, (int64_t)strlen(BYTES));
    assert_int_equal(fetch(&bench, &digest), 0);
    assert_int_equal(fetch(&bench, &digest), 0);
    assert_true(store_object_exists(bench.store, &digest));
    assert_int_equal(script_count(bench.script, DOWNLOAD), 1);
    assert_int_equal(bench_events(&bench, "\"event\":\"downloaded\""), 1);
    assert_int_equal(bench_events(&bench, digest_format(&digest).s), 1);
    assert_int_equal(bench_events(&bench, "\"bytes\":13"), 1);
    bench_down(&bench);
}

static void other_bytes_are_refused_and_not_kept(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, BYTES_STEP };
    struct digest digest = digest_of_bytes();
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    digest.bytes[0] ^= 1;
    know(&bench, &digest, (int64_t)strlen(BYTES));
    assert_int_equal(fetch(&bench, &digest), -EBADMSG);
    assert_false(store_object_exists(bench.store, &digest));
    bench_down(&bench);
}

static void the_digest_decides_and_a_wrong_size_is_corrected(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, BYTES_STEP };
    struct digest digest = digest_of_bytes();
    struct store_sample sample;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, (int64_t)strlen(BYTES) + 7);
    assert_int_equal(fetch(&bench, &digest), 0);
    assert_int_equal(store_sample_get(bench.store, &digest, &sample, &err), 0);
    assert_int_equal(sample.sample.size_bytes, strlen(BYTES));
    bench_down(&bench);
}

static void a_body_is_bounded_by_what_its_metadata_says(void **state)
{
    (void)state;
    assert_int_equal(cache_sample_most(1), 1 + 64 * MIB);
    assert_int_equal(cache_sample_most(64 * MIB), 128 * MIB);
    assert_int_equal(cache_sample_most(1 * GIB), 2 * GIB);
    assert_int_equal(cache_sample_most(3 * GIB), 4 * GIB);
    assert_int_equal(cache_sample_most(INT64_MAX), 4 * GIB);
    assert_int_equal(cache_sample_most(-1), 4 * GIB); /* it is not known */
    assert_int_equal(cache_sample_most(0), 4 * GIB);
}

static void bad_bytes_are_bought_twice_at_most(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = DOWNLOAD,
          .status = 200,
          .headers = "Content-Type: application/octet-stream\r\n",
          .body = "other",
          .times = -1 },
    };
    struct digest digest = digest_of_bytes();
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fetch(&bench, &digest), -EBADMSG);
    assert_int_equal(script_count(bench.script, DOWNLOAD), 2);
    bench_down(&bench);
}

static void a_sample_that_cannot_be_delivered_is_asked_for_once(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = DOWNLOAD,
          .status = 404,
          .headers = JSON_TYPE,
          .body = "{\"errors\":[{\"code\":404,\"message\":\"no\"}]}",
          .times = -1 },
    };
    struct digest digest = digest_of_bytes();
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, 5);
    assert_int_equal(fetch(&bench, &digest), -ENODATA);
    assert_int_equal(fetch(&bench, &digest), -ENODATA);
    assert_int_equal(script_count(bench.script, DOWNLOAD), 1);
    bench_down(&bench);
}

static void what_the_service_does_not_know_is_remembered(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = METADATA,
          .status = 200,
          .headers = JSON_TYPE,
          .body = "{\"meta\":{},\"resources\":[{\"sha256\":\"" SHA_A "\",\"filesize\":7}],\"errors\":[]}" },
    };
    struct digest digests[] = { digest_from(SHA_A), digest_from(SHA_B) };
    struct store_sample sample;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    assert_int_equal(cache_fetch_metadata(bench.cache, digests, 2, &err), 0);
    assert_int_equal(store_sample_get(bench.store, &digests[0], &sample, &err), 0);
    assert_int_equal(sample.state, STORE_SAMPLE_KNOWN);
    assert_int_equal(sample.sample.size_bytes, 7);
    assert_int_equal(store_sample_get(bench.store, &digests[1], &sample, &err), 0);
    assert_int_equal(sample.state, STORE_SAMPLE_ABSENT);
    bench_down(&bench);
}

static void a_download_that_fails_is_an_event_with_its_reason(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = DOWNLOAD,
          .status = 403,
          .headers = JSON_TYPE TRACE,
          .body = "{\"errors\":[{\"code\":403,\"message\":\"no scope\"}]}",
          .times = -1 },
    };
    struct digest digest = digest_of_bytes();
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, 5);
    assert_int_equal(fetch(&bench, &digest), -EACCES);
    assert_int_equal(bench_events(&bench, "\"event\":\"failed\",\"sha256\":"), 1);
    assert_int_equal(bench_events(&bench, "\"event\":\"unauthorized\""), 1);
    assert_int_equal(bench_events(&bench, "\"errno\":\"EACCES\",\"reason\":\""), 2);
    assert_int_equal(bench_events(&bench, "no scope\",\"trace\":\"trace-of-header\"}"), 2);
    bench_down(&bench);
}

static void a_used_up_quota_is_told_once(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = DOWNLOAD,
          .status = 429,
          .headers = JSON_TYPE,
          .body = "{\"errors\":[{\"code\":429,\"message\":\"Monthly quota exceeded\"}]}",
          .times = -1 },
    };
    struct digest digest = digest_of_bytes();
    struct bench bench;

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, 5);
    assert_int_equal(fetch(&bench, &digest), -EDQUOT);
    assert_int_equal(fetch(&bench, &digest), -EDQUOT);
    assert_int_equal(bench_events(&bench, "\"event\":\"failed\""), 2);
    assert_int_equal(bench_events(&bench, "\"event\":\"exhausted\""), 1);
    bench_down(&bench);
}

static void damage_is_told_once_and_remembered(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER };
    struct digest digest = digest_of_bytes();
    struct store_sample sample;
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    know(&bench, &digest, 5);
    assert_int_equal(err_set(&err, EIO, "the file was cut"), -EIO);
    assert_int_equal(cache_note_local(bench.cache, &digest, 0, &err), 0);
    assert_int_equal(bench_events(&bench, "damaged"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cache_note_local(bench.cache, &digest, -EIO, &err), -EIO);
    assert_int_equal(bench_events(&bench, "\"event\":\"damaged\""), 1);
    assert_int_equal(store_sample_get(bench.store, &digest, &sample, &err), 0);
    assert_string_equal(sample.error, "the file was cut");
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_downloaded_once),
        cmocka_unit_test(other_bytes_are_refused_and_not_kept),
        cmocka_unit_test(the_digest_decides_and_a_wrong_size_is_corrected),
        cmocka_unit_test(a_body_is_bounded_by_what_its_metadata_says),
        cmocka_unit_test(bad_bytes_are_bought_twice_at_most),
        cmocka_unit_test(a_sample_that_cannot_be_delivered_is_asked_for_once),
        cmocka_unit_test(what_the_service_does_not_know_is_remembered),
        cmocka_unit_test(a_download_that_fails_is_an_event_with_its_reason),
        cmocka_unit_test(a_used_up_quota_is_told_once),
        cmocka_unit_test(damage_is_told_once_and_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
