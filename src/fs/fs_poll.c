/*
 * poll(2). Each open file that somebody polls has at most one handle of the kernel's here, the newest; it is used up by
 * one notification, after which the kernel asks again. Who polls edge-triggered does not ask again before the next
 * notification, so the handle is kept also when the answer was "now".
 */
#include "fs/fs_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct poller {
    struct list link; /* in fs->pollers */
    struct handle *handle;
    struct fuse_pollhandle *ph; /* owned */
};

static const unsigned ready_events[] = {
    [TREE_READY_ALWAYS] = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM, /* what the kernel says of regular files */
    [TREE_READY_NOW] = POLLIN | POLLRDNORM,
    [TREE_READY_LATER] = 0,
};

static void poller_free(struct poller *poller)
{
    fuse_pollhandle_destroy(poller->ph);
    free(poller);
}

static struct poller *find_locked(struct fs *fs, const struct handle *handle) REQUIRES(&fs->lock)
{
    list_for_each (link, &fs->pollers) {
        struct poller *poller = container_of(link, struct poller, link);

        if (poller->handle == handle)
            return poller;
    }
    return NULL;
}

static void remove_locked(struct fs *fs, struct poller *poller) REQUIRES(&fs->lock)
{
    list_remove(&poller->link);
    fs->n_pollers--;
}

/* Takes over `fresh`; an errno when it cannot be kept. */
static int keep(struct fs *fs, struct poller *fresh)
{
    struct poller *old;
    bool is_full;

    lock_acquire(&fs->lock);
    old = find_locked(fs, fresh->handle);
    if (old)
        remove_locked(fs, old);
    is_full = fs->n_pollers >= FS_POLLERS_MAX;
    if (!is_full) {
        list_add_tail(&fs->pollers, &fresh->link);
        fs->n_pollers++;
    }
    lock_release(&fs->lock);
    if (old)
        poller_free(old);
    if (is_full)
        poller_free(fresh);
    return is_full ? EBUSY : 0;
}

/* Keeps `ph`, which it takes over, until something changes. */
static int wait_for_change(struct fs *fs, struct handle *handle, struct fuse_pollhandle *ph)
{
    struct poller *poller = calloc(1, sizeof *poller);

    if (!poller) {
        fuse_pollhandle_destroy(ph);
        return ENOMEM;
    }
    list_init(&poller->link);
    poller->handle = handle;
    poller->ph = ph;
    return keep(fs, poller);
}

/* `ph` is NULL when the caller will not wait. */
void fs_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
    struct fs *fs = fuse_req_userdata(req);
    struct handle *handle = (struct handle *)(uintptr_t)fi->fh;
    int code = 0;

    if (ph && tree_poll(fs->tree, handle) != TREE_READY_ALWAYS)
        code = wait_for_change(fs, handle, ph);
    else if (ph)
        fuse_pollhandle_destroy(ph);
    if (code) {
        fs_reply_code(req, "poll", ino, code);
        return;
    }
    /* Looked at once more: what came after the first look and before the handle was kept has woken nobody. */
    (void)fuse_reply_poll(req, ready_events[tree_poll(fs->tree, handle)]); /* fails only when the caller is gone */
}

void fs_poll_changed(struct fs *fs)
{
    struct list due;

    list_init(&due);
    lock_acquire(&fs->lock);
    list_for_each (link, &fs->pollers) {
        struct poller *poller = container_of(link, struct poller, link);

        if (tree_poll(fs->tree, poller->handle) == TREE_READY_LATER)
            continue;
        remove_locked(fs, poller);
        list_add_tail(&due, link);
    }
    lock_release(&fs->lock);
    list_for_each (link, &due) {
        struct poller *poller = container_of(link, struct poller, link);

        (void)fuse_lowlevel_notify_poll(poller->ph); /* fails only when the file was closed meanwhile */
        poller_free(poller);
    }
}

void fs_poll_forget(struct fs *fs, const struct handle *handle)
{
    struct poller *poller;

    lock_acquire(&fs->lock);
    poller = find_locked(fs, handle);
    if (poller)
        remove_locked(fs, poller);
    lock_release(&fs->lock);
    if (poller)
        poller_free(poller);
}

void fs_poll_stop(struct fs *fs)
{
    struct list pollers;

    list_init(&pollers);
    lock_acquire(&fs->lock);
    list_for_each (link, &fs->pollers) {
        remove_locked(fs, container_of(link, struct poller, link));
        list_add_tail(&pollers, link);
    }
    lock_release(&fs->lock);
    list_for_each (link, &pollers)
        poller_free(container_of(link, struct poller, link));
}
