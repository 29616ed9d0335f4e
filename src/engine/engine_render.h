/*
 * engine_render -- model values as the JSON of the service, keys in the order seen on the wire.
 *
 * Ownership  what is returned is the caller's, json_object_put(); NULL without memory.
 */
#pragma once

#include "engine/engine_query.h"

/* Where a sample is shown: the order of keys differs, and polls have `samples`. */
enum engine_view { VIEW_METADATA, VIEW_POLL, VIEW_FUZZY };

/* The fields of `wanted` (enum engine_field) that are known. */
json_object *engine_render_sample(const struct sample *sample, unsigned wanted, enum engine_view view);
json_object *engine_render_samples(const struct engine_samples *samples, unsigned wanted, enum engine_view view);

/* Labels counted over `samples`; without labels in `wanted` all are unknown. */
json_object *engine_render_stats(const struct engine_samples *samples, unsigned wanted, size_t total);

/* One entry of `errors`; `id` may be NULL. */
json_object *engine_render_error(int code, const char *message, const char *id);

/* A random id as the service writes them: 8-4-4-4-12 hex, third group 4…, fourth group anything. */
struct request_id engine_render_id(void);
