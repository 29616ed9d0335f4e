/*
 * helper -- a process beside the daemon that does what the daemon gives up when it confines itself.
 *
 * It is forked before everything else, keeps the rights that we were started with, and does four things. It takes the
 * dead mount away when the daemon is gone, in order or by SIGKILL: the end of the connection is the end of the daemon,
 * so there is no message for it that could get lost. It looks into /proc/PID for the daemon, since Landlock closes
 * there what ptrace(2) may not touch. It opens the configuration file once more, that one and no other. And it makes
 * files in memory that the kernel may read in our place, which takes root; those that it made and no others.
 *
 * Units      waits in seconds: a call waits for the other process, for HELPER_WAIT_S at most.
 * Ownership  texts are borrowed for the call.
 * Errors     0 or a negative errno with err filled. A helper that died, or is late, knows nothing; one that hangs is
 *            waited for once, and asked again when it goes on.
 * Threads    one starts and frees it; any may ask.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/cleanup.h"
#include "util/err.h"

enum { HELPER_IS_CHILD = 1 };
enum { HELPER_WAIT_S = 1 };

struct helper;

/* Forks it. HELPER_IS_CHILD: we are it; wipe what it must not know, then helper_serve(). `config_file` is borrowed; "":
 * there is none. */
CHECKED int helper_new(const char *config_file, struct helper **ret_helper, struct err *err);

/* Answers until the daemon is gone, takes its mount away if that is left behind, and ends the process. */
_Noreturn void helper_serve(struct helper *helper);

/* Ends the connection and waits until the helper is done. The mount must be dead by then, or it stays. NULL is fine. */
void helper_end(struct helper *helper);
void helper_free(struct helper *helper); /* ends it too */
DEFINE_CLEANUP(struct helper *, helper_free)

/* A mount of ours that is dead at the end is to be taken away from this absolute path, which has none now. */
CHECKED int helper_keep(struct helper *helper, const char *mountpoint, struct err *err);

/* True unless it is sure that the process has no other descriptor of inode `ino`, last known as `name`: a shell that
 * dup'd it is not done. Also true when the helper does not answer: who waits for the last descriptor waits too long
 * then, and never too short. `helper` may be NULL here and below: then we look ourselves. */
bool helper_has_open(struct helper *helper, pid_t pid, const char *name, uint64_t ino);

/* The path of the process's executable, as /proc/PID/exe tells it. */
bool helper_executable(struct helper *helper, pid_t pid, char *ret_path, size_t room);

/* The configuration file as it is now, open for reading; *ret_fd is -1 when it does not exist. */
CHECKED int helper_open_config(struct helper *helper, int *ret_fd, struct err *err);

/*
 * FUSE passthrough: helper_open_memory() gives a new, empty file in memory that is never swapped out, open for writing;
 * once it is filled helper_show_memory() lets the kernel read it, and only the last one that was given. `fuse` is
 * /dev/fuse. What is shown stays in memory until helper_hide_memory(), or until the mount is gone. EPIPE: no answer in
 * time, and it may have been done or not.
 */
CHECKED int helper_open_memory(struct helper *helper, int *ret_fd, struct err *err);
CHECKED int helper_show_memory(struct helper *helper, int fuse, int *ret_id, struct err *err);
CHECKED int helper_hide_memory(struct helper *helper, int fuse, int id, struct err *err);

/* ---- helper_mount.c ---- */

/* True when the topmost mount at this absolute path is one of ours. */
bool helper_mount_is_ours(const char *path);

/* True when nobody serves the filesystem that is mounted there any more. */
bool helper_mount_is_dead(const char *path);

/* Unmounts lazily: as root directly, as anybody else through the setuid program, which only they may. */
CHECKED int helper_mount_detach(const char *path, struct err *err);
