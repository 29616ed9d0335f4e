/*
 * The files inside hunts/NAME/ and requests/<id>/: each is a rendering of one view. Files of results exist once the
 * request is done, so that nobody takes a part for the whole.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

typedef int view_render(struct tree *tree, const struct view *view, struct buf *text, struct err *err);

/* Loads the view and renders it; TREE_ABSENT when the file does not exist for this view. */
static int with_view(struct tree *tree, const struct subject *subject, view_render *render, struct buf *text,
                     struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    return r == 0 ? render(tree, &view, text, err) : r;
}

/* `exists` of a file is its rendering with a buffer of no interest, for those that are cheap. */
static int exists_as(struct tree *tree, const struct subject *subject, view_render *render, struct err *err)
{
    struct buf text = BUF_INIT(TREE_TEXT_MAX);
    int r = with_view(tree, subject, render, &text, err);

    buf_done(&text);
    return r;
}

int exists_when_done(struct tree *tree, const struct subject *subject, struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    if (r != 0)
        return r;
    return view.has_request && view.request.state == REQUEST_DONE ? 0 : TREE_ABSENT;
}

/* ---- small ones ---- */

static int put_state(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    char line[STORE_ERROR_MAX + 128];

    (void)tree;
    view_status(view, line, sizeof line);
    buf_printf(text, "%s\n", line);
    return buf_check(text, err, "status");
}

static int put_id(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    (void)tree;
    if (!view->has_request)
        return TREE_ABSENT;
    buf_printf(text, "%s\n", view->request.id.s);
    return buf_check(text, err, "id");
}

static int put_error(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    const char *why = view->has_entry && view->entry.error[0] ? view->entry.error
                      : view->has_request                     ? view->request.error
                                                              : "";
    const char *refused = view->has_entry ? view->entry.refused : view->request.refused;

    (void)tree;
    if (!*why && !*refused)
        return TREE_ABSENT;
    if (*why)
        buf_printf(text, "%s\n", why);
    if (view->has_entry && view->entry.trace[0])
        buf_printf(text, "trace id %s\n", view->entry.trace);
    if (*refused)
        buf_printf(text, "ctl: %s\n", refused);
    return buf_check(text, err, "error");
}

static int put_note(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    const char *note = view->has_entry ? view->entry.note : view->request.note;

    (void)tree;
    if (!*note)
        return TREE_ABSENT;
    buf_printf(text, "%s\n", note);
    return buf_check(text, err, "note");
}

