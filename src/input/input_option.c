/*
 * Options are words `name=value`; one table says what each accepts and how it is printed. In a rule they stand in line
 * comments, so the text is scanned as YARA would: what is inside a string, a regular expression or a block comment is
 * passed over. A slash that starts no comment starts a regular expression, since YARA divides with a backslash.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "input/input_internal.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/text.h"

enum { WORD_MAX = 511 }; /* bytes */

struct spec {
    const char *name;
    size_t at; /* offset in struct query_options */
    bool (*parse)(const char *value, void *field, struct query_options *options);
    void (*print)(const struct spec *spec, const struct query_options *options, struct buf *buf); /* NULL: an alias */
    const char *wants;
};

static const void *field_of(const struct query_options *options, size_t at)
{
    return (const char *)options + at;
}

static bool parse_limit(const char *value, void *field, struct query_options *options)
{
    uint64_t limit;

    (void)options;
    if (!text_parse_u64(value, QUERY_LIMIT_MAX, &limit) || limit < 1)
        return false;
    *(int32_t *)field = (int32_t)limit;
    return true;
}

static void print_limit(const struct spec *spec, const struct query_options *options, struct buf *buf)
{
    buf_printf(buf, "%s=%" PRId32 "\n", spec->name, *(const int32_t *)field_of(options, spec->at));
}

static bool parse_size(const char *value, void *field, struct query_options *options)
{
    uint64_t bytes;

    (void)options;
    if (!text_parse_bytes(value, INT64_MAX, &bytes))
        return false;
    *(int64_t *)field = (int64_t)bytes;
    return true;
}

static void print_size(const struct spec *spec, const struct query_options *options, struct buf *buf)
{
    int64_t bytes = *(const int64_t *)field_of(options, spec->at);

    if (bytes >= 0)
        buf_printf(buf, "%s=%" PRId64 "\n", spec->name, bytes);
}

static bool parse_date(const char *value, void *field, struct query_options *options)
{
    (void)options;
    return text_parse_date(value, field);
}

static void print_date(const struct spec *spec, const struct query_options *options, struct buf *buf)
{
    int64_t s = *(const int64_t *)field_of(options, spec->at);

    if (s != INT64_MIN)
        buf_printf(buf, "%s=%s\n", spec->name, clock_date(s).s);
}

static bool parse_flag(const char *value, void *field, struct query_options *options)
{
    bool flag;

    (void)options;
    if (!text_parse_bool(value, &flag))
        return false;
    *(int8_t *)field = flag ? 1 : 0;
    return true;
}

static void print_flag(const struct spec *spec, const struct query_options *options, struct buf *buf)
{
    int8_t flag = *(const int8_t *)field_of(options, spec->at);

    if (flag >= 0)
        buf_printf(buf, "%s=%s\n", spec->name, flag ? "true" : "false");
}

/* The service's spelling of a type, NULL when it has none. */
static const char *filetype_of(const char *name, size_t n)
{
    for (size_t i = 0; i < QUERY_TYPES_MAX; i++)
        if (strlen(query_filetypes[i]) == n && strncasecmp(query_filetypes[i], name, n) == 0)
            return query_filetypes[i];
    return NULL;
}

static void add_filetype(struct query_options *options, const char *name)
{
    for (size_t i = 0; i < options->n_filetypes; i++)
        if (strcmp(options->filetypes[i], name) == 0)
            return;
    assert(options->n_filetypes < QUERY_TYPES_MAX); /* each of the table at most once */
    (void)text_copy(options->filetypes[options->n_filetypes++], QUERY_TYPE_TEXT + 1, name); /* from the table: fits */
}

static bool parse_filetypes(const char *value, void *field, struct query_options *options)
{
    (void)field;
    options->n_filetypes = 0; /* a later list replaces an earlier one */
    for (;;) {
        size_t n = strcspn(value, ",");
        const char *name = filetype_of(value, n);

        if (!name)
            return false;
        add_filetype(options, name);
        if (value[n] == '\0')
            return true;
        value += n + 1;
    }
}

