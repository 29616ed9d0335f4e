/*
 * The token and the place it is good for. One thread fetches while the others wait on the condition, without the lock
 * being held during the exchange; who waited for a fetch that failed gets its error and does not ask again.
 *
 * Credentials go only to the hosts of the table below, or to the base URL that the user gave. A redirection is
 * therefore read as the name of a region, never as an address.
 */
#include "api/api_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "util/clock.h"
#include "util/text.h"

enum { CLOUD_TEXT = 31 };
enum { MUST_FETCH = 1 };

static const struct api_cloud known_clouds[] = {
    /* clang-format off */
    { "us-1", "https://api.crowdstrike.com", true },
    { "us-2", "https://api.us-2.crowdstrike.com", true },
    { "us-3", "https://api.us-3.crowdstrike.com", true },
    { "eu-1", "https://api.eu-1.crowdstrike.com", true },
    { "us-gov-1", "https://api.laggar.gcw.crowdstrike.com", false },
    { "us-gov-2", "https://api.us-gov-2.crowdstrike.mil", false },
    /* clang-format on */
};

/* Other spellings, after plain_name(). */
static const struct {
    const char *alias;
    const char *name;
} aliases[] = { { "gov1", "us-gov-1" }, { "gov2", "us-gov-2" } };

static const char *const auto_names[] = { "", "auto", "autodiscover" };

/* What a token request came to. */
struct grant {
    struct secret *bearer;
    int64_t life_s;
    struct http_place place;
    const struct api_cloud *cloud;
};

/* Configuration ---------------------------------------------------------------------------------------------------- */

/* Lower case, without blanks, dashes and underscores: "US-1", "us1" and "Us_1" are one. */
static void plain_name(const char *text, char *ret_name)
{
    size_t n = 0;

    for (; *text && n < CLOUD_TEXT; text++)
        if (!strchr("-_ \t\r\n", *text))
            ret_name[n++] = (char)tolower((unsigned char)*text);
    ret_name[n] = '\0';
}

static bool is_same_name(const char *a, const char *b)
{
    char plain_a[CLOUD_TEXT + 1];
    char plain_b[CLOUD_TEXT + 1];

    plain_name(a, plain_a);
    plain_name(b, plain_b);
    return strcmp(plain_a, plain_b) == 0;
}

static const struct api_cloud *cloud_by_name(const struct api *api, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
        if (is_same_name(name, aliases[i].alias))
            name = aliases[i].name;
    for (size_t i = 0; i < api->n_clouds; i++)
        if (is_same_name(name, api->clouds[i].name))
            return &api->clouds[i];
    return NULL;
}

static const struct api_cloud *cloud_by_base(const struct api *api, const char *base)
{
    for (size_t i = 0; i < api->n_clouds; i++)
        if (strcasecmp(base, api->clouds[i].base) == 0)
            return &api->clouds[i];
    return NULL;
}

static int setup_place(struct api *api, const struct api_config *config, struct err *err)
{
    const char *name = config->cloud ? config->cloud : "";
    int r;

    if (config->base_url && *config->base_url) {
        r = http_place_parse(config->base_url, &api->place, err);
        if (r < 0)
            return r;
        api->cloud = cloud_by_base(api, api->place.base);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(auto_names); i++)
        api->is_auto = api->is_auto || is_same_name(name, auto_names[i]);
    api->cloud = api->is_auto ? &api->clouds[0] : cloud_by_name(api, name);
    if (!api->cloud)
        return err_set(err, EINVAL, "unknown cloud '%s'; known are us-1 us-2 eu-1 us-gov-1 us-gov-2 auto", name);
    return http_place_parse(api->cloud->base, &api->place, err);
}

