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

/* Nothing of this name, and nothing that would be in its way: "x.yar" when "x.yara" is a hunt already. */
static int may_create(struct tree *tree, enum store_dir dir, const char *name, struct err *err)
{
    struct store_entry entry;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    int r;

    if (!spool_is_final(name, base, &suffix)) {
        r = store_entry_get(tree->store, dir, name, &entry, err);
        return r == 0 ? err_set(err, EEXIST, "'%s' is a directory", name) : r < 0 ? r : 0;
    }
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r < 0)
        return r;
    if (r == 0 && strcmp(entry.suffix, suffix) != 0)
        return err_set(err, EEXIST, "'%s%s' has this name already", base, entry.suffix);
    return 0;
}

/* The spool to write into: the one there is, or a new one with the text that is on disk. */
static int spool_for(struct tree *tree, enum store_dir dir, const char *name, const struct buf *disk, bool truncate,
                     struct spool **ret_spool, struct err *err)
{
    struct spool *spool;
    int r = 0;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (!spool) {
        r = spool_new_locked(tree, dir, name, &spool, err);
        if (r == 0 && !truncate && disk)
            buf_append(&spool->text, buf_text(disk), disk->n);
    }
    if (r == 0) {
        if (truncate || spool->is_gone)
            buf_clear(&spool->text);
        spool->is_gone = false;
        spool->n_open++;
    }
    lock_release(&tree->lock);
    *ret_spool = spool;
    return r;
}

static int disk_text(struct tree *tree, enum store_dir dir, const char *name, struct buf *text, struct err *err)
{
    struct store_entry entry;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    int r;

    if (!spool_is_final(name, base, &suffix))
        return TREE_ABSENT;
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r == STORE_ABSENT || (r == 0 && strcmp(entry.suffix, suffix) != 0))
        return TREE_ABSENT;
    return r < 0 ? r : store_entry_text(tree->store, entry.row, text, err);
}

static int open_user_file(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open,
                          struct need *need, struct err *err)
{
    const struct subject *subject = &handle->subject;
    struct spool *spool = NULL;
    int r;

    (void)need; /* always at hand */
    (void)ret_open;
    handle->may_write = (flags & O_ACCMODE) != O_RDONLY;
    handle->is_append = flags & O_APPEND;
    r = disk_text(tree, subject->dir, subject->text, &handle->text, err);
    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, subject->dir, subject->text);
    lock_release(&tree->lock);
    if (!spool && r == TREE_ABSENT)
        return TREE_ABSENT;
    if (!spool && !handle->may_write)
        return 0; /* the text on disk, as it was at open */
    return spool_for(tree, subject->dir, subject->text, &handle->text, flags & O_TRUNC, &handle->spool, err);
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
    r = may_create(tree, dir, name, err);
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
        r = spool_for(tree, dir, name, NULL, flags & O_TRUNC, &spool, err);
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
    } else {
        if (end > spool->text.n)
            buf_resize(&spool->text, end);
        r = buf_check(&spool->text, err, "the file");
        if (r == 0 && n > 0)
            memcpy(spool->text.data + offset, from, n);
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
    if (r == 0)
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
    int r;

    if (!spool || !handle->may_write)
        return 0;
    if (handle->opener && spool_thread_group(pid) != handle->opener)
        return 0; /* a child that inherited the descriptor: the text may be half written */
    lock_acquire(&tree->lock);
    commit = spool->is_dirty && spool->is_linked && spool->text.n > 0 && spool_is_final(spool->name, base, &suffix);
    if (commit) {
        (void)text_copy(name, sizeof name, spool->name); /* same size */
        buf_append(&text, buf_text(&spool->text), spool->text.n);
        spool->is_dirty = false;
    }
    lock_release(&tree->lock);
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

int tree_unlink(struct tree *tree, uint64_t parent, const char *name, struct err *err)
{
    struct store_entry entry;
    struct spool *spool;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    enum store_dir dir;
    bool was_there;
    int r = spool_dir(tree, parent, &dir, err);

    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    was_there = spool && !spool->is_gone;
    if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
    if (!spool_is_final(name, base, &suffix))
        return was_there ? 0 : err_set(err, ENOENT, "no such file");
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r == STORE_ABSENT || (r == 0 && strcmp(entry.suffix, suffix) != 0))
        return was_there ? 0 : err_set(err, ENOENT, "no such file");
    return r < 0 ? r : store_entry_delete(tree->store, entry.row, err);
}

