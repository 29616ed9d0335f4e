/* fuzz_config -- what a configuration promises once it is accepted; for the targets of src/config.c and src/options.c.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "util/buf.h"

static inline void check_config(const struct config *config)
{
    /* Every kind of option once: a text as long as its room, a percent, a size, a choice. */
    if (strnlen(config->base_url, sizeof config->base_url) == sizeof config->base_url ||
        strnlen(config->zip_password, sizeof config->zip_password) == sizeof config->zip_password ||
        strnlen(config->kernel_options, sizeof config->kernel_options) == sizeof config->kernel_options)
        abort();
    if (config->reserve_percent < 0 || config->reserve_percent > 100)
        abort();
    if (config->cache_size < MIB || config->memory_size < MIB)
        abort();
    if (config->cache < 0 || config->cache > 2 || config->transport < 0 || config->transport > 1 ||
        config->zip_method < 0 || config->zip_method > 1)
        abort();
    if (config->debug && !config->foreground)
        abort();
}
