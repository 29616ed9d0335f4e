#include "tree/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "helper/helper.h"
#include "util/clock.h"
#include "util/text.h"

int tree_create(struct tree *tree, uint64_t parent, const char *name, int flags, const struct caller *who,
                struct tree_attr *ret_attr, struct handle **ret_handle, struct err *err)
{
    struct tree_open opened;
    struct need need = { 0 };
    struct spool *spool = NULL;
    const struct user_dir *user;
    enum store_dir dir;
    int r = user_dir_of(tree, parent, &user, err);

    if (r < 0)
        return r;
    if (strlen(name) > TREE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a name of more than %d bytes", TREE_NAME_MAX);
    dir = user->dir;
    r = spool_may_create(tree, dir, name, err);
    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (spool && !spool->is_gone && (flags & O_EXCL))
        r = err_set(err, EEXIST, "'%s' exists", name);
    lock_release(&tree->lock);
    if (r == 0)
        r = spool_take(tree, dir, name, NULL, 0, flags & O_TRUNC, &spool, err);
    if (r != 0)
        return r;
    ret_attr->ino = 0;
    r = tree_lookup(tree, parent, name, ret_attr, err);
    if (r == 0)
        r = tree_open(tree, ret_attr->ino, flags & ~O_TRUNC, who, ret_handle, &opened, &need, err);
    if (r == TREE_NEED)
        r = err_set(err, EIO, "a user's file that is not at hand");
    if (r < 0 && ret_attr->ino)
        tree_forget(tree, ret_attr->ino, 1);
    lock_acquire(&tree->lock);
    spool->n_open--; /* the handle has its own count */
    spool_drop_locked(tree, spool);
    lock_release(&tree->lock);
    return r;
}

/* One write is one command, so that its verdict is what write() says: a shell reports that, but not a failed close. */
static int command(struct tree *tree, const struct handle *handle, const void *from, size_t n, struct need *ret_need,
                   struct err *err)
{
    cleanup_(buf_done) struct buf words = BUF_INIT(TREE_COMMAND_MAX);
    int r;

    if (memchr(from, '\0', n))
        return err_set(err, EINVAL, "a NUL byte is no word");
    buf_append(&words, from, n);
    r = buf_check(&words, err, "the command");
    return r < 0 ? r : handle->spec->ops->command(tree, handle, words.data, ret_need, err);
}

int tree_write(struct tree *tree, struct handle *handle, int64_t offset, const void *from, size_t n,
               struct need *ret_need, struct err *err)
{
    struct spool *spool = handle->spool;
    size_t end;
    int r = 0;

    if (handle->may_write && handle->spec->ops->command && n > 0)
        return command(tree, handle, from, n, ret_need, err);
    if (!spool || !handle->may_write)
        return err_set(err, EBADF, "not open for writing");
    lock_acquire(&tree->lock);
    spool_writing_locked(handle, true); /* who inherited it may go on after its owner has closed it */
    if (handle->is_append)
        offset = (int64_t)spool->text.n;
    if (offset < 0 || __builtin_add_overflow((size_t)offset, n, &end) || end > spool->text.max) {
        r = err_set(err, EFBIG, "more than %zu bytes", spool->text.max);
        spool->is_broken = true;
    } else {
        if (end > spool->text.n)
            buf_resize(&spool->text, end);
        r = buf_check(&spool->text, err, "the file");
        if (r == 0 && n > 0)
            memcpy(spool->text.data + offset, from, n);
        spool->is_broken |= r < 0;
        spool->is_dirty = true;
        spool->mtime_s = clock_now_s();
    }
    lock_release(&tree->lock);
    return r;
}

static int truncate_spool(struct tree *tree, struct spool *spool, int64_t size, struct err *err)
{
    int r;

    lock_acquire(&tree->lock);
    if (size < 0 || (size_t)size > spool->text.max) {
        r = err_set(err, EFBIG, "more than %zu bytes", spool->text.max);
    } else {
        buf_resize(&spool->text, (size_t)size);
        r = buf_check(&spool->text, err, "the file");
        spool->is_broken = r < 0 || (spool->is_broken && size > 0);
        spool->is_dirty = true;
        spool->mtime_s = clock_now_s();
    }
    lock_release(&tree->lock);
    return r;
}

int tree_is_writable(struct tree *tree, uint64_t ino, struct err *err)
{
    const struct node_spec *spec;
    struct subject subject;

    if (!node_copy(tree, ino, &spec, &subject))
        return err_set(err, ESTALE, "unknown inode");
    return spec->mode & S_IWUSR ? 0 : err_set(err, EROFS, "this cannot be changed");
}

static bool takes_commands(struct tree *tree, uint64_t ino)
{
    const struct node_spec *spec;
    struct subject subject;

    return node_copy(tree, ino, &spec, &subject) && spec->ops && spec->ops->command;
}

int tree_truncate(struct tree *tree, uint64_t ino, struct handle *handle, int64_t size, const struct caller *who,
                  struct need *ret_need, struct err *err)
{
    struct handle *opened = NULL;
    struct err ignored = { 0 };
    struct tree_open how;
    int r = tree_is_writable(tree, ino, err);

