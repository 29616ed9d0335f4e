/* test_api_script -- an api that talks to a scripted server; for the tests of api. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/api_internal.h"
#include "http_script.h"

#define JSON_TYPE "Content-Type: application/json\r\n"
#define TRACE "X-Cs-Traceid: trace-of-header\r\n"
#define REQID "096f6aa5-f245-4b09-790f-133bc89d4d26"
#define SHA_A "d207ccf1eabcc9453288896d963f1a1c558c427abfe9305d7328e3a6fb06f6ee"
#define SHA_B "41a1d7b98d0ce3259270c9a8f26fe8899cca402cba69ef8e5c70449faea8b714"
#define TOKEN_STEP(token_)                                                                                             \
    {                                                                                                                  \
        .match = "POST /oauth2/token", .status = 201, .headers = JSON_TYPE,                                            \
        .body = "{\"access_token\":\"" token_ "\",\"expires_in\":1799,\"token_type\":\"bearer\"}"                      \
    }
#define TOKEN_FOREVER                                                                                                  \
    {                                                                                                                  \
        .match = "POST /oauth2/token", .status = 201, .headers = JSON_TYPE,                                            \
        .body = "{\"access_token\":\"tok\",\"expires_in\":1799,\"token_type\":\"bearer\"}", .times = -1                \
    }
#define ACCEPTED_STEP                                                                                                  \
    {                                                                                                                  \
        .match = "POST /malquery", .status = 200, .headers = JSON_TYPE,                                                \
        .body = "{\"meta\":{\"status\":\"done\",\"reqid\":\"" REQID "\"},\"resources\":[]}"                            \
    }

static const struct http_retry script_retry = {
    .tries_max = 3, .backoff_ms = 1, .backoff_max_ms = 1, .asked_min_ms = 1, .asked_max_ms = 1
};

static inline struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;

    assert_int_equal(secret_new(text, strlen(text), &secret, NULL), 0);
    return secret;
}

static inline struct api *api_with(struct api_config config)
{
    struct api *api = NULL;
    struct err err = { 0 };

    config.user_agent = "test/1";
    assert_int_equal(api_new(&config, secret_of("id"), secret_of("s+cret"), &api, &err), 0);
    api->retry = script_retry;
    return api;
}

static inline struct api *api_of(const struct script *script)
{
    return api_with((struct api_config){ .base_url = script->place });
}

static inline void end(struct api *api, struct script *script)
{
    api_free(api);
    script_stop(script);
}

static inline struct digest digest_from(const char *text)
{
    struct digest digest;

    assert_true(digest_parse(text, &digest));
    return digest;
}
