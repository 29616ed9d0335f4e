#include "test_tree_bench.h"

enum { LINES_MAX = 100000, READ_BYTES = 100 * 1000 };

static uint64_t events_ino(struct tree_bench *bench)
{
    return tree_find(bench, TREE_ROOT, "events");
}

static int64_t size_of(struct tree_bench *bench)
{
    struct tree_attr attr;
    struct need need;
    struct err err = { 0 };

    assert_int_equal(tree_getattr(bench->tree, events_ino(bench), NULL, &attr, &need, &err), 0);
    return attr.size;
}

static struct handle *open_it(struct tree_bench *bench)
{
    struct handle *handle = NULL;
    const struct caller nobody = { .program = "" };
    struct tree_open opened;
    struct need need;
    struct err err = { 0 };

    assert_int_equal(tree_open(bench->tree, events_ino(bench), 0, &nobody, &handle, &opened, &need, &err), 0);
    assert_true(opened.is_live);
    return handle;
}

static void close_it(struct tree_bench *bench, struct handle *handle)
{
    struct need need;
    struct err err = { 0 };

    assert_int_equal(tree_release(bench->tree, handle, &need, &err), 0);
}

static size_t read_at(struct tree_bench *bench, struct handle *handle, int64_t offset, char *to, size_t n)
{
    struct need need;
    struct err err = { 0 };
    size_t got = 0;

    assert_int_equal(tree_read(bench->tree, handle, offset, to, n, &got, &need, &err), 0);
    return got;
}

/* Appends to `text` what there is from its length on, in pieces. */
static void read_on(struct tree_bench *bench, struct handle *handle, struct buf *text)
{
    cleanup_(freep) char *piece = malloc(READ_BYTES);
    size_t n;

    assert_non_null(piece);
    while ((n = read_at(bench, handle, (int64_t)text->n, piece, READ_BYTES)) > 0)
        buf_append(text, piece, n);
    assert_int_equal(text->code, 0);
}

static void happen(struct tree_bench *bench, int number)
{
    char text[CACHE_EVENT_TEXT_MAX];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    CACHE_EVENT(bench->below.cache, "failed", CACHE_NUMBER("bytes", number), CACHE_TEXT("reason", text));
}

/* Events with the numbers from `number` on, until the oldest are dropped once more; returns the next number. */
static int until_dropped(struct tree_bench *bench, int number)
{
    struct cache_events before;
    struct cache_events events;

    cache_events(bench->below.cache, &before);
    do {
        happen(bench, number++);
        cache_events(bench->below.cache, &events);
    } while (events.first == before.first && number < LINES_MAX);
    return number;
}

/* The lines of `text` have rising numbers; the first and the last of them. */
static void check_numbers(const struct buf *text, int first, int last)
{
    const char *at = buf_text(text);
    long before = first - 1;

    while ((at = strstr(at, "\"bytes\":"))) {
        at += strlen("\"bytes\":");
        assert_true(strtol(at, NULL, 10) > before);
        if (before == first - 1)
            assert_int_equal(strtol(at, NULL, 10), first);
        before = strtol(at, NULL, 10);
    }
    assert_int_equal(before, last);
}

static void reading_gives_all_that_is_kept_and_then_the_end(void **state)
{
    struct buf text = BUF_INIT(CACHE_EVENTS_MAX_BYTES);
    struct tree_bench bench;
    struct handle *handle;

    (void)state;
    tree_up(&bench);
    assert_int_equal(size_of(&bench), 0);
    happen(&bench, 1);
    happen(&bench, 2);
    handle = open_it(&bench);
    read_on(&bench, handle, &text);
    assert_int_equal(text.n, size_of(&bench));
    happen(&bench, 3);
    read_on(&bench, handle, &text);
    assert_int_equal(text.n, size_of(&bench));
    check_numbers(&text, 1, 3);
    close_it(&bench, handle);
    buf_done(&text);
    tree_down(&bench);
}

static void a_read_behind_the_end_is_the_end(void **state)
{
    struct tree_bench bench;
    struct handle *handle;
    char byte;

    (void)state;
    tree_up(&bench);
    (void)until_dropped(&bench, 0);
    handle = open_it(&bench);
    assert_int_equal(read_at(&bench, handle, INT64_MAX, &byte, 1), 0);
    close_it(&bench, handle);
    tree_down(&bench);
}