/* 32 hex digits; a checksum suffix "-XX" is dropped (API page 1.1). */
static int setup_member(struct api *api, const char *member, struct err *err)
{
    uint8_t bytes[API_MEMBER_TEXT / 2];
    char digits[API_MEMBER_TEXT + 1];
    size_t n;

    if (!member || !*member)
        return 0;
    n = strlen(member);
    (void)text_copy(digits, sizeof digits, member); /* a cut suffix is checked next */
    if ((n != API_MEMBER_TEXT &&
         (n != API_MEMBER_TEXT + 3 || member[API_MEMBER_TEXT] != '-' || !isxdigit((unsigned char)member[n - 2]) ||
          !isxdigit((unsigned char)member[n - 1]))) ||
        !text_parse_hex(digits, bytes, sizeof bytes))
        return err_set(err, EINVAL, "a member CID has 32 hex digits");
    text_format_hex(bytes, sizeof bytes, api->member_cid);
    return 0;
}

int api_auth_setup(struct api *api, const struct api_config *config, struct err *err)
{
    int r;

    if (!api->clouds) {
        api->clouds = known_clouds;
        api->n_clouds = ARRAY_SIZE(known_clouds);
    }
    if (!api->client_id || !api->client_secret)
        return err_set(err, EINVAL, "no client id or no client secret");
    r = setup_member(api, config->member_cid, err);
    if (r < 0)
        return r;
    return setup_place(api, config, err);
}

/* Where `region` is, when we may go there from `from`; else NULL. */
static const struct api_cloud *target_of(const struct api *api, const struct api_cloud *from, const char *region)
{
    const struct api_cloud *to = cloud_by_name(api, region);

    return from && from->is_discoverable && to && to->is_discoverable && to != from ? to : NULL;
}

static int refuse_redirect(const char *region, struct err *err)
{
    char safe[TEXT_COMPONENT_MAX + 1];

    text_component(region, safe);
    return err_set(err, EPROTO, "redirected to the region '%s', which is not followed; name the right cloud", safe);
}

/* Fetching --------------------------------------------------------------------------------------------------------- */

static void wipe_buf(struct buf *buf)
{
    if (buf->data)
        secret_wipe(buf->data, buf->room);
    buf_done(buf);
}

static void form_add(struct buf *form, const char *name, const char *value)
{
    buf_printf(form, "%s%s=", form->n ? "&" : "", name);
    for (; *value; value++) {
        if (isalnum((unsigned char)*value) || strchr("-._~", *value))
            buf_putc(form, *value);
        else
            buf_printf(form, "%%%02X", (unsigned char)*value);
    }
}

static int form_login(const struct api *api, struct buf *form, struct err *err)
{
    (void)buf_reserve(form, form->max); /* never moved, so that no copy stays; a failure shows below */
    form_add(form, "client_id", secret_text(api->client_id));
    form_add(form, "client_secret", secret_text(api->client_secret));
    if (api->member_cid[0])
        form_add(form, "member_cid", api->member_cid);
    return buf_check(form, err, "the login");
}

/* Sends the form until there is an answer that counts. */
static int ask_token(struct api *api, const struct http_place *place, const struct buf *form,
                     struct http_response *response, struct err *err)
{
    static const struct http_header headers[] = {
        { "Content-Type", "application/x-www-form-urlencoded" },
        { "Accept", "application/json" },
    };
    const struct http_request request = { .method = HTTP_POST,
                                          .place = place,
                                          .target = "/oauth2/token",
                                          .headers = headers,
                                          .n_headers = ARRAY_SIZE(headers),
                                          .body = form->data,
                                          .body_n = form->n,
                                          .total_ms = HTTP_CALL_MS,
                                          .is_secret = true,
                                          .wanted = api_headers,
                                          .n_wanted = API_N_HEADERS,
                                          .body_max = API_TOKEN_BODY_MAX };

    for (int tries = 1;; tries++) {
        struct http_try last = { .retry_at = response->values[API_HEADER_RETRY_AT],
                                 .retry_after = response->values[API_HEADER_RETRY_AFTER],
                                 .date = response->values[API_HEADER_DATE] };
        bool sent;
        int next;
        int r;

        http_response_done(response);
        r = http_perform(api->http, &request, response, &sent, err);
        last.error = -r;
        last.status = response->status;
        next = http_retry_wait(api->http, &api->retry, tries, &last, err);
        if (next)
            return next < 0 ? next : r;
    }
}

