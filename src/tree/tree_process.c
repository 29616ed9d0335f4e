/*
 * What /proc tells about a process: who it is, and whether a close is the user's. Asks no filesystem but proc.
 */
#include "tree/tree_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "helper/helper.h"
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

/* Names of files are bytes, and we have cut them; who reads them in the audit wants text. */
static void make_text(char *name)
{
    if (text_is_utf8(name, strlen(name)))
        return;
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80)
            *name = '?';
}

struct caller process_caller(struct tree *tree, const struct caller *thread)
{
    static const char deleted[] = " (deleted)"; /* proc(5) */
    struct caller who = { .uid = thread->uid, .pid = process_group(thread->pid) };
    char exe[PATH_MAX];
    const char *slash = NULL;

    if (helper_executable(tree->config.helper, who.pid, exe, sizeof exe)) {
        if (text_has_suffix(exe, deleted))
            exe[strlen(exe) - (sizeof deleted - 1)] = '\0';
        slash = strrchr(exe, '/');
    }
    if (slash && slash[1])
        (void)text_copy(who.program, sizeof who.program, slash + 1); /* cut is fine */
    else
        process_comm(who.pid, who.program, sizeof who.program);
    make_text(who.program);
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
