/*
 * engine_route -- from a request to its reply: the table of operations and the order of the checks (API page 8.1).
 *
 * Threads    any.
 */
#pragma once

#include "engine/engine_core.h"

/* Fills `reply`, which engine_reply_init() prepared. Always leaves a status. */
void engine_route_serve(struct engine *engine, const struct engine_request *request, struct engine_reply *reply);

/* The operation of a path whatever the method, NULL for an unknown one. */
const struct engine_operation *engine_route_find(const char *path);

/* The names of the checks in their order, NULL at the end. */
const char *engine_route_step(size_t at);
