/* fuzz_config -- what a configuration promises once it is accepted; for the targets of src/config.c and src/options.c.
 */
#pragma once

#include <string.h>

#include "fuzz_check.h"

#include "options.h"
#include "util/buf.h"

static inline void check_config(const struct config *config)
{
    /* Every kind of option once: a text as long as its room, a percent, a size, a choice. */
    check(strnlen(config->base_url, sizeof config->base_url) < sizeof config->base_url);
    check(strnlen(config->zip_password, sizeof config->zip_password) < sizeof config->zip_password);
    check(strnlen(config->kernel_options, sizeof config->kernel_options) < sizeof config->kernel_options);
    check(config->reserve_percent >= 0 && config->reserve_percent <= 100);
    check(config->cache_size >= MIB && config->memory_size >= MIB);
    check(config->cache >= 0 && config->cache <= 2);
    check(config->transport >= 0 && config->transport <= 1);
    check(config->zip_method >= 0 && config->zip_method <= 1);
    check(!config->debug || config->foreground);
}
