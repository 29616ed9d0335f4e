/* Hostile JSON: the answers of data/answers.tsv through the decoders. mount.hostile_answers sends them through a mount.
 */
#include "test_api_script.h"

enum { OUTCOME_TEXT = 64 };

/* A line of answers.tsv. */
struct answer {
    char *decoder;
    char *name;
    char *outcome;
    struct buf body;
};

/* What was made of it: an errno's name, or a decoder's own words. */
typedef void decode_answer(const struct buf *body, char *ret_outcome);

static void say(char *ret_outcome, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void say(char *ret_outcome, int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (r < 0)
        (void)snprintf(ret_outcome, OUTCOME_TEXT, "%s", err_name(-r)); /* fits */
    else
        (void)vsnprintf(ret_outcome, OUTCOME_TEXT, format, args); /* fits */
    va_end(args);
}

static void decode_samples_answer(const struct buf *body, char *ret_outcome)
{
    struct api_samples samples = { 0 };
    struct digest digest = digest_from(SHA_A);
    int missing = 0;
    int r = api_decode_samples(body, &samples, &missing, NULL);

    say(ret_outcome, r < 0 ? r : missing, "absent");
    for (size_t i = samples.n; r == 0 && i-- > 0;) { /* the first counts */
        if (!digest_equal(&samples.items[i].digest, &digest))
            continue;
        say(ret_outcome, 0, samples.items[i].size_bytes == SAMPLE_NO_SIZE ? "?" : "%lld",
            (long long)samples.items[i].size_bytes);
    }
    api_samples_done(&samples);
}

static void decode_result_answer(const struct buf *body, char *ret_outcome)
{
    struct api_result result = { 0 };
    int r = api_decode_result(body, &result, NULL);

    if (r == API_ABSENT)
        say(ret_outcome, 0, "absent");
    else
        say(ret_outcome, r, "%s %zu", request_state_name(result.state), result.samples.n);
    api_result_done(&result);
}

static void decode_reqid_answer(const struct buf *body, char *ret_outcome)
{
    struct request_id id;

    say(ret_outcome, api_decode_reqid(body, &id, NULL), "ok");
}

static void decode_quotas_answer(const struct buf *body, char *ret_outcome)
{
    struct api_quotas quotas = { 0 };
    int r = api_decode_quotas(body, &quotas, NULL);

    say(ret_outcome, r, "%lld %lld", (long long)quotas.hunt_limit, (long long)quotas.download_limit);
}

static void decode_token_answer(const struct buf *body, char *ret_outcome)
{
    struct secret *bearer = NULL;
    int64_t life_s = 0;
    int r = api_decode_token(body, &bearer, &life_s, NULL);

    say(ret_outcome, r, "%lld", (long long)life_s);
    secret_free(bearer);
}

static const struct {
    const char *name;
    decode_answer *decode;
} decoders[] = {
    { "samples", decode_samples_answer }, { "result", decode_result_answer }, { "reqid", decode_reqid_answer },
    { "quotas", decode_quotas_answer },   { "token", decode_token_answer },
};

/* Cuts the line in place; what is behind the third tab is the answer, in memory of its own size. */
static struct answer read_answer(char *line, size_t n)
{
    struct answer answer = { .body = BUF_INIT(API_JSON_MAX) };
    char **fields[] = { &answer.decoder, &answer.name, &answer.outcome };
    char *at = line;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        char *tab = memchr(at, '\t', n - (size_t)(at - line));

        assert_non_null(tab);
        *tab = '\0';
        *fields[i] = at;
        at = tab + 1;
    }
    buf_append(&answer.body, at, n - (size_t)(at - line));
    return answer;
}

static bool is_as_it_says(const struct answer *answer)
{
    char outcome[OUTCOME_TEXT] = "no such decoder";

    for (size_t i = 0; i < ARRAY_SIZE(decoders); i++)
        if (strcmp(decoders[i].name, answer->decoder) == 0)
            decoders[i].decode(&answer->body, outcome);
    if (strcmp(outcome, answer->outcome) == 0)
        return true;
    print_error("%s, %s: %s instead of %s\n", answer->decoder, answer->name, outcome, answer->outcome);
    return false;
}

static void hostile_answers_come_to_what_their_file_says(void **state)
{
    (void)state;
    FILE *file = fopen(TEST_DATA "/answers.tsv", "re");
    char *line = NULL;
    size_t room = 0;
    size_t n_wrong = 0;
    ssize_t n;

    assert_non_null(file);
    assert_true(getline(&line, &room, file) > 0); /* the names of the columns */
    while ((n = getline(&line, &room, file)) > 0) {
        struct answer answer = read_answer(line, (size_t)n - 1);

        n_wrong += !is_as_it_says(&answer);
        buf_done(&answer.body);
    }
    free(line);
    (void)fclose(file); /* it was read only */
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_answers_come_to_what_their_file_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
