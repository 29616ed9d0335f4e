/* Any bytes as the body of a search or a multi-download to malqueryd, of each kind: what is accepted is within the
 * limits, and what was parsed, written down again, is the same. */
#include <errno.h>
#include <string.h>

#include "fuzz_check.h"

#include "engine/engine_query.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PRINTED_MAX = 64 * MIB };

static void check_limits(const struct engine_query *query)
{
    check(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    check(query->n_patterns <= ENGINE_PATTERNS_MAX && query->n_types <= ENGINE_TYPES_MAX);
    check(query->n_samples <= ENGINE_SAMPLES_MAX && query->min_size_bytes >= -1 && query->max_size_bytes >= -1);
    check((query->fields & ~(unsigned)FIELD_ALL) == 0);
    for (size_t i = 0; i < query->n_patterns; i++)
        check(query->patterns[i].n >= ENGINE_PATTERN_MIN && query->patterns[i].n <= ENGINE_PATTERN_MAX);
    for (size_t i = 1; i < query->n_samples; i++)
        check(digest_compare(&query->samples[i - 1], &query->samples[i]) < 0);
    if (query->kind == QUERY_HUNT)
        check(query->rule && strlen(query->rule) <= QUERY_RULE_MAX);
    else
        check(query->kind == QUERY_MULTI ? query->n_samples > 0 : query->n_patterns > 0);
}

/* The rule that shows an exact search is text, and admitting is defined for every sample. */
static void check_use(const struct engine_query *query)
{
    cleanup_(buf_done) struct buf rule = BUF_INIT(PRINTED_MAX);
    const struct sample sample = { .size_bytes = 0, .filetype = "pe32" };

    if (query->n_patterns > 0) {
        engine_pattern_rule(query->patterns, query->n_patterns, &rule);
        check(rule.code == 0 && text_is_utf8(rule.data, rule.n));
    }
    if (engine_query_admits(query, &sample))
        check(query->min_size_bytes <= 0);
}

static void check_again(json_object *body)
{
    cleanup_(json_object_putp) json_object *again = NULL;
    cleanup_(buf_done) struct buf text = BUF_INIT(PRINTED_MAX);

    engine_json_write(&text, body);
    if (text.code)
        return; /* many small values, deep down: all blanks */
    check(engine_json_parse(text.data, text.n, &again, NULL) == 0);
    check(json_object_equal(body, again) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    cleanup_(json_object_putp) json_object *body = NULL;
    struct err err = { 0 };

    if (engine_json_parse((const char *)data, n, &body, &err) < 0) {
        check(err.code == EPROTO && text_is_line(err.text));
        return 0;
    }
    check_again(body);
    for (enum query_kind kind = QUERY_HUNT; kind <= QUERY_MULTI; kind++) {
        struct engine_query query;

        err = (struct err){ 0 };
        if (engine_query_parse(kind, body, &query, &err) == 0) {
            check_limits(&query);
            check_use(&query);
        } else {
            check(err.code == EINVAL && text_is_line(err.text));
        }
        engine_query_done(&query);
    }
    return 0;
}
