#include "test_engine_bench.h"

enum { LARGE_BYTES = 1024 * 1024 * 1024 };

static void a_hunt_is_paid_once_and_shows_what_was_asked(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    reply = run(&bench, HUNT,
                "{\"options\":{\"limit\":5},\"yara_rule\":\"rule a { strings: $a = \\\"MZ\\\" condition: $a at 0 }\"}");
    assert_non_null(strstr(buf_text(&reply.body), "\"reqtype\": \"hunt\""));
    assert_non_null(strstr(buf_text(&reply.body), "\"total_count\": 1"));
    assert_non_null(strstr(buf_text(&reply.body), "rule a { strings: $a = \\\"MZ\\\" condition: $a at 0 }"));
    assert_non_null(strstr(buf_text(&reply.body), hash_text("MZ something else, hello\n")));
    assert_non_null(strstr(buf_text(&reply.body), "\"samples\": []"));
    assert_null(strstr(buf_text(&reply.body), "\"family\""));
    assert_null(strstr(buf_text(&reply.body), "\"errors\""));
    engine_reply_done(&reply);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"hunt_count\": 1"), 200);
    bench_done(&bench);
}

static void an_exact_search_shows_only_the_fields_asked_for(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    reply =
        run(&bench, EXACT,
            "{\"options\":{\"filter_meta\":[\"size\"]},\"patterns\":[{\"type\":\"hex\",\"value\":\"68656c6c6f\"}]}");
    assert_non_null(strstr(buf_text(&reply.body), "\"reqtype\": \"search\""));
    assert_non_null(strstr(buf_text(&reply.body), "binarly_exact_search"));
    assert_non_null(strstr(buf_text(&reply.body), "\"total_count\": 2"));
    assert_non_null(strstr(buf_text(&reply.body), "\"filesize\": 6"));
    assert_null(strstr(buf_text(&reply.body), "\"sha256\":"));
    engine_reply_done(&reply);
    bench_done(&bench);
}

static void a_fuzzy_search_is_free_and_counts_everything(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "POST", FUZZY, NULL,
                            "{\"options\":{\"limit\":1},\"patterns\":[{\"type\":\"ascii\",\"value\":\"hello\"}]}",
                            "\"total_count\": 2,\n   \"unknown_count\": 1"),
                     200);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"hunt_count\": 0"), 200);
    bench_done(&bench);
}

static void downloads_are_paid_by_success_only(void **unused)
{
    struct engine_reply reply;
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, UNKNOWN, NULL, "\"code\": 404"), 404);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, "zz", NULL, "\"code\": 400"), 400);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, NULL, NULL, "\"code\": 400"), 400);
    for (int i = 0; i < 3; i++) {
        reply = ask(&bench, "GET", DOWNLOAD, hash_text("hello\n"), NULL);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.fd_bytes, 6);
        assert_int_equal(reply.paid, 1);
        assert_string_equal(reply.content_type, "application/octet-stream");
        engine_reply_done(&reply);
    }
    assert_int_equal(status(&bench, "GET", DOWNLOAD, hash_text("hello\n"), NULL, "\"code\": 429"), 429);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"download_count\": 3"), 200);
    bench_done(&bench);
}

static void several_ids_are_refused_where_one_is_allowed(void **unused)
{
    static const char *const paths[] = { DOWNLOAD, REQUESTS, FETCH };
    const char *const ids[] = { UNKNOWN, UNKNOWN };
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct engine_reply reply;
        const struct engine_request request = { .method = "GET",
                                                .path = paths[i],
                                                .uri = paths[i],
                                                .authorization = bench.bearer,
                                                .peer = "test",
                                                .ids = ids,
                                                .n_ids = 2,
                                                .body = "" };

        engine_reply_init(&reply, "us-1");
        engine_route_serve(bench.engine, &request, &reply);
        assert_int_equal(reply.status, 400);
        engine_reply_done(&reply);
    }
    bench_done(&bench);
}

static void metadata_of_unknown_hashes_is_an_entry_of_errors(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "GET", METADATA, UNKNOWN, NULL, "\"id\": \"" UNKNOWN "\""), 200);
    assert_int_equal(status(&bench, "GET", METADATA, UNKNOWN, NULL, "\"resources\": []"), 200);
    assert_int_equal(status(&bench, "GET", METADATA, hash_text("hello\n"), NULL, "\"errors\": []"), 200);
    assert_int_equal(status(&bench, "GET", METADATA, NULL, NULL, "\"code\": 400"), 400);
    assert_int_equal(status(&bench, "GET", METADATA, "no hash", NULL, "not a SHA-256"), 200);
    bench_done(&bench);
}

