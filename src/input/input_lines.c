#include "input/input_internal.h"

#include <string.h>

#include "util/text.h"

bool input_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

struct input_lines input_lines(const char *text, size_t n)
{
    size_t mark = text_bom(text, n);

    return (struct input_lines){ .at = text + mark, .end = text + n };
}

bool input_next_line(struct input_lines *lines, const char **ret_line, size_t *ret_n)
{
    const char *line = lines->at;
    const char *end;

    if (line == lines->end)
        return false;
    end = memchr(line, '\n', (size_t)(lines->end - line));
    lines->at = end ? end + 1 : lines->end;
    lines->number++;
    if (!end)
        end = lines->end;
    while (line < end && input_is_blank(*line))
        line++;
    while (end > line && input_is_blank(end[-1]))
        end--;
    *ret_line = line;
    *ret_n = (size_t)(end - line);
    return true;
}
