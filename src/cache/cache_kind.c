/*
 * What can be submitted, one row for each directory of the tree: how the text is understood, and how it is sent.
 * Multi-downloads are in cache_download.c.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"
#include "util/text.h"

/* ---- options ---- */

/* `name=value` lines, as in .defaults, JSON bodies and what is kept of earlier requests. */
static int read_words(const char *text, struct query_options *options, struct err *err)
{
    cleanup_(buf_done) struct buf copy = BUF_INIT(SUBMIT_OPTIONS_MAX);
    char *rest;
    int line = 0;
    int r;

    buf_puts(&copy, text);
    r = buf_check(&copy, err, "the options");
    rest = copy.data;
    while (r == 0 && rest) {
        char *word = text_trim(strsep(&rest, "\n"));
        struct err why = { 0 };

        line++;
        if (!*word || *word == '#')
            continue;
        if (input_option(word, options, &why) < 0)
            r = err_set(err, why.code, "line %d: %s", line, why.text);
    }
    return r;
}

int cache_check_defaults(enum store_dir dir, const char *text, struct err *err)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    int r = read_words(text, &options, err);

    if (r == 0 && dir == STORE_FUZZY)
        r = cache_check_fuzzy(&options, err);
    return r;
}

int cache_default_options(struct store *store, enum store_dir dir, struct query_options *ret_options, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(SUBMIT_OPTIONS_MAX);
    int64_t changed_s;
    int r = store_defaults_get(store, dir, &text, &changed_s, err);

    *ret_options = (struct query_options)QUERY_OPTIONS_NONE;
    if (r != 0)
        return r < 0 ? r : 0;
    return read_words(buf_text(&text), ret_options, err);
}

/* The service filters hunts and exact searches only (API page 2.4): ignoring a filter would be a wrong answer. */
int cache_check_fuzzy(const struct query_options *options, struct err *err)
{
    struct query_options plain = QUERY_OPTIONS_NONE;
    cleanup_(buf_done) struct buf all = BUF_INIT(SUBMIT_OPTIONS_MAX);
    cleanup_(buf_done) struct buf limit = BUF_INIT(SUBMIT_OPTIONS_MAX);

    plain.limit = options->limit;
    input_options_print(options, &all);
    input_options_print(&plain, &limit);
    if (all.n == limit.n)
        return 0;
    return err_set(err, EINVAL, "a fuzzy search has no filters, only limit=; an exact search has them");
}

/* ---- hunts ---- */

static int read_hunt(struct cache *cache, struct submission *sub, struct err *err)
{
    int r = input_rule_options(buf_text(&sub->text), sub->text.n, &sub->options, err);

    return r < 0 ? r : input_rule_check(buf_text(&sub->text), sub->text.n, atomic_load(&cache->yara_check), err);
}

static int send_hunt(struct cache *cache, struct submission *sub, struct request_id *ret_id, bool *ret_sent,
                     struct err *err)
{
    return api_hunt(cache->api, buf_text(&sub->text), sub->text.n, &sub->options, ret_id, ret_sent, err);
}

/* ---- searches ---- */

/* The body of the API, or lines: the first byte tells. The key is the body without its options, which are kept apart.
 */
static int read_search(struct cache *cache, struct submission *sub, struct err *err)
{
    cleanup_(buf_done) struct buf words = BUF_INIT(SUBMIT_OPTIONS_MAX);
    const char *text = buf_text(&sub->text);
    size_t mark = text_bom(text, sub->text.n);
    int r;

    (void)cache;
    if (text[mark + strspn(text + mark, " \t\r\n")] == '{') {
        r = api_decode_search(text, sub->text.n, &sub->search, &words, err);
        if (r == 0)
            r = read_words(buf_text(&words), &sub->options, err);
    } else {
        r = input_pattern_lines(text, sub->text.n, &sub->search, &sub->options, err);
    }
    if (r == 0)
        r = api_encode_search(&sub->key, sub->kind->kind, sub->search.patterns, sub->search.n_patterns, NULL, err);
    return r;
}

static int read_fuzzy(struct cache *cache, struct submission *sub, struct err *err)
{
    int r = read_search(cache, sub, err);

    return r < 0 ? r : cache_check_fuzzy(&sub->options, err);
}

