/*
 * Files of the user that are in memory: being written, or scratch.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

struct spool *spool_find_locked(struct tree *tree, enum store_dir dir, const char *name)
{
    list_for_each (link, &tree->spools) {
        struct spool *spool = container_of(link, struct spool, link);

        if (spool->dir == dir && strcmp(spool->name, name) == 0)
            return spool;
    }
    return NULL;
}

int spool_new_locked(struct tree *tree, enum store_dir dir, const char *name, struct spool **ret_spool, struct err *err)
{
    struct spool *spool;

    if (tree->n_spools >= TREE_SPOOLS_MAX)
        return err_set(err, ENOSPC, "more than %d unfinished files", TREE_SPOOLS_MAX);
    spool = calloc(1, sizeof *spool);
    if (!spool)
        return err_set(err, ENOMEM, "no memory for a file");
    spool->dir = dir;
    spool->text.max = QUERY_RULE_MAX;
    spool->mtime_s = clock_now_s();
    (void)text_copy(spool->name, sizeof spool->name, name); /* the kernel's limit is the same */
    spool->is_linked = true;
    list_add_tail(&tree->spools, &spool->link);
    tree->n_spools++;
    *ret_spool = spool;
    return 0;
}

void spool_unlink_locked(struct tree *tree, struct spool *spool)
{
    if (!spool->is_linked)
        return;
    list_remove(&spool->link);
    spool->is_linked = false;
    tree->n_spools--;
}

/* An empty file and scratch stay until they are deleted; defaults are what is in force, never what was refused. */
static bool is_on_disk(const struct spool *spool)
{
    struct user_name name;

    switch (user_name(spool->dir, spool->name, &name)) {
    case NAME_FINAL:
        return !spool->is_dirty && spool->text.n > 0;
    case NAME_DEFAULTS:
        return true;
    case NAME_SCRATCH:
    case NAME_NONE:
        break;
    }
    return false;
}

/* What is open and has not been changed since it was committed shows nothing: another mount of the profile may have
 * written since, and readers that come one after the other would keep the old text for ever. */
static bool is_shown(const struct spool *spool)
{
    return spool->is_gone || spool->is_dirty || !is_on_disk(spool);
}

struct spool *spool_shown_locked(struct tree *tree, enum store_dir dir, const char *name)
{
    struct spool *spool = spool_find_locked(tree, dir, name);

    return spool && is_shown(spool) ? spool : NULL;
}

void spool_drop_locked(struct tree *tree, struct spool *spool)
{
    if (spool->n_open > 0)
        return;
    if (spool->is_linked && !spool->is_gone && is_on_disk(spool))
        spool_unlink_locked(tree, spool);
    if (spool->is_linked)
        return;
    buf_done(&spool->text);
    free(spool);
}

void spool_writing_locked(struct handle *handle, bool is_writing)
{
    if (handle->is_writing == is_writing)
        return;
    handle->is_writing = is_writing;
    if (is_writing)
        handle->spool->n_writing++;
    else
        handle->spool->n_writing--;
}

static void take_over(struct spool *spool, const struct buf *disk, int64_t changed_s)
{
    buf_clear(&spool->text);
    buf_append(&spool->text, buf_text(disk), disk->n);
    spool->mtime_s = changed_s;
}

/* The spool to write into: the one there is, or a new one; with the text that is on disk unless it has a newer one. */
int spool_take(struct tree *tree, enum store_dir dir, const char *name, const struct buf *disk, int64_t changed_s,
               bool truncate, struct spool **ret_spool, struct err *err)
{
    struct spool *spool;
    bool is_newer;
    int r = 0;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    is_newer = spool && is_shown(spool);
    if (!spool)
        r = spool_new_locked(tree, dir, name, &spool, err);
    if (r == 0 && !is_newer && !truncate && disk)
        take_over(spool, disk, changed_s);
    if (r == 0) {
        if (truncate || spool->is_gone) {
            buf_clear(&spool->text);
            spool->is_broken = false;
            spool->is_dirty = true;
            spool->mtime_s = clock_now_s();
        }
        spool->is_gone = false;
        spool->n_open++;
    }
    lock_release(&tree->lock);
    *ret_spool = spool;
    return r;
}
