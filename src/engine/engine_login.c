/*
 * The token routes (API page 1.1, 1.2) and the table of clouds (1.3).
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "engine/engine_core.h"
#include "engine/engine_render.h"
#include "util/text.h"

enum { FIELD_MAX = 1024, CID_TEXT = 32, SHOWN_ID_MAX = 64 };

static const struct {
    const char *region;
    const char *url;
} clouds[] = {
    { "us-1", "https://api.crowdstrike.com" },
    { "us-2", "https://api.us-2.crowdstrike.com" },
    { "us-3", "https://api.us-3.crowdstrike.com" },
    { "eu-1", "https://api.eu-1.crowdstrike.com" },
    { "us-gov-1", "https://api.laggar.gcw.crowdstrike.com" },
    { "us-gov-2", "https://api.us-gov-2.crowdstrike.mil" },
};

const char *engine_login_base_url(const char *region)
{
    for (size_t i = 0; i < ARRAY_SIZE(clouds); i++)
        if (strcmp(region, clouds[i].region) == 0)
            return clouds[i].url;
    return "";
}

/* What follows the scheme of an Authorization header, NULL for another scheme. */
static const char *after_scheme(const char *authorization, const char *scheme)
{
    size_t n = strlen(scheme);

    if (!authorization || strncasecmp(authorization, scheme, n) != 0 || authorization[n] != ' ')
        return NULL;
    return authorization + n + strspn(authorization + n, " ");
}

const char *engine_login_bearer(const char *authorization)
{
    return after_scheme(authorization, "bearer");
}

struct login {
    char client_id[FIELD_MAX];
    char client_secret[FIELD_MAX];
    char member_cid[FIELD_MAX];
    char token[FIELD_MAX];
};

static void login_done(struct login *login)
{
    secret_wipe(login, sizeof *login);
}

/* The byte of two hex digits. */
static bool decode_hex(const char *digits, char *ret_c)
{
    const char pair[] = { digits[0], digits[1], '\0' };
    uint8_t byte;

    if (!text_parse_hex(pair, &byte, 1))
        return false;
    *ret_c = (char)byte;
    return true;
}

/* Decodes a form value of `n` bytes; false when it does not fit or contains a zero byte. */
static bool decode_form(const char *text, size_t n, char *to)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (c == '+')
            c = ' ';
        if (text[i] == '%' && i + 2 < n && decode_hex(text + i + 1, &c))
            i += 2;
        if (at + 1 >= FIELD_MAX || c == '\0')
            return false;
        to[at++] = c;
    }
    to[at] = '\0';
    return true;
}

/* Unknown fields are ignored, the last of several equal ones counts. */
static bool parse_form(const char *body, size_t n, struct login *login)
{
    const struct {
        const char *name;
        char *to;
    } names[] = {
        { "client_id=", login->client_id },
        { "client_secret=", login->client_secret },
        { "member_cid=", login->member_cid },
        { "token=", login->token },
    };

    for (size_t at = 0; at < n;) {
        const char *end = memchr(body + at, '&', n - at);
        size_t n_pair = end ? (size_t)(end - (body + at)) : n - at;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            size_t n_name = strlen(names[i].name);

            if (n_pair >= n_name && memcmp(body + at, names[i].name, n_name) == 0 &&
                !decode_form(body + at + n_name, n_pair - n_name, names[i].to))
                return false;
        }
        at += n_pair + 1;
    }
    return true;
}

/* Basic credentials take the place of those in the form. */
static bool parse_basic(const char *base64, struct login *login)
{
    unsigned char plain[2 * FIELD_MAX];
    size_t n = strlen(base64);
    const char *colon;
    int n_plain;
    bool is_ok = false;

    if (n % 4 != 0 || n == 0 || n / 4 * 3 >= sizeof plain)
        return false;
    n_plain = EVP_DecodeBlock(plain, (const unsigned char *)base64, (int)n);
    if (n_plain > 0) {
        plain[n_plain - (base64[n - 1] == '=') - (base64[n - 2] == '=')] = '\0';
        colon = strchr((const char *)plain, ':');
        is_ok = colon && colon - (const char *)plain < FIELD_MAX;
        if (is_ok) {
            memcpy(login->client_id, plain, (size_t)(colon - (const char *)plain));
            login->client_id[colon - (const char *)plain] = '\0';
            is_ok = text_copy(login->client_secret, FIELD_MAX, colon + 1);
        }
    }
    secret_wipe(plain, sizeof plain);
    return is_ok;
}

