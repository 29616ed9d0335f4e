#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"

/* The first word of `status` for what has not been accepted by the service. */
static const char *const entry_words[] = {
    [STORE_ENTRY_DRAFT] = "draft", [STORE_ENTRY_QUEUED] = "queued",     [STORE_ENTRY_SUBMITTING] = "queued",
    [STORE_ENTRY_SUBMITTED] = "",  [STORE_ENTRY_REJECTED] = "rejected", [STORE_ENTRY_FAILED] = "failed",
};

static const enum query_kind dir_kinds[] = {
    [STORE_HUNTS] = QUERY_HUNT,
    [STORE_EXACT] = QUERY_EXACT,
    [STORE_FUZZY] = QUERY_FUZZY,
    [STORE_DOWNLOADS] = QUERY_MULTI,
};

static int load_request(struct tree *tree, const struct request_id *id, struct view *view, struct err *err)
{
    int r = store_request_get(tree->store, id, &view->request, err);

    if (r == 0) {
        view->has_request = true;
        view->kind = view->request.kind;
        view->has_progress = view->request.state == REQUEST_INPROGRESS && view->kind == QUERY_MULTI &&
                             cache_progress(tree->cache, id, &view->progress);
    }
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

int view_load(struct tree *tree, const struct subject *subject, struct view *ret_view, struct err *err)
{
    struct request_id id;
    int r;

    *ret_view = (struct view){ 0 };
    if (subject->kind == SUBJECT_REQUEST || subject->kind == SUBJECT_GROUP)
        return request_id_parse(subject->text, &id) ? load_request(tree, &id, ret_view, err) : TREE_ABSENT;
    if (subject->kind != SUBJECT_ENTRY)
        return TREE_ABSENT;
    r = store_entry_get(tree->store, subject->dir, subject->text, &ret_view->entry, err);
    if (r != 0)
        return r == STORE_ABSENT ? TREE_ABSENT : r;
    ret_view->has_entry = true;
    ret_view->kind = dir_kinds[subject->dir];
    if (!ret_view->entry.has_request)
        return 0;
    r = load_request(tree, &ret_view->entry.request, ret_view, err);
    return r == TREE_ABSENT ? 0 : r;
}

static void put_counts(struct buf *line, const struct store_request *request)
{
    const struct {
        const char *name;
        int32_t n;
    } counts[] = {
        { "malware", request->stats.malware },
        { "unknown", request->stats.unknown },
        { "pua", request->stats.pua },
        { "clean", request->stats.clean },
    };

    buf_printf(line, " results=%lld", (long long)request->n_results);
    if (request->kind == QUERY_MULTI && request->has_stats) /* the total is what was asked for */
        buf_printf(line, " missing=%lld", (long long)(request->stats.total - request->n_results));
    for (size_t i = 0; request->has_stats && i < ARRAY_SIZE(counts); i++)
        if (counts[i].n > 0)
            buf_printf(line, " %s=%d", counts[i].name, counts[i].n);
}

/* How far a multi-download is that is being fetched or unpacked. */
static void put_progress(struct buf *line, const struct cache_progress *progress)
{
    buf_printf(line, " received=%lld", (long long)progress->n_bytes);
    if (progress->n_done)
        buf_printf(line, " local=%zu/%zu", progress->n_done, progress->n_asked);
}

static void put_request(struct buf *line, const struct view *view)
{
    const struct store_request *request = &view->request;
    int64_t until_s = request->finished_s ? request->finished_s : clock_now_s();

    buf_puts(line, request_state_name(request->state));
    if (request->state == REQUEST_DONE)
        put_counts(line, request);
    if (view->has_progress)
        put_progress(line, &view->progress);
    buf_printf(line, " elapsed=%lld", (long long)(until_s > request->submitted_s ? until_s - request->submitted_s : 0));
    if (request->state == REQUEST_DONE && request->limit > 0 && request->n_results >= request->limit)
        buf_puts(line, " limited");
    if (request->state == REQUEST_FAILED)
        buf_printf(line, " error=%s", request->error[0] ? request->error : "the service gave no reason");
}

void view_status(const struct view *view, char *ret_line, size_t room)
{
    struct buf line = BUF_INIT(room - 1);

    if (view->has_entry && view->entry.state != STORE_ENTRY_SUBMITTED) {
        buf_puts(&line, entry_words[view->entry.state]);
        if (view->entry.error[0])
            buf_printf(&line, " error=%s", view->entry.error);
        else if (view->entry.state == STORE_ENTRY_DRAFT && view->has_request)
            buf_puts(&line,
                     " changed and not sent: the results are those of what was sent before; `echo run > ctl` sends it");
        else if (view->entry.state == STORE_ENTRY_DRAFT)
            buf_puts(&line, " not sent; `echo run > ctl` sends it");
    } else if (view->has_request) {
        put_request(&line, view);
    }
    (void)snprintf(ret_line, room, "%s", buf_text(&line)); /* the limits are equal */
    buf_done(&line);
}

int64_t view_changed(const struct view *view)
{
    int64_t s = view->has_entry ? view->entry.changed_s : 0;

    if (view->has_request && view->request.submitted_s > s)
        s = view->request.submitted_s;
    if (view->has_request && view->request.finished_s > s)
        s = view->request.finished_s;
    return s;
}

bool view_is_over(const struct view *view)
{
    if (view->has_entry && view->entry.state != STORE_ENTRY_SUBMITTED)
        return view->entry.state != STORE_ENTRY_QUEUED && view->entry.state != STORE_ENTRY_SUBMITTING;
    return !view->has_request || view->request.state != REQUEST_INPROGRESS;
}
