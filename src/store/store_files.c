#include "store/store_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "util/cleanup.h"
#include "util/fault.h"
#include "util/text.h"

enum { DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static void closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* read-only */
}

/* Syncs the directory that has the last name of a path, which begins with '/' or is relative. */
CHECKED static int sync_parent(char *path, struct err *err)
{
    char *slash = strrchr(path, '/');
    cleanup_(closep) int fd = -1;

    if (slash)
        *slash = '\0';
    fd = open(!slash ? "." : *path ? path : "/", DIR_FLAGS);
    if (slash)
        *slash = '/';
    return fd < 0 || fsync(fd) < 0 ? err_sys(err, "sync the directory of '%s'", path) : 0;
}

/* Makes every missing directory of a path; the last one included. */
CHECKED static int make_parents(char *path, struct err *err)
{
    for (char *at = path + 1;; at++) {
        char was = *at;
        int r = 0;

        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) == 0)
            r = sync_parent(path, err);
        else if (errno != EEXIST)
            r = err_sys(err, "make '%s'", path);
        *at = was;
        if (r < 0 || was == '\0')
            return r;
    }
}

/* One that was there before us may be open to all. */
CHECKED static int close_to_others(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat directory '%s'", path);
    if ((st.st_mode & 077) && fchmod(fd, 0700) < 0)
        return err_sys(err, "others may look into '%s', and that cannot be changed", path);
    return 0;
}

int store_files_make_path(const char *path, int *ret_fd, struct err *err)
{
    char copy[PATH_MAX];
    int fd = open(path, DIR_FLAGS);
    int r;

    if (fd < 0 && errno == ENOENT) {
        if (!*path || !text_copy(copy, sizeof copy, path))
            return err_set(err, ENAMETOOLONG, "no usable directory name: '%s'", path);
        r = make_parents(copy, err);
        if (r < 0)
            return r;
        fd = open(path, DIR_FLAGS);
    }
    if (fd < 0)
        return err_sys(err, "open directory '%s'", path);
    r = close_to_others(fd, path, err);
    if (r < 0)
        closep(&fd);
    else
        *ret_fd = fd;
    return r;
}

int store_files_make_dir(int parent_fd, const char *name, int *ret_fd, struct err *err)
{
    int fd;

    if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "make directory '%s'", name);
    if (fsync(parent_fd) < 0) /* also when it was there: whoever made it may have died before this */
        return err_sys(err, "sync the directory of '%s'", name);
    fd = openat(parent_fd, name, DIR_FLAGS | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, "open directory '%s'", name);
    *ret_fd = fd;
    return 0;
}