/* ---- rename ---- */

/* The text that `name` has now, from memory or disk. TREE_ABSENT: no such file. */
static int current_text(struct tree *tree, enum store_dir dir, const char *name, struct buf *text, struct err *err)
{
    struct spool *spool;
    bool is_here = false;
    bool is_gone = false;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (spool) {
        is_gone = spool->is_gone;
        is_here = !is_gone;
        buf_append(text, buf_text(&spool->text), spool->text.n);
    }
    lock_release(&tree->lock);
    if (is_gone)
        return TREE_ABSENT;
    if (is_here)
        return buf_check(text, err, "the file");
    return disk_text(tree, dir, name, text, err);
}

/* Gives scratch the text, replacing what had the name. */
static int to_scratch(struct tree *tree, enum store_dir dir, const char *name, const struct buf *text, struct err *err)
{
    struct spool *spool;
    int r = spool_for(tree, dir, name, NULL, true, &spool, err);

    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    buf_append(&spool->text, buf_text(text), text->n);
    r = buf_check(&spool->text, err, "the file");
    spool->n_open--;
    spool_drop_locked(tree, spool);
    lock_release(&tree->lock);
    return r;
}

/* The old name is empty-handed now: scratch vanishes, a rule's file hides until it is written again. */
static int leave(struct tree *tree, enum store_dir dir, const char *name, struct err *err)
{
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    struct spool *spool;
    int r = 0;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (spool_is_final(name, base, &suffix)) {
        if (!spool)
            r = spool_new_locked(tree, dir, name, &spool, err);
        if (r == 0) {
            spool->is_gone = true;
            spool->is_dirty = false;
            buf_clear(&spool->text);
        }
    } else if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
    return r;
}

static int rename_to_final(struct tree *tree, enum store_dir dir, const char *new_name, const struct buf *text,
                           struct need *need, struct err *err)
{
    struct spool *spool;
    int r = may_create(tree, dir, new_name, err);

    if (r < 0)
        return r;
    if (text->n == 0)
        return to_scratch(tree, dir, new_name, text, err);
    r = spool_commit(tree, dir, new_name, text, need, err);
    if (r != 0)
        return r;
    lock_acquire(&tree->lock); /* the name shows what is on disk again */
    spool = spool_find_locked(tree, dir, new_name);
    if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
    return 0;
}

int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                bool is_exclusive, struct need *ret_need, struct err *err)
{
    struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct buf there = BUF_INIT(QUERY_RULE_MAX);
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    enum store_dir dir;
    enum store_dir new_dir;
    int r = spool_dir(tree, parent, &dir, err);

    if (r == 0)
        r = spool_dir(tree, new_parent, &new_dir, err);
    if (r < 0)
        return r;
    if (dir != new_dir || strlen(new_name) > TREE_NAME_MAX)
        return dir != new_dir ? err_set(err, EXDEV, "another directory") : err_set(err, ENAMETOOLONG, "a long name");
    r = current_text(tree, dir, name, &text, err);
    if (r == TREE_ABSENT)
        r = err_set(err, ENOENT, "no such file");
    if (r == 0 && is_exclusive && current_text(tree, dir, new_name, &there, err) == 0)
        r = err_set(err, EEXIST, "'%s' exists", new_name);
    if (r == 0 && spool_is_final(new_name, base, &suffix))
        r = rename_to_final(tree, dir, new_name, &text, ret_need, err);
    else if (r == 0)
        r = to_scratch(tree, dir, new_name, &text, err);
    if (r == 0 && strcmp(name, new_name) != 0)
        r = leave(tree, dir, name, err);
    buf_done(&text);
    buf_done(&there);
    return r;
}

/* ---- the rows ---- */

static int attr_user_file(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                          struct need *need, struct err *err)
{
    struct store_entry entry;
    struct spool *spool;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    int r;

    (void)is_lookup; /* always at hand */
    (void)need;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, subject->dir, subject->text);
    if (spool) {
        attr->size = (int64_t)spool->text.n;
        attr->mtime_s = spool->mtime_s;
    }
    lock_release(&tree->lock);
    if (spool)
        return 0;
    if (!spool_is_final(subject->text, base, &suffix))
        return TREE_ABSENT;
    r = store_entry_get(tree->store, subject->dir, base, &entry, err);
    if (r != 0)
        return r == STORE_ABSENT ? TREE_ABSENT : r;
    attr->mtime_s = entry.changed_s;
    return store_entry_text_size(tree->store, entry.row, &attr->size, err);
}

