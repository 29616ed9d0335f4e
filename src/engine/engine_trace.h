/*
 * engine_trace -- one line per request: for people in the log, for programs in the request log (JSON Lines).
 *
 * No secrets, tokens or query strings; ids are hashes and request ids.
 */
#pragma once

#include "engine/engine_core.h"

void engine_trace_request(struct engine *engine, const struct engine_request *request,
                          const struct engine_reply *reply);
