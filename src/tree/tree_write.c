#include "tree/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/clock.h"
#include "util/text.h"

/* The row of a user's file by its name, and its subject. */
static const struct node_spec *file_row(enum store_dir dir, const char *name, const struct node_spec *in_dir,
                                        struct subject *ret_subject)
{
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    const struct node_ops *ops = spool_is_final(name, base, &suffix) ? &file_rule : &file_scratch;

    *ret_subject = (struct subject){ .kind = SUBJECT_FILE, .dir = dir };
    (void)text_copy(ret_subject->text, sizeof ret_subject->text, name); /* same limit */
    for (size_t i = 0; i < in_dir->n_children; i++)
        if (in_dir->children[i].ops == ops)
            return &in_dir->children[i];
    return NULL;
}

int tree_create(struct tree *tree, uint64_t parent, const char *name, int flags, pid_t pid, struct tree_attr *ret_attr,
                struct handle **ret_handle, struct err *err)
{
    const struct node_spec *spec;
    struct subject subject;
    struct tree_open opened;
    struct need need = { 0 };
    struct spool *spool = NULL;
    enum store_dir dir;
    int r = spool_dir(tree, parent, &dir, err);

    if (r < 0)
        return r;
    if (strlen(name) > TREE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a name of more than %d bytes", TREE_NAME_MAX);
    r = spool_may_create(tree, dir, name, err);
    if (r < 0)
        return r;
    (void)node_copy(tree, parent, &spec, &subject); /* spool_dir() has just seen it */
    spec = file_row(dir, name, spec, &subject);
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (spool && !spool->is_gone && (flags & O_EXCL))
        r = err_set(err, EEXIST, "'%s' exists", name);
    lock_release(&tree->lock);
    if (r == 0)
        r = spool_take(tree, dir, name, NULL, flags & O_TRUNC, &spool, err);
    if (r < 0)
        return r;
    r = tree_lookup(tree, parent, name, ret_attr, err);
    if (r == 0)
        r = tree_open(tree, ret_attr->ino, flags & ~O_TRUNC, pid, ret_handle, &opened, &need, err);
    lock_acquire(&tree->lock);
    spool->n_open--; /* the handle has its own count */
    spool_drop_locked(tree, spool);
    lock_release(&tree->lock);
    return r;
}

int tree_write(struct tree *tree, struct handle *handle, int64_t offset, const void *from, size_t n, struct err *err)
{
    struct spool *spool = handle->spool;
    size_t end;
    int r = 0;

    if (!spool || !handle->may_write)
        return err_set(err, EBADF, "not open for writing");
    lock_acquire(&tree->lock);
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

int tree_truncate(struct tree *tree, uint64_t ino, struct handle *handle, int64_t size, struct err *err)
{
    struct need need = { 0 };
    struct handle *opened = NULL;
    struct tree_open how;
    int r = tree_is_writable(tree, ino, err);

    if (r < 0 || (handle && handle->spool))
        return r < 0 ? r : truncate_spool(tree, handle->spool, size, err);
    r = tree_open(tree, ino, O_WRONLY, 0, &opened, &how, &need, err);
    if (r != 0)
        return r < 0 ? r : err_set(err, EIO, "a user's file that is not at hand");
    r = truncate_spool(tree, opened->spool, size, err);
    if (size == 0 && r == 0)
        opened->spool->is_dirty = false; /* `: > x.yar`: an empty file is never sent */
    if (r < 0)
        (void)tree_release(tree, opened, &need, NULL); /* the first error counts */
    else
        r = tree_release(tree, opened, &need, err);
    return r == TREE_NEED ? 0 : r; /* the poller sends what is queued */
}

int tree_flush(struct tree *tree, struct handle *handle, pid_t pid, struct need *ret_need, struct err *err)
{
    struct spool *spool = handle->spool;
    struct buf text = BUF_INIT(QUERY_RULE_MAX);
    char name[TREE_NAME_MAX + 1];
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    bool commit;
    bool is_broken;
    int r;

    if (!spool || !handle->may_write)
        return 0;
    if (handle->opener && spool_thread_group(pid) != handle->opener)
        return 0; /* a child that inherited the descriptor: the text may be half written */
    lock_acquire(&tree->lock);
    is_broken = spool->is_dirty && spool->is_broken;
    commit = !is_broken && spool->is_dirty && spool->is_linked && spool->text.n > 0 &&
             spool_is_final(spool->name, base, &suffix);
    if (commit) {
        (void)text_copy(name, sizeof name, spool->name); /* same size */
        buf_append(&text, buf_text(&spool->text), spool->text.n);
        spool->is_dirty = false;
    }
    lock_release(&tree->lock);
    if (is_broken && !handle->opener)
        return 0; /* the last close: whoever wrote has been told */
    if (is_broken)
        return err_set(err, EFBIG, "'%s' was not written whole: nothing is sent", spool->name);
    r = commit ? buf_check(&text, err, "the file") : 0;
    if (commit && r == 0)
        r = spool_commit(tree, spool->dir, name, &text, ret_need, err);
    if (commit && r < 0) {
        lock_acquire(&tree->lock);
        spool->is_dirty = true; /* not on disk: the next close tries again */
        lock_release(&tree->lock);
    }
    buf_done(&text);
    return r;
}
