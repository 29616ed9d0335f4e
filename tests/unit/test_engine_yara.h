/* The set-up and the end of groups of tests that hunt: libyara's, once for the process. */
#pragma once

#include "engine/engine_hunt.h"

static inline int start_yara(void **unused)
{
    (void)unused;
    return engine_hunt_start(NULL);
}

static inline int end_yara(void **unused)
{
    (void)unused;
    engine_hunt_end();
    return 0;
}
