/*
 * The step "body and parameters" of each operation: everything that a client can do wrong ends here.
 */
#include <errno.h>
#include <string.h>

#include "engine/engine_core.h"
#include "engine/engine_hunt.h"
#include "engine/engine_render.h"

/* A 400 in the operation's shape. */
static bool refuse(struct engine_call *call, const char *message)
{
    engine_reply_error(call->reply, call->operation->shape, 400, message);
    return false;
}

/* EINVAL is the client's fault, everything else ours. */
static bool refuse_or_fail(struct engine_call *call, const struct err *err)
{
    if (err->code == EINVAL)
        return refuse(call, err->text);
    engine_fail(call, err);
    return false;
}

static bool parse_body(struct engine_call *call)
{
    struct err err = { 0 };

    if (engine_json_parse(call->request->body, call->request->n_body, &call->body, &err) < 0)
        return refuse(call, ENGINE_QUERY_TEXT);
    if (engine_query_parse(call->operation->kind, call->body, &call->query, &err) < 0)
        return refuse_or_fail(call, &err);
    return true;
}

bool engine_prepare_search(struct engine_call *call)
{
    cleanup_(engine_rules_freep) struct engine_rules *rules = NULL;
    struct err err = { 0 };

    if (!parse_body(call))
        return false;
    if (call->query.rule && engine_rules_new(call->query.rule, &rules, &err) < 0)
        return refuse_or_fail(call, &err);
    call->cost = 1;
    return true;
}

static void note_unknown(struct engine_call *call, const struct digest *digest)
{
    if (!call->errors)
        call->errors = json_object_new_array();
    /* Without memory the entry is missing, the sample is missing from the archive all the same. */
    (void)json_object_array_add(call->errors, engine_render_error(404, "sample not found", digest_format(digest).s));
}

/* Known samples are paid for, unknown ones become entries of `errors`. */
bool engine_prepare_multi(struct engine_call *call)
{
    struct engine_query *query = &call->query;
    json_object *samples = NULL;
    struct sample sample;
    struct err err = { 0 };
    size_t n = 0;

    if (!parse_body(call))
        return false;
    if (json_object_object_get_ex(call->body, "samples", &samples))
        call->reply->samples = json_object_get(samples);
    for (size_t i = 0; i < query->n_samples; i++) {
        int r = engine_find_sample(call, &query->samples[i], &sample, &err);

        if (r < 0)
            return refuse_or_fail(call, &err);
        if (r == 0)
            query->samples[n++] = query->samples[i];
        else
            note_unknown(call, &query->samples[i]);
    }
    query->n_samples = n;
    call->cost = (int64_t)n;
    return true;
}

/* The one id of a route that takes one only. */
static const char *one_id(struct engine_call *call)
{
    if (call->request->n_ids == 1)
        return call->request->ids[0];
    (void)refuse(call, call->request->n_ids ? "only one id is allowed" : "ids is missing"); /* always false */
    return NULL;
}

bool engine_prepare_hash(struct engine_call *call)
{
    const char *id = one_id(call);

    call->cost = 1;
    if (!id)
        return false;
    return digest_parse(id, &call->digest) || refuse(call, "ids is not a SHA-256");
}

bool engine_prepare_hashes(struct engine_call *call)
{
    return call->request->n_ids > 0 || refuse(call, "ids is missing");
}

bool engine_prepare_request(struct engine_call *call)
{
    const char *id = one_id(call);

    if (!id)
        return false;
    return request_id_parse(id, &call->id) || refuse(call, "ids is not a request id");
}

/* A malformed id is an unknown archive: this route declares no 400 (API page 2.1). */
bool engine_prepare_archive(struct engine_call *call)
{
    const char *id = one_id(call);

    if (!id)
        return false;
    if (request_id_parse(id, &call->id))
        return true;
    engine_reply_error(call->reply, SHAPE_OWN, 404, "Could not find sample archive");
    return false;
}
