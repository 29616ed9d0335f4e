#include "engine/engine_route.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

enum { INDEX_WAIT_MS = 10 * 1000, INDEX_STEP_MS = 100 };

static const struct engine_operation operations[] = {
    { .name = "token", .method = "POST", .path = "/oauth2/token", .shape = SHAPE_AUTH, .work = engine_login_token },
    { .name = "revoke", .method = "POST", .path = "/oauth2/revoke", .shape = SHAPE_AUTH, .work = engine_login_revoke },
    { .name = "quotas",
      .method = "GET",
      .path = "/malquery/aggregates/quotas/v1",
      .scope = SCOPE_READ,
      .shape = SHAPE_FIELDS,
      .work = engine_ops_quotas },
    { .name = "fuzzy",
      .method = "POST",
      .path = "/malquery/combined/fuzzy-search/v1",
      .scope = SCOPE_WRITE,
      .shape = SHAPE_OWN,
      .kind = QUERY_FUZZY,
      .prepare = engine_prepare_search,
      .work = engine_ops_fuzzy },
    { .name = "download",
      .method = "GET",
      .path = "/malquery/entities/download-files/v1",
      .scope = SCOPE_READ,
      .shape = SHAPE_FIELDS,
      .prepare = engine_prepare_hash,
      .charge = CHARGE_ON_SUCCESS,
      .quota = QUOTA_DOWNLOADS,
      .work = engine_ops_download },
    { .name = "metadata",
      .method = "GET",
      .path = "/malquery/entities/metadata/v1",
      .scope = SCOPE_READ,
      .shape = SHAPE_OWN,
      .prepare = engine_prepare_hashes,
      .work = engine_ops_metadata },
    { .name = "request",
      .method = "GET",
      .path = "/malquery/entities/requests/v1",
      .scope = SCOPE_READ,
      .shape = SHAPE_OWN,
      .prepare = engine_prepare_request,
      .work = engine_ops_request },
    { .name = "archive",
      .method = "GET",
      .path = "/malquery/entities/samples-fetch/v1",
      .scope = SCOPE_READ,
      .shape = SHAPE_OWN,
      .prepare = engine_prepare_archive,
      .work = engine_ops_archive },
    { .name = "multidownload",
      .method = "POST",
      .path = "/malquery/entities/samples-multidownload/v1",
      .scope = SCOPE_WRITE,
      .shape = SHAPE_OWN,
      .kind = QUERY_MULTI,
      .prepare = engine_prepare_multi,
      .charge = CHARGE_ON_SUCCESS,
      .quota = QUOTA_DOWNLOADS,
      .work = engine_ops_submit },
    { .name = "exact",
      .method = "POST",
      .path = "/malquery/queries/exact-search/v1",
      .scope = SCOPE_WRITE,
      .shape = SHAPE_OWN,
      .kind = QUERY_EXACT,
      .prepare = engine_prepare_search,
      .charge = CHARGE_ON_SUCCESS,
      .quota = QUOTA_HUNTS,
      .work = engine_ops_submit },
    { .name = "hunt",
      .method = "POST",
      .path = "/malquery/queries/hunt/v1",
      .scope = SCOPE_WRITE,
      .shape = SHAPE_OWN,
      .kind = QUERY_HUNT,
      .prepare = engine_prepare_search,
      .charge = CHARGE_ON_SUCCESS,
      .quota = QUOTA_HUNTS,
      .work = engine_ops_submit },
};

const struct engine_operation *engine_route_find(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
        if (strcmp(path, operations[i].path) == 0)
            return &operations[i];
    return NULL;
}

size_t engine_route_body_max(const struct engine *engine, const char *method, const char *path,
                             const char *authorization)
{
    const struct engine_operation *operation = engine_route_find(path);
    const char *token = engine_login_bearer(authorization);
    bool has_query = operation && operation->scope != SCOPE_NONE && strcmp(method, "POST") == 0 &&
                     strcmp(operation->method, method) == 0;

    if (has_query && token && engine_auth_scopes(engine->auth, token) & operation->scope)
        return ENGINE_BODY_MAX;
    return ENGINE_BODY_SMALL_MAX;
}

static bool step_route(struct engine_call *call)
{
    call->operation = engine_route_find(call->request->path);
    if (!call->operation) {
        engine_reply_error(call->reply, SHAPE_GATEWAY, 404, "404: Page Not Found");
        return false;
    }
    if (strcmp(call->request->method, call->operation->method) != 0) {
        call->reply->allow = call->operation->method;
        engine_reply_error(call->reply, SHAPE_GATEWAY, 405, "405: Method Not Allowed");
        return false;
    }
    return true;
}

/* Counts the request in a bucket; false when it is one too many. */
static bool take(struct engine_call *call, enum engine_bucket bucket)
{
    call->reply->rate = engine_rate_take(call->engine->rate, bucket, call->request->peer);
    call->reply->has_rate = true;
    if (!call->reply->rate.is_allowed)
        engine_reply_error(call->reply, SHAPE_GATEWAY, 429, "API rate limit exceeded.");
    return call->reply->rate.is_allowed;
}

static void redirect(struct engine_call *call)
{
    const char *region = call->engine->config.foreign_region;

    call->reply->status = 308;
    (void)text_copy(call->reply->region, sizeof call->reply->region, region); /* the options limit it */
    if (snprintf(call->reply->location, sizeof call->reply->location, "%s%s", engine_login_base_url(region),
                 call->request->uri) >= (int)sizeof call->reply->location)
        call->reply->location[0] = '\0'; /* too many ids to repeat */
}

