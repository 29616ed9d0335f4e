/*
 * helper_internal -- what the helper does on its side: the looks into /proc, by whoever may, and files in memory.
 */
#pragma once

#include "helper/helper.h"

bool helper_process_has_open(pid_t pid, const char *name, uint64_t ino);
bool helper_process_executable(pid_t pid, char *ret_path, size_t room);

/* ---- helper_memory.c; each returns 0 or an errno ---- */
struct helper_memory {
    int place; /* the filesystem, -1 until it is needed */
    int file;  /* the last file that was made and not shown yet, or -1 */
};

/* Another descriptor of a new file, which takes the place of the last one. */
int helper_memory_open(struct helper_memory *memory, int *ret_fd);

/* The kernel may read the last file on behalf of the filesystem behind `fuse`, and knows it by *ret_id. */
int helper_memory_show(struct helper_memory *memory, int fuse, int *ret_id);
int helper_memory_hide(int fuse, int id);
