#include "api/api_internal.h"

#include <errno.h>
#include <stdlib.h>

static int setup(struct api *api, const struct api_config *config, struct err *err)
{
    const struct http_config http = { .user_agent = config->user_agent,
                                      .proxy = config->proxy,
                                      .ca_file = config->ca_file,
                                      .is_offline = config->is_offline,
                                      .remaining_header = api_headers[API_HEADER_REMAINING],
                                      .exchanges_max = API_EXCHANGES_MAX,
                                      .transfers_max = API_TRANSFERS_MAX };
    int r = api_auth_setup(api, config, err);

    if (r < 0)
        return r;
    return http_client_new(&http, &api->http, err);
}

int api_new(const struct api_config *config, struct secret *client_id, struct secret *client_secret,
            struct api **ret_api, struct err *err)
{
    cleanup_(api_freep) struct api *api = calloc(1, sizeof *api);
    int r;

    if (!api) {
        secret_free(client_id);
        secret_free(client_secret);
        return err_set(err, ENOMEM, "no memory for the service");
    }
    lock_init(&api->lock, LOCK_API);
    cond_init(&api->cond);
    api->retry = (struct http_retry)HTTP_RETRY_DEFAULT;
    api->client_id = client_id;
    api->client_secret = client_secret;
    api->ends_with_us = config->ends_with_us;
    r = setup(api, config, err);
    if (r < 0)
        return r;
    *ret_api = steal_ptr(&api);
    return 0;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    if (api->http && !api->ends_with_us) {
        http_resume(api->http); /* one last word, also after api_cancel() */
        api_auth_revoke(api);
    }
    http_client_free(api->http);
    secret_free(api->bearer);
    secret_free(api->client_id);
    secret_free(api->client_secret);
    cond_done(&api->cond);
    lock_done(&api->lock);
    free(api);
}

void api_cancel(struct api *api)
{
    http_cancel(api->http);
}

bool api_is_resting(struct api *api)
{
    return http_is_resting(api->http);
}
