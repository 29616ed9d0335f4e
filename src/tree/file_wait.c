/*
 * The `wait` file: a stream. Each read gives the next status line: as soon as it differs from the last one, and as long
 * as it does not, once in a while with the time that went by. After the line that says how the request ended, the end
 * of the file.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

enum { WAIT_LINE_MS = 10 * 1000 }; /* between two lines that differ in nothing but the time, at least */

static int open_wait(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open, struct need *need,
                     struct err *err)
{
    (void)tree;
    (void)handle;
    (void)flags;
    (void)need;
    (void)err;
    ret_open->is_stream = true;
    return 0;
}

static int attr_wait(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                     struct need *need, struct err *err)
{
    struct view view;

    (void)is_lookup;
    (void)need;
    (void)attr;
    return view_load(tree, subject, &view, err);
}

/* Two lines are the same news when only the elapsed time differs. */
static bool is_other(const char *line, const char *last)
{
    const char *elapsed = strstr(line, " elapsed=");
    size_t n = elapsed ? (size_t)(elapsed - line) : strlen(line);

    return strncmp(line, last, n) != 0 || (last[n] != '\0' && strncmp(last + n, " elapsed=", 9) != 0);
}

static bool is_news(const struct view *view, const struct handle *handle, const char *line)
{
    return view_is_over(view) || is_other(line, handle->last) || clock_mono_ms() - handle->last_ms >= WAIT_LINE_MS;
}

/* The next line into handle->pending, when there is news. */
static int next_line(struct tree *tree, struct handle *handle, struct err *err)
{
    char line[sizeof handle->last];
    struct view view;
    int r = view_load(tree, &handle->subject, &view, err);

    if (r == TREE_ABSENT)
        return err_set(err, ENOENT, "it was deleted");
    if (r < 0)
        return r;
    view_status(&view, line, sizeof line);
    lock_acquire(&handle->lock);
    if (!handle->is_over && !handle->pending[handle->at] && is_news(&view, handle, line)) {
        handle->last_ms = clock_mono_ms();
        (void)text_copy(handle->last, sizeof handle->last, line);                      /* same size */
        (void)snprintf(handle->pending, sizeof handle->pending, "%s\n", handle->last); /* one byte more */
        handle->at = 0;
        handle->is_over = view_is_over(&view);
    }
    lock_release(&handle->lock);
    return 0;
}

/* Hands out what is pending; shells read byte by byte. False: nothing is, and the stream has not ended. */
static bool hand_out(struct handle *handle, void *to, size_t n, size_t *ret_n)
{
    bool done;

    lock_acquire(&handle->lock);
    *ret_n = strlen(handle->pending + handle->at);
    if (*ret_n > n)
        *ret_n = n;
    memcpy(to, handle->pending + handle->at, *ret_n);
    handle->at += *ret_n;
    done = *ret_n > 0 || n == 0 || handle->is_over;
    lock_release(&handle->lock);
    return done;
}

static int read_wait(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                     struct need *ret_need, struct err *err)
{
    uint64_t seen = tree_changes(tree); /* before looking, so that no change falls between */
    int r;

    (void)offset; /* a stream */
    if (hand_out(handle, to, n, ret_n))
        return 0;
    r = next_line(tree, handle, err);
    if (r < 0)
        return r;
    if (hand_out(handle, to, n, ret_n))
        return 0;
    *ret_need = (struct need){ .kind = NEED_CHANGE, .row = (int64_t)seen };
    return TREE_NEED;
}

const struct node_ops file_wait = { .open = open_wait, .read = read_wait, .attr = attr_wait };
