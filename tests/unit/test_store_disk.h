/*
 * A disk that may lose power. It sees every call that changes a file (util/fault.h) and keeps of each file and
 * directory what was in it at its last fsync(2). From that and from what is there now it builds, as a copy, what POSIX
 * allows to be there after a power cut: what was synced is there, all else may be there, or not, or in parts.
 *
 * SQLite syncs its own files and is trusted: they are as they are now, in a directory that is there.
 */
#pragma once

#include "test_store_fixture.h"

#include <dirent.h>
#include <stdlib.h>

#include "util/fault.h"

enum { DISK_INODES_MAX = 512, DISK_ENTRIES_MAX = 64, DISK_BYTES_MAX = 1024 * 1024 };

/* What became of bytes that were written after the last sync. */
enum disk_bytes { DISK_LOST, DISK_KEPT, DISK_ZEROS, DISK_FIRST_HALF, DISK_SECOND_HALF };

/* What became of names that were made or removed after the last sync of their directory. */
enum disk_names { DISK_NAMES_LOST, DISK_NAMES_KEPT };

struct disk_inode {
    struct stat st;
    int fd; /* held, so that its number is not given to another file */
    char *bytes;
    size_t n_bytes;
    struct {
        char name[NAME_MAX + 1];
        struct disk_inode *inode;
    } * entries;
    size_t n_entries;
};

static struct {
    struct disk_inode inodes[DISK_INODES_MAX];
    size_t n;
    struct disk_inode *root;
} disk;

/* The record of what is open as `fd`, which it takes. */
static inline struct disk_inode *disk_inode(int fd)
{
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (size_t i = 0; i < disk.n; i++)
        if (disk.inodes[i].st.st_ino == st.st_ino && disk.inodes[i].st.st_dev == st.st_dev) {
            close(fd);
            return &disk.inodes[i];
        }
    assert_true(disk.n < DISK_INODES_MAX);
    disk.inodes[disk.n] = (struct disk_inode){ .st = st, .fd = fd };
    return &disk.inodes[disk.n++];
}

static inline int disk_open(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

typedef void disk_each(const char *name, struct disk_inode *inode, void *closure);

/* What is in a directory now. */
static inline void disk_list(const struct disk_inode *inode, disk_each *each, void *closure)
{
    DIR *dir = fdopendir(disk_open(inode->fd, "."));

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(entry->d_name, disk_inode(disk_open(inode->fd, entry->d_name)), closure);
    closedir(dir);
}

static inline void disk_keep_entry(const char *name, struct disk_inode *inode, void *closure)
{
    struct disk_inode *dir = closure;

    assert_true(dir->n_entries < DISK_ENTRIES_MAX);
    (void)text_copy(dir->entries[dir->n_entries].name, sizeof dir->entries[0].name, name);
    dir->entries[dir->n_entries++].inode = inode;
}

static inline char *disk_read(const struct disk_inode *inode, size_t *ret_n)
{
    char *bytes = malloc(DISK_BYTES_MAX);
    ssize_t n;

    assert_non_null(bytes);
    n = pread(inode->fd, bytes, DISK_BYTES_MAX, 0);
    assert_true(n >= 0 && n < DISK_BYTES_MAX);
    *ret_n = (size_t)n;
    return bytes;
}

/* It is synced: what is in it now stays. */
static inline void disk_sync(struct disk_inode *inode)
{
    if (S_ISDIR(inode->st.st_mode)) {
        if (!inode->entries)
            inode->entries = calloc(DISK_ENTRIES_MAX, sizeof *inode->entries);
        assert_non_null(inode->entries);
        inode->n_entries = 0;
        disk_list(inode, disk_keep_entry, inode);
    } else {
        free(inode->bytes);
        inode->bytes = disk_read(inode, &inode->n_bytes);
    }
}

static inline void disk_begin(const char *root)
{
    disk.root = disk_inode(disk_open(AT_FDCWD, root));
    disk_sync(disk.root);
}

static inline void disk_end(void)
{
    for (size_t i = 0; i < disk.n; i++) {
        close(disk.inodes[i].fd);
        free(disk.inodes[i].bytes);
        free(disk.inodes[i].entries);
    }
    memset(&disk, 0, sizeof disk);
}

/* ---- after a power cut ---- */

struct disk_cut {
    enum disk_bytes bytes;
    enum disk_names names;
    int to_fd; /* the directory that is being built */
};

static inline void disk_build_file(int fd, const struct disk_inode *inode, enum disk_bytes bytes)
{
    size_t n = 0;
    char *now = disk_read(inode, &n);
    size_t synced = inode->n_bytes < n ? inode->n_bytes : n;
    size_t middle = synced + (n - synced) / 2;

    if (bytes == DISK_LOST) {
        assert_int_equal(write(fd, inode->n_bytes ? inode->bytes : "", inode->n_bytes), inode->n_bytes);
    } else {
        if (bytes != DISK_KEPT && synced > 0)
            memcpy(now, inode->bytes, synced);
        if (bytes == DISK_ZEROS || bytes == DISK_SECOND_HALF)
            memset(now + synced, 0, middle - synced);
        if (bytes == DISK_ZEROS || bytes == DISK_FIRST_HALF)
            memset(now + middle, 0, n - middle);
        assert_int_equal(write(fd, now, n), n);
    }
    free(now);
}

static inline void disk_build_dir(const struct disk_inode *inode, struct disk_cut cut);

static inline void disk_build_entry(const char *name, struct disk_inode *inode, void *closure)
{
    struct disk_cut cut = *(struct disk_cut *)closure;
    bool is_sqlite = strncmp(name, "state.db", strlen("state.db")) == 0;
    int fd;

    if (S_ISDIR(inode->st.st_mode)) {
        assert_int_equal(mkdirat(cut.to_fd, name, 0700), 0);
        cut.to_fd = fd = openat(cut.to_fd, name, O_RDONLY | O_DIRECTORY);
        assert_true(fd >= 0);
        disk_build_dir(inode, cut);
    } else {
        fd = openat(cut.to_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        disk_build_file(fd, inode, is_sqlite ? DISK_KEPT : cut.bytes);
    }
    close(fd);
}

static inline void disk_build_sqlite(const char *name, struct disk_inode *inode, void *closure)
{
    if (strncmp(name, "state.db", strlen("state.db")) == 0)
        disk_build_entry(name, inode, closure);
}

static inline void disk_build_dir(const struct disk_inode *inode, struct disk_cut cut)
{
    if (cut.names == DISK_NAMES_KEPT) {
        disk_list(inode, disk_build_entry, &cut);
        return;
    }
    for (size_t i = 0; i < inode->n_entries; i++)
        disk_build_entry(inode->entries[i].name, inode->entries[i].inode, &cut);
    disk_list(inode, disk_build_sqlite, &cut);
}
