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

/*
 * How many bytes of a body are worth keeping, from what is known before it comes: ENGINE_BODY_MAX only for a query with
 * a valid token, so that strangers cannot fill the memory.
 */
size_t engine_route_body_max(const struct engine *engine, const char *method, const char *path,
                             const char *authorization);

/* The names of the checks in their order, NULL at the end. */
const char *engine_route_step(size_t at);
