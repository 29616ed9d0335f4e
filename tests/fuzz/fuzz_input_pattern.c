/* Any bytes as a file of patterns and as the name of one: what comes out can be written down again in either form. */
#include "fuzz_options.h"
#include "model/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { NAME_MAX_BYTES = 1024 };

static void check_same(const struct search *a, const struct search *b)
{
    if (a->n_patterns != b->n_patterns)
        abort();
    for (size_t i = 0; i < a->n_patterns; i++)
        if (a->patterns[i].kind != b->patterns[i].kind || strcmp(a->patterns[i].value, b->patterns[i].value) != 0)
            abort();
}

static void check_pattern(const struct pattern *pattern)
{
    struct buf clean = BUF_INIT(SEARCH_VALUE_MAX);

    if (pattern_clean(pattern->kind, pattern->value, strlen(pattern->value), &clean, NULL) != 0 ||
        strcmp(buf_text(&clean), pattern->value) != 0)
        abort();
    buf_done(&clean);
}

/* A name with every byte of the value escaped. */
static void check_name(const struct pattern *pattern)
{
    struct buf name = BUF_INIT(4 * SEARCH_VALUE_MAX);
    struct search search = { 0 };
    const struct search expected = { .patterns = &(struct pattern){ pattern->kind, pattern->value }, .n_patterns = 1 };

    buf_printf(&name, "%s:", pattern_kind_name(pattern->kind));
    for (const char *c = pattern->value; *c; c++)
        buf_printf(&name, "%%%02x", (unsigned char)*c);
    if (input_pattern_name(buf_text(&name), &search, NULL) != 0)
        abort();
    check_same(&search, &expected);
    search_done(&search);
    buf_done(&name);
}

/* The patterns as lines. */
static void check_lines(const struct search *search)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct buf text = BUF_INIT(2 * SEARCH_TEXT_MAX);
    struct search again = { 0 };

    for (size_t i = 0; i < search->n_patterns; i++)
        buf_printf(&text, "%s:%s\n", pattern_kind_name(search->patterns[i].kind), search->patterns[i].value);
    if (text.n <= SEARCH_TEXT_MAX) {
        if (input_pattern_lines(text.data, text.n, &again, &options, NULL) != 0)
            abort();
        check_same(search, &again);
    }
    search_done(&again);
    buf_done(&text);
}

static void read_name(const uint8_t *data, size_t n)
{
    char name[NAME_MAX_BYTES + 1];
    struct search search = { 0 };

    if (n > NAME_MAX_BYTES)
        n = NAME_MAX_BYTES;
    memcpy(name, data, n);
    name[n] = '\0';
    if (input_pattern_name(name, &search, NULL) == 0) {
        check_pattern(&search.patterns[0]);
        check_name(&search.patterns[0]);
    }
    search_done(&search);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct search search = { 0 };
    struct err err = { 0 };

    read_name(data, n);
    if (input_pattern_lines((const char *)data, n, &search, &options, &err) < 0) {
        if (err.code == 0 || !err.text[0] || search.patterns)
            abort();
        check_no_options(&options);
        return 0;
    }
    for (size_t i = 0; i < search.n_patterns; i++) {
        check_pattern(&search.patterns[i]);
        check_name(&search.patterns[i]);
    }
    check_options(&options);
    check_lines(&search);
    search_done(&search);
    return 0;
}