static bool parse_login(const struct engine_request *request, struct login *login)
{
    const char *basic = after_scheme(request->authorization, "basic");

    return parse_form(request->body, request->n_body, login) && (!basic || parse_basic(basic, login));
}

/* 32 hex digits, optionally a checksum "-XX". */
static bool is_cid(const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (i == CID_TEXT  ? text[i] != '-'
            : i < CID_TEXT ? !isxdigit((unsigned char)text[i])
                           : !isalnum((unsigned char)text[i]))
            return false;
    return n == CID_TEXT || n == CID_TEXT + 3;
}

/* An error that shows a value of the client, cut and only when it is text. */
static void refuse(struct engine_call *call, unsigned status, const char *before, const char *value, const char *after)
{
    char text[256];

    if (!text_is_utf8(value, strlen(value)))
        value = "?";
    (void)snprintf(text, sizeof text, "%s%.*s%s", before, SHOWN_ID_MAX, value, after); /* fits */
    engine_reply_error(call->reply, SHAPE_AUTH, status, text_is_utf8(text, strlen(text)) ? text : before);
}

/* False after a reply was made. */
static bool check_client(struct engine_call *call, const struct login *login)
{
    if (!engine_auth_is_client(call->engine->auth, login->client_id)) {
        refuse(call, 400, "Failed to generate access token for clientID=", login->client_id, ".");
        return false;
    }
    if (!engine_auth_is_secret(call->engine->auth, login->client_secret)) {
        refuse(call, 403, "Failed to issue access token - Not Authorized", "", "");
        return false;
    }
    return true;
}

/* Compact, unlike every other reply (API page 1.1). */
static void reply_token(struct engine_call *call, const char *token)
{
    json_object *value = json_object_new_object();

    engine_json_put(value, "access_token", json_object_new_string(token));
    engine_json_put(value, "expires_in", json_object_new_int64(call->engine->config.token_lifetime_s));
    engine_json_put(value, "token_type", json_object_new_string("bearer"));
    buf_clear(&call->reply->body);
    buf_puts(&call->reply->body, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    json_object_putp(&value);
    call->reply->status = 201;
    call->reply->content_type = "application/json";
}

void engine_login_token(struct engine_call *call)
{
    cleanup_(login_done) struct login login = { .client_id = "" };
    struct engine_token_text token;
    struct err err = { 0 };

    if (!parse_login(call->request, &login)) {
        refuse(call, 400, "Failed to generate access token for clientID=", "", ".");
        return;
    }
    if (!check_client(call, &login))
        return;
    if (*login.member_cid && !is_cid(login.member_cid)) {
        refuse(call, 403, "Failed to generate access token for customer ID=", login.member_cid, "");
        return;
    }
    if (engine_auth_issue(call->engine->auth, &token, &err) < 0) {
        engine_fail(call, &err);
        return;
    }
    reply_token(call, token.s);
    secret_wipe(&token, sizeof token);
}

/* A token that is not valid is no error: after the call it is as the client wants it. */
void engine_login_revoke(struct engine_call *call)
{
    cleanup_(login_done) struct login login = { .client_id = "" };
    json_object *value;

    if (!parse_login(call->request, &login) || !*login.token) {
        refuse(call, 400, "token is missing", "", "");
        return;
    }
    if (!check_client(call, &login))
        return;
    (void)engine_auth_revoke(call->engine->auth, login.token); /* see above */
    value = json_object_new_object();
    engine_json_put(value, "meta", engine_reply_meta(call->reply, SHAPE_AUTH));
    engine_json_put(value, "errors", json_object_new_array());
    engine_reply_json(call->reply, 200, value);
}
