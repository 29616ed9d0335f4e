#include "test_cache_bench.h"

#define NOW_TEXT "2026-11-24T08:00:00Z"

enum { NOW_S = 1795507200, LINES_MAX = 100000 };

static const struct script_step no_calls[] = { TOKEN_FOREVER };

static int64_t fixed_now_s(void)
{
    return NOW_S;
}

static int64_t fixed_mono_ms(void)
{
    return 0;
}

static const struct clock_source fixed_clock = { .now_s = fixed_now_s, .mono_ms = fixed_mono_ms };

static void up(struct bench *bench)
{
    bench_up(bench, no_calls, ARRAY_SIZE(no_calls));
    clock_source_set(&fixed_clock);
}

static void down(struct bench *bench)
{
    clock_source_set(NULL);
    bench_down(bench);
}

static struct cache_events events_of(struct bench *bench)
{
    struct cache_events events;

    cache_events(bench->cache, &events);
    return events;
}

/* All that is kept, as a text of malloc(). */
static char *text_of(struct bench *bench)
{
    struct cache_events events = events_of(bench);
    char *text = calloc(1, (size_t)(events.end - events.first) + 1);
    size_t n = 0;

    assert_non_null(text);
    assert_int_equal(cache_events_read(bench->cache, 0, text, CACHE_EVENTS_MAX_BYTES, &n), events.first);
    assert_int_equal(n, events.end - events.first);
    return text;
}

static void assert_text(struct bench *bench, const char *wanted)
{
    cleanup_(freep) char *text = text_of(bench);

    assert_string_equal(text, wanted);
}

static void an_event_is_one_line_of_json(void **state)
{
    struct bench bench;

    (void)state;
    up(&bench);
    CACHE_EVENT(bench.cache, "downloaded", CACHE_TEXT("sha256", SHA_A), CACHE_NUMBER("bytes", 7));
    assert_text(&bench, "{\"time\":\"" NOW_TEXT "\",\"event\":\"downloaded\",\"sha256\":\"" SHA_A "\",\"bytes\":7}\n");
    down(&bench);
}

static void an_empty_text_is_left_out_and_a_zero_is_not(void **state)
{
    struct bench bench;

    (void)state;
    up(&bench);
    CACHE_EVENT(bench.cache, "done", CACHE_TEXT("trace", ""), CACHE_NUMBER("results", 0));
    assert_text(&bench, "{\"time\":\"" NOW_TEXT "\",\"event\":\"done\",\"results\":0}\n");
    down(&bench);
}

static void foreign_text_stays_on_its_line(void **state)
{
    struct bench bench;

    (void)state;
    up(&bench);
    CACHE_EVENT(bench.cache, "failed", CACHE_TEXT("reason", "a \"b\"\n{c}\xff"));
    assert_text(&bench, "{\"time\":\"" NOW_TEXT "\",\"event\":\"failed\",\"reason\":\"a \\\"b\\\"\\n{c}?\"}\n");
    down(&bench);
}

static void what_does_not_fit_is_cut_or_left_out(void **state)
{
    enum { N_LONG = 6 };
    struct cache_word words[N_LONG + 1] = { 0 };
    cleanup_(freep) char *text = NULL;
    char controls[CACHE_EVENT_TEXT_MAX * 2];
    struct bench bench;

    (void)state;
    memset(controls, '\x01', sizeof controls);
    controls[sizeof controls - 1] = '\0';
    for (size_t i = 0; i < N_LONG; i++) /* six bytes of JSON for each of theirs: the third does not fit */
        words[i] = (struct cache_word){ .key = "reason", .text = controls };
    words[N_LONG] = (struct cache_word){ .key = "bytes", .number = 7 };
    up(&bench);
    cache_event(bench.cache, "failed", words, ARRAY_SIZE(words));
    text = text_of(&bench);
    assert_true(strlen(text) > CACHE_EVENT_MAX_BYTES / 2);
    assert_true(strlen(text) <= CACHE_EVENT_MAX_BYTES);
    assert_non_null(strstr(text, "u0001\",\"bytes\":7}\n"));
    down(&bench);
}

