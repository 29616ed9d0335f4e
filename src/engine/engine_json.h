/*
 * engine_json -- JSON in, with limits, and out, in the spelling of the service: one blank per level.
 *
 * Ownership  json-c's: json_object_put() what comes back.
 * Threads    a json_object belongs to one thread.
 */
#pragma once

#include <json-c/json.h>

#include "util/buf.h"

enum { ENGINE_JSON_DEPTH_MAX = 32 };

/* The whole text must be one valid value. */
CHECKED int engine_json_parse(const char *text, size_t n, json_object **ret_value, struct err *err);

/* Appends `value` with line breaks and a final newline. */
void engine_json_write(struct buf *buf, json_object *value);

/* Adds a member; a missing value (no memory) is left out. Takes over `value`. */
void engine_json_put(json_object *object, const char *name, json_object *value);

static inline void json_object_putp(json_object **object)
{
    (void)json_object_put(*object); /* whether it was the last reference is no news */
}
