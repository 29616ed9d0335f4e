/*
 * Byte patterns as the user writes them: the name of a directory, or lines of a file.
 */
#include "input/input_internal.h"

#include <errno.h>
#include <string.h>

#include "model/search.h"
#include "util/text.h"

static const char kinds_wanted[] = "a pattern is written ascii:…, wide:… or hex:…";

/* "ascii" of "ascii:…" */
static bool split(const char *text, size_t n, enum pattern_kind *ret_kind, const char **ret_value, size_t *ret_n)
{
    const char *colon = memchr(text, ':', n);

    if (!colon || !pattern_kind_parse(text, (size_t)(colon - text), ret_kind))
        return false;
    *ret_value = colon + 1;
    *ret_n = n - (size_t)(colon + 1 - text);
    return true;
}

/* ---- names ---- */

/* %XX is one byte. */
static int unescape(const char *text, struct buf *ret_value, struct err *err)
{
    for (; *text; text++) {
        char hex[3] = { 0 };
        uint8_t byte;

        if (*text != '%') {
            buf_putc(ret_value, *text);
            continue;
        }
        for (int i = 0; i < 2 && text[1]; i++)
            hex[i] = *++text;
        if (!text_parse_hex(hex, &byte, 1))
            return err_set(err, EINVAL, "'%%%s' is no escape: write %%25 for a percent sign", hex);
        buf_putc(ret_value, (char)byte);
    }
    return buf_check(ret_value, err, "a pattern");
}

int input_pattern_name(const char *name, struct search *search, struct err *err)
{
    cleanup_(buf_done) struct buf value = BUF_INIT(SEARCH_VALUE_MAX);
    enum pattern_kind kind;
    const char *text;
    size_t n;
    int r;

    if (!split(name, strlen(name), &kind, &text, &n))
        return err_set(err, EINVAL, "%s", kinds_wanted);
    r = unescape(text, &value, err);
    return r < 0 ? r : search_add(search, kind, buf_text(&value), value.n, err);
}

/* ---- files ---- */

static int add_line(const char *line, size_t n, struct search *search, struct query_options *options, struct err *err)
{
    enum pattern_kind kind;
    const char *value;

    if (n == 0)
        return 0;
    if (*line == '#')
        return input_comment(line + 1, n - 1, "# malquery: name=value", options, err);
    if (!split(line, n, &kind, &value, &n))
        return err_set(err, EINVAL, "%s", kinds_wanted);
    for (; n > 0 && input_is_blank(*value); n--)
        value++;
    return search_add(search, kind, value, n, err);
}

int input_pattern_lines(const char *text, size_t n, struct search *search, struct query_options *options,
                        struct err *err)
{
    struct input_lines lines = input_lines(text, n);
    struct query_options changed = *options;
    const char *line;
    size_t line_n;
    int r = 0;

    while (r == 0 && input_next_line(&lines, &line, &line_n)) {
        struct err why = { 0 };

        if (add_line(line, line_n, search, &changed, &why) < 0)
            r = err_set(err, why.code, "line %d: %s", lines.number, why.text);
    }
    if (r == 0 && search->n_patterns == 0)
        r = err_set(err, EINVAL, "no pattern in this file: %s", kinds_wanted);
    if (r == 0)
        r = input_options_check(&changed, err); /* only at the end: words may correct the defaults in any order */
    if (r == 0)
        *options = changed;
    return r;
}
