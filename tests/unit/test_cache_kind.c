#include "test_cache_bench.h"

#define FUZZY "POST /malquery/combined/fuzzy-search/v1"
#define SHA_LINES SHA_A "\n" SHA_B "\n"

static const struct script_step no_calls[] = { TOKEN_FOREVER };

/* What a text is understood as, in a directory. */
struct reading {
    int r;
    struct err err;
    char key[4096];
    char options[SUBMIT_OPTIONS_MAX];
};

static struct reading read_text(struct bench *bench, enum store_dir dir, const char *text)
{
    const struct store_entry entry = { .dir = dir };
    cleanup_(cache_submission_done) struct submission sub = SUBMISSION_INIT(&entry);
    struct reading reading = { .r = 0 };

    buf_puts(&sub.text, text);
    reading.r = cache_submission_read(bench->cache, &sub, &reading.err);
    (void)snprintf(reading.key, sizeof reading.key, "%s", buf_text(&sub.key));
    (void)snprintf(reading.options, sizeof reading.options, "%s", buf_text(&sub.printed));
    return reading;
}

static void put_defaults(struct bench *bench, enum store_dir dir, const char *text)
{
    struct err err = { 0 };

    assert_int_equal(store_defaults_put(bench->store, dir, text, strlen(text), &err), 0);
}

static void every_directory_has_its_kind(void **state)
{
    static const struct {
        enum store_dir dir;
        enum query_kind kind;
        bool has_options;
        bool always_asks;
    } rows[] = {
        { STORE_HUNTS, QUERY_HUNT, true, false },
        { STORE_EXACT, QUERY_EXACT, true, false },
        { STORE_FUZZY, QUERY_FUZZY, true, false },
        { STORE_DOWNLOADS, QUERY_MULTI, false, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct submit_kind *kind = cache_kind(rows[i].dir);

        assert_int_equal(kind->kind, rows[i].kind);
        assert_int_equal(kind->has_options, rows[i].has_options);
        assert_int_equal(kind->always_asks, rows[i].always_asks);
    }
}

static void a_rule_is_its_own_key_and_its_comment_has_the_options(void **state)
{
    struct reading reading;
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    reading = read_text(&bench, STORE_HUNTS, "// malquery: limit=7 max_size=1KB\nrule a { condition: true }");
    assert_int_equal(reading.r, 0);
    assert_string_equal(reading.key, "");
    assert_string_equal(reading.options, "limit=7\nmax_size=1024\n");
    bench_down(&bench);
}

static void two_spellings_of_a_search_have_one_key(void **state)
{
    struct reading lines;
    struct reading body;
    struct reading other;
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    lines = read_text(&bench, STORE_EXACT, "# words\nascii: trickbot\nhex: 4D 5A 90 00\n");
    body = read_text(&bench, STORE_EXACT,
                     "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"trickbot\"},{\"type\":\"hex\",\"value\":"
                     "\"4d5a9000\"}],\"options\":{\"limit\":5}}");
    other = read_text(&bench, STORE_EXACT, "ascii: trickbox\nhex: 4D 5A 90 00\n");
    assert_int_equal(lines.r, 0);
    assert_int_equal(body.r, 0);
    assert_true(lines.key[0]);
    assert_string_equal(lines.key, body.key);
    assert_string_not_equal(lines.key, other.key);
    assert_string_equal(lines.options, "limit=1000\n");
    assert_string_equal(body.options, "limit=5\n");
    bench_down(&bench);
}

static void two_spellings_of_a_hash_list_have_one_key(void **state)
{
    struct reading plain;
    struct reading decorated;
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    plain = read_text(&bench, STORE_DOWNLOADS, SHA_LINES);
    decorated = read_text(&bench, STORE_DOWNLOADS, "# a case\r\n" SHA_A "  a name.exe\r\n" SHA_B "\n" SHA_A "\n");
    assert_int_equal(plain.r, 0);
    assert_string_equal(plain.key, SHA_LINES);
    assert_string_equal(decorated.key, plain.key);
    assert_string_equal(plain.options, "");
    assert_int_equal(read_text(&bench, STORE_DOWNLOADS, "no hash\n").r, -EINVAL);
    bench_down(&bench);
}

static void the_text_overrides_the_defaults_of_its_directory(void **state)
{
    const char rule[] = "rule a { condition: true }";
    struct bench bench;

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    put_defaults(&bench, STORE_HUNTS, "# mine\n\nlimit=5\nmax_size=2KB\n");
    assert_string_equal(read_text(&bench, STORE_HUNTS, rule).options, "limit=5\nmax_size=2048\n");
    assert_string_equal(read_text(&bench, STORE_HUNTS, "// malquery: limit=7\nrule a { condition: true }").options,
                        "limit=7\nmax_size=2048\n");
    assert_string_equal(read_text(&bench, STORE_EXACT, "ascii: trickbot\n").options, "limit=1000\n");
    bench_down(&bench);
}

static void bad_defaults_are_einval_with_their_line(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(cache_check_defaults(STORE_HUNTS, "limit=5\n# fine\nmin_date=2024/01/01\n", &err), 0);
    assert_int_equal(cache_check_defaults(STORE_HUNTS, "limit=5\n\nnonsense=1\n", &err), -EINVAL);
    assert_non_null(strstr(err.text, "line 3"));
    assert_int_equal(cache_check_defaults(STORE_HUNTS, "limit=none\n", &err), -EINVAL);
    assert_non_null(strstr(err.text, "line 1"));
}

static void a_fuzzy_search_has_a_limit_and_no_filters(void **state)
{
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    assert_int_equal(cache_check_defaults(STORE_FUZZY, "limit=5\n", &err), 0);
    assert_int_equal(cache_check_defaults(STORE_FUZZY, "limit=5\nmax_size=1KB\n", &err), -EINVAL);
    assert_int_equal(read_text(&bench, STORE_FUZZY,
                               "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"trickbot\"}],\"options\":{\"limit\":5}}")
                         .r,
                     0);
    assert_int_equal(
        read_text(&bench, STORE_FUZZY,
                  "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"trickbot\"}],\"options\":{\"max_size\":\"1KB\"}}")
            .r,
        -EINVAL);
    assert_int_equal(
        read_text(&bench, STORE_EXACT,
                  "{\"patterns\":[{\"type\":\"ascii\",\"value\":\"trickbot\"}],\"options\":{\"max_size\":\"1KB\"}}")
            .r,
        0);
    bench_down(&bench);
}

static struct store_entry fuzzy_entry(struct bench *bench)
{
    struct store_entry entry = { .dir = STORE_FUZZY, .state = STORE_ENTRY_QUEUED, .suffix = ".txt", .name = "a" };
    static const char text[] = "ascii: trickbot\n";
    struct err err = { 0 };

    assert_int_equal(store_entry_put(bench->store, &entry, text, strlen(text), &err), 0);
    return entry;
}

static void a_fuzzy_search_is_answered_at_once_with_an_id_of_our_own(void **state)
{
    const struct script_step steps[] = {
        TOKEN_FOREVER,
        { .match = FUZZY,
          .status = 200,
          .headers = JSON_TYPE,
          .body = "{\"meta\":{\"status\":\"done\"},\"resources\":[{\"sha256\":\"" SHA_A "\",\"filesize\":7}]}" },
    };
    struct bench bench;
    struct store_entry entry;
    struct store_request request;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = fuzzy_entry(&bench);
    assert_int_equal(cache_submit(bench.cache, entry.row, &err), 0);
    entry = bench_reload(&bench, entry.row);
    assert_int_equal(entry.state, STORE_ENTRY_SUBMITTED);
    assert_true(request_id_is_local(&entry.request));
    assert_int_equal(store_request_get(bench.store, &entry.request, &request, &err), 0);
    assert_int_equal(request.state, REQUEST_DONE);
    assert_int_equal(request.n_results, 1);
    assert_int_equal(script_count(bench.script, "GET"), 0);
    bench_down(&bench);
}

static void a_cut_fuzzy_search_is_queued_since_it_cost_nothing(void **state)
{
    const struct script_step steps[] = { TOKEN_FOREVER, { .match = FUZZY, .end = SCRIPT_DROP, .times = -1 } };
    struct bench bench;
    struct store_entry entry;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, steps, ARRAY_SIZE(steps));
    entry = fuzzy_entry(&bench);
    assert_int_equal(cache_submit(bench.cache, entry.row, &err), 0);
    assert_int_equal(bench_reload(&bench, entry.row).state, STORE_ENTRY_QUEUED);
    assert_true(bench_reload(&bench, entry.row).error[0]);
    bench_down(&bench);
}