static void print_filetypes(const struct spec *spec, const struct query_options *options, struct buf *buf)
{
    if (options->n_filetypes == 0)
        return;
    buf_printf(buf, "%s=", spec->name);
    for (size_t i = 0; i < options->n_filetypes; i++)
        buf_printf(buf, "%s%s", i ? "," : "", options->filetypes[i]);
    buf_putc(buf, '\n');
}

#define AT(field) offsetof(struct query_options, field)
#define WANTS_LIMIT "a number from 1 to 10000"
#define WANTS_TYPES "file types with commas between them, such as pe32,pe64"
#define WANTS_SIZE "a size, such as 128000, 800KB or 1.3MB"
#define WANTS_DATE "a date, YYYY/MM/DD"

static_assert(QUERY_LIMIT_MAX == 10000, "WANTS_LIMIT says so");

static const struct spec specs[] = {
    /* clang-format off */
    { "limit", AT(limit), parse_limit, print_limit, WANTS_LIMIT },
    { "filter_filetypes", AT(filetypes), parse_filetypes, print_filetypes, WANTS_TYPES },
    { "filetypes", AT(filetypes), parse_filetypes, NULL, WANTS_TYPES },
    { "min_size", AT(min_size_bytes), parse_size, print_size, WANTS_SIZE },
    { "max_size", AT(max_size_bytes), parse_size, print_size, WANTS_SIZE },
    { "min_date", AT(min_date_s), parse_date, print_date, WANTS_DATE },
    { "max_date", AT(max_date_s), parse_date, print_date, WANTS_DATE },
    { "submitted_by_customer", AT(submitted_by_customer), parse_flag, print_flag, "true or false" },
    /* clang-format on */
};

/* Pairs of which the first may not be larger. */
static const struct {
    size_t min_at;
    size_t max_at;
    int64_t none; /* the value that means "not given" */
    const char *what;
} ranges[] = {
    { AT(min_size_bytes), AT(max_size_bytes), -1, "min_size is larger than max_size" },
    { AT(min_date_s), AT(max_date_s), INT64_MIN, "min_date is later than max_date" },
};

static const struct spec *spec_of(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
        if (strlen(specs[i].name) == n && memcmp(specs[i].name, name, n) == 0)
            return &specs[i];
    return NULL;
}

/* The name in a list that is not a file type. */
static int refuse_filetype(struct err *err, const char *value)
{
    size_t n = strcspn(value, ",");

    while (filetype_of(value, n) && value[n]) {
        value += n + 1;
        n = strcspn(value, ",");
    }
    return input_text_refuse("file type ", value, n, "MalQuery does not know it", err);
}

int input_option_ranges(const struct query_options *options, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        int64_t min = *(const int64_t *)field_of(options, ranges[i].min_at);
        int64_t max = *(const int64_t *)field_of(options, ranges[i].max_at);

        if (min != ranges[i].none && max != ranges[i].none && min > max)
            return err_set(err, EINVAL, "%s", ranges[i].what);
    }
    return 0;
}

/* One word, without a look at the others. *options is of no use after a failure. */
CHECKED static int set_word(const char *word, struct query_options *options, struct err *err)
{
    const char *equals = strchr(word, '=');
    const struct spec *spec;

    if (!equals)
        return input_text_refuse("", word, strlen(word), "options are written name=value", err);
    spec = spec_of(word, (size_t)(equals - word));
    if (!spec)
        return input_text_refuse("", word, (size_t)(equals - word), "there is no such option", err);
    if (spec->parse(equals + 1, (char *)options + spec->at, options))
        return 0;
    if (spec->parse == parse_filetypes && equals[1])
        return refuse_filetype(err, equals + 1);
    return input_text_refuse("", word, strlen(word), spec->wants, err);
}

int input_option(const char *word, struct query_options *options, struct err *err)
{
    struct query_options changed = *options;
    int r = set_word(word, &changed, err);

    if (r == 0)
        r = input_option_ranges(&changed, err);
    if (r == 0)
        *options = changed;
    return r;
}

void input_options_print(const struct query_options *options, struct buf *buf)
{
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
        if (specs[i].print)
            specs[i].print(&specs[i], options, buf);
}

/* ---- comments ---- */

