/* Any bytes as the text of a rule: only the options in its comments matter. */
#include "fuzz_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct query_options options = QUERY_OPTIONS_NONE;
    struct err err = { 0 };

    if (input_rule_options((const char *)data, n, &options, &err) == 0) {
        check_options(&options);
    } else {
        if (err.code == 0 || !err.text[0])
            abort();
        check_no_options(&options);
    }
    return 0;
}
