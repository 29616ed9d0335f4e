/*
 * Deleting and renaming. Editors save by renaming: onto a rule's name it is a submission, away from one the rule only
 * hides until it is written again.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "util/text.h"

/* An entry's file, or one that is only in memory. */
int tree_unlink(struct tree *tree, uint64_t parent, const char *name, struct err *err)
{
    const struct user_dir *user;
    struct store_entry entry;
    struct user_name parsed;
    struct spool *spool;
    bool was_there;
    int r = user_dir_of(tree, parent, &user, err);

    if (r < 0)
        return r;
    if (user_name(user->dir, name, &parsed) == NAME_DEFAULTS)
        return store_defaults_put(tree->store, user->dir, "", 0, err); /* the built-in ones again */
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, user->dir, name);
    was_there = spool && !spool->is_gone;
    if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
    r = parsed.kind == NAME_FINAL ? store_entry_get(tree->store, user->dir, parsed.base, &entry, err) : STORE_ABSENT;
    if (r == 0 && strcmp(entry.suffix, parsed.suffix) == 0)
        return user_forget(tree, &entry, err);
    if (r < 0)
        return r;
    return was_there ? 0 : err_set(err, ENOENT, "no such file");
}

/* The text that `name` has now, from memory or disk, and its time. TREE_ABSENT: no such file. */
static int current_text(struct tree *tree, enum store_dir dir, const char *name, struct buf *text,
                        int64_t *ret_changed_s, struct err *err)
{
    struct spool *spool;
    bool is_here = false;
    bool is_gone = false;

    lock_acquire(&tree->lock);
    spool = spool_shown_locked(tree, dir, name);
    if (spool) {
        is_gone = spool->is_gone;
        is_here = !is_gone;
        buf_append(text, buf_text(&spool->text), spool->text.n);
        *ret_changed_s = spool->mtime_s;
    }
    lock_release(&tree->lock);
    if (is_gone)
        return TREE_ABSENT;
    if (is_here)
        return buf_check(text, err, "the file");
    return spool_disk_text(tree, dir, name, text, ret_changed_s, err);
}

/* A write of it failed. */
static bool is_part(struct tree *tree, enum store_dir dir, const char *name)
{
    const struct spool *spool;
    bool is_broken;

    lock_acquire(&tree->lock);
    spool = spool_shown_locked(tree, dir, name);
    is_broken = spool && spool->is_broken;
    lock_release(&tree->lock);
    return is_broken;
}

/* Gives scratch the text, replacing what had the name. */
static int to_scratch(struct tree *tree, enum store_dir dir, const char *name, const struct written *written,
                      struct err *err)
{
    struct spool *spool;
    int r = spool_take(tree, dir, name, NULL, 0, true, &spool, err);

    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    buf_append(&spool->text, buf_text(written->text), written->text->n);
    r = buf_check(&spool->text, err, "the file");
    spool->mtime_s = written->changed_s;
    spool->n_open--;
    spool_drop_locked(tree, spool);
    lock_release(&tree->lock);
    return r;
}

/* The old name is empty-handed now: scratch vanishes, a rule's file hides until it is written again. Scratch that some
 * still have open after what it has was committed as `new_name` (not NULL) is that from now on. */
static int leave(struct tree *tree, enum store_dir dir, const char *name, const char *new_name, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct user_name parsed;
    struct spool *spool;
    int64_t changed_s;
    bool hides; /* there is a text on disk that must not be seen */
    int r;

    if (user_name(dir, name, &parsed) == NAME_FINAL)
        r = spool_disk_text(tree, dir, name, &text, &changed_s, err);
    else
        r = TREE_ABSENT;
    if (r < 0)
        return r;
    hides = r == 0;
    r = 0;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (hides) {
        if (!spool)
            r = spool_new_locked(tree, dir, name, &spool, err);
        if (r == 0) {
            spool->is_gone = true;
            spool->is_dirty = false;
            buf_clear(&spool->text);
        }
    } else if (spool && spool->n_open > 0 && new_name) {
        (void)text_copy(spool->name, sizeof spool->name, new_name); /* same size */
        spool->is_dirty = false;
    } else if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
    return r;
}

/* A submitted rule gets another name: its results go along. TREE_ABSENT: that is not what this is. */
static int rename_entry(struct tree *tree, enum store_dir dir, const char *name, const char *new_name, struct err *err)
{
    struct store_entry entry;
    struct store_entry there;
    struct user_name parsed;
    struct user_name new_parsed;
    struct spool *spool;
    int r;

    if (user_name(dir, name, &parsed) != NAME_FINAL || user_name(dir, new_name, &new_parsed) != NAME_FINAL)
        return TREE_ABSENT;
    r = store_entry_get(tree->store, dir, parsed.base, &entry, err);
    if (r == STORE_ABSENT || (r == 0 && strcmp(entry.suffix, parsed.suffix) != 0))
        return TREE_ABSENT;
    if (r < 0)
        return r;
    r = strcmp(parsed.base, new_parsed.base) == 0 ? STORE_ABSENT
                                                  : store_entry_get(tree->store, dir, new_parsed.base, &there, err);
    if (r == 0) /* what had the new name is replaced, as rename(2) says; its request stays in requests/ */
        r = store_entry_delete(tree->store, there.row, err);
    if (r >= 0)
        r = store_entry_rename(tree->store, entry.row, new_parsed.base, new_parsed.suffix, err);
    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, new_name);
    if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    spool = spool_find_locked(tree, dir, name);
    if (spool)
        (void)text_copy(spool->name, sizeof spool->name, new_name); /* same size */
    lock_release(&tree->lock);
    return 0;
}