static int find_user_file(struct tree *tree, const char *name, bool is_final, struct subject *ret_subject,
                          struct err *err)
{
    struct tree_attr attr;
    struct need need;
    struct spool *spool;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    bool is_gone;

    if (spool_is_final(name, base, &suffix) != is_final)
        return TREE_ABSENT;
    *ret_subject = (struct subject){ .kind = SUBJECT_FILE, .dir = STORE_HUNTS };
    (void)text_copy(ret_subject->text, sizeof ret_subject->text, name); /* same limit */
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, STORE_HUNTS, name);
    is_gone = spool && spool->is_gone;
    lock_release(&tree->lock);
    if (is_gone)
        return TREE_ABSENT;
    if (spool)
        return 0;
    if (is_final) {
        struct store_entry entry;
        int r = store_entry_get(tree->store, STORE_HUNTS, base, &entry, err);

        return r == 0 && strcmp(entry.suffix, suffix) != 0 ? TREE_ABSENT : r == STORE_ABSENT ? TREE_ABSENT : r;
    }
    return attr_user_file(tree, ret_subject, true, &attr, &need, err);
}

static int find_rule(struct tree *tree, const struct subject *parent, const char *name, struct subject *ret_subject,
                     struct err *err)
{
    (void)parent;
    return find_user_file(tree, name, true, ret_subject, err);
}

static int find_scratch(struct tree *tree, const struct subject *parent, const char *name, struct subject *ret_subject,
                        struct err *err)
{
    (void)parent;
    return find_user_file(tree, name, false, ret_subject, err);
}

/* Names that are in memory: they decide whether a rule on disk is shown, and whether one that is not is. */
struct rules {
    struct listing *listing;
    const struct node_spec *spec;
    struct {
        char name[STORE_NAME_MAX + 1];
        bool is_gone;
    } * spooled;
    size_t n_spooled;
};

static int list_entry(void *closure, const struct store_entry *entry)
{
    const struct rules *rules = closure;
    char name[STORE_NAME_MAX + sizeof entry->suffix];

    (void)snprintf(name, sizeof name, "%s%s", entry->name, entry->suffix); /* both fit */
    for (size_t i = 0; i < rules->n_spooled; i++)
        if (strcmp(rules->spooled[i].name, name) == 0)
            return 0;
    listing_add_name(rules->listing, rules->spec, name);
    return 0;
}

static int collect_spooled(struct tree *tree, struct rules *rules, struct err *err)
{
    char base[TREE_NAME_MAX + 1];
    const char *suffix;

    rules->spooled = calloc(TREE_SPOOLS_MAX, sizeof *rules->spooled);
    if (!rules->spooled)
        return err_set(err, ENOMEM, "no memory for a listing");
    lock_acquire(&tree->lock);
    list_for_each (link, &tree->spools) {
        const struct spool *spool = container_of(link, struct spool, link);

        if (!spool_is_final(spool->name, base, &suffix))
            continue;
        (void)text_copy(rules->spooled[rules->n_spooled].name, STORE_NAME_MAX + 1, spool->name); /* final: fits */
        rules->spooled[rules->n_spooled++].is_gone = spool->is_gone;
    }
    lock_release(&tree->lock);
    return 0;
}

static int list_rules(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                      struct listing *listing, struct err *err)
{
    struct rules rules = { .listing = listing, .spec = spec };
    int r = collect_spooled(tree, &rules, err);

    (void)subject;
    for (size_t i = 0; i < rules.n_spooled; i++)
        if (!rules.spooled[i].is_gone)
            listing_add_name(listing, spec, rules.spooled[i].name);
    if (r == 0)
        r = store_entry_list(tree->store, STORE_HUNTS, list_entry, &rules, err);
    free(rules.spooled);
    return r;
}

const struct node_ops file_rule = {
    .find = find_rule, .attr = attr_user_file, .open = open_user_file, .list = list_rules
};
const struct node_ops file_scratch = { .find = find_scratch, .attr = attr_user_file, .open = open_user_file };
