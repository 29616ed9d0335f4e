/*
 * top_internal -- a look at a mount (top_read.c), its picture (top_render.c), the terminal (top_screen.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "top/top.h"
#include "util/buf.h"

enum {
    TOP_TEXT_MAX = 256,      /* bytes of one text with its NUL; longer ones are cut */
    TOP_NAME_MAX = 288,      /* of "searches/exact/" and a name */
    TOP_TRANSFERS_MAX = 64,  /* that are shown */
    TOP_REQUESTS_MAX = 256,  /* whose status is read, those that changed last */
    TOP_NAMES_MAX = 4096,    /* that are looked at in each directory */
    TOP_EVENTS_MAX = 8,      /* the newest */
    TOP_FRAME_MAX = 1 << 20, /* bytes of a picture */
};

#define TOP_UNLIMITED INT64_MAX
#define TOP_UNKNOWN (-1)

enum top_cost { TOP_DOWNLOADS, TOP_HUNTS, TOP_COSTS };

struct top_transfer {
    char what[TOP_TEXT_MAX];
    int64_t have, size, rate; /* bytes, bytes, bytes a second; size 0: not known */
};

struct top_request {
    char name[TOP_NAME_MAX]; /* "hunts/wiper" */
    char status[TOP_TEXT_MAX];
    int64_t changed_s;
    bool is_over;
};

/* One look; plain values. */
struct top_facts {
    char reach[TOP_TEXT_MAX];
    char service[TOP_TEXT_MAX];
    char exhausted[TOP_TEXT_MAX];
    char last_error[TOP_TEXT_MAX];
    char until[TOP_TEXT_MAX]; /* when the month's quota begins anew */
    int64_t budget[TOP_COSTS];
    int64_t used[TOP_COSTS], limit[TOP_COSTS]; /* of the month */
    int64_t n_submissions, n_downloads, n_download_bytes, n_denied;
    int64_t n_samples, cache_bytes, cache_limit, n_evictions;
    int64_t n_inprogress, n_done, n_failed; /* requests, those without a name too */
    struct top_transfer transfers[TOP_TRANSFERS_MAX];
    size_t n_transfers;
    struct top_request requests[TOP_REQUESTS_MAX]; /* what is not over first, then what changed last */
    size_t n_requests;
    char events[TOP_EVENTS_MAX][TOP_TEXT_MAX]; /* in words, the newest last */
    size_t n_events;
};

/* Nothing is known yet. */
#define TOP_FACTS_INIT                                                                                                 \
    {                                                                                                                  \
        .budget = { TOP_UNKNOWN, TOP_UNKNOWN }, .limit = { TOP_UNKNOWN, TOP_UNKNOWN }                                  \
    }

/*
 * Looks at the mount at `root`. *facts is the look before, or zeros: the status of what was over long ago is taken from
 * there. ENODEV: `status` is not there or not ours.
 */
CHECKED int top_read(const char *root, struct top_facts *facts, struct err *err);

/* How to draw. */
struct top_frame {
    int columns;         /* 0: as many as it takes */
    int rows;            /* likewise */
    bool has_attributes; /* a terminal that knows bold and reverse */
    const char *root;
    const char *notice; /* for the last line; NULL: none */
    int64_t now_s;
};

/* The picture, each line with its newline and no wider than the frame. The locale's LC_CTYPE says what is printable. */
void top_render(const struct top_facts *facts, const struct top_frame *frame, struct buf *ret_picture);

/* ---- the terminal ---- */

struct screen;

/* Takes over the terminal of standard output, and that of standard input for keys when it is one. */
CHECKED int screen_open(struct screen **ret_screen, struct err *err);
void screen_size(int *ret_columns, int *ret_rows);

/* Replaces what is on the screen. Lines end in a newline; the last one that fits stays without. */
CHECKED int screen_show(struct screen *screen, const char *picture, size_t n, struct err *err);

/* Gives the terminal back, and takes it again: around a stop of the process. */
void screen_leave(struct screen *screen);
void screen_enter(struct screen *screen);

/* Gives it back for good. Accepts NULL. */
void screen_close(struct screen *screen);
DEFINE_CLEANUP(struct screen *, screen_close)
