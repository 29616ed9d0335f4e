/* fuzz_check -- what every target claims, or the process ends where the fuzzer sees it. */
#pragma once

#include <stdbool.h>
#include <stdlib.h>

static inline void check(bool is_true)
{
    if (!is_true)
        abort();
}
