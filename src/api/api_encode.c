#include "api/api_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_json.h"
#include "model/search.h"
#include "util/clock.h"
#include "util/text.h"

enum { NUMBER_TEXT = 24, FORMAT = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE };

/* `name` is a constant. json-c reports a lack of memory by NULL and by -1; `ok` collects it. */
static void add(struct json_object *object, const char *name, struct json_object *value, bool *ok)
{
    if (object && value && json_object_object_add_ex(object, name, value, JSON_C_OBJECT_ADD_CONSTANT_KEY) == 0)
        return;
    (void)json_object_put(value); /* not taken */
    *ok = false;
}

static void append(struct json_object *list, struct json_object *value, bool *ok)
{
    if (list && value && json_object_array_add(list, value) == 0)
        return;
    (void)json_object_put(value); /* not taken */
    *ok = false;
}

static void add_text(struct json_object *object, const char *name, const char *text, bool *ok)
{
    add(object, name, json_object_new_string(text), ok);
}

static void add_known(struct json_object *object, const char *name, const char *text, bool *ok)
{
    if (*text)
        add_text(object, name, text, ok);
}

/*
 * json-c's writer leaves out, without a word, what it has no memory for; and a hunt without one of its filters would be
 * paid all the same. A second pass finds the memory of the first and shows the difference.
 */
static void put(struct buf *buf, struct json_object *value, bool ok)
{
    size_t first_n = 0;
    size_t n = 0;
    const char *text = NULL;

    if (ok && json_object_to_json_string_length(value, FORMAT, &first_n))
        text = json_object_to_json_string_length(value, FORMAT, &n);
    if (text && n == first_n)
        buf_append(buf, text, n);
    else if (!buf->code)
        buf->code = ENOMEM;
}

/* Options ---------------------------------------------------------------------------------------------------------- */

/* Sizes are JSON strings, as digits: the one spelling that nobody can read in another way (API page 2.5). */
static void add_size(struct json_object *object, const char *name, int64_t bytes, bool *ok)
{
    char text[NUMBER_TEXT];

    if (bytes < 0)
        return;
    (void)snprintf(text, sizeof text, "%" PRId64, bytes); /* fits */
    add_text(object, name, text, ok);
}

static void add_date(struct json_object *object, const char *name, int64_t s, bool *ok)
{
    if (s != INT64_MIN)
        add_text(object, name, clock_date(s).s, ok);
}

static void add_filetypes(struct json_object *object, const struct query_options *options, bool *ok)
{
    struct json_object *list;

    if (options->n_filetypes == 0)
        return;
    list = json_object_new_array();
    for (size_t i = 0; i < options->n_filetypes && i < QUERY_TYPES_MAX; i++) {
        char text[QUERY_TYPE_TEXT + 1];
        size_t n;

        for (n = 0; n < QUERY_TYPE_TEXT && options->filetypes[i][n]; n++)
            text[n] = (char)tolower((unsigned char)options->filetypes[i][n]);
        text[n] = '\0';
        append(list, json_object_new_string(text), ok);
    }
    add(object, "filter_filetypes", list, ok);
}

/* Always an object, and always with a limit (API page 2.9). */
static struct json_object *limit_only(const struct query_options *options, bool *ok)
{
    struct json_object *object = json_object_new_object();

    add(object, "limit", json_object_new_int(options->limit), ok);
    return object;
}

static struct json_object *all_options(const struct query_options *options, bool *ok)
{
    struct json_object *object = limit_only(options, ok);

    add_filetypes(object, options, ok);
    add_size(object, "min_size", options->min_size_bytes, ok);
    add_size(object, "max_size", options->max_size_bytes, ok);
    add_date(object, "min_date", options->min_date_s, ok);
    add_date(object, "max_date", options->max_date_s, ok);
    if (options->submitted_by_customer >= 0)
        add(object, "submitted_by_customer", json_object_new_boolean(options->submitted_by_customer), ok);
    return object;
}

static int check_limit(const struct query_options *options, struct err *err)
{
    if (options->limit < 1 || options->limit > QUERY_LIMIT_MAX)
        return err_set(err, EINVAL, "a limit is between 1 and %d", QUERY_LIMIT_MAX);
    return 0;
}

/* Patterns --------------------------------------------------------------------------------------------------------- */

static int add_pattern(struct json_object *list, const struct pattern *pattern, bool *ok, struct err *err)
{
    cleanup_(buf_done) struct buf value = BUF_INIT(SEARCH_VALUE_MAX);
    struct json_object *object;
    int r = pattern_clean(pattern->kind, pattern->value, strlen(pattern->value), &value, err);

    if (r < 0)
        return r;
    object = json_object_new_object();
    add_text(object, "type", pattern_kind_name(pattern->kind), ok);
    add_text(object, "value", buf_text(&value), ok);
    append(list, object, ok);
    return 0;
}

