/* api_internal -- what the files of api share. */
#pragma once

#include "api/api.h"
#include "http/http.h"
#include "util/lock.h"

enum {
    API_EXCHANGES_MAX = 16,           /* at once ... */
    API_TRANSFERS_MAX = 12,           /* ... of these, downloads */
    API_FORM_MAX = 128 * 1024,        /* bytes of a token request */
    API_TOKEN_BODY_MAX = 64 * 1024,   /* bytes of its answer */
    API_TOKEN_LIFE_S = 1799,          /* when the service does not say; API page 5.4 */
    API_TOKEN_LIFE_MAX_S = 24 * 3600, /* believed at most */
    API_RENEW_BEFORE_S = 120,         /* API page 8.2 point 1 */
    API_REJECTED_S = 10,              /* refused credentials are not tried again before */
    API_REVOKE_MS = 1000,
    API_BODY_MAX = 8 * 1024 * 1024,  /* bytes of a request body: a rule with every byte escaped, and options */
    API_RESULTS_MAX = 100 * 1000,    /* samples in one answer; QUERY_LIMIT_MAX is what we ask for */
    API_JSON_NODES_MAX = 500 * 1000, /* objects and arrays in one answer: each costs a thousand times its text */
    API_JSON_VALUES_MAX = 5000 * 1000,
    API_MEMBER_TEXT = 32,
};
#define API_SAMPLE_BYTES_MAX (64 * GIB) /* of a download; larger sizes in metadata count as unknown */

struct api_cloud {
    const char *name;
    const char *base;
    bool is_discoverable; /* takes part in redirections; GovCloud does not (API page 1.4) */
};

struct api {
    struct http_client *http;
    struct http_retry retry;
    struct secret *client_id;
    struct secret *client_secret;
    char member_cid[API_MEMBER_TEXT + 1];
    const struct api_cloud *clouds; /* API page 1.3; tests have their own */
    size_t n_clouds;
    bool ends_with_us;
    bool is_auto;     /* the cloud was not named: follow X-Cs-Region */
    struct lock lock; /* rank LOCK_API; never held during an exchange. Guards all below */
    struct cond cond;
    struct http_place place;
    const struct api_cloud *cloud; /* NULL: a base URL that is none of the table's */
    struct secret *bearer;         /* "Bearer TOKEN", NULL when there is none */
    uint64_t generation;           /* counts the tokens we had */
    int64_t renew_at_ms;           /* of clock_boot_ms(), like all times here */
    bool is_fetching;              /* one thread is getting a token; the others wait */
    uint64_t n_fetches;            /* finished */
    struct err last;               /* why the last of them failed, code 0 when it did not */
    int64_t rejected_until_ms;
};

/* Response headers that we look at; the order of api_headers. */
enum api_header {
    API_HEADER_REGION,
    API_HEADER_TRACE,
    API_HEADER_LIMIT,
    API_HEADER_REMAINING,
    API_HEADER_RETRY_AT,
    API_HEADER_RETRY_AFTER,
    API_HEADER_DATE,
    API_N_HEADERS,
};
extern const char *const api_headers[API_N_HEADERS];

/* The operations; API page 2.1. */
enum api_op {
    API_OP_QUOTAS,
    API_OP_FUZZY,
    API_OP_DOWNLOAD,
    API_OP_METADATA,
    API_OP_REQUEST,
    API_OP_FETCH,
    API_OP_MULTI,
    API_OP_EXACT,
    API_OP_HUNT,
    API_N_OPS,
};

/* One call of an operation. */
struct api_ask {
    enum api_op op;
    const char *query;      /* "?ids=…" or "" */
    const struct buf *body; /* NULL: none */
    api_sink *sink;         /* of the operations that answer with bytes */
    void *closure;
};

/* What an error answer says. */
struct api_fault {
    bool is_json;                   /* it came from the service or its gateway */
    int code;                       /* errors[0].code, 0 when missing */
    char message[API_TEXT_MAX + 1]; /* errors[0].message, made printable */
    char trace[ERR_TRACE_MAX];
};

/* The right to send one request. */
struct api_ticket {
    struct secret *bearer;
    uint64_t generation;
    struct http_place place;
};

/* api_auth */
CHECKED int api_auth_setup(struct api *api, const struct api_config *config, struct err *err);
/* A token other than number `stale` (0: any), fetched when there is none; EKEYREJECTED. */
CHECKED int api_auth_ticket(struct api *api, uint64_t stale, struct api_ticket *ret_ticket, struct err *err);
/* The service redirected a request that had token `generation` to `region`: the next ticket is for there. */
CHECKED int api_auth_redirect(struct api *api, const char *region, uint64_t generation, struct err *err);
void api_auth_revoke(struct api *api);

/* api_call: 0, API_ABSENT, or a negative errno. *ret_sent is written always, *ret_response is the caller's always. */
CHECKED int api_call_run(struct api *api, const struct api_ask *ask, struct http_response *ret_response, bool *ret_sent,
                         struct err *err);
/* The same for an operation that answers with a request id. */
CHECKED int api_call_submit(struct api *api, enum api_op op, const struct buf *body, struct request_id *ret_id,
                            bool *ret_sent, struct err *err);
/* Adds to error `r` which operation's answer it is about, and its trace id; returns r. */
int api_call_blame(const struct http_response *response, const char *name, int r, struct err *err);
/* The error for a status that is not a success. */
int api_call_refuse(const char *name, int status, const struct api_fault *fault, struct err *err);
/* What the answer says, with the trace id from a header when the body has none. */
void api_call_fault(const struct http_response *response, struct api_fault *ret_fault);

/* api_decode: EPROTO for what is not a JSON object; missing members, NULL and odd types are tolerated. */
void api_decode_fault(const struct buf *body, struct api_fault *ret_fault);
CHECKED int api_decode_token(const struct buf *body, struct secret **ret_bearer, int64_t *ret_life_s, struct err *err);
CHECKED int api_decode_quotas(const struct buf *body, struct api_quotas *ret_quotas, struct err *err);
CHECKED int api_decode_reqid(const struct buf *body, struct request_id *ret_id, struct err *err);
/* *ret_missing: why a sample may not be there: 0, it is unknown; EREMOTEIO, negative and with err filled, something
 * else. */
CHECKED int api_decode_samples(const struct buf *body, struct api_samples *ret_samples, int *ret_missing,
                               struct err *err);
/* Fills all but `raw`. Without a state the error inside counts: API_ABSENT when the service does not know the request,
 * else EREMOTEIO. */
CHECKED int api_decode_result(const struct buf *body, struct api_result *ret_result, struct err *err);

/* api_encode: EINVAL for what the service would refuse. */
CHECKED int api_encode_hunt(struct buf *body, const char *rule, size_t rule_n, const struct query_options *options,
                            struct err *err);
CHECKED int api_encode_multi(struct buf *body, const struct digest *digests, size_t n, struct err *err);