/* The service's words may repeat the client id, and an error text is read by many. */
static void hide_credentials(const struct api *api, struct api_fault *fault)
{
    if (strcasestr(fault->message, secret_text(api->client_id)) ||
        strcasestr(fault->message, secret_text(api->client_secret)))
        fault->message[0] = '\0';
}

static int read_grant(const struct api *api, const struct http_response *response, struct grant *grant, struct err *err)
{
    int status = response->status;
    struct api_fault fault;

    if (status == 201 || status == 200)
        return api_decode_token(&response->body, &grant->bearer, &grant->life_s, err);
    api_call_fault(response, &fault);
    hide_credentials(api, &fault);
    if (status != 400 && status != 401 && status != 403)
        return api_call_refuse("login", status, &fault, err);
    (void)err_set(err, EKEYREJECTED, "login: credentials refused (%d)%s%s", status, fault.message[0] ? ": " : "",
                  fault.message);
    err_trace(err, fault.trace);
    return -EKEYREJECTED;
}

static bool is_redirect(int status)
{
    return status == 307 || status == 308;
}

/* Where the login must be repeated, NULL when it is at the right place. */
static const struct api_cloud *next_cloud(const struct api *api, const struct grant *grant,
                                          const struct http_response *response)
{
    const char *region = response->values[API_HEADER_REGION];

    if (!is_redirect(response->status) && !(api->is_auto && response->status / 100 == 2))
        return NULL;
    return target_of(api, grant->cloud, region);
}

/* One login, with at most one switch of the cloud. */
static int login(struct api *api, const struct buf *form, struct grant *grant, struct err *err)
{
    for (int switches = 0;; switches++) {
        cleanup_(http_response_done) struct http_response response = { 0 };
        const struct api_cloud *next;
        int r = ask_token(api, &grant->place, form, &response, err);

        if (r < 0) {
            (void)err_wrap(err, "login"); /* the code is r */
            return r;
        }
        next = next_cloud(api, grant, &response);
        if (is_redirect(response.status) && (!next || switches > 0))
            return refuse_redirect(response.values[API_HEADER_REGION], err);
        if (!next || switches > 0)
            return read_grant(api, &response, grant, err);
        r = http_place_parse(next->base, &grant->place, err);
        if (r < 0)
            return r;
        grant->cloud = next;
    }
}

static int fetch(struct api *api, struct grant *grant, struct err *err)
{
    cleanup_(wipe_buf) struct buf form = BUF_INIT(API_FORM_MAX);
    int r;

    r = form_login(api, &form, err);
    if (r < 0)
        return r;
    return login(api, &form, grant, err); /* NOLINT(concurrency-mt-unsafe): not login(3) */
}

/* Sharing ---------------------------------------------------------------------------------------------------------- */

static int last_error(const struct api *api, struct err *err)
{
    if (err)
        *err = api->last;
    return -api->last.code;
}

static int copy_ticket_locked(const struct api *api, struct api_ticket *ticket, struct err *err)
{
    ticket->generation = api->generation;
    ticket->place = api->place;
    return secret_new(secret_text(api->bearer), secret_length(api->bearer), &ticket->bearer, err);
}

/* A ticket from the token we have, or MUST_FETCH: then this thread is the one that fetches. */
static int claim_locked(struct api *api, uint64_t stale, struct api_ticket *ticket, struct err *err)
    REQUIRES(&api->lock)
{
    uint64_t seen = api->n_fetches;

    while (api->is_fetching)
        cond_wait(&api->cond, &api->lock);
    if (api->n_fetches != seen && api->last.code)
        return last_error(api, err);
    if (api->bearer && api->generation != stale && clock_boot_ms() < api->renew_at_ms)
        return copy_ticket_locked(api, ticket, err);
    if (clock_boot_ms() < api->rejected_until_ms)
        return last_error(api, err);
    api->is_fetching = true;
    return MUST_FETCH;
}