static void the_size_never_shrinks_under_a_reader(void **state)
{
    struct tree_bench bench;
    struct handle *handle;
    struct cache_events events;
    int64_t size = 0;

    (void)state;
    tree_up(&bench);
    happen(&bench, 0);
    handle = open_it(&bench);
    do {
        happen(&bench, 1);
        assert_true(size_of(&bench) > size);
        size = size_of(&bench);
        cache_events(bench.below.cache, &events);
    } while (events.first == 0);
    assert_int_equal(size, events.end);
    close_it(&bench, handle);
    tree_down(&bench);
}

static void without_a_reader_the_file_is_what_is_kept(void **state)
{
    struct buf text = BUF_INIT(CACHE_EVENTS_MAX_BYTES);
    struct cache_events events;
    struct tree_bench bench;
    struct handle *handle;

    (void)state;
    tree_up(&bench);
    close_it(&bench, open_it(&bench));
    (void)until_dropped(&bench, 0);
    cache_events(bench.below.cache, &events);
    assert_true(events.first > 0);
    assert_int_equal(size_of(&bench), events.end - events.first);
    handle = open_it(&bench);
    read_on(&bench, handle, &text);
    assert_int_equal(text.n, events.end - events.first);
    assert_memory_equal(buf_text(&text), "{\"time\"", strlen("{\"time\""));
    close_it(&bench, handle);
    buf_done(&text);
    tree_down(&bench);
}

static void a_reader_that_keeps_up_misses_nothing_and_reads_nothing_twice(void **state)
{
    struct buf text = BUF_INIT(4 * CACHE_EVENTS_MAX_BYTES);
    struct tree_bench bench;
    struct handle *handle;
    int n = 0;

    (void)state;
    tree_up(&bench);
    handle = open_it(&bench);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 1000; j++)
            happen(&bench, n++);
        read_on(&bench, handle, &text);
    }
    n = until_dropped(&bench, n);
    read_on(&bench, handle, &text);
    check_numbers(&text, 0, n - 1);
    assert_int_equal(text.n, size_of(&bench));
    close_it(&bench, handle);
    buf_done(&text);
    tree_down(&bench);
}

static void a_reader_that_was_too_slow_goes_on_with_the_oldest(void **state)
{
    struct buf text = BUF_INIT(4 * CACHE_EVENTS_MAX_BYTES);
    struct cache_events events;
    struct tree_bench bench;
    struct handle *handle;
    size_t first_n;
    int n;

    (void)state;
    tree_up(&bench);
    happen(&bench, 0);
    handle = open_it(&bench);
    read_on(&bench, handle, &text);
    first_n = text.n;
    n = until_dropped(&bench, 1);
    read_on(&bench, handle, &text);
    cache_events(bench.below.cache, &events);
    assert_int_equal(text.n - first_n, events.end - events.first);
    check_numbers(&text, 0, n - 1);
    assert_memory_equal(buf_text(&text) + first_n, "{\"time\"", strlen("{\"time\""));
    close_it(&bench, handle);
    buf_done(&text);
    tree_down(&bench);
}

static void poll_says_what_this_handle_has_not_read(void **state)
{
    struct buf text = BUF_INIT(CACHE_EVENTS_MAX_BYTES);
    struct tree_bench bench;
    struct handle *one;
    struct handle *other;

    (void)state;
    tree_up(&bench);
    one = open_it(&bench);
    other = open_it(&bench);
    assert_int_equal(tree_poll(bench.tree, one), TREE_READY_LATER);
    happen(&bench, 0);
    assert_int_equal(tree_poll(bench.tree, one), TREE_READY_NOW);
    read_on(&bench, one, &text);
    assert_int_equal(tree_poll(bench.tree, one), TREE_READY_LATER);
    assert_int_equal(tree_poll(bench.tree, other), TREE_READY_NOW);
    close_it(&bench, one);
    close_it(&bench, other);
    buf_done(&text);
    tree_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_gives_all_that_is_kept_and_then_the_end),
        cmocka_unit_test(a_read_behind_the_end_is_the_end),
        cmocka_unit_test(the_size_never_shrinks_under_a_reader),
        cmocka_unit_test(without_a_reader_the_file_is_what_is_kept),
        cmocka_unit_test(a_reader_that_keeps_up_misses_nothing_and_reads_nothing_twice),
        cmocka_unit_test(a_reader_that_was_too_slow_goes_on_with_the_oldest),
        cmocka_unit_test(poll_says_what_this_handle_has_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
