/*
 * The user's own files: what is submitted, .defaults, and scratch of editors.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>

#include "util/text.h"

static int open_user_file(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open,
                          struct need *need, struct err *err)
{
    const struct subject *subject = &handle->subject;
    struct spool *spool = NULL;
    int64_t changed_s = 0;
    bool is_gone;
    int r;

    (void)need; /* always at hand */
    (void)ret_open;
    handle->is_append = flags & O_APPEND;
    r = spool_disk_text(tree, subject->dir, subject->text, &handle->text, &changed_s, err);
    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    spool = spool_shown_locked(tree, subject->dir, subject->text);
    is_gone = spool && spool->is_gone && !(flags & O_CREAT);
    lock_release(&tree->lock);
    if (is_gone || (!spool && r == TREE_ABSENT))
        return TREE_ABSENT;
    if (!spool && !handle->may_write)
        return 0; /* the text on disk, as it was at open */
    r = spool_take(tree, subject->dir, subject->text, r == 0 ? &handle->text : NULL, changed_s, flags & O_TRUNC,
                   &handle->spool, err);
    if (r == 0) {
        lock_acquire(&tree->lock);
        spool_writing_locked(handle, handle->may_write);
        lock_release(&tree->lock);
    }
    return r;
}

static int attr_on_disk(struct tree *tree, const struct subject *subject, struct tree_attr *attr, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct store_entry entry;
    struct user_name name;
    int r;

    if (user_name(subject->dir, subject->text, &name) == NAME_DEFAULTS) {
        r = spool_disk_text(tree, subject->dir, subject->text, &text, &attr->mtime_s, err);
        attr->size = (int64_t)text.n;
        return r;
    }
    if (name.kind != NAME_FINAL)
        return TREE_ABSENT;
    r = store_entry_get(tree->store, subject->dir, name.base, &entry, err);
    if (r == STORE_ABSENT || (r == 0 && strcmp(entry.suffix, name.suffix) != 0))
        return TREE_ABSENT;
    attr->mtime_s = entry.changed_s;
    if (r == 0)
        r = store_entry_text_size(tree->store, entry.row, &attr->size, err);
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

static int attr_user_file(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                          struct need *need, struct err *err)
{
    struct spool *spool;
    bool is_gone = false;

    (void)is_lookup; /* always at hand */
    (void)need;
    lock_acquire(&tree->lock);
    spool = spool_shown_locked(tree, subject->dir, subject->text);
    if (spool) {
        is_gone = spool->is_gone;
        attr->size = (int64_t)spool->text.n;
        attr->mtime_s = spool->mtime_s;
    }
    lock_release(&tree->lock);
    if (spool)
        return is_gone ? TREE_ABSENT : 0;
    return attr_on_disk(tree, subject, attr, err);
}

/* Names of one kind that exist, in memory or on disk. */
static int find_user_file(struct tree *tree, enum store_dir dir, const char *name, enum user_name_kind kind,
                          struct subject *ret_subject, struct err *err)
{
    struct tree_attr attr = { 0 };
    struct need need;
    struct user_name parsed;

    if (user_name(dir, name, &parsed) != kind)
        return TREE_ABSENT;
    *ret_subject = (struct subject){ .kind = SUBJECT_FILE, .dir = dir };
    (void)text_copy(ret_subject->text, sizeof ret_subject->text, name); /* same limit */
    return attr_user_file(tree, ret_subject, true, &attr, &need, err);
}

static int find_final(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                      struct subject *ret_subject, struct err *err)
{
    (void)parent;
    return find_user_file(tree, spec->user->dir, name, NAME_FINAL, ret_subject, err);
}

static int find_scratch(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                        struct subject *ret_subject, struct err *err)
{
    (void)parent;
    return find_user_file(tree, spec->user->dir, name, NAME_SCRATCH, ret_subject, err);
}

static int find_defaults(struct tree *tree, const struct subject *parent, const struct node_spec *spec,
                         const char *name, struct subject *ret_subject, struct err *err)
{
    (void)parent;
    return find_user_file(tree, spec->user->dir, name, NAME_DEFAULTS, ret_subject, err);
}

static int list_defaults(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                         struct listing *listing, struct err *err)
{
    (void)tree;
    (void)subject;
    (void)err;
    listing_add_name(listing, spec, USER_DEFAULTS);
    return 0;
}

/* Names that are in memory: they decide whether a file on disk is shown, and whether one that is not is. */
struct finals {
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
    const struct finals *finals = closure;
    char name[STORE_NAME_MAX + sizeof entry->suffix];

    if (!entry->suffix[0])
        return 0; /* made by mkdir: a directory without a file */
    (void)snprintf(name, sizeof name, "%s%s", entry->name, entry->suffix); /* both fit */
    for (size_t i = 0; i < finals->n_spooled; i++)
        if (strcmp(finals->spooled[i].name, name) == 0)
            return 0;
    listing_add_name(finals->listing, finals->spec, name);
    return 0;
}

static int collect_spooled(struct tree *tree, struct finals *finals, struct err *err)
{
    struct user_name parsed;

    finals->spooled = calloc(TREE_SPOOLS_MAX, sizeof *finals->spooled);
    if (!finals->spooled)
        return err_set(err, ENOMEM, "no memory for a listing");
    lock_acquire(&tree->lock);
    list_for_each (link, &tree->spools) {
        const struct spool *spool = container_of(link, struct spool, link);

        if (spool->dir != finals->spec->user->dir || user_name(spool->dir, spool->name, &parsed) != NAME_FINAL)
            continue;
        (void)text_copy(finals->spooled[finals->n_spooled].name, STORE_NAME_MAX + 1, spool->name); /* final: fits */
        finals->spooled[finals->n_spooled++].is_gone = spool->is_gone;
    }
    lock_release(&tree->lock);
    return 0;
}

static int list_finals(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                       struct listing *listing, struct err *err)
{
    struct finals finals = { .listing = listing, .spec = spec };
    int r = collect_spooled(tree, &finals, err);

    (void)subject;
    for (size_t i = 0; i < finals.n_spooled; i++)
        if (!finals.spooled[i].is_gone)
            listing_add_name(listing, spec, finals.spooled[i].name);
    if (r == 0)
        r = store_entry_list(tree->store, spec->user->dir, list_entry, &finals, err);
    free(finals.spooled);
    return r;
}

const struct node_ops file_final = {
    .find = find_final, .attr = attr_user_file, .open = open_user_file, .list = list_finals
};
const struct node_ops file_defaults = {
    .find = find_defaults, .attr = attr_user_file, .open = open_user_file, .list = list_defaults
};
const struct node_ops file_scratch = { .find = find_scratch, .attr = attr_user_file, .open = open_user_file };
