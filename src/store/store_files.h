/*
 * store_files -- directories, whole reads and writes, and lock files, as the rest of the layer needs them. Internal.
 *
 * Lock files obey one protocol, which makes removing them safe: only who holds the lock of an inode removes its name,
 * and who got a lock checks that the name still leads to the locked inode, else starts again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

enum store_files_wait { STORE_FILES_WAIT, STORE_FILES_TRY };

/* Opens a directory and makes it, parents too, when missing, each synced into its parent; 0700 in any case. */
CHECKED int store_files_make_path(const char *path, int *ret_fd, struct err *err);

/* Opens `name` below a directory, made (0700) and synced into its parent when missing. */
CHECKED int store_files_make_dir(int parent_fd, const char *name, int *ret_fd, struct err *err);

CHECKED int store_files_pwrite(int fd, const void *data, size_t n, int64_t offset, struct err *err);

/* Bytes read: fewer than `n` only at the end of the file. */
CHECKED int store_files_pread(int fd, void *to, size_t n, int64_t offset, size_t *ret_n, struct err *err);

/* What is locked of a file; a lock of one kind does not meet one of the other. */
enum store_files_part { STORE_FILES_FIRST, STORE_FILES_SECOND };

/* An exclusive OFD lock of the whole file. STORE_BUSY: somebody else has it (only with STORE_FILES_TRY). */
CHECKED int store_files_lock(int fd, enum store_files_wait wait, struct err *err);

/* A shared lock, which excludes those above. */
CHECKED int store_files_share(int fd, enum store_files_wait wait, struct err *err);

void store_files_unlock(int fd);

/* Exclusive or shared (is_shared), of one part of a file that nobody locks as a whole. */
CHECKED int store_files_lock_part(int fd, enum store_files_part part, bool is_shared, enum store_files_wait wait,
                                  struct err *err);

/* True when `name` leads to the file that is open as `fd`. */
bool store_files_is_at(int fd, int dir_fd, const char *name);

/* Makes a file of a new name, "<stem>-<random>", and locks it: who sweeps leaves it alone as long as it is open. */
enum { STORE_FILES_NAME_MAX = 63 };
struct store_files_name {
    char s[STORE_FILES_NAME_MAX + 1];
};
CHECKED int store_files_begin(int dir_fd, const char *stem, struct store_files_name *ret_name, int *ret_fd,
                              struct err *err);

/* Removes every file that was begun with this stem ("": every file) and that nobody has locked. */
void store_files_sweep(int dir_fd, const char *stem);

/* Writes a small file in one step: whoever looks sees all of it or what was there before. With STORE_FILES_KEEP what is
 * there stays, and that is no error. What a death in between leaves is begun with STORE_FILES_PUT. */
#define STORE_FILES_PUT "put"
enum store_files_put { STORE_FILES_REPLACE, STORE_FILES_KEEP };
CHECKED int store_files_put(int dir_fd, const char *name, const void *data, size_t n, enum store_files_put how,
                            struct err *err);

/* Nanoseconds since the epoch, as files note them. */
enum { STORE_FILES_S_NS = 1000 * 1000 * 1000 };
int64_t store_files_now_ns(void);

enum { STORE_FILES_RANDOM_TEXT = 16 };
struct store_files_random {
    char s[STORE_FILES_RANDOM_TEXT + 1];
};

/* Hex digits that nobody else draws. */
CHECKED int store_files_random(struct store_files_random *ret_text, struct err *err);
