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
#include "util/fault.h"

static const char key_name[] = "seal.key";
static const char next_name[] = "seal.key.next";
static const char print_name[] = "sealed-by";

CHECKED static int check_owner(int fd, const char *dir, const char *name, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat '%s/%s'", dir, name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EIO, "'%s/%s' is not a regular file", dir, name);
    if (st.st_uid != geteuid())
        return err_set(err, EACCES, "'%s/%s' belongs to user %u", dir, name, (unsigned int)st.st_uid);
    if (st.st_mode & 07177)
        return err_set(err, EACCES, "the key must be yours alone: chmod 600 '%s/%s'", dir, name);
    if (st.st_size != SEAL_KEY_BYTES)
        return err_set(err, EIO, "'%s/%s' is damaged: the cache needs the key it was made with", dir, name);
    return 0;
}

/* STORE_ABSENT: there is no key yet. */
CHECKED static int read_key(int dir_fd, const char *dir, const char *name, struct secret **ret_key, struct err *err)
{
    cleanup_(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char bytes[SEAL_KEY_BYTES];
    size_t n = 0;
    int r;

    if (fd < 0 && errno == ENOENT)
        return STORE_ABSENT;
    if (fd < 0)
        return err_sys(err, "open '%s/%s'", dir, name);
    r = check_owner(fd, dir, name, err);
    if (r == 0)
        r = store_files_pread(fd, bytes, sizeof bytes, 0, &n, err);
    if (r == 0 && n != sizeof bytes)
        r = err_set(err, EIO, "'%s/%s' was cut while we read it", dir, name);
    if (r == 0)
        r = secret_new(bytes, sizeof bytes, ret_key, err);
    secret_wipe(bytes, sizeof bytes);
    return r;
}

/* One of all who try makes it; the others will read that one's key. */
CHECKED static int make_key(int dir_fd, const char *name, struct err *err)
{
    uint8_t bytes[SEAL_KEY_BYTES];
    int r;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_sys(err, "no random bytes");
    r = store_files_put(dir_fd, name, bytes, sizeof bytes, STORE_FILES_KEEP, err);
    secret_wipe(bytes, sizeof bytes);
    return r;
}

/* Reads it, made when missing. */
CHECKED static int open_or_make(int dir_fd, const char *dir, const char *name, struct secret **ret_key, struct err *err)
{
    int r = read_key(dir_fd, dir, name, ret_key, err);

    if (r != STORE_ABSENT)
        return r;
    r = make_key(dir_fd, name, err);
    if (r < 0)
        return err_wrap(err, "'%s'", dir);
    r = read_key(dir_fd, dir, name, ret_key, err);
    if (r == STORE_ABSENT)
        return err_set(err, EIO, "'%s/%s' vanished while we made it", dir, name);
    return r;
}

int store_key_open(int dir_fd, const char *dir, struct secret **ret_key, struct err *err)
{
    return open_or_make(dir_fd, dir, key_name, ret_key, err);
}

bool store_key_exists(int dir_fd)
{
    struct stat st;

    return fstatat(dir_fd, key_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_key_open_next(int dir_fd, const char *dir, struct secret **ret_key, struct err *err)
{
    return read_key(dir_fd, dir, next_name, ret_key, err);
}

int store_key_make_next(int dir_fd, const char *dir, struct secret **ret_key, struct err *err)
{
    return open_or_make(dir_fd, dir, next_name, ret_key, err);
}

int store_key_adopt_next(int dir_fd, struct err *err)
{
    if (renameat(dir_fd, next_name, dir_fd, key_name) < 0 && errno != ENOENT)
        return err_sys(err, "replace '%s'", key_name);
    CRASH_POINT(ROTATE_ADOPTED);
    if (fsync(dir_fd) < 0)
        return err_sys(err, "sync the directory of '%s'", key_name);
    return 0;
}

/* ---- the fingerprints in the cache ---- */

int store_key_prints(int cache_fd, const char *dir, struct store_key_prints *ret_prints, struct err *err)
{
    cleanup_(closep) int fd = openat(cache_fd, print_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    size_t n = 0;
    int r;

    *ret_prints = (struct store_key_prints){ 0 };
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open '%s/%s'", dir, print_name);
    r = store_files_pread(fd, ret_prints->bytes, sizeof ret_prints->bytes, 0, &n, err);
    if (r == 0 && (n == 0 || n % STORE_KEY_PRINT_BYTES != 0))
        return err_set(err, EINVAL, "'%s/%s' is damaged: nobody knows which key sealed this cache", dir, print_name);
    ret_prints->n = n / STORE_KEY_PRINT_BYTES;
    return r;
}

CHECKED static int put_prints(int cache_fd, const struct secret *const *keys, size_t n, enum store_files_put how,
                              struct err *err)
{
    struct store_key_prints prints = { .n = n };
    int r = 0;

    assert(n <= STORE_KEY_PRINTS_MAX);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = store_seal_fingerprint(keys[i], prints.bytes[i], err);
    return r < 0 ? r : store_files_put(cache_fd, print_name, prints.bytes, n * STORE_KEY_PRINT_BYTES, how, err);
}

int store_key_leave_prints(int cache_fd, const struct secret *const *keys, size_t n, struct err *err)
{
    return put_prints(cache_fd, keys, n, STORE_FILES_REPLACE, err);
}

/* NULL: none of them has this print. */
CHECKED static int find_key(struct secret *const *keys, const uint8_t *print, const struct secret **ret_key,
                            struct err *err)
{
    uint8_t own[STORE_KEY_PRINT_BYTES];
    int r = 0;

    *ret_key = NULL;
    for (size_t i = 0; r == 0 && !*ret_key && i < STORE_KEY_PRINTS_MAX && keys[i]; i++) {
        r = store_seal_fingerprint(keys[i], own, err);
        if (r == 0 && memcmp(own, print, sizeof own) == 0)
            *ret_key = keys[i];
    }
    return r;
}

/* Several processes may do it at once, perhaps with other keys: the first one counts, and is compared next. */
CHECKED static int leave_first(int cache_fd, const char *dir, const struct secret *key, bool has_objects,
                               struct err *err)
{
    if (has_objects)
        return err_set(err, EINVAL, "the cache '%s' has samples and no '%s': nobody knows which key sealed them", dir,
                       print_name);
    return put_prints(cache_fd, &key, 1, STORE_FILES_KEEP, err);
}

int store_key_bind(int cache_fd, const char *dir, struct secret *const *keys, bool has_objects,
                   const struct secret **ret_key, struct err *err)
{
    struct store_key_prints prints;
    int r = store_key_prints(cache_fd, dir, &prints, err);

    if (r == 0 && prints.n == 0) {
        r = leave_first(cache_fd, dir, keys[0], has_objects, err);
        if (r == 0)
            r = store_key_prints(cache_fd, dir, &prints, err);
    }
    for (size_t i = 0; r == 0 && i < prints.n; i++) {
        r = find_key(keys, prints.bytes[i], ret_key, err);
        if (r == 0 && !*ret_key)
            r = err_set(err, EINVAL,
                        "the cache was sealed with another key than this state directory's: give each its own, or put "
                        "the old '%s' back; the cache is '%s'",
                        key_name, dir);
    }
    return r;
}
