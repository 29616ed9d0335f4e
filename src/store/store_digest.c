/*
 * One lock file per digest in <state_dir>/locks, so that two digests never wait for each other: beside the ledger,
 * which mounts with caches of their own share, and whose intents are taken for dead when their lock is free. The holder
 * removes the name and then closes; the protocol is in store_files.h. What a killed holder leaves is an empty file
 * without a lock, which the next taker uses and the next start sweeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"

enum { PROC_PATH_MAX = 32, NS_PER_MS = 1000000 };

/* One attempt. STORE_BUSY: held by somebody else, or the file was replaced under us. */
CHECKED static int try_lock(struct store *store, const char *name, int *ret_fd, struct err *err)
{
    cleanup_(closep) int fd =
        openat(store->locks_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    int r;

    if (fd < 0)
        return err_sys(err, "open lock file %.12s", name);
    r = store_files_lock(fd, STORE_FILES_TRY, err);
    if (r != 0)
        return r;
    if (!store_files_is_at(fd, store->locks_fd, name))
        return STORE_BUSY;
    *ret_fd = steal_fd(&fd);
    return 0;
}

int store_digest_lock(struct store *store, const struct digest *digest, const volatile bool *cancel, int *ret_fd,
                      struct err *err)
{
    const struct timespec step = { .tv_nsec = STORE_LOCK_STEP_MS * NS_PER_MS };
    struct digest_text name = digest_format(digest);
    int r;

    lock_assert_none_held();
    for (;;) {
        r = try_lock(store, name.s, ret_fd, err);
        if (r != STORE_BUSY || (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)))
            return r;
        (void)nanosleep(&step, NULL); /* a signal only shortens the step */
    }
}

void store_digest_unlock(int fd)
{
    char link[PROC_PATH_MAX];
    char path[PATH_MAX];
    ssize_t n;

    if (fd < 0)
        return;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* fits */
    n = readlink(link, path, sizeof path - 1);
    if (n > 0) { /* else the name stays; it costs an inode until the next start */
        path[n] = '\0';
        if (store_files_is_at(fd, AT_FDCWD, path))
            (void)unlink(path); /* likewise */
    }
    close(fd);
}
