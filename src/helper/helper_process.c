/*
 * What /proc tells only those who may ptrace a process: its descriptors and its executable. Asks no filesystem but
 * proc.
 */
#include "helper/helper_internal.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The inode number of a descriptor as fdinfo tells it (proc(5), since Linux 5.14); asks no filesystem. */
static bool is_descriptor_of(pid_t pid, const char *number, uint64_t ino)
{
    char path[64];
    char line[128];
    unsigned long long found;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/fdinfo/%.16s", (int)pid, number); /* fits */
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "ino: %llu", &found) == 1)
            return found == ino;
    return false;
}

bool helper_process_has_open(pid_t pid, const char *name, uint64_t ino)
{
    enum { DESCRIPTORS_MAX = 4096 };
    char path[64];
    char target[PATH_MAX];
    const struct dirent *entry;
    bool found = false;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid); /* fits */
    dir = pid > 0 ? opendir(path) : NULL;
    for (int i = 0; dir && !found && i < DESCRIPTORS_MAX && (entry = readdir(dir)); i++) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1); /* asks no filesystem */
        const char *slash;

        target[n > 0 ? n : 0] = '\0';
        slash = strrchr(target, '/');
        found = slash && strcmp(slash + 1, name) == 0 && is_descriptor_of(pid, entry->d_name, ino);
    }
    if (dir)
        (void)closedir(dir); /* a stream of ours: cannot fail */
    return found;
}

bool helper_process_executable(pid_t pid, char *ret_path, size_t room)
{
    char link[64];
    char target[PATH_MAX];
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/%d/exe", (int)pid); /* fits */
    n = pid > 0 ? readlink(link, target, sizeof target) : -1;
    if (n <= 0 || (size_t)n >= room || (size_t)n >= sizeof target)
        return false;
    memcpy(ret_path, target, (size_t)n);
    ret_path[n] = '\0';
    return true;
}
