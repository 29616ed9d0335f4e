/*
 * What /proc tells about a process that closes a file: whether the close is the user's. Asks no filesystem but proc.
 */
#include "tree/tree_internal.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/text.h"

pid_t process_group(pid_t pid)
{
    char path[64];
    char line[128];
    int tgid = pid;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid); /* fits */
    file = pid > 0 ? fopen(path, "re") : NULL;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &tgid) == 1)
            break;
    return tgid;
}

void process_comm(pid_t pid, char *ret_name, size_t room)
{
    char path[64];
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid); /* fits */
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file || !fgets(ret_name, (int)room, file))
        ret_name[0] = '\0';
    ret_name[strcspn(ret_name, "\n")] = '\0';
}

struct caller process_caller(const struct caller *thread)
{
    static const char deleted[] = " (deleted)"; /* proc(5) */
    struct caller who = { .uid = thread->uid, .pid = process_group(thread->pid) };
    char path[64];
    char exe[PATH_MAX];
    const char *slash;
    ssize_t n;

    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)who.pid); /* fits */
    n = who.pid > 0 ? readlink(path, exe, sizeof exe - 1) : -1;      /* asks no filesystem; others' need a privilege */
    exe[n > 0 ? n : 0] = '\0';
    if (text_has_suffix(exe, deleted))
        exe[(size_t)n - (sizeof deleted - 1)] = '\0';
    slash = strrchr(exe, '/');
    if (slash && slash[1])
        (void)text_copy(who.program, sizeof who.program, slash + 1); /* cut is fine */
    else
        process_comm(who.pid, who.program, sizeof who.program);
    return who;
}

bool process_is_killed(pid_t pid)
{
    enum { PF_SIGNALED = 0x400 };
    char path[64];
    char line[1024];
    unsigned long flags = 0;
    const char *after_name;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid); /* fits */
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file || !fgets(line, sizeof line, file))
        return false;
    after_name = strrchr(line, ')'); /* field 2 may hold anything */
    return after_name && sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 && (flags & PF_SIGNALED);
}

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

bool process_has_open(pid_t pid, const char *name, uint64_t ino)
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
