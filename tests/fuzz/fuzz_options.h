/* fuzz_options -- options that were read from a text, printed, are read back as the same; for the targets of input. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "input/input.h"
#include "util/buf.h"

static inline void check_options(const struct query_options *options)
{
    struct query_options again = QUERY_OPTIONS_NONE;
    struct buf lines = BUF_INIT(4 * KIB);
    struct buf words = BUF_INIT(4 * KIB);
    struct buf printed = BUF_INIT(4 * KIB);

    input_options_print(options, &lines);
    buf_puts(&words, buf_text(&lines));
    for (char *rest = words.data; rest && *rest;)
        if (input_option(strsep(&rest, "\n"), &again, NULL) != 0)
            abort();
    input_options_print(&again, &printed);
    if (lines.code || strcmp(buf_text(&lines), buf_text(&printed)) != 0)
        abort();
    buf_done(&lines);
    buf_done(&words);
    buf_done(&printed);
}

/* Nothing was said, or what was said is refused. */
static inline void check_no_options(const struct query_options *options)
{
    struct buf lines = BUF_INIT(4 * KIB);

    input_options_print(options, &lines);
    if (strcmp(buf_text(&lines), "limit=1000\n") != 0)
        abort();
    buf_done(&lines);
}
