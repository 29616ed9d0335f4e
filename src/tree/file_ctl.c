/*
 * ctl: words to a hunt, a search, a download or a request. What is not understood is EINVAL and a line in `error`.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/clock.h"
#include "util/text.h"

enum { FETCH_NAMES_MAX = 1000, WORD_SHOWN = 40 };

/* A word on its way. */
struct command {
    struct tree *tree;
    const struct caller *who;
    struct view view;
    char *arguments; /* trimmed; points to a NUL when there are none */
    struct need *need;
};

/* ---- run, retry ---- */

static int submit(struct command *command, bool is_forced, struct err *err)
{
    int r;

    if (!command->view.has_entry)
        return err_set(err, EINVAL, "this request has no file to send: say it in the directory of the file");
    r = store_entry_queue(command->tree->store, command->view.entry.row, is_forced, command->who, err);
    if (r < 0)
        return r;
    *command->need = (struct need){ .kind = NEED_SUBMIT, .row = command->view.entry.row };
    return TREE_NEED; /* STORE_ABSENT: it is under way already, and its verdict is ours */
}

static int run(struct command *command, struct err *err)
{
    return submit(command, true, err);
}

static int forgive_sample(void *closure, const struct store_sample *sample)
{
    struct cache *cache = closure;
    struct err err = { 0 };

    return cache_forgive(cache, &sample->sample.digest, &err);
}

static int forgive_asked(void *closure, const struct store_asked *asked)
{
    struct cache *cache = closure;
    struct err err = { 0 };

    return cache_forgive(cache, &asked->digest, &err);
}

/* Sends again what was not accepted or came to nothing; else the samples that could not be had may be asked for again.
 */
static int retry(struct command *command, struct err *err)
{
    const struct view *view = &command->view;
    struct store *store = command->tree->store;
    bool is_draft = view->has_entry && view->entry.state == STORE_ENTRY_DRAFT;
    bool is_unsent = view->has_entry && !is_draft && view->entry.state != STORE_ENTRY_SUBMITTED;
    int r = 0;

    if (is_draft && !view->has_request)
        return err_set(err, EINVAL, "a draft is sent by `run`");

    if (view->has_request && view->kind == QUERY_MULTI)
        r = store_asked_list(store, view->request.row, forgive_asked, command->tree->cache, err);
    else if (view->has_request)
        r = store_result_list(store, view->request.row, forgive_sample, command->tree->cache, err);
    if (r < 0 || is_draft) /* only `run` sends that */
        return r;
    if (is_unsent || (view->has_request && view->request.state == REQUEST_FAILED) || view->kind == QUERY_MULTI)
        return submit(command, is_unsent && view->entry.state == STORE_ENTRY_FAILED, err);
    return 0;
}

/* ---- fetch ---- */

struct fetch {
    struct tree *tree;
    struct buf list; /* a hash list, one digest a line */
    size_t n;
    size_t max;
};

static void fetch_add(struct fetch *fetch, const struct digest *digest)
{
    if (fetch->n >= fetch->max || store_object_exists(fetch->tree->store, digest))
        return;
    buf_printf(&fetch->list, "%s\n", digest_format(digest).s);
    fetch->n++;
}

static int fetch_result(void *closure, const struct store_sample *sample)
{
    fetch_add(closure, &sample->sample.digest);
    return 0;
}

/* The digests that are named; each must be a result. */
static int fetch_named(struct command *command, struct fetch *fetch, struct err *err)
{
    char *rest = command->arguments;
    struct digest digest;
    bool has = false;
    char *word;
    int r;

    while ((word = strsep(&rest, " \t"))) {
        if (!*word)
            continue;
        if (!digest_parse(word, &digest))
            return err_set(err, EINVAL, "'%.*s' is neither `all`, nor a number, nor a SHA-256", WORD_SHOWN, word);
        r = store_result_has(command->tree->store, command->view.request.row, &digest, &has, err);
        if (r < 0)
            return r;
        if (!has)
            return err_set(err, EINVAL, "%s is not among the results", digest_short(&digest).s);
        fetch_add(fetch, &digest);
    }
    return 0;
}

