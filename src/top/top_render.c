/*
 * The picture of a look. Everything is text on lines; what the lines of a screen are given to is decided here: the head
 * always, then transfers, requests and events, each at least its heading.
 */
#include "top/top_internal.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "util/clock.h"

enum {
    LINE_BYTES = 1024, /* of one line before it is cut to the frame */
    BAR_CELLS = 24,
    BAR_CELLS_SMALL = 12,
    NAME_CELLS = 24,
    WHAT_CELLS = 16,
    WIDE_COLUMNS = 110, /* from here on there is room for longer names */
    SIZE_BYTES = 16,
    ROWS_MAX = 1000,
    FOOT_ROWS = 1,
    EVENT_SHARE = 4, /* events get a quarter of what is left, transfers a third */
    TRANSFER_SHARE = 3,
};

enum style { STYLE_PLAIN, STYLE_BAR, STYLE_HEADING };

static const char *const style_codes[] = { [STYLE_PLAIN] = "", [STYLE_BAR] = "\033[7m", [STYLE_HEADING] = "\033[1m" };
static const char style_end[] = "\033[m";

/* Where lines go. */
struct drawing {
    const struct top_frame *frame;
    struct buf *picture;
    int n; /* lines so far */
};

/* ---- one line ---- */

/* As much of the text as has `columns` columns; what cannot be printed here is a `?`. Returns the columns used. */
static int put_cells(struct buf *picture, const char *text, int columns)
{
    mbstate_t state = { 0 };
    size_t left = strlen(text);
    int used = 0;

    while (left > 0) {
        wchar_t wide = 0;
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): the state is ours */
        size_t n = mbrtowc(&wide, text, left, &state);
        int width = n == 0 || n > left ? -1 : wcwidth(wide);

        if (n == 0 || n > left) { /* not of this locale */
            n = 1;
            state = (mbstate_t){ 0 };
        }
        if (used + (width > 0 ? width : 1) > columns)
            break;
        if (width > 0)
            buf_append(picture, text, n);
        else
            buf_putc(picture, '?');
        used += width > 0 ? width : 1;
        text += n;
        left -= n;
    }
    return used;
}

static void put_line(struct drawing *drawing, enum style style, const char *text)
{
    const struct top_frame *frame = drawing->frame;
    int used;

    if (frame->has_attributes)
        buf_puts(drawing->picture, style_codes[style]);
    used = put_cells(drawing->picture, text, frame->columns ? frame->columns : LINE_BYTES);
    for (; frame->has_attributes && style == STYLE_BAR && used < frame->columns; used++)
        buf_putc(drawing->picture, ' ');
    if (frame->has_attributes && style != STYLE_PLAIN)
        buf_puts(drawing->picture, style_end);
    buf_putc(drawing->picture, '\n');
    drawing->n++;
}

static void put(struct drawing *drawing, enum style style, const char *format, ...) PRINTF(3, 4);

static void put(struct drawing *drawing, enum style style, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments); /* cut is fine */
    va_end(arguments);
    put_line(drawing, style, line);
}

/* ---- words ---- */

struct words {
    char s[64];
};

/* "12.3M" */
static struct words size_of(int64_t bytes)
{
    static const char units[] = "BKMGT";
    struct words words;
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= KIB && unit + 2 < sizeof units; unit++)
        value /= KIB;
    if (unit == 0)
        (void)snprintf(words.s, sizeof words.s, "%lldB", (long long)bytes); /* fits */
    else
        (void)snprintf(words.s, sizeof words.s, "%.1f%c", value, units[unit]); /* fits */
    return words;
}

/* "[####------]" */
static struct words bar(int64_t part, int64_t whole, int cells)
{
    struct words words;
    double share = whole > 0 && part > 0 ? (double)part / (double)whole : 0;
    int full = share < 1 ? (int)(share * cells) : cells;

    words.s[0] = '[';
    for (int i = 0; i < cells; i++)
        words.s[1 + i] = i < full ? '#' : '-';
    words.s[1 + cells] = ']';
    words.s[2 + cells] = '\0';
    return words;
}

static struct words left_of(int64_t budget)
{
    struct words words = { "?" };

    if (budget == TOP_UNLIMITED)
        words = (struct words){ "unlimited" };
    else if (budget != TOP_UNKNOWN)
        (void)snprintf(words.s, sizeof words.s, "%lld left", (long long)budget); /* fits */
    return words;
}

/* "[###-----] 28/50", "28, unlimited", or "?" while the service has not said it. */
static struct words month_of(const struct top_facts *facts, enum top_cost cost)
{
    struct words words = { "?" };

    if (facts->limit[cost] == TOP_UNLIMITED)
        (void)snprintf(words.s, sizeof words.s, "%lld, unlimited", (long long)facts->used[cost]); /* fits */
    else if (facts->limit[cost] != TOP_UNKNOWN)
        (void)snprintf(words.s, sizeof words.s, "%.20s %lld/%lld",
                       bar(facts->used[cost], facts->limit[cost], BAR_CELLS_SMALL).s, (long long)facts->used[cost],
                       (long long)facts->limit[cost]); /* the numbers are cut at worst */
    return words;
}

/* ---- the parts ---- */

