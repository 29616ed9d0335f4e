#include "fs/fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "helper/helper.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/log.h"

enum { SESSION_ARGS_MAX = 8, FS_LIBFUSE_PAUSE_MS = 10 * 1000 };

/* What every mount of ours has: live malware is behind it. */
static const char base_options[] =
    "default_permissions,noexec,nosuid,nodev,noatime,fsname=malqueryfs,subtype=malqueryfs,max_read=1048576";

/* The absolute path of what may be a dead mount, which realpath() cannot look into: that of its parent and its name. */
static int absolute(const char *given, char *ret_path, struct err *err)
{
    cleanup_(freep) char *copy = strdup(given);
    cleanup_(freep) char *copy_too = strdup(given);
    cleanup_(freep) char *parent = NULL;

    if (!copy || !copy_too)
        return err_set(err, ENOMEM, "no memory for a path");
    parent = realpath(dirname(copy), NULL);
    if (!parent)
        return err_sys(err, "mountpoint '%s'", given);
    if (snprintf(ret_path, PATH_MAX, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, basename(copy_too)) >= PATH_MAX)
        return err_set(err, ENAMETOOLONG, "mountpoint '%s': the path is too long", given);
    return 0;
}

/* A mount of ours whose process died answers ENOTCONN: take it away, then go on. Leaves the absolute path in
 * fs->mountpoint. What is mounted there is asked only when it is ours: to look into an automount is to wait for the
 * very mount that we are about to make. */
static int clear_stale(struct fs *fs, struct err *err)
{
    const char *given = fs->config.mountpoint;
    struct stat st;
    int r = absolute(given, fs->mountpoint, err);

    if (r < 0)
        return r;
    if (helper_mount_is_ours(fs->mountpoint) && helper_mount_is_dead(fs->mountpoint)) {
        log_event(LOG_LEVEL_INFO, "replacing a stale mount", LOG_TEXT(LOG_NODE, fs->mountpoint));
        r = helper_mount_detach(fs->mountpoint, err);
        if (r < 0)
            return r;
    }
    if (!realpath(given, fs->mountpoint) || stat(fs->mountpoint, &st) < 0)
        return errno == ENOENT ? err_set(err, ENOENT, "mountpoint '%s' does not exist; run: mkdir '%s'", given, given)
                               : err_sys(err, "mountpoint '%s'", given);
    if (helper_mount_is_ours(fs->mountpoint))
        return err_set(err, EBUSY, "'%s' is a mount of malqueryfs already; to end it: fusermount3 -u '%s'", given,
                       given);
    return S_ISDIR(st.st_mode)
               ? 0
               : err_set(err, ENOTDIR, "mountpoint '%s' is not a directory: give one that exists", given);
}

