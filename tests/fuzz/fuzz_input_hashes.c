/* Any bytes as a list of hashes: what comes out are different hashes, and written down again they are the same list. */
#include <stdlib.h>

#include "input/input.h"
#include "util/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PRINTED_MAX = INPUT_HASHES_MAX * (DIGEST_TEXT + 1), PAIRS_MAX = 100 };

static void check_different(const struct input_hashes *hashes)
{
    size_t n = hashes->n < PAIRS_MAX ? hashes->n : PAIRS_MAX;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (digest_equal(&hashes->digests[i], &hashes->digests[k]))
                abort();
}

static void check_again(const struct input_hashes *hashes)
{
    struct buf text = BUF_INIT(PRINTED_MAX);
    struct input_hashes again = { 0 };

    for (size_t i = 0; i < hashes->n; i++)
        buf_printf(&text, "%s\n", digest_format(&hashes->digests[i]).s);
    if (input_hashes(buf_text(&text), text.n, &again, NULL) != 0 || again.n != hashes->n)
        abort();
    for (size_t i = 0; i < hashes->n; i++)
        if (!digest_equal(&hashes->digests[i], &again.digests[i]))
            abort();
    free(again.digests);
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input_hashes hashes = { 0 };
    struct err err = { 0 };

    if (input_hashes((const char *)data, n, &hashes, &err) < 0) {
        if (err.code == 0 || !err.text[0] || hashes.digests)
            abort();
        return 0;
    }
    if (hashes.n < 1 || hashes.n > INPUT_HASHES_MAX)
        abort();
    check_different(&hashes);
    check_again(&hashes);
    free(hashes.digests);
    return 0;
}
