/*
 * Landlock: which files may be opened, by where they are. Rules hold for an inode and what is below it, so what is
 * replaced by a rename while we run (resolv.conf, the bundle of certificates) needs a rule for its directory. What is
 * open already, and connecting to a Unix socket, is not Landlock's business.
 *
 * Rights that a kernel does not know are left out; the newest that we handle are of ABI 6. TCP may be connected to any
 * port, for proxies have any, and bound to none.
 */
#include "confine/confine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/landlock.h>

#include "util/cleanup.h"

/* Newer than the headers of Debian 12 (Linux 6.1). */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0)
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#endif

enum { ABI_MIN = 2 }; /* the first one refuses every rename into another directory, and the store needs that */

/* struct landlock_ruleset_attr as of ABI 6. An older kernel takes it as long as it only has zeros where that one ends.
 */
struct ruleset {
    uint64_t files;
    uint64_t net;
    uint64_t scoped;
};

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                                          \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |                \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER |                       \
     LANDLOCK_ACCESS_FS_TRUNCATE)
#define EVERY_ACCESS_OF_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

/* What a rule for something else than a directory may have. */
#define FILE_ACCESS                                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |                       \
     LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* What each ABI brought; each has what those before it have. */
static const struct {
    int abi;
    struct ruleset adds;
} abis[] = {
    { ABI_MIN, { .files = EVERY_ACCESS_OF_ABI_1 | LANDLOCK_ACCESS_FS_REFER } },
    { 3, { .files = LANDLOCK_ACCESS_FS_TRUNCATE } },
    { 4, { .net = LANDLOCK_ACCESS_NET_BIND_TCP } },
    { 5, { .files = LANDLOCK_ACCESS_FS_IOCTL_DEV } },
    { 6, { .scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET } },
};

struct rule {
    const char *path;
    uint64_t access;
};

/* Not every system has all of them. */
/* clang-format off */
static const struct rule system_rules[] = {
    /* libraries that are loaded late (name services, character sets), certificates, time zones */
    { "/usr", READ },
    { "/lib", READ },
    { "/lib64", READ },
    { "/etc/ld.so.cache", READ },
    { "/etc/localtime", READ },
    /* certificates */
    { "/etc/ssl", READ },
    { "/etc/pki", READ },
    { "/etc/ca-certificates", READ },
    { "/etc/crypto-policies", READ },
    /* name resolution; the directory of resolv.conf has a rule of its own */
    { "/etc/nsswitch.conf", READ },
    { "/etc/hosts", READ },
    { "/etc/host.conf", READ },
    { "/etc/gai.conf", READ },
    { "/etc/services", READ },
    { "/run/systemd/resolve", READ },
    { "/run/NetworkManager", READ },
    { "/run/resolvconf", READ },
    /* who closes a file, and whether a signal ends it; how many processors there are */
    { "/proc", READ },
    { "/sys/devices/system/cpu", READ },
    { "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE },
    { "/dev/urandom", READ },
    { "/dev/random", READ },
};
/* clang-format on */

static int create_ruleset(const struct ruleset *ruleset, size_t size, unsigned flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, ruleset, size, flags);
}

static int add_rule(int ruleset_fd, const struct ruleset *handled, const struct rule *rule, struct err *err)
{
    cleanup_(closep) int fd = open(rule->path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr beneath = { .parent_fd = fd, .allowed_access = rule->access & handled->files };
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == EACCES || errno == ENOTDIR))
        return 0; /* what is not there now is not needed */
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "landlock: '%s'", rule->path);
    if (!S_ISDIR(st.st_mode))
        beneath.allowed_access &= FILE_ACCESS;
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
        return err_sys(err, "landlock: a rule for '%s'", rule->path);
    return 0;
}

/* The directory where resolv.conf really is: whatever writes it puts a new file in its place. */
static void resolver_directory(char *ret_dir)
{
    char *slash;

    if (!realpath("/etc/resolv.conf", ret_dir))
        ret_dir[0] = '\0';
    slash = strrchr(ret_dir, '/');
    if (slash && slash > ret_dir)
        *slash = '\0';
}

static int add_rules(int ruleset_fd, const struct ruleset *handled, const struct confine_config *config,
                     struct err *err)
{
    char resolver[PATH_MAX];
    const char *reports = getenv(confine_sanitizer_reports);
    const struct rule own_rules[] = {
        { config->state_dir, WRITE },
        { config->cache_dir, WRITE },
        { config->ca_file, READ },
        { config->socket_dir, LANDLOCK_ACCESS_FS_REMOVE_FILE },
        { config->socket_dir ? "/tmp" : NULL, LANDLOCK_ACCESS_FS_REMOVE_DIR }, /* that directory itself, when empty */
        { resolver, READ },
        { reports, WRITE },
        { confine_sanitizer_program, READ },
    };
    int r = 0;

    resolver_directory(resolver);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_rules); i++)
        r = add_rule(ruleset_fd, handled, &system_rules[i], err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own_rules); i++)
        if (own_rules[i].path && own_rules[i].path[0])
            r = add_rule(ruleset_fd, handled, &own_rules[i], err);
    return r;
}

int confine_landlock(const struct confine_config *config, int *ret_abi, struct err *err)
{
    int abi = create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset handled = { 0 };
    cleanup_(closep) int fd = -1;
    int r;

    *ret_abi = 0;
    if (abi <
        ABI_MIN) /* or not built in, or switched off at boot; or a filter of a container that is older than Landlock */
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(abis) && abis[i].abi <= abi; i++) {
        handled.files |= abis[i].adds.files;
        handled.net |= abis[i].adds.net;
        handled.scoped |= abis[i].adds.scoped;
    }
    fd = create_ruleset(&handled, sizeof handled, 0);
    if (fd < 0)
        return err_sys(err, "landlock");
    r = add_rules(fd, &handled, config, err);
    if (r < 0)
        return r;
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return err_sys(err, "landlock");
    *ret_abi = abi;
    return 0;
}
