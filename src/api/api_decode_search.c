/*
 * The body of a search as a user wrote it, read as strictly as the service would, because what is overlooked here is
 * paid for: json-c keeps the last of two members with one name, ends a name at a NUL, makes U+FFFD of half a surrogate
 * pair, and takes 'single quotes'. All of that is an error, as is every member that the API does not have.
 *
 * Errors of the text begin with "line 3:", errors of a value with the place in the tree: "pattern 2:", "options:".
 */
#include "api/api_internal.h"

#include <errno.h>
#include <string.h>

#include "api/api_json.h"
#include "model/search.h"
#include "util/text.h"

enum {
    NODES_MAX = 1024, /* objects and arrays; a body of SEARCH_PATTERNS_MAX patterns has a tenth */
    VALUES_MAX = 4096,
    OPTIONS_MAX = 64 * 1024,         /* bytes of the options as lines */
    ASCII_MAX = 3 * SEARCH_TEXT_MAX, /* bytes of the text in ASCII: six for two */
    SHOWN_MAX = 60,                  /* bytes of a foreign name in a message */
    ESCAPE_BYTES = 6,                /* \uXXXX */
};

/* What was read so far. */
struct reading {
    struct search search;
    struct buf options;
    size_t n_members; /* that json-c kept */
};

static void reading_done(struct reading *reading)
{
    search_done(&reading->search);
    buf_done(&reading->options);
}

/* The text --------------------------------------------------------------------------------------------------------- */

static int refuse_at(const char *text, const char *at, const char *why, struct err *err)
{
    int line = 1;
    const char *start = text;

    for (const char *c = text; c < at; c++) {
        if (*c != '\n')
            continue;
        line++;
        start = c + 1;
    }
    return err_set(err, EINVAL, "line %d: %s (column %td)", line, why, at - start + 1);
}

