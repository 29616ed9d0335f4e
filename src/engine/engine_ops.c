/*
 * The work of the nine operations, once every check has passed (API page sections 2 to 4).
 */
#include <errno.h>
#include <string.h>

#include "engine/engine_core.h"
#include "engine/engine_render.h"
#include "engine/engine_search.h"
#include "util/clock.h"

enum { DAY_S = 24 * 60 * 60 };

static json_object *count_list(int64_t n)
{
    json_object *list = json_object_new_array();
    json_object *entry = json_object_new_object();

    engine_json_put(entry, "userid", json_object_new_string(""));
    engine_json_put(entry, "counter", json_object_new_int64(n));
    if (json_object_array_add(list, entry) != 0)
        json_object_putp(&entry);
    return list;
}

static json_object *quota_meta(const struct engine_config *config, const int64_t *spent, int64_t now_s)
{
    json_object *meta = json_object_new_object();
    int64_t refresh_s = engine_quota_refresh_s(now_s);

    engine_json_put(meta, "hunt_count", json_object_new_int64(spent[QUOTA_HUNTS]));
    engine_json_put(meta, "download_count", json_object_new_int64(spent[QUOTA_DOWNLOADS]));
    engine_json_put(meta, "monitor_count", json_object_new_int64(0));
    engine_json_put(meta, "hunt_limit", json_object_new_int64(config->hunt_limit));
    engine_json_put(meta, "download_limit", json_object_new_int64(config->download_limit));
    engine_json_put(meta, "monitor_limit", json_object_new_int64(ENGINE_MONITOR_LIMIT));
    engine_json_put(meta, "refresh_time", json_object_new_string(clock_iso(refresh_s).s));
    engine_json_put(meta, "days_left", json_object_new_int64((refresh_s - now_s) / DAY_S));
    engine_json_put(meta, "hunt_counts", count_list(spent[QUOTA_HUNTS]));
    engine_json_put(meta, "download_counts", count_list(spent[QUOTA_DOWNLOADS]));
    return meta;
}

static void add_to(json_object *array, json_object *entry)
{
    if (json_object_array_add(array, entry) != 0)
        json_object_putp(&entry);
}

/* The shape of quotas is its own even for a failure: all its members, and what was not found out is 0. */
void engine_ops_quotas(struct engine_call *call)
{
    json_object *value = json_object_new_object();
    json_object *errors = json_object_new_array();
    int64_t spent[ENGINE_QUOTA_KINDS] = { 0 };
    int64_t now_s = clock_now_s();
    struct err err = { 0 };
    int r = 0;

    for (int kind = 0; kind < ENGINE_QUOTA_KINDS && r == 0; kind++)
        r = engine_quota_spent(call->engine->db, (enum engine_quota_kind)kind, now_s, &spent[kind], &err);
    if (r < 0)
        add_to(errors, engine_render_error(500, engine_failure_of(call, &err).text, NULL));
    engine_json_put(value, "meta", quota_meta(&call->engine->config, spent, now_s));
    engine_json_put(value, "errors", errors);
    engine_reply_json(call->reply, r < 0 ? 500 : 200, value);
}

/* One id of a metadata request: a resource or an entry of `errors`. */
CHECKED static int describe(struct engine_call *call, const char *id, json_object *resources, json_object *errors,
                            struct err *err)
{
    struct sample sample;
    struct digest digest;
    int r;

    if (!digest_parse(id, &digest)) {
        add_to(errors, engine_render_error(400, "not a SHA-256", id));
        return 0;
    }
    r = engine_find_sample(call, &digest, &sample, err);
    if (r == ENGINE_INDEX_ABSENT)
        add_to(errors, engine_render_error(404, "sample not found", digest_format(&digest).s));
    else if (r == 0)
        add_to(resources, engine_render_sample(&sample, FIELD_ALL, VIEW_METADATA));
    return r < 0 ? r : 0;
}

void engine_ops_metadata(struct engine_call *call)
{
    json_object *value = json_object_new_object();
    json_object *resources = json_object_new_array();
    json_object *errors = json_object_new_array();
    json_object *meta;
    struct err err = { 0 };
    int r = 0;

    for (size_t i = 0; i < call->request->n_ids && r == 0; i++)
        r = describe(call, call->request->ids[i], resources, errors, &err);
    meta = engine_reply_meta(call->reply, SHAPE_OWN);
    engine_json_put(meta, "status", json_object_new_string("done"));
    engine_json_put(value, "meta", meta);
    engine_json_put(value, "resources", resources);
    engine_json_put(value, "errors", errors);
    if (r == 0) {
        engine_reply_json(call->reply, 200, value);
    } else {
        json_object_putp(&value);
        engine_fail(call, &err);
    }
}

