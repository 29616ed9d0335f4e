/*
 * input -- what the user wrote, understood and checked before anything is spent: YARA rules, byte patterns, hash lists,
 * and the options that travel with them.
 *
 * Ownership  what comes back through ret_* is the caller's. Texts are borrowed.
 * Errors     EINVAL with one line that says where and why ("line 3: syntax error, unexpected identifier"); ENOMEM.
 * Threads    any; input_setup() once before, input_teardown() once after.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/query.h"
#include "util/err.h"

CHECKED int input_setup(struct err *err);
void input_teardown(void);

/*
 * Compiles the rule with libyara (when `compile`) and refuses: a syntax error, no rule, more than one rule that is not
 * private, an include, a NUL byte, more than QUERY_RULE_MAX bytes.
 */
CHECKED int input_rule_check(const char *text, size_t n, bool compile, struct err *err);

/*
 * Reads the options from comment lines `// malquery: limit=50 filter_filetypes=pe32,pe64 max_size=800KB` into *options,
 * which holds the defaults before the call; later words win. Outside comments the word means nothing. Unknown names and
 * bad values are EINVAL with the line number.
 */
CHECKED int input_rule_options(const char *text, size_t n, struct query_options *options, struct err *err);

/* One `name=value` word into *options; EINVAL names what is wrong. Also for .defaults and pattern files. */
CHECKED int input_option(const char *word, struct query_options *options, struct err *err);

/* All options that are set, as `name=value` lines in the strictest spelling; input_option() reads each back. */
struct buf;
void input_options_print(const struct query_options *options, struct buf *buf);

/* ---- byte patterns, for exact and fuzzy searches ---- */

struct search;

/*
 * The name of a directory as a search of one pattern: "ascii:trickbot", "hex:4d 5a", "wide:a%2Fb". %XX is one byte of
 * the value; a percent sign that begins no such escape is EINVAL.
 */
CHECKED int input_pattern_name(const char *name, struct search *search, struct err *err);

/*
 * Lines "hex: …", "ascii: …", "wide: …", "# malquery: limit=5" and other comments, blank lines; CRLF too. Values are
 * literal, blanks around them do not count. *options holds the defaults before the call.
 */
CHECKED int input_pattern_lines(const char *text, size_t n, struct search *search, struct query_options *options,
                                struct err *err);

/* ---- hash lists ---- */

/* Digests in their order, without duplicates; free(). */
struct input_hashes {
    struct digest *digests;
    size_t n;
};

enum { INPUT_HASHES_MAX = 10000 };

/*
 * One SHA-256 per line, in any case; or what sha256sum writes ("<hash>  name", "<hash> *name", "\<hash>  na\\me"), or a
 * leading '*'. '#' begins a comment, blank lines and CRLF are fine. Anything else is EINVAL with the line number;
 * EINVAL without any hash; EFBIG beyond INPUT_HASHES_MAX.
 */
CHECKED int input_hashes(const char *text, size_t n, struct input_hashes *ret_hashes, struct err *err);