/* The words of `text` up to `end`, with blanks between them. */
CHECKED static int read_words(const char *text, const char *end, struct query_options *options, struct err *err)
{
    char word[WORD_MAX + 1];
    int r = 0;

    while (r == 0) {
        const char *start;
        size_t n;

        while (text < end && input_text_is_blank(*text))
            text++;
        for (start = text; text < end && !input_text_is_blank(*text);)
            text++;
        n = (size_t)(text - start);
        if (n == 0)
            break;
        if (n > WORD_MAX || memchr(start, '\0', n))
            return input_text_refuse("", start, n, "this is no option", err);
        memcpy(word, start, n);
        word[n] = '\0';
        r = set_word(word, options, err);
    }
    return r;
}

/* What only looks like options is refused: a limit that is not understood is a hunt spent with the wrong one. */
int input_option_comment(const struct input_comment *comment, struct query_options *options, struct err *err)
{
    static const char mark[] = "malquery:";
    const char *text = comment->text;
    const char *end = text + comment->n;

    while (text < end && input_text_is_blank(*text))
        text++;
    if ((size_t)(end - text) < sizeof mark - 1 || strncasecmp(text, mark, sizeof mark - 2) != 0)
        return 0;
    if (!comment->is_block && memcmp(text, mark, sizeof mark - 1) == 0)
        return read_words(text + sizeof mark - 1, end, options, err);
    if (!memchr(text, '=', (size_t)(end - text)))
        return 0;
    return err_set(err, EINVAL, "options are written '%s malquery: name=value'", comment->mark);
}

/* ---- comments of a rule ---- */

struct scanner {
    const char *at;
    const char *end;
    int line;
};

static bool sees(const struct scanner *scanner, const char *token)
{
    size_t n = strlen(token);

    return (size_t)(scanner->end - scanner->at) >= n && memcmp(scanner->at, token, n) == 0;
}

static void skip_line(struct scanner *scanner)
{
    while (scanner->at < scanner->end && *scanner->at != '\n')
        scanner->at++;
}

static void skip_block_comment(struct scanner *scanner)
{
    scanner->at += 2;
    while (scanner->at < scanner->end && !sees(scanner, "*/"))
        scanner->line += *scanner->at++ == '\n';
    if (scanner->at < scanner->end)
        scanner->at += 2;
}

/* A string or a regular expression; both end at their first byte again, or broken at the end of the line. */
static void skip_quoted(struct scanner *scanner)
{
    char quote = *scanner->at++;

    for (; scanner->at < scanner->end && *scanner->at != '\n'; scanner->at++) {
        if (*scanner->at == '\\' && scanner->at + 1 < scanner->end && scanner->at[1] != '\n') {
            scanner->at++;
        } else if (*scanner->at == quote) {
            scanner->at++;
            return;
        }
    }
}

/* The next comment, and the line it begins on. */
static bool next_comment(struct scanner *scanner, struct input_comment *ret_comment, int *ret_line)
{
    while (scanner->at < scanner->end) {
        bool is_block = sees(scanner, "/*");

        if (is_block || sees(scanner, "//")) {
            *ret_comment = (struct input_comment){ .text = scanner->at + 2, .mark = "//", .is_block = is_block };
            *ret_line = scanner->line;
            if (is_block)
                skip_block_comment(scanner);
            else
                skip_line(scanner);
            ret_comment->n = scanner->at > ret_comment->text ? (size_t)(scanner->at - ret_comment->text) : 0;
            return true;
        }
        if (*scanner->at == '"' || *scanner->at == '/')
            skip_quoted(scanner);
        else
            scanner->line += *scanner->at++ == '\n';
    }
    return false;
}

int input_rule_options(const char *text, size_t n, struct query_options *options, struct err *err)
{
    struct scanner scanner = { .at = text, .end = text + n, .line = 1 };
    struct query_options changed = *options;
    struct err why = { 0 };
    struct input_comment comment;
    int line;
    int r;

    while (next_comment(&scanner, &comment, &line))
        if (input_option_comment(&comment, &changed, &why) < 0)
            return input_text_blame(line, &why, err);
    r = input_option_ranges(&changed, err); /* only at the end: words may correct the defaults in any order */
    if (r == 0)
        *options = changed;
    return r;
}
