#include "helper/helper.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

/* proc(5), mountinfo: field 5 is the place, after " - " comes the type. */
bool helper_mount_is_ours(const char *path)
{
    char line[PATH_MAX + 512];
    char place[PATH_MAX];
    char type[64];
    bool ours = false;
    cleanup_(fclosep) FILE *file = fopen("/proc/self/mountinfo", "re");

    while (file && fgets(line, sizeof line, file)) {
        const char *dash = strstr(line, " - ");

        if (dash && sscanf(line, "%*d %*d %*s %*s %4095s", place) == 1 && strcmp(place, path) == 0 &&
            sscanf(dash, " - %63s", type) == 1)
            ours = strcmp(type, "fuse.malqueryfs") == 0;
    }
    return ours;
}

/* statfs() always asks; stat() could be answered from what the kernel remembers. */
bool helper_mount_is_dead(const char *path)
{
    struct statfs st;

    return statfs(path, &st) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

int helper_mount_detach(const char *path, struct err *err)
{
    char program[] = "fusermount3";
    char minus_uz[] = "-uz";
    char end_of_options[] = "--";
    char *argv[] = { program, minus_uz, end_of_options, strdupa(path), NULL };
    pid_t pid;
    int status = 0;

    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    if (errno != EPERM || posix_spawnp(&pid, program, NULL, NULL, argv, environ) != 0)
        return err_sys(err, "the mount on '%s' cannot be taken away", path);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return err_set(err, EPERM, "fusermount3 cannot take away the mount on '%s'", path);
    return 0;
}
