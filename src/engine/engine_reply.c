#include "engine/engine_reply.h"

#include <stdio.h>
#include <time.h>

#include "engine/engine_render.h"
#include "util/text.h"

static const char *const powered_by[] = {
    [SHAPE_GATEWAY] = "crowdstrike-api-gateway",
    [SHAPE_AUTH] = "csam",
    [SHAPE_FIELDS] = "malquery-api",
    [SHAPE_OWN] = "malquery-api",
};

static int64_t mono_ns(void)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with a valid clock and address */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void engine_reply_init(struct engine_reply *reply, const char *region)
{
    *reply = (struct engine_reply){ .fd = -1, .start_ns = mono_ns(), .trace = engine_render_id() };
    reply->body = (struct buf)BUF_INIT(ENGINE_REPLY_MAX);
    (void)text_copy(reply->region, sizeof reply->region, region); /* options.c limits it */
}

void engine_reply_done(struct engine_reply *reply)
{
    buf_done(&reply->body);
    closep(&reply->fd);
    reply->fd = -1;
    json_object_putp(&reply->samples);
    reply->samples = NULL;
}

json_object *engine_reply_meta(const struct engine_reply *reply, enum engine_shape shape)
{
    json_object *meta = json_object_new_object();
    double seconds = (double)(mono_ns() - reply->start_ns) / 1e9;
    char text[32];

    (void)snprintf(text, sizeof text, "%.9g", seconds); /* fits */
    engine_json_put(meta, "query_time", json_object_new_double_s(seconds, text));
    engine_json_put(meta, "powered_by", json_object_new_string(powered_by[shape]));
    engine_json_put(meta, "trace_id", json_object_new_string(reply->trace.s));
    return meta;
}

void engine_reply_json(struct engine_reply *reply, unsigned status, json_object *value)
{
    buf_clear(&reply->body);
    engine_json_write(&reply->body, value);
    json_object_putp(&value);
    reply->status = status;
    reply->content_type = "application/json";
    if (buf_check(&reply->body, NULL, "a reply") < 0) { /* nothing left to make an error of */
        buf_clear(&reply->body);
        reply->status = 500;
    }
}

void engine_reply_error(struct engine_reply *reply, enum engine_shape shape, unsigned status, const char *message)
{
    json_object *value = json_object_new_object();
    json_object *meta = engine_reply_meta(reply, shape);
    json_object *errors = json_object_new_array();

    if (shape == SHAPE_OWN)
        engine_json_put(meta, "status", json_object_new_string("failed"));
    engine_json_put(value, "meta", meta);
    (void)json_object_array_add(errors, engine_render_error((int)status, message, NULL)); /* no memory: an empty list */
    engine_json_put(value, "errors", errors);
    if (shape == SHAPE_OWN)
        engine_json_put(value, "resources", json_object_new_array());
    engine_reply_json(reply, status, value);
}