static int send_exact(struct cache *cache, struct submission *sub, struct request_id *ret_id, bool *ret_sent,
                      struct err *err)
{
    return api_exact(cache->api, sub->search.patterns, sub->search.n_patterns, &sub->options, ret_id, ret_sent, err);
}

/* Answers at once and costs nothing, so no failure is ambiguous. */
static int send_fuzzy(struct cache *cache, struct submission *sub, struct request_id *ret_id, bool *ret_sent,
                      struct err *err)
{
    int r = store_request_new_id(ret_id, err);

    *ret_sent = false;
    if (r == 0)
        r = api_fuzzy(cache->api, sub->search.patterns, sub->search.n_patterns, &sub->options, &sub->result, err);
    sub->has_result = r == 0;
    return r;
}

/* ---- the table ---- */

static const struct submit_kind kinds[] = {
    [STORE_HUNTS] = { .name = "hunt",
                      .operation = "hunt",
                      .cost = COST_HUNTS,
                      .price = 1,
                      .kind = QUERY_HUNT,
                      .has_options = true,
                      .read = read_hunt,
                      .send = send_hunt },
    [STORE_EXACT] = { .name = "exact search",
                      .operation = "exact-search",
                      .cost = COST_HUNTS,
                      .price = 1,
                      .kind = QUERY_EXACT,
                      .has_options = true,
                      .read = read_search,
                      .send = send_exact },
    [STORE_FUZZY] = { .name = "fuzzy search",
                      .operation = "fuzzy-search",
                      .kind = QUERY_FUZZY,
                      .has_options = true,
                      .read = read_fuzzy,
                      .send = send_fuzzy },
    [STORE_DOWNLOADS] = { .name = "download",
                          .operation = "multi-download",
                          .cost = COST_DOWNLOADS,
                          .kind = QUERY_MULTI,
                          .always_asks = true,
                          .read = cache_download_read,
                          .prepare = cache_download_prepare,
                          .send = cache_download_send },
};

const struct submit_kind *cache_kind(enum store_dir dir)
{
    return &kinds[dir];
}

int cache_submission_read(struct cache *cache, struct submission *sub, struct err *err)
{
    int r = 0;

    sub->kind = cache_kind(sub->entry->dir);
    sub->price = sub->kind->price;
    sub->options = (struct query_options)QUERY_OPTIONS_NONE;
    if (sub->kind->has_options)
        r = cache_default_options(cache->store, sub->entry->dir, &sub->options, err);
    if (r == 0)
        r = sub->kind->read(cache, sub, err);
    if (r == 0 && sub->kind->has_options)
        input_options_print(&sub->options, &sub->printed);
    return r < 0 ? r : buf_check(&sub->printed, err, "the options");
}

void cache_submission_done(struct submission *sub)
{
    buf_done(&sub->text);
    buf_done(&sub->printed);
    buf_done(&sub->key);
    search_done(&sub->search);
    free(sub->asked);
    free(sub->to_fetch);
    if (sub->has_result)
        api_result_done(&sub->result);
}

int cache_encode_query(struct cache *cache, enum query_kind kind, const char *text, size_t n, const char *options,
                       struct buf *ret_body, struct err *err)
{
    static const struct store_entry of_kind[] = { { .dir = STORE_EXACT }, { .dir = STORE_FUZZY } };
    cleanup_(cache_submission_done) struct submission sub = SUBMISSION_INIT(&of_kind[kind == QUERY_FUZZY]);
    int r;

    sub.kind = cache_kind(sub.entry->dir);
    buf_append(&sub.text, text, n);
    r = read_search(cache, &sub, err);
    sub.options = (struct query_options)QUERY_OPTIONS_NONE;
    if (r == 0)
        r = read_words(options, &sub.options, err);
    if (r == 0)
        r = api_encode_search(ret_body, kind, sub.search.patterns, sub.search.n_patterns, &sub.options, err);
    return r;
}

int cache_pattern_text(const char *name, struct buf *ret_text, struct err *err)
{
    struct search search = { 0 };
    int r = input_pattern_name(name, &search, err);

    if (r == 0)
        r = api_encode_search(ret_text, QUERY_FUZZY, search.patterns, search.n_patterns, NULL, err);
    search_done(&search);
    return r;
}