static int add_patterns(struct json_object *root, const struct pattern *patterns, size_t n, bool *ok, struct err *err)
{
    cleanup_(json_putp) struct json_object *list = json_object_new_array();

    if (n < 1 || n > SEARCH_PATTERNS_MAX)
        return err_set(err, EINVAL, "a search has between 1 and %d patterns", SEARCH_PATTERNS_MAX);
    for (size_t i = 0; i < n; i++) {
        int r = add_pattern(list, &patterns[i], ok, err);

        if (r < 0)
            return r;
    }
    add(root, "patterns", steal_ptr(&list), ok);
    return 0;
}

/* Bodies ----------------------------------------------------------------------------------------------------------- */

int api_encode_hunt(struct buf *body, const char *rule, size_t rule_n, const struct query_options *options,
                    struct err *err)
{
    cleanup_(json_putp) struct json_object *root = json_object_new_object();
    bool ok = true;
    int r = check_limit(options, err);

    if (r < 0)
        return r;
    if (rule_n > QUERY_RULE_MAX)
        return err_set(err, EFBIG, "the rule is larger than %d bytes", QUERY_RULE_MAX);
    if (rule_n == 0 || memchr(rule, '\0', rule_n) || !text_is_utf8(rule, rule_n))
        return err_set(err, EINVAL, "the rule is not UTF-8 text");
    add(root, "options", all_options(options, &ok), &ok);
    add(root, "yara_rule", json_object_new_string_len(rule, (int)rule_n), &ok);
    put(body, root, ok);
    return buf_check(body, err, "the hunt");
}

int api_encode_search(struct buf *body, enum query_kind kind, const struct pattern *patterns, size_t n_patterns,
                      const struct query_options *options, struct err *err)
{
    cleanup_(json_putp) struct json_object *root = json_object_new_object();
    bool ok = true;
    int r = options ? check_limit(options, err) : 0;

    assert(kind == QUERY_EXACT || kind == QUERY_FUZZY);
    if (r < 0)
        return r;
    if (options)
        add(root, "options", kind == QUERY_FUZZY ? limit_only(options, &ok) : all_options(options, &ok), &ok);
    r = add_patterns(root, patterns, n_patterns, &ok, err);
    if (r < 0)
        return r;
    put(body, root, ok);
    return buf_check(body, err, "the search");
}

int api_encode_multi(struct buf *body, const struct digest *digests, size_t n, struct err *err)
{
    cleanup_(json_putp) struct json_object *root = json_object_new_object();
    struct json_object *list = json_object_new_array();
    bool ok = true;

    for (size_t i = 0; i < n && i < API_MULTI_MAX; i++)
        append(list, json_object_new_string(digest_format(&digests[i]).s), &ok);
    add(root, "samples", list, &ok);
    if (n < 1 || n > API_MULTI_MAX)
        return err_set(err, EINVAL, "a multi-download has between 1 and %d samples", API_MULTI_MAX);
    put(body, root, ok);
    return buf_check(body, err, "the multi-download");
}

/* For the user ----------------------------------------------------------------------------------------------------- */

/* The service's order of fields (API page 2.11). */
void api_encode_sample(struct buf *buf, const struct sample *sample)
{
    cleanup_(json_putp) struct json_object *root = json_object_new_object();
    bool ok = true;

    add_text(root, "sha256", digest_format(&sample->digest).s, &ok);
    add_known(root, "sha1", sample->sha1, &ok);
    add_known(root, "md5", sample->md5, &ok);
    if (sample->size_bytes != SAMPLE_NO_SIZE)
        add(root, "filesize", json_object_new_int64(sample->size_bytes), &ok);
    add_known(root, "label", sample->label, &ok);
    add_known(root, "family", sample->family, &ok);
    add_date(root, "first_seen", sample->first_seen_s, &ok); /* SAMPLE_NO_DATE is what add_date() leaves out */
    add_known(root, "filetype", sample->filetype, &ok);
    put(buf, root, ok);
}

/* JSON is UTF-8: bytes that are not become '?', control bytes an escape. */
static void repair(const char *text, struct buf *ret_text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t step = 1;

        while (step < 4 && step < left && !text_is_utf8(text, step))
            step++;
        if (text_is_utf8(text, step)) {
            buf_append(ret_text, text, step);
        } else {
            buf_putc(ret_text, '?');
            step = 1;
        }
        text += step;
        left -= step;
    }
}

void api_encode_string(struct buf *buf, const char *text)
{
    cleanup_(buf_done) struct buf good = BUF_INIT(API_JSON_MAX);
    cleanup_(json_putp) struct json_object *value = NULL;

    repair(text, &good);
    value = good.code ? NULL : json_object_new_string_len(buf_text(&good), (int)good.n);
    put(buf, value, value != NULL);
}
