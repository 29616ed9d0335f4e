/*
 * api -- the MalQuery service as C functions over model values; one function per operation.
 *
 * Facts      `API page` below means the project's notes on the service; the sections are named at each function.
 * Routes: POST /oauth2/token, POST /oauth2/revoke, and the nine operations under /malquery/. Units      sizes in bytes,
 * times in seconds since the epoch. Ownership  what comes back through ret_* is the caller's, until the matching done
 * or free. Arguments are borrowed. Errors     0 success. > 0 an outcome named here: err is untouched. < 0 a negative
 * errno, err filled with words and the service's trace id: EKEYREJECTED credentials refused · EACCES scope or
 * subscription missing (403) · EDQUOT monthly quota used up · EAGAIN rate limited after all retries · ENETUNREACH no
 * way there, nothing was sent · ETIMEDOUT no answer in time · EREMOTEIO 5xx or a cut answer · EPROTO an answer we
 * cannot parse · EINVAL the service refused the request (400) · EBADMSG other bytes than the digest promised · EFBIG
 * beyond a limit · ECANCELED api_cancel() was called · ENOMEM. Spending   api_hunt, api_exact, api_multi_start and
 * api_download cost quota. A POST among them is never repeated after an ambiguous failure; `ret_sent` tells the caller
 * whether the request may have reached the service. Threads    any thread may call any function; all but api_cancel()
 * may block on the network, so no lock may be held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/query.h"
#include "model/sample.h"
#include "util/buf.h"
#include "util/secret.h"

enum {
    API_ABSENT = 1,          /* the service does not know it */
    API_METADATA_MAX = 100,  /* ids in one metadata call; API page 2.2 */
    API_MULTI_MAX = 1000,    /* digests in one multi-download; the service says nothing, this is ours */
    API_JSON_MAX = 64 << 20, /* bytes of a JSON answer */
    API_JSON_DEPTH = 32,
    API_TEXT_MAX = 511, /* bytes of a message or region that the service sends */
};

struct api_config {
    const char *cloud;      /* "us-1" … or "auto"; API page 1.3. Ignored when base_url is given */
    const char *base_url;   /* NULL, "https://…", "http://127.0.0.1:PORT", or "unix:/absolute/path" */
    const char *member_cid; /* NULL or a child customer's id */
    const char *user_agent; /* "malqueryfs/0.1.0" */
    const char *proxy;      /* NULL: what the environment says (https_proxy, no_proxy) */
    const char *ca_file;    /* NULL: the system's certificates */
    bool is_offline;        /* nothing is ever sent: every call is ENETUNREACH at once */
    bool ends_with_us;      /* the service, so no token of it outlives us: api_free() revokes none */
};

struct api; /* one service, one token; shared by all threads */

/* Checks the configuration (EINVAL names what is wrong) and keeps the credentials; sends nothing. Takes both secrets,
 * also when it fails. */
CHECKED int api_new(const struct api_config *config, struct secret *client_id, struct secret *client_secret,
                    struct api **ret_api, struct err *err);

/* Revokes the token when there is one, waiting at most a second, and frees everything. */
void api_free(struct api *api);
DEFINE_CLEANUP(struct api *, api_free)

/* Makes all running and future calls fail with ECANCELED, at once. */
void api_cancel(struct api *api);

/* True while every call is refused at once with ENETUNREACH, since nobody has answered for a while. */
bool api_is_resting(struct api *api);

/* Fetches a token if there is none that is valid: credentials and cloud are then known to be right. */
CHECKED int api_login(struct api *api, struct err *err);

/* Where requests go now, without credentials: "us-2", or the base URL that was given. Changes at a login. */
void api_place(struct api *api, char *ret_text, size_t room);

struct api_quotas {
    int64_t hunt_count, hunt_limit;
    int64_t download_count, download_limit;
    int64_t monitor_count, monitor_limit;
    int64_t days_left;
    char refresh_time[64]; /* as the service wrote it, "2026-08-01T00:00:00Z" */
};

/* Operation 1 (API page 4). ret_raw, when not NULL, gets the answer as it came. Free. */
CHECKED int api_quotas(struct api *api, struct api_quotas *ret_quotas, struct buf *ret_raw, struct err *err);