int store_files_pwrite(int fd, const void *data, size_t n, int64_t offset, struct err *err)
{
    const char *at = data;

    while (n > 0) {
        ssize_t written = pwrite(fd, at, n, offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_sys(err, "write");
        at += written;
        n -= (size_t)written;
        offset += written;
    }
    return 0;
}

int store_files_pread(int fd, void *to, size_t n, int64_t offset, size_t *ret_n, struct err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = pread(fd, (char *)to + done, n - done, offset + (int64_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read");
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *ret_n = done;
    return 0;
}

CHECKED static int set_lock(int fd, struct flock lock, enum store_files_wait wait, struct err *err)
{
    int r;

    do
        r = fcntl(fd, wait == STORE_FILES_WAIT ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return 0;
    if (wait == STORE_FILES_TRY && (errno == EAGAIN || errno == EACCES))
        return STORE_BUSY;
    return err_sys(err, "lock");
}

int store_files_lock(int fd, enum store_files_wait wait, struct err *err)
{
    return set_lock(fd, (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET }, wait, err);
}

int store_files_share(int fd, enum store_files_wait wait, struct err *err)
{
    return set_lock(fd, (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET }, wait, err);
}

void store_files_unlock(int fd)
{
    struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

    (void)fcntl(fd, F_OFD_SETLK, &lock); /* giving back what is ours cannot fail */
}

int store_files_lock_part(int fd, enum store_files_part part, bool is_shared, enum store_files_wait wait,
                          struct err *err)
{
    const struct flock byte = {
        .l_type = is_shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_start = part, .l_len = 1
    };

    return set_lock(fd, byte, wait, err);
}

int64_t store_files_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (int64_t)now.tv_sec * STORE_FILES_S_NS + now.tv_nsec;
}

/* It may be swept between its birth and its lock; then there is another try. */
int store_files_begin(int dir_fd, const char *stem, struct store_files_name *ret_name, int *ret_fd, struct err *err)
{
    for (;;) {
        cleanup_(closep) int fd = -1;
        struct store_files_random random;
        int r = store_files_random(&random, err);

        if (r < 0)
            return r;
        (void)snprintf(ret_name->s, sizeof ret_name->s, "%s-%s", stem, random.s); /* stems of ours: they fit */
        fd = openat(dir_fd, ret_name->s, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_sys(err, "make a temporary");
        r = store_files_lock(fd, STORE_FILES_WAIT, err);
        if (r == 0 && store_files_is_at(fd, dir_fd, ret_name->s)) {
            *ret_fd = steal_fd(&fd);
            return 0;
        }
        if (r < 0) {
            (void)unlinkat(dir_fd, ret_name->s, 0); /* else the next start sweeps it */
            return r;
        }
    }
}

CHECKED static int write_all(int fd, const char *name, const void *data, size_t n, struct err *err)
{
    int r = store_files_pwrite(fd, data, n, 0, err);

    if (r == 0 && fsync(fd) < 0)
        r = err_sys(err, "sync '%s'", name);
    CRASH_POINT(PUT_WRITTEN);
    return r;
}

int store_files_put(int dir_fd, const char *name, const void *data, size_t n, enum store_files_put how, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct store_files_name temporary;
    int r = store_files_begin(dir_fd, STORE_FILES_PUT, &temporary, &fd, err);

    if (r < 0)
        return r;
    r = write_all(fd, name, data, n, err);
    if (r == 0 && how == STORE_FILES_REPLACE && renameat(dir_fd, temporary.s, dir_fd, name) < 0)
        r = err_sys(err, "replace '%s'", name);
    if (r == 0 && how == STORE_FILES_KEEP && linkat(dir_fd, temporary.s, dir_fd, name, 0) < 0 && errno != EEXIST)
        r = err_sys(err, "make '%s'", name);
    CRASH_POINT(PUT_PLACED);
    (void)unlinkat(dir_fd, temporary.s, 0); /* it is gone, or the next start sweeps it */
    if (r == 0 && fsync(dir_fd) < 0)
        r = err_sys(err, "sync the directory of '%s'", name);
    return r;
}

bool store_files_is_at(int fd, int dir_fd, const char *name)
{
    struct stat ours;
    struct stat theirs;

    return fstat(fd, &ours) == 0 && fstatat(dir_fd, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static void sweep_one(int dir_fd, const char *name)
{
    cleanup_(closep) int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 || store_files_lock(fd, STORE_FILES_TRY, NULL) != 0)
        return;
    if (store_files_is_at(fd, dir_fd, name))
        (void)unlinkat(dir_fd, name, 0); /* the next start tries again */
}

void store_files_sweep(int dir_fd, const char *stem)
{
    int fd = openat(dir_fd, ".", DIR_FLAGS);
    cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        closep(&fd);
        return; /* leftovers cost room, nothing else */
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, stem, strlen(stem)) == 0)
            sweep_one(dir_fd, entry->d_name);
}

int store_files_random(struct store_files_random *ret_text, struct err *err)
{
    uint8_t bytes[STORE_FILES_RANDOM_TEXT / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_sys(err, "no random bytes");
    text_format_hex(bytes, sizeof bytes, ret_text->s);
    return 0;
}