/* The code unit of the \uXXXX at `at`, -1 when there is none. */
static int escaped_unit(const char *at, const char *end)
{
    char digits[5] = { 0 };
    uint8_t bytes[2];

    if (end - at < ESCAPE_BYTES || at[0] != '\\' || at[1] != 'u')
        return -1;
    memcpy(digits, at + 2, 4);
    return text_parse_hex(digits, bytes, sizeof bytes) ? bytes[0] << 8 | bytes[1] : -1;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/*
 * What is wrong with the escape at `at`, NULL for one that json-c judges right. *ret_step goes behind what could be
 * taken for something else: half of a pair, a quote, another backslash.
 */
static const char *escape_flaw(const char *at, const char *end, size_t *ret_step)
{
    int unit = escaped_unit(at, end);
    bool is_pair = is_high_surrogate(unit) && is_low_surrogate(escaped_unit(at + ESCAPE_BYTES, end));

    if (is_pair)
        *ret_step = 2 * ESCAPE_BYTES;
    else if (end - at > 1 && (at[1] == '"' || at[1] == '\\'))
        *ret_step = 2;
    if (unit == 0)
        return "a NUL byte: give such a pattern as hex";
    if (!is_pair && (is_high_surrogate(unit) || is_low_surrogate(unit)))
        return "half a surrogate pair";
    return NULL;
}

/* Bytes of the UTF-8 character at `at`, 0 when there is none. */
static size_t character(const char *at, const char *end)
{
    for (size_t n = 1; n <= 4 && n <= (size_t)(end - at); n++)
        if (text_is_utf8(at, n))
            return n;
    return 0;
}

/* Refuses what json-c lets pass or changes. */
static int check_characters(const char *text, size_t n, struct err *err)
{
    const char *end = text + n;
    bool is_string = false;
    size_t step;

    for (const char *at = text; at < end; at += step) {
        const char *why = NULL;

        step = character(at, end);
        if (step == 0)
            why = "not UTF-8";
        else if (*at == '\0')
            why = "a NUL byte";
        else if (is_string && (unsigned char)*at < ' ')
            why = "a control character in a string: write it as an escape";
        else if (is_string && *at == '\\')
            why = escape_flaw(at, end, &step);
        else if (*at == '"')
            is_string = !is_string;
        if (why)
            return refuse_at(text, at, why, err);
    }
    return 0;
}

/* Where in `text` the byte is that became number `ascii_at` of text_json_ascii(). */
static const char *before_ascii(const char *text, const char *end, size_t ascii_at)
{
    while (text < end) {
        size_t step = character(text, end);
        size_t written = step < 2 ? 1 : step < 4 ? ESCAPE_BYTES : 2 * ESCAPE_BYTES;

        if (written > ascii_at)
            break;
        ascii_at -= written;
        text += step ? step : 1;
    }
    return text;
}

static int parse(const char *text, size_t n, struct json_object **ret_root, struct err *err)
{
    cleanup_(json_tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(API_JSON_DEPTH);
    cleanup_(json_putp) struct json_object *root = NULL;
    cleanup_(buf_done) struct buf ascii = BUF_INIT(ASCII_MAX);
    enum json_tokener_error code;

    text_json_ascii(&ascii, text, n);
    if (!tokener || ascii.code)
        return err_set(err, ENOMEM, "no memory for a search");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    root = json_tokener_parse_ex(tokener, buf_text(&ascii), (int)ascii.n);
    code = json_tokener_get_error(tokener);
    if (code == json_tokener_continue)
        return refuse_at(text, text + n, "unexpected end of the text", err);
    if (code != json_tokener_success)
        return refuse_at(text, before_ascii(text, text + n, json_tokener_get_parse_end(tokener)),
                         json_tokener_error_desc(code), err);
    *ret_root = steal_ptr(&root);
    return 0;
}

/* Members ---------------------------------------------------------------------------------------------------------- */

static int refuse_member(const char *name, const char *why, struct err *err)
{
    cleanup_(buf_done) struct buf shown = BUF_INIT(4 * SHOWN_MAX);

    text_escape(&shown, name, SHOWN_MAX);
    return err_set(err, EINVAL, "'%s': %s", buf_text(&shown), why);
}

static int read_pattern(struct json_object *item, struct reading *reading, struct err *err)
{
    struct json_object *type = NULL;
    struct json_object *value = NULL;
    enum pattern_kind kind;

    if (!json_object_is_type(item, json_type_object))
        return err_set(err, EINVAL, "an object with 'type' and 'value' is needed");
    json_object_object_foreach(item, name, member)
    {
        if (strcmp(name, "type") == 0)
            type = member;
        else if (strcmp(name, "value") == 0)
            value = member;
        else
            return refuse_member(name, "a pattern has no such member", err);
        reading->n_members++;
    }
    if (!json_object_is_type(type, json_type_string) || !json_object_is_type(value, json_type_string))
        return err_set(err, EINVAL, "'type' and 'value' are needed, as strings");
    if (!pattern_kind_parse(json_object_get_string(type), (size_t)json_object_get_string_len(type), &kind))
        return refuse_member(json_object_get_string(type), "a type is hex, ascii or wide", err);
    return search_add(&reading->search, kind, json_object_get_string(value), (size_t)json_object_get_string_len(value),
                      err);
}

static int read_patterns(struct json_object *list, struct reading *reading, struct err *err)
{
    struct err why = { 0 };

    if (!json_object_is_type(list, json_type_array))
        return err_set(err, EINVAL, "patterns: a list is needed");
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (read_pattern(json_object_array_get_idx(list, i), reading, &why) < 0)
            return err_set(err, why.code, "pattern %zu: %s", i + 1, why.text);
    return 0;
}

/* A string, number or flag, as it stands in a line. */
static int put_scalar(struct json_object *value, struct buf *line, struct err *err)
{
    bool is_string = json_object_is_type(value, json_type_string);
    const char *text;

    if (!is_string && !json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_boolean))
        return err_set(err, EINVAL, "a string, a whole number, true, false or a list of strings is needed");
    text = json_object_get_string(value); /* of a number beyond all ranges the end of them, which no option takes */
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return err_set(err, EINVAL, "a control character");
    buf_puts(line, text);
    return 0;
}

static int put_list(struct json_object *list, struct buf *line, struct err *err)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        int r;

        if (!json_object_is_type(item, json_type_string))
            return err_set(err, EINVAL, "only strings can be in a list");
        if (i > 0)
            buf_putc(line, ',');
        r = put_scalar(item, line, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Names of options are words: nothing in them can end a line or its name, or make a comment of it. */
static int read_option(const char *name, struct json_object *value, struct buf *lines, struct err *err)
{
    struct err why = { 0 };
    int r;

    if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")])
        return refuse_member(name, "there is no such option", err);
    if (strcmp(name, "filter_meta") == 0)
        return refuse_member(name, "leave it out, all metadata are needed for names, sizes and dates", err);
    buf_printf(lines, "%s=", name);
    r = json_object_is_type(value, json_type_array) ? put_list(value, lines, &why) : put_scalar(value, lines, &why);
    buf_putc(lines, '\n');
    return r < 0 ? refuse_member(name, why.text, err) : 0;
}

static int read_options(struct json_object *object, struct reading *reading, struct err *err)
{
    struct err why = { 0 };

    if (!json_object_is_type(object, json_type_object))
        return err_set(err, EINVAL, "options: an object is needed");
    json_object_object_foreach(object, name, member)
    {
        if (read_option(name, member, &reading->options, &why) < 0)
            return err_set(err, why.code, "options: %s", why.text);
        reading->n_members++;
    }
    return buf_check(&reading->options, err, "the options");
}

/* Of a body; API page 2.4, 2.5. The last two belong to other requests of the service. */
static const struct {
    const char *name;
    int (*read)(struct json_object *value, struct reading *reading, struct err *err);
    const char *why_not;
} members[] = {
    /* clang-format off */
    { "patterns", read_patterns, NULL },
    { "options", read_options, NULL },
    { "yara_rule", NULL, "a rule is a hunt: write it as a file of hunts/" },
    { "samples", NULL, "a list of hashes is a download: write it, one in a line, as a file of downloads/" },
    /* clang-format on */
};

static int read_member(const char *name, struct json_object *value, struct reading *reading, struct err *err)
{
    reading->n_members++;
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (strcmp(members[i].name, name) != 0)
            continue;
        return members[i].read ? members[i].read(value, reading, err) : refuse_member(name, members[i].why_not, err);
    }
    return refuse_member(name, "a search has no such member", err);
}

static int read_body(struct json_object *root, struct reading *reading, struct err *err)
{
    if (!json_object_is_type(root, json_type_object))
        return err_set(err, EINVAL, "the body of a search is an object");
    json_object_object_foreach(root, name, member)
    {
        int r = read_member(name, member, reading, err);

        if (r < 0)
            return r;
    }
    if (reading->search.n_patterns == 0)
        return err_set(err, EINVAL, "there are no patterns");
    return 0;
}

int api_decode_search(const char *text, size_t n, struct search *ret_search, struct buf *ret_options, struct err *err)
{
    cleanup_(reading_done) struct reading reading = { .options = BUF_INIT(OPTIONS_MAX) };
    cleanup_(json_putp) struct json_object *root = NULL;
    struct api_json_shape shape;
    size_t bom = text_bom(text, n);
    const char *odd;
    int r;

    text += bom;
    n -= bom;
    if (n > SEARCH_TEXT_MAX)
        return err_set(err, EFBIG, "a search of %zu bytes: %d are allowed", n, SEARCH_TEXT_MAX);
    r = check_characters(text, n, err);
    if (r < 0)
        return r;
    odd = api_json_measure(text, n, &shape);
    if (odd)
        return refuse_at(text, odd, "JSON has double quotes and no comments", err);
    if (shape.n_nodes > NODES_MAX || shape.n_values > VALUES_MAX)
        return err_set(err, EFBIG, "a search with too many values");
    r = parse(text, n, &root, err);
    if (r == 0)
        r = read_body(root, &reading, err);
    if (r < 0)
        return r;
    if (reading.n_members != shape.n_members)
        return err_set(err, EINVAL, "two members of one object have the same name");
    buf_append(ret_options, buf_text(&reading.options), reading.options.n);
    r = buf_check(ret_options, err, "the options");
    if (r < 0)
        return r;
    *ret_search = reading.search;
    reading.search = (struct search){ 0 };
    return 0;
}
