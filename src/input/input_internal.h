/*
 * input_internal -- what the files of this layer share. Nobody outside includes it.
 */
#pragma once

#include "input/input.h"

/*
 * The words behind "malquery:" in a comment whose `n` bytes begin after its mark. Nothing happens in another comment;
 * what only looks like options is EINVAL, with `how` they are written. Ranges are checked by input_options_check().
 */
CHECKED int input_comment(const char *text, size_t n, const char *how, struct query_options *options, struct err *err);

/* EINVAL when a smallest is larger than a largest. */
CHECKED int input_options_check(const struct query_options *options, struct err *err);

/* One line of a text, without its end; CRLF is one too. */
struct input_lines {
    const char *at;
    const char *end;
    int number; /* of the line that came last, from 1 */
};

/* A byte order mark at the beginning does not count. */
struct input_lines input_lines(const char *text, size_t n);

/* The next line without the blanks around it; false at the end. */
bool input_next_line(struct input_lines *lines, const char **ret_line, size_t *ret_n);

bool input_is_blank(char c);