    if (r < 0 || (handle && handle->spool))
        return r < 0 ? r : truncate_spool(tree, handle->spool, size, err);
    if (takes_commands(tree, ino))
        return 0; /* `echo run > ctl` begins so */
    r = tree_open(tree, ino, O_WRONLY, who, &opened, &how, ret_need, err);
    if (r != 0)
        return r < 0 ? r : err_set(err, EIO, "a user's file that is not at hand");
    r = truncate_spool(tree, opened->spool, size, err);
    if (r < 0)
        (void)tree_release(tree, opened, ret_need, &ignored); /* the first error counts */
    else
        r = tree_release(tree, opened, ret_need, err);
    return r;
}

/* An empty file is never sent; empty defaults are the built-in ones again. */
static bool is_to_commit(const struct spool *spool)
{
    struct user_name name;
    enum user_name_kind kind = user_name(spool->dir, spool->name, &name);

    return spool->is_dirty && spool->is_linked && (kind == NAME_DEFAULTS || (kind == NAME_FINAL && spool->text.n > 0));
}

/* Takes a dirty text that is for the disk out of its spool. Returns 1 when there is one, -EFBIG when it is a part. */
static int take_text(struct tree *tree, struct spool *spool, char *ret_name, struct buf *ret_text,
                     int64_t *ret_changed_s, struct err *err)
{
    int r = 0;

    lock_acquire(&tree->lock);
    if (is_to_commit(spool)) {
        if (spool->is_broken)
            r = err_set(err, EFBIG, "'%s' was not written whole: nothing is sent", spool->name);
        else
            r = 1;
        (void)text_copy(ret_name, TREE_NAME_MAX + 1, spool->name); /* same size */
        buf_append(ret_text, buf_text(&spool->text), spool->text.n);
        *ret_changed_s = spool->mtime_s;
        spool->is_dirty = r < 0;
    }
    lock_release(&tree->lock);
    return r;
}

/*
 * Is this the close that submits? Not that of a child which inherited the descriptor, nor one of several descriptors:
 * the text may be half written, and the last close decides (`pid` is 0 then).
 */
static bool is_the_close(const struct tree *tree, const struct handle *handle, pid_t pid)
{
    if (pid == 0)
        return true;
    return process_group(pid) == handle->opener.pid &&
           !helper_has_open(tree->config.helper, handle->opener.pid, handle->spool->name, handle->ino);
}

int tree_flush(struct tree *tree, struct handle *handle, pid_t pid, struct need *ret_need, struct err *err)
{
    struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct written written = { .text = &text, .who = &handle->opener };
    char name[TREE_NAME_MAX + 1];
    int taken;
    int r = 0;

    if (!handle->spool || !handle->may_write || !is_the_close(tree, handle, pid))
        return 0;
    lock_acquire(&tree->lock);
    spool_writing_locked(handle, false);
    lock_release(&tree->lock);
    taken = take_text(tree, handle->spool, name, &text, &written.changed_s, err);
    if (taken > 0) {
        written.is_draft = process_is_killed(pid);
        r = buf_check(&text, err, "the file");
        if (r == 0)
            r = spool_commit(tree, handle->spool->dir, name, &written, ret_need, err);
    } else if (pid) { /* at the last close whoever wrote a part has been told */
        r = taken;
    }
    if (taken > 0 && r < 0 && r != -EINVAL) {
        lock_acquire(&tree->lock);
        handle->spool->is_dirty = true; /* not on disk: the next close tries again */
        lock_release(&tree->lock);
    }
    buf_done(&text);
    return r;
}
