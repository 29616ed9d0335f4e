#include "engine/engine_query.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "util/text.h"

typedef int parse_function(struct engine_query *query, json_object *value, struct err *err);

static const struct {
    const char *name;
    unsigned field;
} fields[] = {
    /* clang-format off */
    { "sha256", FIELD_SHA256 }, { "md5", FIELD_MD5 }, { "type", FIELD_FILETYPE }, { "size", FIELD_FILESIZE },
    { "first_seen", FIELD_FIRST_SEEN }, { "label", FIELD_LABEL }, { "family", FIELD_FAMILY },
    /* clang-format on */
};

CHECKED static int bad(struct err *err)
{
    return err_set(err, EINVAL, ENGINE_QUERY_TEXT);
}

CHECKED static int parse_limit(struct engine_query *query, json_object *value, struct err *err)
{
    int64_t limit;

    if (!json_object_is_type(value, json_type_int))
        return bad(err);
    limit = json_object_get_int64(value);
    if (limit < 0)
        return err_set(err, EINVAL, "limit is negative");
    query->limit = limit == 0 ? ENGINE_LIMIT_DEFAULT : limit > QUERY_LIMIT_MAX ? QUERY_LIMIT_MAX : (int32_t)limit;
    return 0;
}

/* Unknown names are ignored (API page, U16). */
CHECKED static int parse_meta(struct engine_query *query, json_object *value, struct err *err)
{
    unsigned wanted = 0;

    if (!json_object_is_type(value, json_type_array))
        return bad(err);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        json_object *item = json_object_array_get_idx(value, i);

        if (!json_object_is_type(item, json_type_string))
            return bad(err);
        for (size_t k = 0; k < ARRAY_SIZE(fields); k++)
            if (strcmp(json_object_get_string(item), fields[k].name) == 0)
                wanted |= fields[k].field;
    }
    if (json_object_array_length(value) > 0)
        query->fields = wanted;
    return 0;
}

CHECKED static int parse_types(struct engine_query *query, json_object *value, struct err *err)
{
    if (!json_object_is_type(value, json_type_array))
        return bad(err);
    if (json_object_array_length(value) > ENGINE_TYPES_MAX)
        return err_set(err, EINVAL, "more than %d file types", ENGINE_TYPES_MAX);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        json_object *item = json_object_array_get_idx(value, i);

        if (!json_object_is_type(item, json_type_string))
            return bad(err);
        query->has_types = true;
        /* A name that is too long is unknown and matches nothing. */
        if (text_copy(query->types[query->n_types], sizeof query->types[0], json_object_get_string(item)))
            query->n_types++;
    }
    return 0;
}

CHECKED static int parse_size(json_object *value, const char *name, int64_t *ret_bytes, struct err *err)
{
    uint64_t bytes;

    if (!json_object_is_type(value, json_type_string))
        return bad(err);
    if (!*json_object_get_string(value)) /* clients send empty texts for what the user left out */
        return 0;
    if (!text_parse_bytes(json_object_get_string(value), INT64_MAX, &bytes))
        return err_set(err, EINVAL, "%s is not a size", name);
    *ret_bytes = (int64_t)bytes;
    return 0;
}

CHECKED static int parse_min_size(struct engine_query *query, json_object *value, struct err *err)
{
    return parse_size(value, "min_size", &query->min_size_bytes, err);
}

CHECKED static int parse_max_size(struct engine_query *query, json_object *value, struct err *err)
{
    return parse_size(value, "max_size", &query->max_size_bytes, err);
}

/* Only the documented spelling, YYYY/MM/DD. */
CHECKED static int parse_date(json_object *value, const char *name, int64_t *ret_s, struct err *err)
{
    const char *text = json_object_get_string(value);

    if (!json_object_is_type(value, json_type_string))
        return bad(err);
    if (!*text)
        return 0;
    if (strchr(text, '-') || !text_parse_date(text, ret_s))
        return err_set(err, EINVAL, "%s is not a date YYYY/MM/DD", name);
    return 0;
}

CHECKED static int parse_min_date(struct engine_query *query, json_object *value, struct err *err)
{
    return parse_date(value, "min_date", &query->min_date_s, err);
}

CHECKED static int parse_max_date(struct engine_query *query, json_object *value, struct err *err)
{
    return parse_date(value, "max_date", &query->max_date_s, err);
}

CHECKED static int parse_customer(struct engine_query *query, json_object *value, struct err *err)
{
    (void)query; /* there are no customers here: everything was submitted by this one */
    return json_object_is_type(value, json_type_boolean) ? 0 : bad(err);
}

enum { FOR_SEARCH = 1 << QUERY_HUNT | 1 << QUERY_EXACT, FOR_FUZZY = 1 << QUERY_FUZZY };

/* HuntOptions (API page 2.5) and FuzzyOptions (2.4). What is not here is ignored. */
static const struct {
    const char *name;
    unsigned kinds; /* bits of enum query_kind */
    parse_function *parse;
} options[] = {
    /* clang-format off */
    { "limit", FOR_SEARCH | FOR_FUZZY, parse_limit },
    { "filter_meta", FOR_SEARCH | FOR_FUZZY, parse_meta },
    { "filter_filetypes", FOR_SEARCH, parse_types },
    { "min_size", FOR_SEARCH, parse_min_size },
    { "max_size", FOR_SEARCH, parse_max_size },
    { "min_date", FOR_SEARCH, parse_min_date },
    { "max_date", FOR_SEARCH, parse_max_date },
    { "submitted_by_customer", FOR_SEARCH, parse_customer },
    /* clang-format on */
};

