/*
 * engine_reply -- a request as plain values, and the answer to it: status, headers, a body or a descriptor.
 *
 * Ownership  a request borrows everything. engine_reply_done() frees a reply.
 * Threads    one at a time.
 */
#pragma once

#include "engine/engine_json.h"
#include "engine/engine_rate.h"
#include "model/query.h"
#include "util/buf.h"

enum {
    ENGINE_BODY_MAX = 8 * 1024 * 1024,    /* of a request that may bring a query */
    ENGINE_BODY_SMALL_MAX = 8 * 1024,     /* of every other one */
    ENGINE_REPLY_MAX = 256 * 1024 * 1024, /* of a JSON reply */
    ENGINE_IDS_MAX = 10000,
    ENGINE_REGION_MAX = 32,
    ENGINE_LOCATION_MAX = 16 * 1024,
};

struct engine_request {
    const char *method;
    const char *path;          /* without the query */
    const char *uri;           /* as it came, with the query */
    const char *authorization; /* NULL: none */
    const char *peer;
    const char *const *ids; /* values of ?ids=, commas split */
    size_t n_ids;
    const char *body;
    size_t n_body;
    bool is_body_too_long; /* then there is none */
};

struct engine_reply {
    unsigned status;
    const char *content_type; /* NULL: none */
    struct buf body;
    int fd; /* -1: the body counts */
    int64_t fd_bytes;
    struct request_id trace;
    char region[ENGINE_REGION_MAX];
    char location[ENGINE_LOCATION_MAX]; /* "": none */
    const char *allow;                  /* 405: what is allowed */
    bool has_rate;
    struct engine_verdict rate;
    /* For the request log. */
    int64_t paid; /* units of quota */
    struct request_id reqid;
    json_object *samples; /* of a multi-download; NULL: none */
    int64_t start_ns;     /* monotonic */
};

/* The four shapes of a JSON reply (API page 2.1). */
enum engine_shape {
    SHAPE_GATEWAY, /* made before the service: {meta, errors}, powered_by crowdstrike-api-gateway */
    SHAPE_AUTH,    /* {meta, errors}, powered_by csam */
    SHAPE_FIELDS,  /* {meta, errors}, powered_by malquery-api */
    SHAPE_OWN,     /* {meta with status failed, errors, resources: []} */
};

void engine_reply_init(struct engine_reply *reply, const char *region);
void engine_reply_done(struct engine_reply *reply);

/* A meta object with query_time, powered_by and trace_id. */
json_object *engine_reply_meta(const struct engine_reply *reply, enum engine_shape shape);

/* Makes `value` the body; takes it over. */
void engine_reply_json(struct engine_reply *reply, unsigned status, json_object *value);

/* Makes an error reply; `message` is for the client. */
void engine_reply_error(struct engine_reply *reply, enum engine_shape shape, unsigned status, const char *message);