static void the_body_that_was_sent_can_be_shown(void **state)
{
    cleanup_(buf_done) struct buf body = BUF_INIT(4096);
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    assert_int_equal(cache_encode_query(bench.cache, QUERY_EXACT, "ascii: trickbot\n", strlen("ascii: trickbot\n"),
                                        "limit=5\nmax_size=1024\n", &body, &err),
                     0);
    assert_non_null(strstr(buf_text(&body), "\"trickbot\""));
    assert_non_null(strstr(buf_text(&body), "\"limit\":5"));
    assert_non_null(strstr(buf_text(&body), "\"1024\""));
    bench_down(&bench);
}

static void the_name_of_a_directory_is_a_search(void **state)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(4096);
    cleanup_(buf_done) struct buf bad = BUF_INIT(4096);
    struct bench bench;
    struct err err = { 0 };

    (void)state;
    bench_up(&bench, no_calls, ARRAY_SIZE(no_calls));
    assert_int_equal(cache_pattern_text("ascii:trick%20bot", &text, &err), 0);
    assert_string_equal(read_text(&bench, STORE_FUZZY, buf_text(&text)).key,
                        read_text(&bench, STORE_FUZZY, "ascii: trick bot\n").key);
    assert_int_equal(cache_pattern_text("trickbot", &bad, &err), -EINVAL);
    assert_int_equal(cache_pattern_text("hex:4D5", &bad, &err), -EINVAL);
    bench_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_directory_has_its_kind),
        cmocka_unit_test(a_rule_is_its_own_key_and_its_comment_has_the_options),
        cmocka_unit_test(two_spellings_of_a_search_have_one_key),
        cmocka_unit_test(two_spellings_of_a_hash_list_have_one_key),
        cmocka_unit_test(the_text_overrides_the_defaults_of_its_directory),
        cmocka_unit_test(bad_defaults_are_einval_with_their_line),
        cmocka_unit_test(a_fuzzy_search_has_a_limit_and_no_filters),
        cmocka_unit_test(a_fuzzy_search_is_answered_at_once_with_an_id_of_our_own),
        cmocka_unit_test(a_cut_fuzzy_search_is_queued_since_it_cost_nothing),
        cmocka_unit_test(the_body_that_was_sent_can_be_shown),
        cmocka_unit_test(the_name_of_a_directory_is_a_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
