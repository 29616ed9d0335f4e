#include "engine/engine_auth.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "model/digest.h"
#include "util/clock.h"
#include "util/lock.h"

struct token {
    struct digest digest;
    unsigned scopes; /* 0: the place is free */
    int64_t end_ms;
};

struct engine_auth {
    struct digest client_id;
    struct digest client_secret;
    unsigned scopes;
    int64_t lifetime_s;
    struct lock lock;                       /* rank LOCK_ENGINE */
    struct token tokens[ENGINE_TOKENS_MAX]; /* guarded by lock */
    size_t next;                            /* guarded by lock: the oldest place */
};

static bool is_same(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

/* Does the text have this digest? Digests have one length, so that the time tells nothing about the text. */
static bool has_digest(const char *text, const struct digest *digest)
{
    struct digest of_text;

    return digest_of(text, strlen(text), &of_text, NULL) == 0 && is_same(&of_text, digest);
}

int engine_auth_new(const struct secret *client_id, const struct secret *client_secret, unsigned scopes,
                    int64_t lifetime_s, struct engine_auth **ret_auth, struct err *err)
{
    cleanup_(engine_auth_freep) struct engine_auth *auth = calloc(1, sizeof *auth);
    int r;

    if (!auth)
        return err_set(err, ENOMEM, "no memory for credentials");
    lock_init(&auth->lock, LOCK_ENGINE);
    auth->scopes = scopes;
    auth->lifetime_s = lifetime_s;
    r = digest_of(secret_text(client_id), secret_length(client_id), &auth->client_id, err);
    if (r == 0)
        r = digest_of(secret_text(client_secret), secret_length(client_secret), &auth->client_secret, err);
    if (r < 0)
        return r;
    *ret_auth = steal_ptr(&auth);
    return 0;
}

void engine_auth_free(struct engine_auth *auth)
{
    if (!auth)
        return;
    lock_done(&auth->lock);
    secret_wipe(auth, sizeof *auth);
    free(auth);
}

bool engine_auth_is_client(const struct engine_auth *auth, const char *client_id)
{
    return has_digest(client_id, &auth->client_id);
}

bool engine_auth_is_secret(const struct engine_auth *auth, const char *client_secret)
{
    return has_digest(client_secret, &auth->client_secret);
}

int engine_auth_issue(struct engine_auth *auth, struct engine_token_text *ret_token, struct err *err)
{
    cleanup_(secret_freep) struct secret *random = NULL;
    struct token token = { .scopes = auth->scopes, .end_ms = clock_mono_ms() + auth->lifetime_s * 1000 };
    int r = secret_random(ENGINE_TOKEN_TEXT / 2, &random, err);

    if (r == 0)
        r = digest_of(secret_text(random), secret_length(random), &token.digest, err);
    if (r < 0)
        return r;
    lock_acquire(&auth->lock);
    auth->tokens[auth->next] = token;
    auth->next = (auth->next + 1) % ENGINE_TOKENS_MAX;
    lock_release(&auth->lock);
    memcpy(ret_token->s, secret_text(random), sizeof ret_token->s);
    return 0;
}

static struct token *find_locked(struct engine_auth *auth, const char *text) REQUIRES(&auth->lock);
static struct token *find_locked(struct engine_auth *auth, const char *text)
{
    int64_t now_ms = clock_mono_ms();
    struct digest digest;

    if (strlen(text) != ENGINE_TOKEN_TEXT || digest_of(text, ENGINE_TOKEN_TEXT, &digest, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < ENGINE_TOKENS_MAX; i++)
        if (auth->tokens[i].scopes && is_same(&auth->tokens[i].digest, &digest) && now_ms < auth->tokens[i].end_ms)
            return &auth->tokens[i];
    return NULL;
}

unsigned engine_auth_scopes(struct engine_auth *auth, const char *token)
{
    const struct token *found;
    unsigned scopes;

    lock_acquire(&auth->lock);
    found = find_locked(auth, token);
    scopes = found ? found->scopes : SCOPE_NONE;
    lock_release(&auth->lock);
    return scopes;
}

bool engine_auth_revoke(struct engine_auth *auth, const char *token)
{
    struct token *found;

    lock_acquire(&auth->lock);
    found = find_locked(auth, token);
    if (found)
        found->scopes = SCOPE_NONE;
    lock_release(&auth->lock);
    return found != NULL;
}

bool engine_auth_parse_scopes(const char *text, unsigned *ret_scopes)
{
    static const struct {
        const char *name;
        unsigned scope;
    } names[] = { { "read", SCOPE_READ }, { "write", SCOPE_WRITE } };
    unsigned scopes = 0;

    while (*text) {
        size_t n = strcspn(text, ",");
        unsigned scope = 0;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (n == strlen(names[i].name) && memcmp(text, names[i].name, n) == 0)
                scope = names[i].scope;
        if (!scope)
            return false;
        scopes |= scope;
        text += n + (text[n] == ',');
    }
    if (!scopes)
        return false;
    *ret_scopes = scopes;
    return true;
}