/* The token lives shorter than twice the margin only in tests of renewal: then half its life. */
static int64_t renew_after_s(int64_t life_s)
{
    return life_s > 2 * API_RENEW_BEFORE_S ? life_s - API_RENEW_BEFORE_S : life_s / 2;
}

static void publish_locked(struct api *api, int r, struct grant *grant, const struct err *err)
{
    api->is_fetching = false;
    api->n_fetches++;
    api->last = (struct err){ 0 };
    if (r < 0) {
        api->last = *err;
        if (r == -EKEYREJECTED)
            api->rejected_until_ms = clock_boot_ms() + API_REJECTED_S * 1000;
    } else {
        secret_free(api->bearer);
        api->bearer = steal_ptr(&grant->bearer);
        api->generation++;
        api->renew_at_ms = clock_boot_ms() + renew_after_s(grant->life_s) * 1000;
        api->rejected_until_ms = 0;
        api->place = grant->place;
        api->cloud = grant->cloud;
    }
    cond_broadcast(&api->cond);
}

int api_auth_ticket(struct api *api, uint64_t stale, struct api_ticket *ret_ticket, struct err *err)
{
    struct grant grant = { 0 };
    struct err why = { 0 };
    int r;

    lock_assert_none_held();
    lock_acquire(&api->lock);
    r = claim_locked(api, stale, ret_ticket, err);
    grant.place = api->place;
    grant.cloud = api->cloud;
    lock_release(&api->lock);
    if (r != MUST_FETCH)
        return r;

    r = fetch(api, &grant, &why);
    lock_acquire(&api->lock);
    publish_locked(api, r, &grant, &why);
    r = r < 0 ? last_error(api, err) : copy_ticket_locked(api, ret_ticket, err);
    lock_release(&api->lock);
    return r;
}

int api_auth_redirect(struct api *api, const char *region, uint64_t generation, struct err *err)
{
    const struct api_cloud *to = NULL;
    int r = 0;

    lock_acquire(&api->lock);
    if (generation == api->generation && api->bearer) { /* else somebody has moved already */
        to = target_of(api, api->cloud, region);
        r = to ? http_place_parse(to->base, &api->place, err) : refuse_redirect(region, err);
    }
    if (to && r == 0) {
        api->cloud = to;
        secret_free(steal_ptr(&api->bearer));
    }
    lock_release(&api->lock);
    return r;
}

void api_auth_revoke(struct api *api)
{
    static const struct http_header headers[] = { { "Content-Type", "application/x-www-form-urlencoded" } };
    cleanup_(wipe_buf) struct buf form = BUF_INIT(API_FORM_MAX);
    cleanup_(http_response_done) struct http_response response = { 0 };
    const struct http_request request = { .method = HTTP_POST,
                                          .place = &api->place,
                                          .target = "/oauth2/revoke",
                                          .headers = headers,
                                          .n_headers = ARRAY_SIZE(headers),
                                          .user = secret_text(api->client_id),
                                          .password = secret_text(api->client_secret),
                                          .total_ms = API_REVOKE_MS,
                                          .body_max = API_TOKEN_BODY_MAX };
    struct http_request filled = request;
    struct err ignored = { 0 };
    bool sent;

    if (!api->bearer)
        return;
    (void)buf_reserve(&form, form.max); /* as in form_login() */
    form_add(&form, "token", secret_text(api->bearer) + strlen("Bearer "));
    filled.body = form.data;
    filled.body_n = form.n;
    (void)http_perform(api->http, &filled, &response, &sent, &ignored); /* best effort: the token ends by itself */
}

/* The public face -------------------------------------------------------------------------------------------------- */

int api_login(struct api *api, struct err *err)
{
    struct api_ticket ticket = { 0 };
    int r = api_auth_ticket(api, 0, &ticket, err);

    secret_free(ticket.bearer);
    return r;
}

void api_place(struct api *api, char *ret_text, size_t room)
{
    lock_acquire(&api->lock);
    (void)text_copy(ret_text, room, api->cloud ? api->cloud->name : api->place.name); /* cut is fine */
    lock_release(&api->lock);
}