static int open_session(struct fs *fs, const char *options, struct err *err)
{
    char program[] = "malqueryfs";
    char minus_o[] = "-o";
    char minus_d[] = "-d";
    cleanup_(freep) char *copy = strdup(options);
    char *argv[SESSION_ARGS_MAX] = { program, minus_o, copy, fs->config.debug ? minus_d : NULL, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(fs->config.debug ? 4 : 3, argv);

    if (!copy)
        return err_set(err, ENOMEM, "no memory for the mount options");
    fs->session = fuse_session_new(&args, &fs_ops, sizeof fs_ops, fs);
    fuse_opt_free_args(&args);
    if (!fs->session)
        return err_set(err, EINVAL, "libfuse refuses the mount options '%s'", options);
    return 0;
}

static int mount_at(struct fs *fs, struct err *err)
{
    struct buf options = BUF_INIT(FS_MOUNT_OPTIONS_MAX);
    int r;

    buf_puts(&options, base_options);
    if (*fs->config.mount_options)
        buf_printf(&options, ",%s", fs->config.mount_options);
    r = buf_check(&options, err, "the mount options");
    if (r == 0)
        r = open_session(fs, buf_text(&options), err);
    buf_done(&options);
    if (r < 0)
        return r;
    if (fuse_session_mount(fs->session, fs->mountpoint) != 0)
        return err_set(err, EIO,
                       "cannot mount on '%s': libfuse says why above; malqueryfs --check looks for what is missing",
                       fs->mountpoint);
    fs->is_mounted = true;
    return 0;
}

int fs_new(const struct fs_config *config, struct fs **ret_fs, struct err *err)
{
    cleanup_(fs_freep) struct fs *fs = calloc(1, sizeof *fs);
    int r;

    if (!fs)
        return err_set(err, ENOMEM, "no memory for the filesystem");
    fs->config = *config;
    fs->tree = config->tree;
    fs->uid = getuid();
    fs->gid = getgid();
    lock_init(&fs->lock, LOCK_FS_PARK);
    lock_init(&fs->buffers.lock, LOCK_FS_BUFFERS);
    fs_backing_init(fs);
    list_init(&fs->jobs);
    list_init(&fs->watchers);
    list_init(&fs->pollers);
    for (int lane = 0; lane < N_LANES; lane++) {
        list_init(&fs->queued[lane]);
        cond_init(&fs->work[lane]);
    }
    r = fs_signal_block(err);
    if (r == 0)
        r = clear_stale(fs, err);
    if (r == 0)
        r = helper_keep(fs->config.helper, fs->mountpoint, err); /* first: we may be killed right after mounting */
    if (r == 0)
        r = mount_at(fs, err);
    if (r < 0)
        return r;
    *ret_fs = steal_ptr(&fs);
    return 0;
}

/* What libfuse has to say goes where everything goes. It says for each request that there is no thread more, so it is
 * heard now and then only. It knows no closure, hence the one static. */
PRINTF(2, 0) static void log_libfuse(enum fuse_log_level level, const char *fmt, va_list words)
{
    static _Atomic int64_t next_ms = 0;
    char text[ERR_TEXT_MAX];
    int64_t now_ms = clock_mono_ms();
    int64_t due_ms = next_ms;

    if (now_ms < due_ms || !atomic_compare_exchange_strong(&next_ms, &due_ms, now_ms + FS_LIBFUSE_PAUSE_MS))
        return;
    (void)vsnprintf(text, sizeof text, fmt, words); /* cut is fine */
    text[strcspn(text, "\n")] = '\0';
    log_event(level <= FUSE_LOG_WARNING ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, text, LOG_TEXT(LOG_OP, "libfuse"));
}

static int serve(struct fs *fs, struct err *err)
{
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    int r;

    if (!loop)
        return err_set(err, ENOMEM, "no memory for the session");
    fuse_loop_cfg_set_max_threads(loop, FS_WORKERS);
    fuse_loop_cfg_set_clone_fd(loop, 0);
    if (!fs->config.debug) /* else every operation is a line of its own */
        fuse_set_log_func(log_libfuse);
    r = fuse_session_loop_mt(fs->session, loop);
    fuse_loop_cfg_destroy(loop);
    return r < 0 ? err_set(err, -r, "the session ended: %s", strerrordesc_np(-r)) : 0;
}

int fs_run(struct fs *fs, struct err *err)
{
    int r = fs_signal_start(fs, err);

    if (r == 0)
        r = fs_park_start(fs, err);
    if (r == 0)
        r = fs_backing_start(fs, err);
    if (r == 0)
        r = serve(fs, err);
    fs_signal_stop(fs);
    fs_backing_stop(fs);
    fs_park_stop(fs);
    fs_poll_stop(fs);
    return r;
}

/* Closes /dev/fuse: what is still mounted is dead then, and the helper takes it away. What stands in the descriptor's
 * place looks to libfuse like the connection of a mount that is gone, so it does not try what we may not any more. */
static void end_connection(struct fs *fs)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) == 0) {
        close(fds[0]);
        (void)dup2(fds[1], fuse_session_fd(fs->session)); /* two open descriptors: cannot fail */
        close(fds[1]);
    }
    fuse_session_unmount(fs->session);
}

void fs_free(struct fs *fs)
{
    if (!fs)
        return;
    if (fs->is_mounted) {
        end_connection(fs);
        helper_end(fs->config.helper);
    }
    if (fs->session)
        fuse_session_destroy(fs->session);
    (void)alarm(0); /* in time */
    while (fs->buffers.n > 0)
        free(fs->buffers.idle[--fs->buffers.n]);
    for (int lane = 0; lane < N_LANES; lane++)
        cond_done(&fs->work[lane]);
    fs_backing_done(fs);
    lock_done(&fs->buffers.lock);
    lock_done(&fs->lock);
    free(fs);
}