static void put_head(struct drawing *drawing, const struct top_facts *facts)
{
    const struct top_frame *frame = drawing->frame;
    struct clock_text now = clock_iso(frame->now_s);

    put(drawing, STYLE_BAR, "malqueryfs  %s  %s  %.8sZ  %s", frame->root, facts->reach,
        now.s + sizeof "2026-11-24T" - 1, facts->service);
    put(drawing, STYLE_PLAIN, "month    downloads %-28.28s hunts %s", month_of(facts, TOP_DOWNLOADS).s,
        month_of(facts, TOP_HUNTS).s);
    put(drawing, STYLE_PLAIN, "budget   downloads %-28.28s hunts %s", left_of(facts->budget[TOP_DOWNLOADS]).s,
        left_of(facts->budget[TOP_HUNTS]).s);
    put(drawing, STYLE_PLAIN, "cache    %s %s of %s, %lld samples, %lld evicted",
        bar(facts->cache_bytes, facts->cache_limit, BAR_CELLS).s, size_of(facts->cache_bytes).s,
        size_of(facts->cache_limit).s, (long long)facts->n_samples, (long long)facts->n_evictions);
    put(drawing, STYLE_PLAIN, "so far   %lld downloads (%s), %lld submissions, %lld denied%s%.10s",
        (long long)facts->n_downloads, size_of(facts->n_download_bytes).s, (long long)facts->n_submissions,
        (long long)facts->n_denied, facts->until[0] ? ", new month " : "", facts->until);
    if (facts->exhausted[0])
        put(drawing, STYLE_HEADING, "refused  %s", facts->exhausted);
    if (facts->last_error[0])
        put(drawing, STYLE_PLAIN, "error    %s", facts->last_error);
}

/* More than 100 when the metadata is wrong, of a byte for instance. */
static int percent_of(int64_t part, int64_t whole)
{
    enum { PERCENT = 100, PERCENT_MAX = 999 };
    double percent = (double)part / (double)whole * PERCENT;

    return percent < PERCENT_MAX ? (int)percent : PERCENT_MAX;
}

/* Two names of one sample are seldom alike in their first characters. */
static void put_transfer(struct drawing *drawing, const struct top_transfer *transfer)
{
    int columns = drawing->frame->columns;
    int what = columns == 0 || columns >= WIDE_COLUMNS ? TOP_TEXT_MAX : WHAT_CELLS;
    int64_t left = transfer->size - transfer->have;

    if (transfer->size == 0)
        put(drawing, STYLE_PLAIN, " %.*s %s  %s/s", what, transfer->what, size_of(transfer->have).s,
            size_of(transfer->rate).s);
    else
        put(drawing, STYLE_PLAIN, " %.*s %s %3d %% of %s  %s/s  %llds", what, transfer->what,
            bar(transfer->have, transfer->size, BAR_CELLS).s, percent_of(transfer->have, transfer->size),
            size_of(transfer->size).s, size_of(transfer->rate).s,
            (long long)(transfer->rate > 0 && left > 0 ? left / transfer->rate : 0));
}

static void put_transfers(struct drawing *drawing, const struct top_facts *facts, int rows)
{
    int n = (int)facts->n_transfers;

    put(drawing, STYLE_HEADING, "TRANSFERS  %d", n);
    for (int i = 0; i < n && i < rows; i++)
        put_transfer(drawing, &facts->transfers[i]);
}

static void put_requests(struct drawing *drawing, const struct top_facts *facts, int rows)
{
    put(drawing, STYLE_HEADING, "REQUESTS   %lld in progress, %lld done, %lld failed", (long long)facts->n_inprogress,
        (long long)facts->n_done, (long long)facts->n_failed);
    for (int i = 0; i < (int)facts->n_requests && i < rows; i++)
        put(drawing, STYLE_PLAIN, " %-*s %s", NAME_CELLS, facts->requests[i].name, facts->requests[i].status);
}

static void put_events(struct drawing *drawing, const struct top_facts *facts, int rows)
{
    int n = (int)facts->n_events;

    put(drawing, STYLE_HEADING, "EVENTS");
    for (int i = n > rows ? n - rows : 0; i < n; i++)
        put(drawing, STYLE_PLAIN, " %s", facts->events[i]);
}

static int at_most(int n, int most)
{
    if (most < 0)
        most = 0;
    return n < most ? n : most;
}

/* The first rows of the picture: a small screen has no more. */
static void cut_to(struct buf *picture, int rows)
{
    const char *at = buf_text(picture);

    for (int i = 0; i < rows; i++) {
        const char *newline = strchr(at, '\n');

        if (!newline)
            return;
        at = newline + 1;
    }
    buf_resize(picture, (size_t)(at - buf_text(picture)));
}

void top_render(const struct top_facts *facts, const struct top_frame *frame, struct buf *ret_picture)
{
    enum { HEADINGS = 3 };
    struct drawing drawing = { .frame = frame, .picture = ret_picture };
    int rows = frame->rows ? frame->rows : ROWS_MAX;
    int foot = frame->notice ? FOOT_ROWS : 0;
    int left, n_transfers, n_events, n_requests;

    put_head(&drawing, facts);
    left = rows - foot - HEADINGS - drawing.n;
    n_transfers = at_most((int)facts->n_transfers, left / TRANSFER_SHARE);
    n_events = at_most((int)facts->n_events, left / EVENT_SHARE);
    n_requests = at_most((int)facts->n_requests, left - n_transfers - n_events);
    n_events = at_most((int)facts->n_events, left - n_transfers - n_requests); /* what requests do not need */
    put_transfers(&drawing, facts, n_transfers);
    put_requests(&drawing, facts, n_requests);
    put_events(&drawing, facts, n_events);
    cut_to(ret_picture, rows - foot);
    for (int i = at_most(drawing.n, rows - foot); frame->rows && i < rows - foot; i++)
        buf_putc(ret_picture, '\n'); /* the notice stands at the bottom */
    if (frame->notice)
        put_line(&drawing, STYLE_BAR, frame->notice);
}
