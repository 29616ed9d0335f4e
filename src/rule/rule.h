/*
 * rule -- our own check of a YARA rule before a hunt is spent on it, and the options that travel in its comments.
 *
 * Errors     EINVAL with one line that says where and why ("line 3: syntax error, unexpected identifier").
 * Threads    any; rule_setup() once before, rule_teardown() once after.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/query.h"
#include "util/err.h"

CHECKED int rule_setup(struct err *err);
void rule_teardown(void);

/*
 * Compiles the rule with libyara (when `compile`) and refuses: a syntax error, no rule, more than one rule that is not
 * private, an include, a NUL byte, more than QUERY_RULE_MAX bytes.
 */
CHECKED int rule_check(const char *text, size_t n, bool compile, struct err *err);

/*
 * Reads the options from comment lines `// malquery: limit=50 filter_filetypes=pe32,pe64 max_size=800KB` into *options,
 * which holds the defaults before the call; later words win. Outside comments the word means nothing. Unknown names and
 * bad values are EINVAL with the line number.
 */
CHECKED int rule_options(const char *text, size_t n, struct query_options *options, struct err *err);

/* One `name=value` word into *options; EINVAL names what is wrong. Also for .defaults and pattern files. */
CHECKED int rule_option(const char *word, struct query_options *options, struct err *err);

/* All options that are set, as `name=value` lines in the strictest spelling; rule_option() reads each back. */
struct buf;
void rule_options_print(const struct query_options *options, struct buf *buf);
