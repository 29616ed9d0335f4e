/* Any bytes as the body of a search: what comes out is encoded, and decoded again it is the same. */
#include <stdlib.h>
#include <string.h>

#include "api/api_internal.h"
#include "model/search.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Lines `name=value`, none of which is empty or can be taken for a comment. */
static void check_options(struct buf *options)
{
    for (char *rest = options->data; rest && *rest;) {
        const char *line = strsep(&rest, "\n");
        const char *equals = strchr(line, '=');

        if (!equals || equals == line || *line == '#' || !text_is_utf8(line, strlen(line)) || strpbrk(line, "\r\t"))
            abort();
        if (!rest)
            abort(); /* each ends with a line feed */
    }
}

static void check_again(const struct search *search)
{
    struct buf body = BUF_INIT(API_BODY_MAX);
    struct buf options = BUF_INIT(KIB);
    struct search again = { 0 };

    if (api_encode_search(&body, QUERY_EXACT, search->patterns, search->n_patterns, NULL, NULL) != 0)
        abort();
    if (body.n <= SEARCH_TEXT_MAX) {
        if (api_decode_search(body.data, body.n, &again, &options, NULL) != 0 || options.n > 0 ||
            again.n_patterns != search->n_patterns)
            abort();
        for (size_t i = 0; i < search->n_patterns; i++)
            if (again.patterns[i].kind != search->patterns[i].kind ||
                strcmp(again.patterns[i].value, search->patterns[i].value) != 0)
                abort();
    }
    search_done(&again);
    buf_done(&options);
    buf_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf options = BUF_INIT(API_BODY_MAX);
    struct search search = { 0 };
    struct err err = { 0 };

    if (api_decode_search((const char *)data, n, &search, &options, &err) < 0) {
        if (err.code == 0 || !text_is_utf8(err.text, strlen(err.text)) || strpbrk(err.text, "\n\r") || search.patterns)
            abort();
    } else {
        check_options(&options);
        check_again(&search);
    }
    search_done(&search);
    buf_done(&options);
    return 0;
}