/* A hole that is hashed for longer than the questions take. */
static void nothing_is_absent_before_all_is_indexed(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    fixture_text(&bench.fixture, "zoo/large", "");
    assert_int_equal(truncate(fixture_path(&bench.fixture, "zoo/large"), LARGE_BYTES), 0);
    start_without_index(&bench);
    login(&bench);
    atomic_store(&bench.engine->is_stopping, true); /* nobody waits */
    assert_int_equal(status(&bench, "GET", METADATA, UNKNOWN, NULL, "try again"), 503);
    assert_int_equal(status(&bench, "GET", DOWNLOAD, UNKNOWN, NULL, "try again"), 503);
    assert_int_equal(status(&bench, "POST", MULTI, NULL, "{\"samples\":[\"" UNKNOWN "\"]}", "try again"), 503);
    assert_false(engine_index_wait(bench.engine->index, 0));
    bench_done(&bench);
}

static void wait_until_done(struct bench *bench, const struct request_id *id)
{
    const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    bool is_done = false;

    while (!is_done && clock_mono_ms() < end_ms) {
        struct engine_reply reply = ask(bench, "GET", REQUESTS, id->s, NULL);

        is_done = strstr(buf_text(&reply.body), "\"done\"") != NULL;
        engine_reply_done(&reply);
        (void)nanosleep(&step, NULL);
    }
    assert_true(is_done);
}

static void a_multi_download_pays_for_known_samples_and_becomes_an_archive(void **unused)
{
    struct engine_reply reply;
    struct request_id id;
    struct bench bench;
    char body[512];

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "POST", MULTI, NULL, "{\"samples\":[\"" UNKNOWN "\"]}", "\"code\": 404"), 404);
    (void)snprintf(body, sizeof body, "{\"samples\":[\"%s\",\"" UNKNOWN "\"]}", hash_text("hello\n"));
    reply = ask(&bench, "POST", MULTI, NULL, body);
    id = reply.reqid;
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.paid, 1);
    assert_non_null(strstr(buf_text(&reply.body), UNKNOWN));
    engine_reply_done(&reply);
    wait_until_done(&bench, &id);
    assert_int_equal(unlink(fixture_path(&bench.fixture, "zoo/a")), 0); /* the archive was made by then */
    reply = ask(&bench, "GET", FETCH, id.s, NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/zip");
    assert_true(reply.fd_bytes > 6);
    engine_reply_done(&reply);
    assert_int_equal(status(&bench, "GET", FETCH, "nonsense", NULL, "Could not find sample archive"), 404);
    assert_int_equal(status(&bench, "GET", QUOTAS, NULL, NULL, "\"download_count\": 1"), 200);
    bench_done(&bench);
}

static void an_archive_is_not_there_before_the_job_is_done(void **unused)
{
    struct engine_reply reply;
    struct bench bench;
    char body[512];

    (void)unused;
    bench_init(&bench);
    bench.config.job_delay_ms = 3600 * 1000;
    start(&bench);
    login(&bench);
    (void)snprintf(body, sizeof body, "{\"samples\":[\"%s\"]}", hash_text("hello\n"));
    reply = ask(&bench, "POST", MULTI, NULL, body);
    assert_int_equal(reply.status, 200);
    assert_int_equal(status(&bench, "GET", REQUESTS, reply.reqid.s, NULL, "\"inprogress\""), 200);
    assert_int_equal(status(&bench, "GET", FETCH, reply.reqid.s, NULL, "Could not find sample archive"), 404);
    engine_reply_done(&reply);
    bench_done(&bench);
}

static void an_unknown_request_is_told_from_a_malformed_one(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    start(&bench);
    login(&bench);
    assert_int_equal(status(&bench, "GET", REQUESTS, "096f6aa5-f245-4b09-790f-133bc89d4d26", NULL, "\"code\": 404"),
                     404);
    assert_int_equal(status(&bench, "GET", REQUESTS, "096f6aa5", NULL, "\"code\": 400"), 400);
    bench_done(&bench);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hunt_is_paid_once_and_shows_what_was_asked),
        cmocka_unit_test(an_exact_search_shows_only_the_fields_asked_for),
        cmocka_unit_test(a_fuzzy_search_is_free_and_counts_everything),
        cmocka_unit_test(downloads_are_paid_by_success_only),
        cmocka_unit_test(several_ids_are_refused_where_one_is_allowed),
        cmocka_unit_test(metadata_of_unknown_hashes_is_an_entry_of_errors),
        cmocka_unit_test(nothing_is_absent_before_all_is_indexed),
        cmocka_unit_test(a_multi_download_pays_for_known_samples_and_becomes_an_archive),
        cmocka_unit_test(an_archive_is_not_there_before_the_job_is_done),
        cmocka_unit_test(an_unknown_request_is_told_from_a_malformed_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
