/* input_internal -- what the files of input share. */
#pragma once

#include "input/input.h"

/* ---- input_text: what every text of a user has ---- */

static inline bool input_text_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Where a text is being read; a byte order mark before it does not count. */
struct input_text {
    const char *at;
    const char *end;
    int line; /* number of the last one that was read */
};
struct input_text input_text_of(const char *text, size_t n);

/* A line without the blanks around it and the CR of a CR LF; not NUL-terminated. */
struct input_line {
    const char *text;
    size_t n;
};

enum { INPUT_TEXT_END = 1 };

/* INPUT_TEXT_END; EINVAL, without the line's number: a NUL byte, or a CR that ends no line. */
CHECKED int input_text_next(struct input_text *text, struct input_line *ret_line, struct err *err);

/* Makes "line 3: why" of what is wrong there; returns its negative code. */
int input_text_blame(int line, const struct err *why, struct err *err);

/* EINVAL "before'text': why"; the text is foreign and shown cut and escaped. */
int input_text_refuse(const char *before, const char *text, size_t n, const char *why, struct err *err);

/* ---- input_option ---- */

/* A comment of any language. */
struct input_comment {
    const char *text; /* behind the mark */
    size_t n;
    const char *mark; /* what begins a line comment there: "//", "#" */
    bool is_block;    /* it is no line comment */
};

/*
 * The words after `malquery:` into *options, which is of no use after a failure; nothing happens in another comment.
 * EINVAL for bad words, and for what only looks like options. Words may come in any order, so the caller looks at the
 * ranges when it has all of them.
 */
CHECKED int input_option_comment(const struct input_comment *comment, struct query_options *options, struct err *err);

/* EINVAL for a minimum that is larger than its maximum. */
CHECKED int input_option_ranges(const struct query_options *options, struct err *err);