/*
 * A file that is being written keeps its spool under the new name, and is submitted when it is closed. So does what is
 * only open, unless it is to be committed: the last close of an editor that has closed it may be told much later, and
 * rename(2) says that all is done. False: neither.
 */
static bool rename_open_file(struct tree *tree, enum store_dir dir, const char *name, const char *new_name,
                             bool commits)
{
    struct spool *spool;
    struct spool *there;
    bool is_open;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    is_open = spool && !spool->is_gone && (commits ? spool->n_writing : spool->n_open) > 0;
    if (is_open) {
        there = spool_find_locked(tree, dir, new_name);
        if (there && there != spool) {
            spool_unlink_locked(tree, there);
            spool_drop_locked(tree, there);
        }
        (void)text_copy(spool->name, sizeof spool->name, new_name); /* same size */
        spool->is_dirty = true;
    }
    lock_release(&tree->lock);
    return is_open;
}

/* Both are in one directory of the user's. */
static int common_dir(struct tree *tree, uint64_t parent, uint64_t new_parent, enum store_dir *ret_dir, struct err *err)
{
    const struct user_dir *user;
    const struct user_dir *new_user;
    int r = user_dir_of(tree, parent, &user, err);

    if (r == 0)
        r = user_dir_of(tree, new_parent, &new_user, err);
    if (r == 0 && user != new_user)
        r = err_set(err, EXDEV, "another directory");
    if (r == 0)
        *ret_dir = user->dir;
    return r;
}

/* What is on disk now needs no copy in memory. */
static void drop_spool(struct tree *tree, enum store_dir dir, const char *name)
{
    struct spool *spool;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
}

/* Onto a name that is committed, or onto scratch. TREE_NEED: the text is on disk, its verdict is to come. */
static int put_text(struct tree *tree, enum store_dir dir, const char *new_name, const struct written *written,
                    struct need *need, struct err *err)
{
    struct user_name parsed;

    if (user_name(dir, new_name, &parsed) == NAME_SCRATCH || written->text->n == 0)
        return to_scratch(tree, dir, new_name, written, err);
    return spool_commit(tree, dir, new_name, written, need, err);
}

/* The text is where it belongs: the new name shows it, the old one is left. */
static int finish_move(struct tree *tree, enum store_dir dir, const char *name, const char *new_name, bool is_on_disk,
                       struct err *err)
{
    if (is_on_disk)
        drop_spool(tree, dir, new_name);
    return strcmp(name, new_name) != 0 ? leave(tree, dir, name, is_on_disk ? new_name : NULL, err) : 0;
}

static int check_rename(struct tree *tree, uint64_t parent, enum store_dir dir, const char *name, const char *new_name,
                        bool is_exclusive, struct err *err)
{
    cleanup_(buf_done) struct buf there = BUF_INIT(QUERY_RULE_MAX);
    const struct node_spec *spec = NULL;
    struct subject subject;
    int64_t there_s;
    int r = tree_find_child(tree, parent, name, &spec, &subject, err);

    if (r == TREE_ABSENT)
        return err_set(err, ENOENT, "no such file");
    if (r == 0 && S_ISDIR(spec->mode))
        return err_set(err, EPERM, "this directory has the name of what it came from");
    if (r == 0 && is_exclusive && current_text(tree, dir, new_name, &there, &there_s, err) == 0)
        return err_set(err, EEXIST, "'%s' exists", new_name);
    return r < 0 ? r : spool_may_create(tree, dir, new_name, err);
}

int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                const struct tree_rename *how, struct need *ret_need, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct caller who = process_caller(tree, &how->who);
    struct written written = { .text = &text, .who = &who };
    struct user_name parsed;
    enum store_dir dir = STORE_HUNTS;
    bool commits;
    int r = common_dir(tree, parent, new_parent, &dir, err);

    if (r == 0 && strlen(new_name) > TREE_NAME_MAX)
        r = err_set(err, ENAMETOOLONG, "a name of more than %d bytes", TREE_NAME_MAX);
    if (r == 0 && how->is_met)
        return finish_move(tree, dir, name, new_name, true, err);
    if (r == 0)
        r = check_rename(tree, parent, dir, name, new_name, how->is_exclusive, err);
    if (r == 0)
        r = current_text(tree, dir, name, &text, &written.changed_s, err);
    if (r == TREE_ABSENT)
        r = err_set(err, ENOENT, "no such file");
    if (r == 0)
        r = rename_entry(tree, dir, name, new_name, err);
    if (r != TREE_ABSENT)
        return r;
    commits = text.n > 0 && user_name(dir, new_name, &parsed) != NAME_SCRATCH;
    if (rename_open_file(tree, dir, name, new_name, commits))
        return 0;
    if (is_part(tree, dir, name))
        return err_set(err, EFBIG, "'%s' was not written whole: nothing is sent", name);
    r = put_text(tree, dir, new_name, &written, ret_need, err);
    return r == 0 ? finish_move(tree, dir, name, new_name, commits, err) : r;
}
