/*
 * engine_credentials -- the client id and secret of this engine: from the environment, or made up and left in a file.
 *
 * Ownership  the secrets are the caller's.
 * Errors     a negative errno with err filled.
 */
#pragma once

#include <stdbool.h>

#include "util/secret.h"

struct engine_credentials {
    struct secret *client_id;
    struct secret *client_secret;
    bool is_made_up;
};

/* Takes FALCON_CLIENT_ID and FALCON_CLIENT_SECRET, both or none; when there are none, makes them up. */
CHECKED int engine_credentials_get(struct engine_credentials *ret_credentials, struct err *err);
void engine_credentials_done(struct engine_credentials *credentials);

/* Writes them as two lines NAME=VALUE to `path`, mode 0600, replacing what was there. */
CHECKED int engine_credentials_write(const struct engine_credentials *credentials, const char *path, struct err *err);

/* Makes the directories that lead to `path`, mode 0700. */
CHECKED int engine_credentials_make_dirs(const char *path, struct err *err);