static int collect(struct command *command, struct fetch *fetch, struct err *err)
{
    uint64_t n = SIZE_MAX;

    if (!*command->arguments)
        return err_set(err, EINVAL, "fetch what: `all`, a number, or hashes");
    if (strlen(command->arguments) == DIGEST_TEXT /* also one of digits only */ ||
        (strcmp(command->arguments, "all") != 0 && !text_parse_u64(command->arguments, SIZE_MAX, &n)))
        return fetch_named(command, fetch, err);
    fetch->max = n;
    return store_result_list(command->tree->store, command->view.request.row, fetch_result, fetch, err);
}

/* "foo" of "foo.txt", without the suffix that the list will have: a name has one. */
static int base_length(const char *base)
{
    size_t n = strlen(base);

    while (n > sizeof ".txt" - 1 && strncasecmp(base + n - (sizeof ".txt" - 1), ".txt", sizeof ".txt" - 1) == 0)
        n -= sizeof ".txt" - 1;
    return (int)n;
}

/* downloads/NAME.txt gets the list: a name that is free, or that has this very list already. */
static int put_list(struct command *command, const struct fetch *fetch, struct err *err)
{
    const struct written written = { .text = &fetch->list, .changed_s = clock_now_s(), .who = command->who };
    const char *base = command->view.has_entry ? command->view.entry.name : command->view.request.id.s;
    char name[TREE_NAME_MAX + 1];
    int r = TREE_ABSENT;

    for (int i = 1; r == TREE_ABSENT && i <= FETCH_NAMES_MAX; i++) {
        cleanup_(buf_done) struct buf there = BUF_INIT(QUERY_RULE_MAX);
        int64_t changed_s;
        int suffix_n = i > 1 ? snprintf(NULL, 0, "-%d", i) : 0;
        int base_n = base_length(base);

        while (base_n > STORE_NAME_MAX - (int)sizeof ".txt" - suffix_n || !text_is_utf8(base, (size_t)base_n))
            base_n--;
        (void)snprintf(name, sizeof name, i > 1 ? "%.*s-%d.txt" : "%.*s.txt", base_n, base, i); /* fits */
        r = spool_disk_text(command->tree, STORE_DOWNLOADS, name, &there, &changed_s, err);
        if (r < 0)
            return r;
        if (r == 0 && (there.n != fetch->list.n || memcmp(buf_text(&there), buf_text(&fetch->list), there.n) != 0))
            r = TREE_ABSENT;
        else
            return r == 0 ? spool_resubmit(command->tree, STORE_DOWNLOADS, name, command->who, command->need, err)
                          : spool_commit(command->tree, STORE_DOWNLOADS, name, &written, command->need, err);
    }
    return err_set(err, EEXIST, "no free name for '%s' in downloads", base);
}

static int fetch(struct command *command, struct err *err)
{
    struct fetch fetch = { .tree = command->tree, .list = BUF_INIT(QUERY_RULE_MAX), .max = SIZE_MAX };
    int r;

    if (!command->view.has_request || command->view.request.state != REQUEST_DONE)
        return err_set(err, EINVAL, "there are no results to fetch yet");
    r = collect(command, &fetch, err);
    if (r == 0)
        r = buf_check(&fetch.list, err, "the list");
    if (r == 0 && fetch.n > 0)
        r = put_list(command, &fetch, err);
    buf_done(&fetch.list);
    return r;
}

/* ---- forget, note ---- */

static int forget(struct command *command, struct err *err)
{
    return command->view.has_entry ? user_forget(command->tree, &command->view.entry, err)
                                   : request_forget(command->tree, &command->view.request, err);
}

