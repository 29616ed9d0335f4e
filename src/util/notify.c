#include "util/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/text.h"

enum { NOTIFY_MAX = 512, US_PER_MS = 1000 };

static int notify_fd = -1;
static int64_t watchdog_ms;

/* "/path" or "@name" of an abstract socket; what else there may be one day is not for us. */
static int connect_to(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t n = strlen(name);
    cleanup_(closep) int fd = -1;

    if ((*name != '/' && *name != '@') || n >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, name, n);
    if (*name == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*name == '/'))) < 0)
        return -1;
    return steal_fd(&fd);
}

/* The watchdog is for the process that WATCHDOG_PID names, if it names one. */
static int64_t watchdog_of_environment(void)
{
    const char *limit = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t number = 0;

    if (pid && (!text_parse_u64(pid, INT32_MAX, &number) || (pid_t)number != getpid()))
        return 0;
    return limit && text_parse_u64(limit, INT64_MAX, &number) ? (int64_t)(number / US_PER_MS) : 0;
}

void notify_open(void)
{
    const char *name = getenv("NOTIFY_SOCKET");

    if (!name || !*name)
        return;
    if (notify_fd >= 0)
        close(notify_fd);
    notify_fd = connect_to(name);
    if (notify_fd < 0)
        log_event(LOG_LEVEL_WARN, "nobody listens at NOTIFY_SOCKET", LOG_NUMBER(LOG_ERRNO, errno));
    watchdog_ms = watchdog_of_environment();
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet; valid names, cannot fail */
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    /* NOLINTEND(concurrency-mt-unsafe) */
}

static void say(const char *lines)
{
    if (notify_fd >= 0 && send(notify_fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_event(LOG_LEVEL_DEBUG, "NOTIFY_SOCKET takes nothing", LOG_NUMBER(LOG_ERRNO, errno));
}

void notify_ready(const char *status)
{
    char lines[NOTIFY_MAX];

    (void)snprintf(lines, sizeof lines, "READY=1\nSTATUS=%s", status); /* a cut one is fine */
    say(lines);
}

void notify_reloading(void)
{
    char lines[NOTIFY_MAX];
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* always there; systemd compares it with its own, so no other clock */
    (void)snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)now.tv_sec * US_PER_MS * US_PER_MS + now.tv_nsec / US_PER_MS); /* fits */
    say(lines);
}

void notify_stopping(void)
{
    say("STOPPING=1");
}

int64_t notify_alive_ms(void)
{
    return notify_fd >= 0 ? watchdog_ms / 2 : 0; /* half of the limit, as sd_watchdog_enabled(3) advises */
}

void notify_alive(void)
{
    say("WATCHDOG=1");
}