static void serve_fd(struct engine_reply *reply, const char *content_type, int fd, int64_t size_bytes)
{
    reply->status = 200;
    reply->content_type = content_type;
    reply->fd = fd;
    reply->fd_bytes = size_bytes;
}

void engine_ops_download(struct engine_call *call)
{
    const struct engine_price price = engine_price_of(call);
    struct engine *engine = call->engine;
    cleanup_(closep) int fd = -1;
    struct sample sample;
    struct err err = { 0 };
    int64_t size = 0;
    int r = engine_find_sample(call, &call->digest, &sample, &err);

    if (r == 0)
        r = engine_index_open(engine->index, &call->digest, NULL, &fd, &size, &err);
    if (r == ENGINE_INDEX_ABSENT) {
        engine_reply_error(call->reply, SHAPE_FIELDS, 404, "sample not found");
        return;
    }
    if (r == 0)
        r = engine_quota_charge(engine->db, &price, clock_now_s(), &err);
    if (r == ENGINE_QUOTA_EXCEEDED) {
        engine_reply_error(call->reply, SHAPE_OWN, 429, "Monthly quota exceeded");
    } else if (r < 0) {
        engine_fail(call, &err);
    } else {
        call->reply->paid = call->cost;
        serve_fd(call->reply, "application/octet-stream", steal_fd(&fd), size);
    }
}

/* The archive of a finished multi-download; ENGINE_JOBS_ABSENT when there is none. */
CHECKED static int make_archive(struct engine_call *call, struct engine_archive *ret_archive, struct err *err)
{
    cleanup_(engine_job_done) struct engine_job job = { .kind = QUERY_HUNT };
    struct engine *engine = call->engine;
    int r = engine_jobs_get(engine->jobs, &call->id, &job, err);

    if (r == 0 && (job.kind != QUERY_MULTI || job.state != REQUEST_DONE))
        r = ENGINE_JOBS_ABSENT;
    if (r == 0)
        r = engine_query_parse(QUERY_MULTI, job.body, &call->query, err);
    if (r == 0)
        r = engine_archives_open(engine->archives, &call->id, call->query.samples, call->query.n_samples, ret_archive,
                                 err);
    return r;
}

void engine_ops_archive(struct engine_call *call)
{
    struct err err = { 0 };
    struct engine_archive archive = { .fd = -1 };
    int r = make_archive(call, &archive, &err);

    if (r > 0)
        engine_reply_error(call->reply, SHAPE_OWN, 404, "Could not find sample archive");
    else if (r < 0)
        engine_fail(call, &err);
    else
        serve_fd(call->reply, "application/zip", archive.fd, archive.size_bytes);
}

void engine_ops_fuzzy(struct engine_call *call)
{
    cleanup_(engine_samples_done) struct engine_samples samples = { 0 };
    json_object *value;
    json_object *meta;
    struct err err = { 0 };
    size_t total = 0;

    if (engine_search_fuzzy(call->engine->index, &call->query, &samples, &total, &err) < 0) {
        engine_fail(call, &err);
        return;
    }
    value = json_object_new_object();
    meta = engine_reply_meta(call->reply, SHAPE_OWN);
    engine_json_put(meta, "status", json_object_new_string("done"));
    engine_json_put(meta, "stats", engine_render_stats(&samples, call->query.fields, total));
    engine_json_put(value, "meta", meta);
    engine_json_put(value, "resources", engine_render_samples(&samples, call->query.fields, VIEW_FUZZY));
    engine_reply_json(call->reply, 200, value);
}

/* What is kept of a multi-download: the known samples. */
static json_object *known_samples(const struct engine_query *query)
{
    json_object *body = json_object_new_object();
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < query->n_samples; i++)
        add_to(list, json_object_new_string(digest_format(&query->samples[i]).s));
    engine_json_put(body, "samples", list);
    return body;
}

static void reply_submitted(struct engine_call *call, const struct request_id *id)
{
    json_object *value = json_object_new_object();
    json_object *meta = engine_reply_meta(call->reply, SHAPE_OWN);

    engine_json_put(meta, "reqid", json_object_new_string(id->s));
    engine_json_put(meta, "status", json_object_new_string("done"));
    engine_json_put(value, "meta", meta);
    engine_json_put(value, "resources", json_object_new_array());
    if (call->errors)
        engine_json_put(value, "errors", json_object_get(call->errors));
    call->reply->reqid = *id;
    engine_reply_json(call->reply, 200, value);
}

