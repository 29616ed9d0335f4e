/*
 * Where the linker leads the calls of our own code (--wrap): NAME() becomes __wrap_NAME(), and the true one is
 * __real_NAME().
 */
#include "util/fault.h"

#ifdef MQFS_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define WRAP(type, name, arguments)                                                                                    \
    type __real_##name arguments;                                                                                      \
    type __wrap_##name arguments;                                                                                      \
    type __wrap_##name arguments

enum { NO_FD = -1 };

/* ---- memory ---- */

WRAP(void *, malloc, (size_t n))
{
    return fault_fails(FAULT_MEMORY, NO_FD) ? NULL : __real_malloc(n);
}

WRAP(void *, calloc, (size_t n, size_t size))
{
    return fault_fails(FAULT_MEMORY, NO_FD) ? NULL : __real_calloc(n, size);
}

WRAP(void *, realloc, (void *old, size_t n))
{
    return fault_fails(FAULT_MEMORY, NO_FD) ? NULL : __real_realloc(old, n);
}

WRAP(void *, reallocarray, (void *old, size_t n, size_t size))
{
    return fault_fails(FAULT_MEMORY, NO_FD) ? NULL : __real_reallocarray(old, n, size);
}

WRAP(char *, strdup, (const char *text))
{
    return fault_fails(FAULT_MEMORY, NO_FD) ? NULL : __real_strdup(text);
}

/* ---- files ---- */

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);

int __wrap_openat(int fd, const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return fault_fails(FAULT_OPEN, fd) ? -1 : __real_openat(fd, path, flags, mode);
}

WRAP(ssize_t, pread, (int fd, void *to, size_t n, off_t offset))
{
    return fault_fails(FAULT_READ, fd) ? -1 : __real_pread(fd, to, n, offset);
}

WRAP(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t offset))
{
    return fault_fails(FAULT_WRITE, fd) ? -1 : __real_pwrite(fd, data, n, offset);
}

WRAP(ssize_t, write, (int fd, const void *data, size_t n))
{
    return fd != STDERR_FILENO && fault_fails(FAULT_WRITE, fd) ? -1 : __real_write(fd, data, n);
}

WRAP(int, ftruncate, (int fd, off_t n))
{
    return fault_fails(FAULT_WRITE, fd) ? -1 : __real_ftruncate(fd, n);
}

WRAP(int, fallocate, (int fd, int mode, off_t offset, off_t n))
{
    return fault_fails(FAULT_WRITE, fd) ? -1 : __real_fallocate(fd, mode, offset, n);
}

WRAP(int, fsync, (int fd))
{
    return fault_fails(FAULT_SYNC, fd) ? -1 : __real_fsync(fd);
}

WRAP(int, fdatasync, (int fd))
{
    return fault_fails(FAULT_SYNC, fd) ? -1 : __real_fdatasync(fd);
}

WRAP(int, syncfs, (int fd))
{
    return fault_fails(FAULT_SYNC, fd) ? -1 : __real_syncfs(fd);
}

WRAP(int, renameat, (int from_fd, const char *from, int to_fd, const char *to))
{
    return fault_fails(FAULT_RENAME, to_fd) ? -1 : __real_renameat(from_fd, from, to_fd, to);
}

WRAP(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags))
{
    return fault_fails(FAULT_RENAME, to_fd) ? -1 : __real_linkat(from_fd, from, to_fd, to, flags);
}

WRAP(int, unlinkat, (int fd, const char *path, int flags))
{
    return fault_fails(FAULT_REMOVE, fd) ? -1 : __real_unlinkat(fd, path, flags);
}

WRAP(int, mkdirat, (int fd, const char *path, mode_t mode))
{
    return fault_fails(FAULT_MAKE, fd) ? -1 : __real_mkdirat(fd, path, mode);
}

WRAP(int, mkdir, (const char *path, mode_t mode))
{
    return fault_fails(FAULT_MAKE, NO_FD) ? -1 : __real_mkdir(path, mode);
}

/* ---- threads ---- */

WRAP(int, pthread_create, (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *closure))
{
    return fault_fails(FAULT_THREAD, NO_FD) ? errno : __real_pthread_create(thread, attributes, start, closure);
}

/* ---- time ---- */

WRAP(int, clock_gettime, (clockid_t id, struct timespec *ret_now))
{
    int r = __real_clock_gettime(id, ret_now);
    int saved = errno;

    if (r == 0 && id != CLOCK_MONOTONIC && fault_fails(FAULT_CLOCK, NO_FD))
        ret_now->tv_sec += errno;
    errno = saved;
    return r;
}

#endif
