/* api_json -- what the files of api that know json-c share. */
#pragma once

#include <stddef.h>

#include <json-c/json.h>

#include "util/cleanup.h"

static inline void json_putp(struct json_object **object)
{
    (void)json_object_put(*object); /* tells whether it was the last reference */
}
DEFINE_CLEANUP(struct json_tokener *, json_tokener_free)

/* What a text would cost json-c, which spends close to a kilobyte on "{}". */
struct api_json_shape {
    size_t n_nodes;   /* objects and arrays */
    size_t n_values;  /* commas between values */
    size_t n_members; /* of all objects, each as often as it is written */
};

/* NULL when `ret_shape` is right. Else the first byte that JSON does not have and json-c takes, and that would hide
 * brackets: the quote of a '…', the slash of a comment. */
const char *api_json_measure(const char *text, size_t n, struct api_json_shape *ret_shape);
