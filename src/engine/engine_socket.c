#include "engine/engine_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util/text.h"

enum { BACKLOG = 128 };

static void freeaddrinfop(struct addrinfo **info)
{
    if (*info)
        freeaddrinfo(*info);
}

bool engine_socket_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

CHECKED static int tcp_url(int fd, const char *address, bool has_tls, struct engine_url_text *url, struct err *err)
{
    struct sockaddr_storage bound = { 0 };
    socklen_t n = sizeof bound;
    bool is_v6 = strchr(address, ':') != NULL;
    char port[NI_MAXSERV];

    if (getsockname(fd, (struct sockaddr *)&bound, &n) < 0)
        return err_sys(err, "getsockname");
    if (getnameinfo((struct sockaddr *)&bound, n, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0)
        return err_set(err, EINVAL, "the address '%s' has no port", address);
    (void)snprintf(url->s, sizeof url->s, "%s://%s%s%s:%s", has_tls ? "https" : "http", is_v6 ? "[" : "", address,
                   is_v6 ? "]" : "", port); /* a numeric address fits */
    return 0;
}

int engine_socket_tcp(const char *address, int64_t port, bool has_tls, int *ret_fd, struct engine_url_text *ret_url,
                      struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    cleanup_(freeaddrinfop) struct addrinfo *info = NULL;
    cleanup_(closep) int fd = -1;
    const int on = 1;
    char service[16];
    int r;

    (void)snprintf(service, sizeof service, "%d", (int)port); /* fits */
    if (getaddrinfo(address, service, &hints, &info) != 0)
        return err_set(err, EINVAL, "'%s' is not a numeric address", address);
    fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* best effort */
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return err_sys(err, "listen on %s port %s", address, service);
    r = tcp_url(fd, address, has_tls, ret_url, err);
    if (r < 0)
        return r;
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Removes a socket that a dead program left behind. */
CHECKED static int remove_stale(const struct sockaddr_un *address, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "stat '%s'", address->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, EEXIST, "'%s' exists and is not a socket", address->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, "socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno != ECONNREFUSED)
        return err_set(err, EADDRINUSE, "somebody listens on '%s'", address->sun_path);
    if (unlink(address->sun_path) < 0)
        return err_sys(err, "remove '%s'", address->sun_path);
    return 0;
}

int engine_socket_unix(const char *path, int *ret_fd, struct engine_url_text *ret_url, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    cleanup_(closep) int fd = -1;
    mode_t mask;
    int r;

    if (!text_copy(address.sun_path, sizeof address.sun_path, path))
        return err_set(err, ENAMETOOLONG, "'%s' is longer than a socket's path may be", path);
    r = remove_stale(&address, err);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "socket");
    mask = umask(0177);
    r = bind(fd, (struct sockaddr *)&address, sizeof address);
    (void)umask(mask); /* cannot fail */
    if (r < 0 || listen(fd, BACKLOG) < 0)
        return err_sys(err, "listen on '%s'", path);
    (void)snprintf(ret_url->s, sizeof ret_url->s, "unix:%s", path); /* shorter than sun_path */
    *ret_fd = steal_fd(&fd);
    return 0;
}
