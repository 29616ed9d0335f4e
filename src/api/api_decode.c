/*
 * JSON into model values. Everything in here is foreign: a member may be missing, NULL, or of another type, and then it
 * counts as absent; only what is not a JSON object at all is an error. Before json-c sees an answer its brackets and
 * commas are counted.
 */
#include "api/api_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api_json.h"
#include "util/text.h"

enum { DATE_TEXT = 10, TOKEN_CHAR_MIN = 0x21, TOKEN_CHAR_MAX = 0x7e, CODE_ABSENT = 404 };
#define DOUBLE_EXACT_MAX 9007199254740992.0 /* 2^53 */

/* Parsing ---------------------------------------------------------------------------------------------------------- */

static int check_shape(const struct buf *body, struct err *err)
{
    struct api_json_shape shape;

    if (api_json_measure(buf_text(body), body->n, &shape))
        return err_set(err, EPROTO, "the answer is not JSON");
    if (shape.n_nodes > API_JSON_NODES_MAX || shape.n_values > API_JSON_VALUES_MAX)
        return err_set(err, EFBIG, "the answer has too many values");
    return 0;
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

static int parse_with(struct json_tokener *tokener, const struct buf *body, struct json_object **ret_root,
                      struct err *err)
{
    cleanup_(json_putp) struct json_object *root = NULL;
    size_t end;

    if (body->n <= API_JSON_MAX)
        root = json_tokener_parse_ex(tokener, buf_text(body), (int)body->n);
    if (json_tokener_get_error(tokener) == json_tokener_error_depth)
        return err_set(err, EFBIG, "the answer is nested deeper than %d", API_JSON_DEPTH);
    end = json_tokener_get_parse_end(tokener);
    if (!json_object_is_type(root, json_type_object) || !is_blank(buf_text(body) + end, body->n - end))
        return err_set(err, EPROTO, "the answer is not a JSON object");
    *ret_root = steal_ptr(&root);
    return 0;
}

static int parse(const struct buf *body, struct json_object **ret_root, struct err *err)
{
    cleanup_(json_tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(API_JSON_DEPTH);
    int r = check_shape(body, err);

    if (!tokener)
        return err_set(err, ENOMEM, "no memory for an answer");
    if (r < 0)
        return r;
    return parse_with(tokener, body, ret_root, err);
}

/* Members ---------------------------------------------------------------------------------------------------------- */

/* NULL when missing, when NULL, and when `object` is no object. */
static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;

    if (json_object_is_type(object, json_type_object))
        (void)json_object_object_get_ex(object, name, &value); /* value stays NULL */
    return value;
}

static size_t list_length(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* Bytes of the first UTF-8 sequence that is no control byte, 0 for anything else. */
static size_t good_bytes(const char *text, size_t n)
{
    if (n > 0 && ((unsigned char)*text < ' ' || *text == 0x7f))
        return 0;
    for (size_t k = 1; k <= 4 && k <= n; k++)
        if (text_is_utf8(text, k))
            return k;
    return 0;
}

/* Foreign text into a field: cut between characters, everything unprintable as '?'. */
static void copy_text(const char *text, size_t n, char *to, size_t room)
{
    size_t at = 0;

    for (size_t i = 0; i < n;) {
        size_t step = good_bytes(text + i, n - i);
        size_t width = step ? step : 1;

        if (at + width >= room)
            break;
        if (step)
            memcpy(to + at, text + i, step);
        else
            to[at] = '?';
        at += width;
        i += width;
    }
    to[at] = '\0';
}

static void get_text(struct json_object *object, const char *name, char *to, size_t room)
{
    struct json_object *value = member(object, name);

    *to = '\0';
    if (json_object_is_type(value, json_type_string))
        copy_text(json_object_get_string(value), (size_t)json_object_get_string_len(value), to, room);
}

/* A number that is whole, also one written as text; `fallback` for anything else. */
static int64_t get_number(struct json_object *object, const char *name, int64_t fallback)
{
    struct json_object *value = member(object, name);
    uint64_t number;
    double real;

    if (json_object_is_type(value, json_type_int))
        return json_object_get_int64(value); /* beyond the range: its end */
    if (json_object_is_type(value, json_type_double)) {
        real = json_object_get_double(value);
        return fabs(real) <= DOUBLE_EXACT_MAX && real == floor(real) ? (int64_t)real : fallback;
    }
    if (json_object_is_type(value, json_type_string) &&
        text_parse_u64(json_object_get_string(value), INT64_MAX, &number))
        return (int64_t)number;
    return fallback;
}

static int64_t between(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Lower-case hex of exactly `n_digits`, "" for anything else. */
static void get_hex(struct json_object *object, const char *name, size_t n_digits, char *to)
{
    uint8_t bytes[DIGEST_BYTES];
    char text[DIGEST_TEXT + 2];

    get_text(object, name, text, sizeof text);
    *to = '\0';
    if (strlen(text) == n_digits && text_parse_hex(text, bytes, n_digits / 2))
        text_format_hex(bytes, n_digits / 2, to);
}

/* Faults and ids --------------------------------------------------------------------------------------------------- */

/* An entry of errors: its code, 0 when it has none, and its words. */
static int read_error(struct json_object *error, char *message, size_t room)
{
    get_text(error, "message", message, room);
    return (int)between(get_number(error, "code", 0), 0, INT32_MAX);
}

/* errors[0], or nothing. */
static int get_error(struct json_object *root, char *message, size_t room)
{
    struct json_object *errors = member(root, "errors");

    return read_error(list_length(errors) ? json_object_array_get_idx(errors, 0) : NULL, message, room);
}

/* An error where a success was promised. */
static int refuse_error(int code, const char *message, struct err *err)
{
    return err_set(err, EREMOTEIO, "the answer holds an error (%d)%s%s", code, *message ? ": " : "", message);
}

/* EREMOTEIO when something else went wrong than that samples are unknown (API page 6.8). */
static int check_errors(struct json_object *root, struct err *err)
{
    struct json_object *errors = member(root, "errors");
    char message[API_TEXT_MAX + 1];

    for (size_t i = 0, n = list_length(errors); i < n; i++) {
        int code = read_error(json_object_array_get_idx(errors, i), message, sizeof message);

        if (code && code != CODE_ABSENT)
            return refuse_error(code, message, err);
    }
    return 0;
}

void api_decode_fault(const struct buf *body, struct api_fault *ret_fault)
{
    cleanup_(json_putp) struct json_object *root = NULL;

    *ret_fault = (struct api_fault){ 0 };
    if (parse(body, &root, NULL) < 0)
        return;
    ret_fault->is_json = true;
    ret_fault->code = get_error(root, ret_fault->message, sizeof ret_fault->message);
    get_text(member(root, "meta"), "trace_id", ret_fault->trace, sizeof ret_fault->trace);
}

int api_decode_reqid(const struct buf *body, struct request_id *ret_id, struct err *err)
{
    cleanup_(json_putp) struct json_object *root = NULL;
    char message[API_TEXT_MAX + 1];
    char text[REQUEST_ID_TEXT + 2];
    int r = parse(body, &root, err);

    if (r < 0)
        return r;
    get_text(member(root, "meta"), "reqid", text, sizeof text);
    if (request_id_parse(text, ret_id))
        return 0;
    (void)get_error(root, message, sizeof message);
    return err_set(err, EPROTO, "the answer has no request id%s%s", *message ? ": " : "", message);
}

/* The token -------------------------------------------------------------------------------------------------------- */

/* Only what can stand in a header. */
static bool is_token(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] < TOKEN_CHAR_MIN || text[i] > TOKEN_CHAR_MAX)
            return false;
    return n > 0 && n < SECRET_MAX - sizeof "Bearer ";
}

static int make_bearer(const char *token, size_t n, struct secret **ret_bearer, struct err *err)
{
    static const char scheme[] = "Bearer ";
    char line[SECRET_MAX];
    size_t scheme_n = sizeof scheme - 1;
    int r;

    if (!is_token(token, n))
        return err_set(err, EPROTO, "login: the answer has no token");
    memcpy(line, scheme, scheme_n);
    memcpy(line + scheme_n, token, n);
    r = secret_new(line, scheme_n + n, ret_bearer, err);
    secret_wipe(line, sizeof line);
    return r;
}

/* json-c has the token in a value and in the buffer of its tokener: both are overwritten, each by its own means. */
static void scrub(struct json_tokener *tokener, struct json_object *token)
{
    cleanup_(json_putp) struct json_object *zeros = NULL;
    char text[API_TOKEN_BODY_MAX];

    memset(text, '0', sizeof text);
    if (json_object_is_type(token, json_type_string))
        (void)json_object_set_string_len(token, text, json_object_get_string_len(token)); /* in place: no longer */
    text[0] = '"';
    text[sizeof text - 1] = '"';
    json_tokener_reset(tokener);
    zeros = json_tokener_parse_ex(tokener, text, sizeof text);
}

int api_decode_token(const struct buf *body, struct secret **ret_bearer, int64_t *ret_life_s, struct err *err)
{
    cleanup_(json_tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(API_JSON_DEPTH);
    cleanup_(json_putp) struct json_object *root = NULL;
    struct json_object *token;
    int64_t life_s;
    int r;

    if (!tokener)
        return err_set(err, ENOMEM, "no memory for a token");
    r = body->n < API_TOKEN_BODY_MAX ? parse_with(tokener, body, &root, err)
                                     : err_set(err, EFBIG, "login: the answer is too large");
    token = member(root, "access_token");
    life_s = get_number(root, "expires_in", API_TOKEN_LIFE_S);
    if (r == 0 && !json_object_is_type(token, json_type_string))
        r = err_set(err, EPROTO, "login: the answer has no token");
    if (r == 0)
        r = make_bearer(json_object_get_string(token), (size_t)json_object_get_string_len(token), ret_bearer, err);
    scrub(tokener, token);
    if (r == 0)
        *ret_life_s = between(life_s, 0, API_TOKEN_LIFE_MAX_S);
    return r;
}

/* Quotas, samples, results ----------------------------------------------------------------------------------------- */

int api_decode_quotas(const struct buf *body, struct api_quotas *ret_quotas, struct err *err)
{
    cleanup_(json_putp) struct json_object *root = NULL;
    struct api_quotas quotas = { 0 };
    const struct {
        const char *name;
        int64_t *to;
    } fields[] = {
        { "hunt_count", &quotas.hunt_count },         { "hunt_limit", &quotas.hunt_limit },
        { "download_count", &quotas.download_count }, { "download_limit", &quotas.download_limit },
        { "monitor_count", &quotas.monitor_count },   { "monitor_limit", &quotas.monitor_limit },
        { "days_left", &quotas.days_left },
    };
    struct json_object *meta;
    int r = parse(body, &root, err);

    if (r < 0)
        return r;
    meta = member(root, "meta");
    if (!member(meta, "hunt_limit") && !member(meta, "download_limit"))
        return err_set(err, EPROTO, "the answer has no quotas");
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        *fields[i].to = between(get_number(meta, fields[i].name, 0), 0, INT32_MAX);
    get_text(meta, "refresh_time", quotas.refresh_time, sizeof quotas.refresh_time);
    *ret_quotas = quotas;
    return 0;
}

static int64_t get_date(struct json_object *object, const char *name)
{
    char text[DATE_TEXT + 1];
    int64_t s;

    get_text(object, name, text, sizeof text); /* cut: an instant begins with its day */
    return text_parse_date(text, &s) ? s : SAMPLE_NO_DATE;
}

/* False: no sample, because it has no digest. */
static bool read_sample(struct json_object *item, struct sample *ret_sample)
{
    struct sample sample = { 0 };
    char text[DIGEST_TEXT + 2];

    get_text(item, "sha256", text, sizeof text);
    if (!digest_parse(text, &sample.digest))
        return false;
    sample.size_bytes = get_number(item, "filesize", SAMPLE_NO_SIZE);
    if (sample.size_bytes < 0 || sample.size_bytes > API_SAMPLE_BYTES_MAX)
        sample.size_bytes = SAMPLE_NO_SIZE;
    sample.first_seen_s = get_date(item, "first_seen");
    get_hex(item, "sha1", SAMPLE_SHA1_TEXT, sample.sha1);
    get_hex(item, "md5", SAMPLE_MD5_TEXT, sample.md5);
    get_text(item, "filetype", sample.filetype, sizeof sample.filetype);
    get_text(item, "label", sample.label, sizeof sample.label);
    get_text(item, "family", sample.family, sizeof sample.family);
    *ret_sample = sample;
    return true;
}

static int read_samples(struct json_object *root, struct api_samples *ret_samples, struct err *err)
{
    struct json_object *list = member(root, "resources");
    struct api_samples samples = { 0 };
    size_t n = list_length(list);

    if (n > API_RESULTS_MAX)
        return err_set(err, EFBIG, "the answer has more than %d results", API_RESULTS_MAX);
    if (n > 0) {
        samples.items = calloc(n, sizeof *samples.items);
        if (!samples.items)
            return err_set(err, ENOMEM, "no memory for %zu results", n);
    }
    for (size_t i = 0; i < n; i++)
        samples.n += read_sample(json_object_array_get_idx(list, i), &samples.items[samples.n]);
    *ret_samples = samples;
    return 0;
}

int api_decode_samples(const struct buf *body, struct api_samples *ret_samples, int *ret_missing, struct err *err)
{
    cleanup_(json_putp) struct json_object *root = NULL;
    int r = parse(body, &root, err);

    if (r == 0)
        r = read_samples(root, ret_samples, err);
    if (r == 0)
        *ret_missing = check_errors(root, err);
    return r;
}

static void read_stats(struct json_object *stats, struct api_result *result)
{
    const struct {
        const char *name;
        int32_t *to;
    } fields[] = {
        { "clean_count", &result->stats.clean },     { "malware_count", &result->stats.malware },
        { "pua_count", &result->stats.pua },         { "total_count", &result->stats.total },
        { "unknown_count", &result->stats.unknown },
    };

    result->has_stats = json_object_is_type(stats, json_type_object);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        *fields[i].to = (int32_t)between(get_number(stats, fields[i].name, 0), 0, INT32_MAX);
}

/* A state that we do not know is one that will change (API page 3.4). */
static enum request_state read_state(const char *text)
{
    static const enum request_state ends[] = { REQUEST_DONE, REQUEST_FAILED };

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (strcasecmp(text, request_state_name(ends[i])) == 0)
            return ends[i];
    return REQUEST_INPROGRESS;
}

static bool read_is_search(struct json_object *meta)
{
    static const char *const types[] = { "hunt", "search" };
    char type[16];

    get_text(meta, "reqtype", type, sizeof type);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcasecmp(type, types[i]) == 0)
            return true;
    return false;
}

int api_decode_result(const struct buf *body, struct api_result *ret_result, struct err *err)
{
    cleanup_(json_putp) struct json_object *root = NULL;
    struct api_result result = { 0 };
    struct json_object *meta;
    char state[16];
    int code;
    int r = parse(body, &root, err);

    if (r < 0)
        return r;
    meta = member(root, "meta");
    get_text(meta, "status", state, sizeof state);
    code = get_error(root, result.reason, sizeof result.reason);
    if (!*state && code == CODE_ABSENT)
        return API_ABSENT;
    if (!*state && code)
        return refuse_error(code, result.reason, err);
    result.state = read_state(state);
    if (result.state != REQUEST_FAILED)
        result.reason[0] = '\0';
    result.is_search = read_is_search(meta);
    read_stats(member(meta, "stats"), &result);
    r = read_samples(root, &result.samples, err);
    if (r < 0)
        return r;
    *ret_result = result;
    return 0;
}
