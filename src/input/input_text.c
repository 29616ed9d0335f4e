#include "input/input_internal.h"

#include <errno.h>
#include <string.h>

#include "util/buf.h"
#include "util/text.h"

enum { SHOWN_MAX = 60 }; /* bytes of a foreign text in a message */

struct input_text input_text_of(const char *text, size_t n)
{
    return (struct input_text){ .at = text + text_bom(text, n), .end = text + n };
}

static void trim(struct input_line *line)
{
    while (line->n > 0 && input_text_is_blank(line->text[line->n - 1]))
        line->n--;
    while (line->n > 0 && input_text_is_blank(*line->text)) {
        line->text++;
        line->n--;
    }
}

int input_text_next(struct input_text *text, struct input_line *ret_line, struct err *err)
{
    struct input_line line = { .text = text->at };
    const char *lf;

    if (text->at == text->end)
        return INPUT_TEXT_END;
    lf = memchr(text->at, '\n', (size_t)(text->end - text->at));
    line.n = (size_t)((lf ? lf : text->end) - text->at);
    text->at = lf ? lf + 1 : text->end;
    text->line++;
    trim(&line);
    if (memchr(line.text, '\0', line.n))
        return err_set(err, EINVAL, "a NUL byte: is this a text in UTF-8?");
    if (memchr(line.text, '\r', line.n))
        return err_set(err, EINVAL, "a carriage return inside the line");
    *ret_line = line;
    return 0;
}

int input_text_blame(int line, const struct err *why, struct err *err)
{
    return err_set(err, why->code, "line %d: %s", line, why->text);
}

int input_text_refuse(const char *before, const char *text, size_t n, const char *why, struct err *err)
{
    char cut[SHOWN_MAX + 1];
    cleanup_(buf_done) struct buf escaped = BUF_INIT(4 * SHOWN_MAX);

    if (n > SHOWN_MAX)
        n = SHOWN_MAX;
    memcpy(cut, text, n);
    cut[n] = '\0';
    text_escape(&escaped, cut, n);
    return err_set(err, EINVAL, "%s'%s': %s", before, buf_text(&escaped), why);
}
