/*
 * A pattern is `kind:value`. In the name of a directory, where neither a slash nor a NUL can stand and control
 * characters are a nuisance, %XX is a byte of the value, and each byte counts. In a file a value is literal, and the
 * blanks around it do not count, so that a column of values lined up under each other looks for what it says.
 */
#include "input/input_internal.h"

#include <errno.h>
#include <string.h>

#include "model/search.h"
#include "util/buf.h"
#include "util/text.h"

/* Takes "kind:" off the text; false when it has no such begin. */
static bool take_kind(struct input_line *text, enum pattern_kind *ret_kind)
{
    const char *colon = memchr(text->text, ':', text->n);
    size_t n = colon ? (size_t)(colon - text->text) : 0;

    if (!colon || !pattern_kind_parse(text->text, n, ret_kind))
        return false;
    *text = (struct input_line){ .text = colon + 1, .n = text->n - n - 1 };
    return true;
}

/* ---- names ---- */

/* The byte of the %XX at `text`, which ends somewhere with a NUL. */
CHECKED static int read_escape(const char *text, uint8_t *ret_byte, struct err *err)
{
    const char digits[] = { text[1], (char)(text[1] ? text[2] : '\0'), '\0' };

    if (!text_parse_hex(digits, ret_byte, 1))
        return input_text_refuse("", text, strnlen(text, 3), "write %25 for a percent sign", err);
    if (*ret_byte == '\0')
        return err_set(err, EINVAL, "%%00 is a NUL byte: give such a pattern as hex");
    return 0;
}

CHECKED static int unescape(const struct input_line *text, struct buf *ret_value, struct err *err)
{
    for (size_t i = 0; i < text->n; i++) {
        uint8_t byte = (uint8_t)text->text[i];
        int r;

        if (byte == '%') {
            r = read_escape(text->text + i, &byte, err);
            if (r < 0)
                return r;
            i += 2;
        }
        buf_putc(ret_value, (char)byte);
    }
    return buf_check(ret_value, err, "a pattern");
}

int input_pattern_name(const char *name, struct search *search, struct err *err)
{
    struct input_line text = { .text = name, .n = strlen(name) };
    cleanup_(buf_done) struct buf value = BUF_INIT(text.n);
    enum pattern_kind kind;
    int r;

    if (!take_kind(&text, &kind))
        return input_text_refuse("", name, strlen(name), "a pattern is named ascii:…, wide:… or hex:…", err);
    r = unescape(&text, &value, err);
    if (r < 0)
        return r;
    return search_add(search, kind, buf_text(&value), value.n, err);
}

/* ---- files ---- */

CHECKED static int read_line(struct input_line line, struct search *search, struct query_options *options,
                             struct err *err)
{
    const struct input_line whole = line;
    enum pattern_kind kind;

    if (line.n == 0)
        return 0;
    if (!text_is_utf8(line.text, line.n))
        return err_set(err, EINVAL, "not UTF-8: give other bytes as hex");
    if (*line.text == '#') {
        const struct input_comment comment = { .text = line.text + 1, .n = line.n - 1, .mark = "#" };

        return input_option_comment(&comment, options, err);
    }
    if (!take_kind(&line, &kind))
        return input_text_refuse("", whole.text, whole.n, "neither hex: …, ascii: …, wide: … nor a # comment", err);
    for (; line.n > 0 && input_text_is_blank(*line.text); line.n--)
        line.text++;
    return search_add(search, kind, line.text, line.n, err);
}

int input_pattern_lines(const char *text, size_t n, struct search *search, struct query_options *options,
                        struct err *err)
{
    cleanup_(search_done) struct search found = { 0 };
    struct input_text lines = input_text_of(text, n);
    struct query_options changed = *options;
    struct input_line line;
    struct err why = { 0 };
    int r;

    assert(search->n_patterns == 0);
    if (n > SEARCH_TEXT_MAX)
        return err_set(err, EFBIG, "a search of %zu bytes: %d are allowed", n, SEARCH_TEXT_MAX);
    do {
        r = input_text_next(&lines, &line, &why);
        if (r == 0)
            r = read_line(line, &found, &changed, &why);
    } while (r == 0);
    if (r < 0)
        return input_text_blame(lines.line, &why, err);
    if (found.n_patterns == 0)
        return err_set(err, EINVAL, "there are no patterns");
    r = input_option_ranges(&changed, err); /* only at the end, as in a rule */
    if (r < 0)
        return r;
    *options = changed;
    *search = found;
    found = (struct search){ 0 };
    return 0;
}
