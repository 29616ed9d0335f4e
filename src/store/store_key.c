#include "store/store_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "store/store_files.h"
#include "store/store_seal.h"
#include "util/cleanup.h"

static const char key_name[] = "seal.key";
static const char print_name[] = "sealed-by";

enum { TEMPORARY_MAX = sizeof key_name + 1 + STORE_FILES_RANDOM_TEXT };

CHECKED static int check_owner(int fd, const char *dir, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat '%s/%s'", dir, key_name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EIO, "'%s/%s' is not a regular file", dir, key_name);
    if (st.st_uid != geteuid())
        return err_set(err, EACCES, "'%s/%s' belongs to user %u", dir, key_name, (unsigned int)st.st_uid);
    if (st.st_mode & 07177)
        return err_set(err, EACCES, "the key must be yours alone: chmod 600 '%s/%s'", dir, key_name);
    if (st.st_size != SEAL_KEY_BYTES)
        return err_set(err, EIO, "'%s/%s' is damaged: the cache needs the key it was made with", dir, key_name);
    return 0;
}

/* STORE_ABSENT: there is no key yet. */
CHECKED static int read_key(int dir_fd, const char *dir, struct secret **ret_key, struct err *err)
{
    cleanup_(closep) int fd = openat(dir_fd, key_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char bytes[SEAL_KEY_BYTES];
    size_t n = 0;
    int r;

    if (fd < 0 && errno == ENOENT)
        return STORE_ABSENT;
    if (fd < 0)
        return err_sys(err, "open '%s/%s'", dir, key_name);
    r = check_owner(fd, dir, err);
    if (r == 0)
        r = store_files_pread(fd, bytes, sizeof bytes, 0, &n, err);
    if (r == 0 && n != sizeof bytes)
        r = err_set(err, EIO, "'%s/%s' was cut while we read it", dir, key_name);
    if (r == 0)
        r = secret_new(bytes, sizeof bytes, ret_key, err);
    secret_wipe(bytes, sizeof bytes);
    return r;
}

CHECKED static int write_random(int fd, struct err *err)
{
    uint8_t bytes[SEAL_KEY_BYTES];
    int r;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_sys(err, "no random bytes");
    r = store_files_pwrite(fd, bytes, sizeof bytes, 0, err);
    secret_wipe(bytes, sizeof bytes);
    if (r == 0 && (fchmod(fd, 0600) < 0 || fsync(fd) < 0))
        r = err_sys(err, "sync");
    return r;
}

/* link() succeeds for one of all who try; the others will read that one's key. */
CHECKED static int make_key(int dir_fd, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct store_files_random random;
    char name[TEMPORARY_MAX];
    int r;

    r = store_files_random(&random, err);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof name, "%s.%s", key_name, random.s); /* fits */
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "make '%s'", name);
    r = write_random(fd, err);
    if (r == 0 && linkat(dir_fd, name, dir_fd, key_name, 0) < 0 && errno != EEXIST)
        r = err_sys(err, "make '%s'", key_name);
    (void)unlinkat(dir_fd, name, 0); /* a leftover is a random number, nothing was sealed with it */
    if (r == 0 && fsync(dir_fd) < 0)
        r = err_sys(err, "sync the directory of '%s'", key_name);
    return r;
}

int store_key_open(int dir_fd, const char *dir, struct secret **ret_key, struct err *err)
{
    int r = read_key(dir_fd, dir, ret_key, err);

    if (r != STORE_ABSENT)
        return r;
    r = make_key(dir_fd, err);
    if (r < 0)
        return err_wrap(err, "'%s'", dir);
    r = read_key(dir_fd, dir, ret_key, err);
    if (r == STORE_ABSENT)
        return err_set(err, EIO, "'%s/%s' vanished while we made it", dir, key_name);
    return r;
}

/* ---- the fingerprint in the cache ---- */

/* STORE_ABSENT: the cache has none yet. */
CHECKED static int compare_print(int cache_fd, const char *dir, const uint8_t *print, struct err *err)
{
    cleanup_(closep) int fd = openat(cache_fd, print_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    uint8_t found[SEAL_KEY_BYTES];
    size_t n = 0;
    int r;

    if (fd < 0 && errno == ENOENT)
        return STORE_ABSENT;
    if (fd < 0)
        return err_sys(err, "open '%s/%s'", dir, print_name);
    r = store_files_pread(fd, found, sizeof found, 0, &n, err);
    if (r == 0 && (n != sizeof found || memcmp(found, print, sizeof found) != 0))
        r = err_set(err, EINVAL,
                    "the cache '%s' was sealed with another key than this state directory's: give each its own", dir);
    return r;
}

CHECKED static int leave_print(int cache_fd, const char *dir, const uint8_t *print, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct store_files_random random;
    char name[sizeof print_name + 1 + STORE_FILES_RANDOM_TEXT];
    int r = store_files_random(&random, err);

    if (r < 0)
        return r;
    (void)snprintf(name, sizeof name, "%s.%s", print_name, random.s); /* fits */
    fd = openat(cache_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "make '%s/%s'", dir, name);
    r = store_files_pwrite(fd, print, SEAL_KEY_BYTES, 0, err);
    if (r == 0 && fsync(fd) < 0)
        r = err_sys(err, "sync '%s/%s'", dir, name);
    if (r == 0 && linkat(cache_fd, name, cache_fd, print_name, 0) < 0 && errno != EEXIST) /* EEXIST: compared next */
        r = err_sys(err, "make '%s/%s'", dir, print_name);
    (void)unlinkat(cache_fd, name, 0); /* a leftover is harmless */
    if (r == 0 && fsync(cache_fd) < 0)
        r = err_sys(err, "sync '%s'", dir);
    return r;
}

int store_key_bind(int cache_fd, const char *dir, const struct secret *key, bool has_objects, struct err *err)
{
    uint8_t print[SEAL_KEY_BYTES];
    int r = store_seal_fingerprint(key, print, err);

    if (r == 0)
        r = compare_print(cache_fd, dir, print, err);
    if (r != STORE_ABSENT)
        return r;
    if (has_objects)
        return err_set(err, EINVAL, "the cache '%s' has samples and no '%s': nobody knows which key sealed them", dir,
                       print_name);
    r = leave_print(cache_fd, dir, print, err);
    if (r == 0)
        r = compare_print(cache_fd, dir, print, err);
    return r == STORE_ABSENT ? err_set(err, EIO, "'%s/%s' vanished while we made it", dir, print_name) : r;
}