/* What was sent, or will be. */
static int sent_text(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    int r = STORE_ABSENT;

    if (view->has_request)
        r = store_request_text(tree->store, view->request.row, text, err);
    if (r == STORE_ABSENT && view->has_entry)
        r = store_entry_text(tree->store, view->entry.row, text, err); /* nothing was sent yet */
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

static int put_rule(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    return view->kind == QUERY_HUNT ? sent_text(tree, view, text, err) : TREE_ABSENT;
}

/* The body of a search as it was sent; until then it may be wrong, and there is none. */
static int put_query(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    cleanup_(buf_done) struct buf written = BUF_INIT(QUERY_RULE_MAX);
    cleanup_(buf_done) struct buf options = BUF_INIT(TREE_TEXT_MAX);
    int r;

    if ((view->kind != QUERY_EXACT && view->kind != QUERY_FUZZY) || !view->has_request)
        return TREE_ABSENT;
    r = store_request_text(tree->store, view->request.row, &written, err);
    if (r == 0)
        r = store_request_options(tree->store, view->request.row, &options, err);
    if (r != 0)
        return r == STORE_ABSENT ? TREE_ABSENT : r;
    r = cache_encode_query(tree->cache, view->kind, buf_text(&written), written.n, buf_text(&options), text, err);
    buf_putc(text, '\n');
    return r;
}

static int put_options(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    int r = view->has_request && view->kind != QUERY_MULTI
                ? store_request_options(tree->store, view->request.row, text, err)
                : STORE_ABSENT;

    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

static int put_response(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    int r = view->has_request ? store_request_raw(tree->store, view->request.row, text, err) : TREE_ABSENT;

    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

/* ---- results ---- */

struct rows {
    struct tree *tree;
    struct buf *text;
};

static int put_tsv_row(void *closure, const struct store_sample *known)
{
    const struct rows *rows = closure;
    const struct sample *sample = &known->sample;
    const char *texts[] = { sample->label, sample->family, sample->md5, sample->sha1 };

    buf_printf(rows->text, "%s\t%s\t", digest_format(&sample->digest).s, sample->filetype);
    if (sample->size_bytes >= 0)
        buf_printf(rows->text, "%lld", (long long)sample->size_bytes);
    buf_putc(rows->text, '\t');
    if (sample->first_seen_s != SAMPLE_NO_DATE)
        buf_puts(rows->text, clock_date(sample->first_seen_s).s);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        buf_putc(rows->text, '\t');
        text_escape(rows->text, texts[i], SAMPLE_FAMILY_MAX);
    }
    buf_printf(rows->text, "\t%s\n", sample_state(rows->tree, known));
    return 0;
}

static int put_jsonl_row(void *closure, const struct store_sample *known)
{
    const struct rows *rows = closure;

    cache_encode_sample(rows->text, &known->sample);
    buf_putc(rows->text, '\n');
    return 0;
}

static int put_hash_row(void *closure, const struct store_sample *known)
{
    const struct rows *rows = closure;

    buf_printf(rows->text, "%s\n", digest_format(&known->sample.digest).s);
    return 0;
}

static int put_sum_row(void *closure, const struct store_sample *known)
{
    const struct rows *rows = closure;
    struct digest_text digest = digest_format(&known->sample.digest);

    buf_printf(rows->text, "%s  %s\n", digest.s, digest.s);
    return 0;
}

static int put_rows(struct tree *tree, const struct view *view, store_result_each *row, struct buf *text,
                    struct err *err)
{
    struct rows rows = { .tree = tree, .text = text };
    int r;

    if (!view->has_request || view->request.state != REQUEST_DONE)
        return TREE_ABSENT;
    r = store_result_list(tree->store, view->request.row, row, &rows, err);
    return r < 0 ? r : buf_check(text, err, "the results");
}

static int put_tsv(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    buf_puts(text, "sha256\tfiletype\tfilesize\tfirst_seen\tlabel\tfamily\tmd5\tsha1\tstate\n");
    return put_rows(tree, view, put_tsv_row, text, err);
}

static int put_jsonl(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    return put_rows(tree, view, put_jsonl_row, text, err);
}

static int put_hashes(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    return put_rows(tree, view, put_hash_row, text, err);
}

static int put_sums(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    return put_rows(tree, view, put_sum_row, text, err);
}

/* ---- runs and what is missing ---- */

static int put_run(void *closure, const struct store_request *request)
{
    struct buf *text = closure;

    buf_printf(text, "%s\t%s\t%s\t%lld\n", clock_iso(request->submitted_s).s, request->id.s,
               request_state_name(request->state), (long long)request->n_results);
    return 0;
}

static int put_runs(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    int r;

    buf_puts(text, "started\tid\tstatus\tresults\n");
    r = view->has_entry ? store_request_list_entry(tree->store, view->entry.row, put_run, text, err)
                        : put_run(text, &view->request);
    return r < 0 ? r : buf_check(text, err, "the runs");
}

static int put_missing_row(void *closure, const struct store_asked *asked)
{
    const struct rows *rows = closure;

    if (!asked->reason[0])
        return 0;
    buf_printf(rows->text, "%s\t", digest_format(&asked->digest).s);
    text_escape(rows->text, asked->reason, sizeof asked->reason);
    buf_putc(rows->text, '\n');
    return 0;
}

static int put_missing(struct tree *tree, const struct view *view, struct buf *text, struct err *err)
{
    struct rows rows = { .tree = tree, .text = text };
    int r;

    if (view->kind != QUERY_MULTI || !view->has_request)
        return TREE_ABSENT;
    r = store_asked_list(tree->store, view->request.row, put_missing_row, &rows, err);
    return r < 0 ? r : buf_check(text, err, "what is missing");
}

/* ---- the rows of the table ---- */

#define VIEW_FILE(file, put, exists_)                                                                                  \
    static int render_##file(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,    \
                             struct err *err)                                                                          \
    {                                                                                                                  \
        (void)need; /* everything is on disk */                                                                        \
        return with_view(tree, subject, put, text, err);                                                               \
    }                                                                                                                  \
    const struct node_ops file = { .render = render_##file, .exists = exists_ }

static int exists_id(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_id, err);
}

static int exists_error(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_error, err);
}

static int exists_rule(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_rule, err);
}

static int exists_options(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_options, err);
}

static int exists_note(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_note, err);
}

static int exists_query(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_query, err);
}

static int exists_missing(struct tree *tree, const struct subject *subject, struct err *err)
{
    return exists_as(tree, subject, put_missing, err);
}

/* A multi-download is answered by its archive. */
static int exists_response(struct tree *tree, const struct subject *subject, struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    if (r != 0)
        return r;
    return view.has_request && view.request.state == REQUEST_DONE && view.kind != QUERY_MULTI ? 0 : TREE_ABSENT;
}

VIEW_FILE(view_state, put_state, NULL);
VIEW_FILE(view_note, put_note, exists_note);
VIEW_FILE(view_query, put_query, exists_query);
VIEW_FILE(view_runs, put_runs, NULL);
VIEW_FILE(view_missing, put_missing, exists_missing);
VIEW_FILE(view_rule, put_rule, exists_rule);
VIEW_FILE(view_id, put_id, exists_id);
VIEW_FILE(view_error, put_error, exists_error);
VIEW_FILE(view_options, put_options, exists_options);
VIEW_FILE(view_response, put_response, exists_response);
VIEW_FILE(view_results_tsv, put_tsv, exists_when_done);
VIEW_FILE(view_results_jsonl, put_jsonl, exists_when_done);
VIEW_FILE(view_hashes, put_hashes, exists_when_done);
VIEW_FILE(view_sums, put_sums, exists_when_done);
