/*
 * input -- what the user wrote, understood and checked before anything is spent: YARA rules, byte patterns, hash lists,
 * and the options that travel with them.
 *
 * Ownership  what comes back through ret_* is the caller's. Texts are borrowed and need no NUL at their end.
 * Errors     EINVAL and EFBIG with one line that says where and why ("line 3: syntax error, unexpected identifier");
 *            ENOMEM. Outputs are as they were.
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

/* What a pattern may be is told in model/search.h; all of that is checked here. */
struct search;

/*
 * The name of a directory as a pattern, which is added to *search: "ascii:trickbot", "hex:4d 5a 90 00", "wide:a%2Fb".
 * Kinds are written so and in lower case. %XX is one byte of the value, of any kind but not NUL; a percent sign that
 * begins no such escape is EINVAL. Blanks are bytes like others; between hex digits they do not count.
 */
CHECKED int input_pattern_name(const char *name, struct search *search, struct err *err);

/*
 * A file of at most SEARCH_TEXT_MAX bytes of UTF-8, with or without a byte order mark, LF or CR LF at the end of a
 * line: lines "hex: …", "ascii: …", "wide: …", with literal values and without the blanks around them; lines whose
 * first character beside blanks is '#', of which "# malquery: limit=5" means what the comment of a rule does; blank
 * lines. Anything else is EINVAL, and so is a file without a pattern. *search is empty before the call; *options holds
 * the defaults.
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
 * One SHA-256 in a line, in any case, alone or as sha256sum writes it: "<hash>  name", "<hash> *name",
 * "SHA256 (name) = <hash>", also behind the backslash of a name with escapes. Names are passed over, and so is a '*'
 * before a hash. '#' begins a comment, at the begin of a line or behind a hash; blanks (spaces, tabs) around all of
 * this, blank lines, CR LF and a byte order mark do not count. Anything else is EINVAL, and so is a list without a
 * hash. EFBIG beyond INPUT_HASHES_MAX different ones.
 */
CHECKED int input_hashes(const char *text, size_t n, struct input_hashes *ret_hashes, struct err *err);
