#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "util/text.h"

DEFINE_CLEANUP(CURLU *, curl_url_cleanup)

static void curl_textp(char **text)
{
    curl_free(*text);
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;

    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

/* Printable ASCII without blanks: nothing that a log line or libcurl could read in another way. */
static bool is_clean(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f || *text == '\\')
            return false;
    return true;
}

static int parse_socket(const char *path, struct http_place *place, struct err *err)
{
    if (*path != '/')
        return err_set(err, EINVAL, "a socket is given as unix:/absolute/path");
    if (!text_copy(place->socket, sizeof place->socket, path))
        return err_set(err, EINVAL, "the socket path is longer than %d bytes", HTTP_SOCKET_MAX);
    (void)text_copy(place->base, sizeof place->base, "http://localhost"); /* fits */
    place->is_plain = true;
    place->is_local = true;
    return 0;
}

/* The parts that a base URL must not have: a password would end up in messages, a query in front of our path. */
static bool has_extras(CURLU *url)
{
    static const CURLUPart extras[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
                                        CURLUPART_FRAGMENT };

    for (size_t i = 0; i < ARRAY_SIZE(extras); i++) {
        cleanup_(curl_textp) char *text = NULL;

        if (curl_url_get(url, extras[i], &text, 0) == CURLUE_OK)
            return true;
    }
    return false;
}

static int parse_url(struct http_place *place, struct err *err)
{
    cleanup_(curl_url_cleanupp) CURLU *url = curl_url();
    cleanup_(curl_textp) char *scheme = NULL;
    cleanup_(curl_textp) char *host = NULL;

    if (!url)
        return err_set(err, ENOMEM, "no memory for a URL");
    if (!strstr(place->name, "://") || curl_url_set(url, CURLUPART_URL, place->name, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return err_set(err, EINVAL, "the base URL is not a URL of http or https");
    if (has_extras(url))
        return err_set(err, EINVAL, "the base URL has a user, a query or a fragment in it");
    place->is_plain = strcmp(scheme, "https") != 0;
    place->is_local = is_loopback(host);
    if (place->is_plain && strcmp(scheme, "http") != 0)
        return err_set(err, EINVAL, "the base URL is not a URL of http or https");
    if (place->is_plain && !place->is_local)
        return err_set(err, EINVAL, "plain http is only for this machine; use https");
    (void)text_copy(place->base, sizeof place->base, place->name); /* the same room */
    return 0;
}

int http_place_parse(const char *text, struct http_place *ret_place, struct err *err)
{
    static const char socket_prefix[] = "unix:";
    struct http_place place = { 0 };
    size_t n;
    int r;

    if (!text_copy(place.name, sizeof place.name, text))
        return err_set(err, EINVAL, "the base URL is longer than %d bytes", HTTP_PLACE_MAX);
    if (!is_clean(place.name))
        return err_set(err, EINVAL, "the base URL has blanks or control bytes in it");
    if (strncmp(place.name, socket_prefix, strlen(socket_prefix)) == 0) {
        r = parse_socket(place.name + strlen(socket_prefix), &place, err);
    } else {
        for (n = strlen(place.name); n > 0 && place.name[n - 1] == '/'; n--)
            place.name[n - 1] = '\0';
        r = parse_url(&place, err);
    }
    if (r < 0)
        return r;
    *ret_place = place;
    return 0;
}
