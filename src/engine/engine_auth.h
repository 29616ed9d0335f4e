/*
 * engine_auth -- the one client that this engine knows, and the tokens it was given.
 *
 * Secrets and tokens are kept as digests and compared in constant time.
 *
 * Units      lifetimes in seconds.
 * Threads    any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/secret.h"

enum engine_scope { SCOPE_NONE = 0, SCOPE_READ = 1, SCOPE_WRITE = 2 };

enum {
    ENGINE_TOKENS_MAX = 256, /* valid at once; the oldest goes */
    ENGINE_TOKEN_TEXT = 96,  /* hex digits */
};

struct engine_auth;

/* Copies what it needs; the secrets stay the caller's. */
CHECKED int engine_auth_new(const struct secret *client_id, const struct secret *client_secret, unsigned scopes,
                            int64_t lifetime_s, struct engine_auth **ret_auth, struct err *err);
void engine_auth_free(struct engine_auth *auth);
DEFINE_CLEANUP(struct engine_auth *, engine_auth_free)

bool engine_auth_is_client(const struct engine_auth *auth, const char *client_id);
bool engine_auth_is_secret(const struct engine_auth *auth, const char *client_secret);

struct engine_token_text {
    char s[ENGINE_TOKEN_TEXT + 1];
};

/* A new token, random and opaque. */
CHECKED int engine_auth_issue(struct engine_auth *auth, struct engine_token_text *ret_token, struct err *err);

/* The scopes of a token, bits of enum engine_scope; 0 when it is unknown, expired or revoked. */
unsigned engine_auth_scopes(struct engine_auth *auth, const char *token);

/* False when the token was not valid. */
bool engine_auth_revoke(struct engine_auth *auth, const char *token);

/* "read,write" as bits; false for an unknown word. */
CHECKED bool engine_auth_parse_scopes(const char *text, unsigned *ret_scopes);
