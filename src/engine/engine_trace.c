#include "engine/engine_trace.h"

#include <string.h>
#include <time.h>

#include "engine/engine_route.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

enum { TRACE_LINE_MAX = 16 * 1024 * 1024, TRACE_IDS_MAX = 1000 };

static void add_ids(json_object *line, const struct engine_request *request, json_object *samples)
{
    json_object *ids = json_object_new_array();

    for (size_t i = 0; i < request->n_ids && i < TRACE_IDS_MAX; i++) {
        const char *id = request->ids[i];

        if (text_is_utf8(id, strlen(id)))
            (void)json_object_array_add(ids, json_object_new_string(id)); /* no memory: one is missing */
    }
    engine_json_put(line, "ids", samples ? json_object_get(samples) : ids);
    if (samples)
        json_object_putp(&ids);
}

static void write_line(struct engine *engine, const struct engine_request *request, const struct engine_reply *reply)
{
    cleanup_(json_object_putp) json_object *line = json_object_new_object();
    const struct engine_operation *operation = engine_route_find(request->path);
    struct buf text = BUF_INIT(TRACE_LINE_MAX);

    engine_json_put(line, "time", json_object_new_string(clock_iso(clock_now_s()).s));
    engine_json_put(line, "method", json_object_new_string(request->method));
    engine_json_put(line, "route", json_object_new_string(operation ? operation->path : "?"));
    engine_json_put(line, "op", json_object_new_string(operation ? operation->name : "?"));
    engine_json_put(line, "status", json_object_new_int64(reply->status));
    engine_json_put(line, "paid", json_object_new_int64(reply->paid));
    add_ids(line, request, reply->samples);
    if (*reply->reqid.s)
        engine_json_put(line, "reqid", json_object_new_string(reply->reqid.s));
    engine_json_put(line, "bytes", json_object_new_int64(reply->fd >= 0 ? reply->fd_bytes : (int64_t)reply->body.n));
    engine_json_put(line, "trace", json_object_new_string(reply->trace.s));
    buf_puts(&text, json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    buf_putc(&text, '\n');
    if (buf_check(&text, NULL, "line") == 0 && write(engine->request_log_fd, text.data, text.n) < 0)
        log_event(LOG_LEVEL_WARN, "cannot write to the request log", LOG_TEXT(LOG_OP, "log"));
    buf_done(&text);
}

void engine_trace_request(struct engine *engine, const struct engine_request *request, const struct engine_reply *reply)
{
    struct timespec ts = { 0 };
    int64_t ms;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with a valid clock and address */
    ms = ((int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec - reply->start_ns) / 1000000;
    log_event(LOG_LEVEL_INFO, "request", LOG_TEXT(LOG_OP, request->method), LOG_TEXT(LOG_NODE, request->path),
              LOG_NUMBER(LOG_STATUS, reply->status), LOG_TEXT(LOG_TRACE, reply->trace.s), LOG_NUMBER(LOG_MS, ms));
    if (engine->request_log_fd >= 0)
        write_line(engine, request, reply);
}