static int note(struct command *command, struct err *err)
{
    struct store *store = command->tree->store;
    const struct view *view = &command->view;

    if (strlen(command->arguments) > STORE_NOTE_MAX)
        return err_set(err, EINVAL, "a note has at most %d bytes", STORE_NOTE_MAX);
    if (!text_is_line(command->arguments))
        return err_set(err, EINVAL, "a note is one line of printable UTF-8");
    return view->has_entry ? store_entry_put_note(store, view->entry.row, command->arguments, err)
                           : store_request_put_note(store, view->request.row, command->arguments, err);
}

/* ---- the table ---- */

static const struct word {
    const char *word;
    const char *arguments; /* as README and error messages write them; NULL: none */
    const char *doc;
    int (*act)(struct command *command, struct err *err);
} words[] = {
    { "run", NULL, "send it again as a new request, or a draft for the first time (costs)", run },
    { "fetch", "all|N|HASH…",
      "download all, the first N, or these results that are not local, as a list in downloads/ (costs)", fetch },
    { "retry", NULL, "send again what failed; ask again for samples that could not be had", retry },
    { "forget", NULL, "forget it here; the service keeps what it has", forget },
    { "note", "TEXT", "keep a line of text with it; without TEXT drop it", note },
};

static int render_ctl(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                      struct err *err)
{
    (void)tree;
    (void)subject;
    (void)need;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        buf_printf(text, "%s%s%s\t%s\n", words[i].word, words[i].arguments ? " " : "",
                   words[i].arguments ? words[i].arguments : "", words[i].doc);
    return buf_check(text, err, "ctl");
}

static int refuse_word(const char *word, struct err *err)
{
    cleanup_(buf_done) struct buf shown = BUF_INIT(4 * WORD_SHOWN);
    cleanup_(buf_done) struct buf known = BUF_INIT(ERR_TEXT_MAX);

    text_escape(&shown, word, WORD_SHOWN);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        buf_printf(&known, "%s%s", i ? ", " : "", words[i].word);
    return err_set(err, EINVAL, "'%s' is no word here: %s", buf_text(&shown), buf_text(&known));
}

static int act(struct command *command, char *text, struct err *err)
{
    char *word = strsep(&text, " \t");

    command->arguments = text ? text_trim(text) : word + strlen(word);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(word, words[i].word) != 0)
            continue;
        if (!words[i].arguments && *command->arguments)
            return err_set(err, EINVAL, "`%s` stands alone", word);
        return words[i].act(command, err);
    }
    return refuse_word(word, err);
}

/* What was wrong with the last word is in `error`; the reason counts, not whether it could be kept. */
static void keep_refusal(const struct command *command, const char *why)
{
    const struct view *view = &command->view;
    struct err ignored = { 0 };

    if (view->has_entry ? strcmp(view->entry.refused, why) == 0 : strcmp(view->request.refused, why) == 0)
        return;
    if (view->has_entry)
        (void)store_entry_put_refused(command->tree->store, view->entry.row, why, &ignored);
    else
        (void)store_request_put_refused(command->tree->store, view->request.row, why, &ignored);
    if (*why)
        CACHE_EVENT(command->tree->cache, "refused",
                    CACHE_TEXT("name", view->has_entry ? view->entry.name : view->request.id.s),
                    CACHE_TEXT("reason", why));
}

static int command_ctl(struct tree *tree, const struct handle *handle, char *text, struct need *need, struct err *err)
{
    struct command command = { .tree = tree, .who = &handle->opener, .need = need };
    char *line = text_trim(text);
    int r = view_load(tree, &handle->subject, &command.view, err);

    if (r != 0)
        return r == TREE_ABSENT ? err_set(err, ENOENT, "it was deleted") : r;
    if (!*line)
        return 0;
    r = strpbrk(line, "\r\n") ? err_set(err, EINVAL, "one word at a time") : act(&command, line, err);
    keep_refusal(&command, r == -EINVAL ? err->text : "");
    return r;
}

const struct node_ops file_ctl = { .render = render_ctl, .command = command_ctl };