/* A list of samples; free with api_samples_done(). */
struct api_samples {
    struct sample *items;
    size_t n;
};
void api_samples_done(struct api_samples *samples);

/*
 * Operation 4 (API page 2.2, 6.8): metadata of at most API_METADATA_MAX digests. Samples that the service does not know
 * are simply not in the result; an item that was not asked for is dropped. Free.
 */
CHECKED int api_metadata(struct api *api, const struct digest *digests, size_t n, struct api_samples *ret_samples,
                         struct err *err);

/* Operation 9 (2.5): schedules a YARA hunt; the text goes unchanged. */
CHECKED int api_hunt(struct api *api, const char *rule, size_t rule_n, const struct query_options *options,
                     struct request_id *ret_id, bool *ret_sent, struct err *err);

/* Operation 8 (2.5): schedules an exact search of at least one pattern. */
CHECKED int api_exact(struct api *api, const struct pattern *patterns, size_t n_patterns,
                      const struct query_options *options, struct request_id *ret_id, bool *ret_sent, struct err *err);

/* What a finished or running request came to. Free with api_result_done(). */
struct api_result {
    enum request_state state;
    struct query_stats stats;
    bool has_stats;
    bool is_search; /* it says that it is a hunt or a search; what a multi-download says is not known (API page 3.2) */
    struct api_samples samples;
    char reason[API_TEXT_MAX + 1]; /* of a failed request, "" when the service gave none */
    struct buf raw;                /* the answer as it came */
};
void api_result_done(struct api_result *result);

/* Operation 2 (2.4): answers at once; only `limit` of the options is sent. Free of quota. */
CHECKED int api_fuzzy(struct api *api, const struct pattern *patterns, size_t n_patterns,
                      const struct query_options *options, struct api_result *ret_result, struct err *err);

/* Operation 5 (3): the state of a request. API_ABSENT: unknown or expired (any 4xx that is not about us). Free. */
CHECKED int api_request(struct api *api, const struct request_id *id, struct api_result *ret_result, struct err *err);

/* Where bytes go: returns 0, or a negative errno with err filled, which ends the transfer. Called on the caller's
 * thread. */
typedef int api_sink(void *closure, const void *data, size_t n, struct err *err);

/*
 * Operation 3 (2.7): the bytes of one sample, as they come; the caller verifies the digest. API_ABSENT: not found
 * (404). A repetition after a cut answer would cost again, so there is none here: the caller decides.
 */
CHECKED int api_download(struct api *api, const struct digest *digest, api_sink *sink, void *closure, bool *ret_sent,
                         struct err *err);

/* Operation 7 (2.6): schedules a multi-download. API_ABSENT: the service knows none of them. */
CHECKED int api_multi_start(struct api *api, const struct digest *digests, size_t n, struct request_id *ret_id,
                            bool *ret_sent, struct err *err);

/* Operation 6 (2.7): the archive of a finished multi-download. API_ABSENT: no such archive. Free, may be repeated. */
CHECKED int api_multi_fetch(struct api *api, const struct request_id *id, api_sink *sink, void *closure,
                            struct err *err);

/*
 * The body of a search as the user may write it (operations 2 and 8), in UTF-8: "patterns", and "options" whose members
 * are appended to *ret_options as `name=value` lines, numbers in decimal, lists with commas between; whether there are
 * such options and values is not judged here. EINVAL says where and why: no JSON; a member that the API does not have,
 * or has twice; filter_meta, which would take away what the tree shows; what search_add() refuses. EFBIG beyond
 * SEARCH_TEXT_MAX. search_done().
 */
struct search;
CHECKED int api_decode_search(const char *text, size_t n, struct search *ret_search, struct buf *ret_options,
                              struct err *err);

/*
 * The body that api_exact() or api_fuzzy() posts, on one line; without options when they are NULL. api_decode_search()
 * reads it back. EINVAL for what the service would refuse.
 */
CHECKED int api_encode_search(struct buf *body, enum query_kind kind, const struct pattern *patterns, size_t n_patterns,
                              const struct query_options *options, struct err *err);

/* One sample as a JSON object on one line, with the service's field names; absent fields are left out. */
void api_encode_sample(struct buf *buf, const struct sample *sample);

/* Text as a JSON string with its quotes. */
void api_encode_string(struct buf *buf, const char *text);