static bool is_foreign(const struct engine_call *call)
{
    return call->engine->config.foreign_region && *call->engine->config.foreign_region;
}

static bool step_token(struct engine_call *call)
{
    const char *token;

    if (call->operation->scope == SCOPE_NONE)
        return true;
    token = engine_login_bearer(call->request->authorization);
    if (token)
        call->scopes = engine_auth_scopes(call->engine->auth, token);
    if (call->scopes || (token && is_foreign(call)))
        return true;
    if (take(call, BUCKET_UNAUTH))
        engine_reply_error(call->reply, SHAPE_GATEWAY, 401, "access denied, invalid bearer token");
    return false;
}

/* With a foreign region, whatever is not our own token counts as that region's. */
static bool step_region(struct engine_call *call)
{
    if (!is_foreign(call) || call->scopes)
        return true;
    if (take(call, call->operation->scope == SCOPE_NONE ? BUCKET_TOKEN : BUCKET_UNAUTH))
        redirect(call);
    return false;
}

static bool step_scope(struct engine_call *call)
{
    if (call->operation->scope == SCOPE_NONE || call->scopes & call->operation->scope)
        return true;
    if (take(call, BUCKET_DATA))
        engine_reply_error(call->reply, SHAPE_GATEWAY, 403, "access denied, scope not permitted");
    return false;
}

static bool step_rate(struct engine_call *call)
{
    return take(call, call->operation->scope == SCOPE_NONE ? BUCKET_TOKEN : BUCKET_DATA);
}

static bool step_body(struct engine_call *call)
{
    if (call->request->is_body_too_long) {
        engine_reply_error(call->reply, call->operation->shape, 400, ENGINE_QUERY_TEXT);
        return false;
    }
    return !call->operation->prepare || call->operation->prepare(call);
}

struct engine_price engine_price_of(const struct engine_call *call)
{
    const struct engine_config *config = &call->engine->config;
    enum engine_quota_kind kind = call->operation->quota;

    return (struct engine_price){ .kind = kind,
                                  .n = call->cost,
                                  .limit = kind == QUOTA_HUNTS ? config->hunt_limit : config->download_limit };
}

static bool step_quota(struct engine_call *call)
{
    const struct engine_price price = engine_price_of(call);
    struct err err = { 0 };
    int64_t spent = 0;

    if (call->operation->charge == CHARGE_NEVER)
        return true;
    if (engine_quota_spent(call->engine->db, price.kind, clock_now_s(), &spent, &err) < 0) {
        engine_fail(call, &err);
        return false;
    }
    if (!engine_quota_covers(&price, spent)) {
        engine_reply_error(call->reply, SHAPE_OWN, 429, "Monthly quota exceeded");
        return false;
    }
    return true;
}

static bool step_work(struct engine_call *call)
{
    call->operation->work(call);
    return true;
}

/* The order of the checks is part of the contract. */
static const struct {
    const char *name;
    bool (*passes)(struct engine_call *call);
} steps[] = {
    { "route", step_route }, { "token", step_token }, { "region", step_region }, { "scope", step_scope },
    { "rate", step_rate },   { "body", step_body },   { "quota", step_quota },   { "work", step_work },
};

const char *engine_route_step(size_t at)
{
    return at < ARRAY_SIZE(steps) ? steps[at].name : NULL;
}

void engine_route_serve(struct engine *engine, const struct engine_request *request, struct engine_reply *reply)
{
    struct engine_call call = {
        .engine = engine,
        .request = request,
        .reply = reply,
        .deadline_ms = clock_mono_ms() + INDEX_WAIT_MS,
    };

    for (size_t i = 0; i < ARRAY_SIZE(steps) && steps[i].passes(&call); i++)
        ;
    json_object_putp(&call.body);
    json_object_putp(&call.errors);
    engine_query_done(&call.query);
}

int engine_find_sample(const struct engine_call *call, const struct digest *digest, struct sample *ret_sample,
                       struct err *err)
{
    struct engine *engine = call->engine;
    bool may_wait;
    int r;

    do {
        may_wait = !engine_index_wait(engine->index, 0) && clock_mono_ms() < call->deadline_ms &&
                   !atomic_load(&engine->is_stopping);
        r = engine_index_find(engine->index, digest, ret_sample, err);
        if (r == ENGINE_INDEX_ABSENT && may_wait)
            (void)engine_index_wait(engine->index, INDEX_STEP_MS); /* the loop looks again */
    } while (r == ENGINE_INDEX_ABSENT && may_wait);
    if (r == ENGINE_INDEX_ABSENT && !engine_index_wait(engine->index, 0))
        return err_set(err, EAGAIN, "not all samples are indexed yet"); /* absent would be a wrong answer */
    return r;
}

struct engine_failure engine_failure_of(const struct engine_call *call, const struct err *err)
{
    struct engine_failure failure;

    log_event(LOG_LEVEL_ERR, err->text, LOG_TEXT(LOG_OP, call->operation->name), LOG_NUMBER(LOG_ERRNO, err->code),
              LOG_TEXT(LOG_TRACE, call->reply->trace.s));
    (void)snprintf(failure.text, sizeof failure.text, "Internal Server Error: Please provide trace-id='%s' to support",
                   call->reply->trace.s); /* fits */
    return failure;
}

void engine_fail(struct engine_call *call, const struct err *err)
{
    if (err->code == EAGAIN) {
        engine_reply_error(call->reply, call->operation->shape, 503, "Service Unavailable: try again");
        return;
    }
    engine_reply_error(call->reply, call->operation->shape, 500, engine_failure_of(call, err).text);
}