static void offsets_only_grow_and_a_read_can_begin_anywhere(void **state)
{
    struct cache_events before;
    char text[256] = "";
    struct bench bench;
    size_t n = 0;

    (void)state;
    up(&bench);
    assert_int_equal(events_of(&bench).end, 0);
    CACHE_EVENT(bench.cache, "online", CACHE_NUMBER("bytes", 1));
    before = events_of(&bench);
    CACHE_EVENT(bench.cache, "offline", CACHE_NUMBER("bytes", 2));
    assert_int_equal(events_of(&bench).n, 2);
    assert_int_equal(events_of(&bench).last_s, NOW_S);
    assert_int_equal(cache_events_read(bench.cache, before.end, text, sizeof text - 1, &n), before.end);
    assert_int_equal(before.end + (int64_t)n, events_of(&bench).end);
    assert_string_equal(text, "{\"time\":\"" NOW_TEXT "\",\"event\":\"offline\",\"bytes\":2}\n");
    assert_int_equal(cache_events_read(bench.cache, before.end + (int64_t)n, text, sizeof text, &n),
                     events_of(&bench).end);
    assert_int_equal(n, 0);
    down(&bench);
}

static void an_event_is_a_change(void **state)
{
    struct bench bench;
    uint64_t seen;

    (void)state;
    up(&bench);
    seen = cache_changes(bench.cache);
    CACHE_EVENT(bench.cache, "online", CACHE_NUMBER("bytes", 1));
    assert_true(cache_changes(bench.cache) > seen);
    down(&bench);
}

/* Events with a number each, until some were dropped. */
static int fill(struct bench *bench)
{
    char text[CACHE_EVENT_TEXT_MAX];
    int n = 0;

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (; events_of(bench).first == 0 && n < LINES_MAX; n++)
        CACHE_EVENT(bench->cache, "failed", CACHE_NUMBER("bytes", n), CACHE_TEXT("reason", text));
    return n;
}

static void the_oldest_quarter_is_dropped_at_the_end_of_a_line(void **state)
{
    cleanup_(freep) char *text = NULL;
    struct cache_events events;
    struct bench bench;
    char last[32];
    int n;

    (void)state;
    up(&bench);
    n = fill(&bench);
    events = events_of(&bench);
    assert_true(events.end - events.first <= CACHE_EVENTS_MAX_BYTES);
    assert_true(events.first >= CACHE_EVENTS_MAX_BYTES / 4 - CACHE_EVENT_MAX_BYTES);
    assert_true(events.first <= CACHE_EVENTS_MAX_BYTES / 4 + CACHE_EVENT_MAX_BYTES);
    assert_int_equal(events.n, n);
    text = text_of(&bench);
    assert_memory_equal(text, "{\"time\":", strlen("{\"time\":"));
    (void)snprintf(last, sizeof last, "\"bytes\":%d,", n - 1);
    assert_non_null(strstr(text, last));
    down(&bench);
}

static void a_reader_of_what_was_dropped_goes_on_with_the_oldest(void **state)
{
    struct cache_events events;
    struct bench bench;
    char byte = 0;
    size_t n = 0;

    (void)state;
    up(&bench);
    (void)fill(&bench);
    events = events_of(&bench);
    assert_int_equal(cache_events_read(bench.cache, 1, &byte, 1, &n), events.first);
    assert_int_equal(n, 1);
    assert_int_equal(byte, '{');
    down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_of_json),
        cmocka_unit_test(an_empty_text_is_left_out_and_a_zero_is_not),
        cmocka_unit_test(foreign_text_stays_on_its_line),
        cmocka_unit_test(what_does_not_fit_is_cut_or_left_out),
        cmocka_unit_test(offsets_only_grow_and_a_read_can_begin_anywhere),
        cmocka_unit_test(an_event_is_a_change),
        cmocka_unit_test(the_oldest_quarter_is_dropped_at_the_end_of_a_line),
        cmocka_unit_test(a_reader_of_what_was_dropped_goes_on_with_the_oldest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