CHECKED static int parse_options(struct engine_query *query, json_object *body, struct err *err)
{
    json_object *object = NULL;
    json_object *value;

    if (!json_object_object_get_ex(body, "options", &object) || !object)
        return 0;
    if (!json_object_is_type(object, json_type_object))
        return bad(err);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        int r = 0;

        if (options[i].kinds & 1U << query->kind && json_object_object_get_ex(object, options[i].name, &value) && value)
            r = options[i].parse(query, value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

CHECKED static int parse_rule(struct engine_query *query, json_object *body, struct err *err)
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(body, "yara_rule", &value) || !json_object_is_type(value, json_type_string))
        return err_set(err, EINVAL, "yara_rule is missing");
    if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
        return err_set(err, EINVAL, "yara_rule contains a zero byte");
    if (json_object_get_string_len(value) > QUERY_RULE_MAX)
        return err_set(err, EINVAL, "yara_rule is longer than %d bytes", QUERY_RULE_MAX);
    query->rule = strdup(json_object_get_string(value));
    return query->rule ? 0 : err_set(err, ENOMEM, "no memory for a rule");
}

static const char *member_text(json_object *object, const char *name)
{
    json_object *value = NULL;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &value) ||
        !json_object_is_type(value, json_type_string) ||
        strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
        return NULL;
    return json_object_get_string(value);
}

CHECKED static int parse_patterns(struct engine_query *query, json_object *body, struct err *err)
{
    json_object *list = NULL;

    if (!json_object_object_get_ex(body, "patterns", &list) || !json_object_is_type(list, json_type_array) ||
        json_object_array_length(list) == 0)
        return err_set(err, EINVAL, "patterns are missing");
    if (json_object_array_length(list) > ENGINE_PATTERNS_MAX)
        return err_set(err, EINVAL, "more than %d patterns", ENGINE_PATTERNS_MAX);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);
        const char *type = member_text(item, "type");
        const char *value = member_text(item, "value");
        int r = type && value ? engine_pattern_decode(type, value, &query->patterns[query->n_patterns], err) : bad(err);

        if (r < 0)
            return r;
        query->n_patterns++;
    }
    return 0;
}

static int compare_digests(const void *a, const void *b)
{
    return digest_compare(a, b);
}

static void drop_doubles(struct engine_query *query)
{
    size_t n = 0;

    qsort(query->samples, query->n_samples, sizeof *query->samples, compare_digests);
    for (size_t i = 0; i < query->n_samples; i++)
        if (i == 0 || !digest_equal(&query->samples[i], &query->samples[n - 1]))
            query->samples[n++] = query->samples[i];
    query->n_samples = n;
}

CHECKED static int parse_samples(struct engine_query *query, json_object *body, struct err *err)
{
    json_object *list = NULL;

    if (!json_object_object_get_ex(body, "samples", &list) || !json_object_is_type(list, json_type_array) ||
        json_object_array_length(list) == 0)
        return err_set(err, EINVAL, "samples are missing");
    if (json_object_array_length(list) > ENGINE_SAMPLES_MAX)
        return err_set(err, EINVAL, "more than %d samples", ENGINE_SAMPLES_MAX);
    query->samples = calloc(json_object_array_length(list), sizeof *query->samples);
    if (!query->samples)
        return err_set(err, ENOMEM, "no memory for samples");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);

        if (!json_object_is_type(item, json_type_string) ||
            !digest_parse(json_object_get_string(item), &query->samples[query->n_samples]))
            return err_set(err, EINVAL, "sample %zu is not a SHA-256", i);
        query->n_samples++;
    }
    drop_doubles(query);
    return 0;
}

static parse_function *const parse_target[] = {
    [QUERY_HUNT] = parse_rule,
    [QUERY_EXACT] = parse_patterns,
    [QUERY_FUZZY] = parse_patterns,
    [QUERY_MULTI] = parse_samples,
};

int engine_query_parse(enum query_kind kind, json_object *body, struct engine_query *query, struct err *err)
{
    int r;

    *query = (struct engine_query){
        .kind = kind,
        .limit = ENGINE_LIMIT_DEFAULT,
        .fields = FIELD_ALL,
        .min_size_bytes = -1,
        .max_size_bytes = -1,
        .min_date_s = INT64_MIN,
        .max_date_s = INT64_MAX,
    };
    if (!json_object_is_type(body, json_type_object))
        return bad(err);
    r = parse_options(query, body, err);
    if (r < 0)
        return r;
    return parse_target[kind](query, body, err);
}

void engine_query_done(struct engine_query *query)
{
    free(query->rule);
    for (size_t i = 0; i < query->n_patterns; i++)
        engine_bytes_done(&query->patterns[i]);
    free(query->samples);
    *query = (struct engine_query){ 0 };
}

bool engine_query_admits(const struct engine_query *query, const struct sample *sample)
{
    bool is_wanted = !query->has_types;

    for (size_t i = 0; i < query->n_types && !is_wanted; i++)
        is_wanted = strcasecmp(query->types[i], sample->filetype) == 0;
    return is_wanted && (query->min_size_bytes < 0 || sample->size_bytes >= query->min_size_bytes) &&
           (query->max_size_bytes < 0 || sample->size_bytes <= query->max_size_bytes) &&
           sample->first_seen_s >= query->min_date_s && sample->first_seen_s <= query->max_date_s;
}