void engine_ops_submit(struct engine_call *call)
{
    cleanup_(json_object_putp) json_object *known = NULL;
    json_object *body = call->body;
    const struct engine_price price = engine_price_of(call);
    struct request_id id = { "" };
    struct err err = { 0 };
    int r;

    if (call->query.kind == QUERY_MULTI && call->query.n_samples == 0) {
        engine_reply_error(call->reply, SHAPE_OWN, 404, "none of the samples was found");
        return;
    }
    if (call->query.kind == QUERY_MULTI) {
        known = known_samples(&call->query);
        body = known;
    }
    r = engine_jobs_submit(call->engine->jobs, call->query.kind,
                           json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN), &price, &id, &err);
    if (r == ENGINE_QUOTA_EXCEEDED) {
        engine_reply_error(call->reply, SHAPE_OWN, 429, "Monthly quota exceeded");
    } else if (r < 0) {
        engine_fail(call, &err);
    } else {
        call->reply->paid = price.n;
        reply_submitted(call, &id);
    }
}

/* Copies a member of the request into the reply, when it is there. */
static void echo(json_object *meta, json_object *body, const char *name)
{
    json_object *value = NULL;

    if (json_object_object_get_ex(body, name, &value) && value)
        engine_json_put(meta, name, json_object_get(value));
}

static void put_made_rule(json_object *meta, json_object *body)
{
    cleanup_(freep) struct engine_query *query = calloc(1, sizeof *query);
    struct buf rule = BUF_INIT(ENGINE_REPLY_MAX);

    if (query && engine_query_parse(QUERY_EXACT, body, query, NULL) == 0) {
        engine_pattern_rule(query->patterns, query->n_patterns, &rule);
        engine_json_put(meta, "yara_rule", json_object_new_string(buf_text(&rule)));
    }
    if (query)
        engine_query_done(query);
    buf_done(&rule);
}

/* The meta of a poll: query_time of a finished job is its duration in milliseconds (API page 3.3). */
static json_object *poll_meta(const struct engine_call *call, const struct engine_job *job)
{
    static const char *const types[] = { [QUERY_HUNT] = "hunt", [QUERY_EXACT] = "search", [QUERY_MULTI] = NULL };
    json_object *meta = engine_reply_meta(call->reply, SHAPE_OWN);
    json_object *stats = NULL;

    if (job->state != REQUEST_INPROGRESS && types[job->kind])
        engine_json_put(meta, "query_time", json_object_new_int64(job->elapsed_ms));
    engine_json_put(meta, "reqid", json_object_new_string(call->id.s));
    if (types[job->kind])
        engine_json_put(meta, "reqtype", json_object_new_string(types[job->kind]));
    engine_json_put(meta, "status", json_object_new_string(request_state_name(job->state)));
    if (job->state != REQUEST_DONE || !types[job->kind])
        return meta;
    if (json_object_object_get_ex(job->results, "stats", &stats))
        engine_json_put(meta, "stats", json_object_get(stats));
    if (job->kind == QUERY_EXACT)
        put_made_rule(meta, job->body);
    else
        echo(meta, job->body, "yara_rule");
    if (job->kind == QUERY_EXACT)
        echo(meta, job->body, "patterns");
    echo(meta, job->body, "options");
    return meta;
}

static void reply_job(struct engine_call *call, const struct engine_job *job)
{
    json_object *value = json_object_new_object();
    json_object *resources = NULL;
    json_object *errors;

    engine_json_put(value, "meta", poll_meta(call, job));
    if (job->state == REQUEST_FAILED) {
        errors = json_object_new_array();
        add_to(errors, engine_render_error(500, job->reason, NULL));
        engine_json_put(value, "errors", errors);
    }
    if (job->state == REQUEST_DONE && json_object_object_get_ex(job->results, "resources", &resources))
        engine_json_put(value, "resources", json_object_get(resources));
    else
        engine_json_put(value, "resources", json_object_new_array());
    engine_reply_json(call->reply, 200, value);
}

void engine_ops_request(struct engine_call *call)
{
    cleanup_(engine_job_done) struct engine_job job = { .kind = QUERY_HUNT };
    struct err err = { 0 };
    int r = engine_jobs_get(call->engine->jobs, &call->id, &job, &err);

    if (r == ENGINE_JOBS_ABSENT)
        engine_reply_error(call->reply, SHAPE_OWN, 404, "request not found");
    else if (r < 0)
        engine_fail(call, &err);
    else
        reply_job(call, &job);
}
