/*
 * engine_core -- what the steps and operations of a request share. Inside src/engine only.
 *
 * Threads    the parts of struct engine take care of themselves; a struct engine_call belongs to one thread.
 */
#pragma once

#include "engine/engine.h"
#include "engine/engine_archive.h"
#include "engine/engine_auth.h"
#include "engine/engine_db.h"
#include "engine/engine_index.h"
#include "engine/engine_jobs.h"
#include "engine/engine_quota.h"
#include "engine/engine_rate.h"
#include "engine/engine_reply.h"
#include "engine/engine_zip.h"

struct engine_http;

struct engine {
    struct engine_config config;
    struct engine_zip_config zip;
    struct engine_db *db;
    struct engine_index *index;
    struct engine_archives *archives;
    struct engine_jobs *jobs;
    struct engine_auth *auth;
    struct engine_rate *rate;
    struct engine_http *http;
    bool has_yara;
    int request_log_fd; /* -1: none */
    atomic_bool is_stopping;
    char *index_dir;
};

struct engine_operation;

/* One request on its way through the steps. */
struct engine_call {
    struct engine *engine;
    const struct engine_request *request;
    struct engine_reply *reply;
    const struct engine_operation *operation; /* set by the first step */
    unsigned scopes;                          /* of the token */
    json_object *body;                        /* POST */
    struct engine_query query;                /* POST of a search or multi-download */
    struct digest digest;                     /* download-files */
    struct request_id id;                     /* requests, samples-fetch */
    json_object *errors;                      /* of a success, for instance unknown samples */
    int64_t deadline_ms;                      /* monotonic; how long the first pass is waited for */
    int64_t cost;                             /* units of quota */
};

enum engine_charge {
    CHARGE_NEVER,
    CHARGE_ON_SUCCESS, /* the quota step only looks, the work charges */
};

/* A row of the table in engine_route.c. The functions return false when they made a reply that ends the request. */
struct engine_operation {
    const char *name;
    const char *method;
    const char *path;
    enum engine_scope scope;                   /* SCOPE_NONE: needs no token */
    enum engine_shape shape;                   /* of its own errors */
    enum query_kind kind;                      /* where `prepare` parses a query */
    bool (*prepare)(struct engine_call *call); /* body and parameters; NULL: none */
    enum engine_charge charge;
    enum engine_quota_kind quota;
    void (*work)(struct engine_call *call);
};

/* engine_prepare.c */
bool engine_prepare_search(struct engine_call *call);
bool engine_prepare_multi(struct engine_call *call);
bool engine_prepare_hash(struct engine_call *call);
bool engine_prepare_hashes(struct engine_call *call);
bool engine_prepare_request(struct engine_call *call);
bool engine_prepare_archive(struct engine_call *call);

/* engine_ops.c */
void engine_ops_quotas(struct engine_call *call);
void engine_ops_metadata(struct engine_call *call);
void engine_ops_download(struct engine_call *call);
void engine_ops_archive(struct engine_call *call);
void engine_ops_fuzzy(struct engine_call *call);
void engine_ops_submit(struct engine_call *call);
void engine_ops_request(struct engine_call *call);

/* engine_login.c */
void engine_login_token(struct engine_call *call);
void engine_login_revoke(struct engine_call *call);
/* The token of "Authorization: Bearer …", NULL when it is something else. */
const char *engine_login_bearer(const char *authorization);
/* Where a region's service lives; "" for an unknown name. */
const char *engine_login_base_url(const char *region);

/* Looks a sample up; while the first pass still runs, waits for it until the request's deadline, then it is EAGAIN. */
CHECKED int engine_find_sample(const struct engine_call *call, const struct digest *digest, struct sample *ret_sample,
                               struct err *err);

/* What the request costs, once `prepare` knows. */
struct engine_price engine_price_of(const struct engine_call *call);

/* What a client hears of a failure of ours. */
struct engine_failure {
    char text[128];
};

/* Logs the words of `err`, which are not for the client. */
struct engine_failure engine_failure_of(const struct engine_call *call, const struct err *err);

/* A 500 reply in the operation's shape; the words of `err` go to the log only. */
void engine_fail(struct engine_call *call, const struct err *err);
