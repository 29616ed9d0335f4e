/*
 * The user's own files in hunts/: rules, and scratch of editors.
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
    bool is_gone;
    int r;

    (void)need; /* always at hand */
    (void)ret_open;
    handle->may_write = (flags & O_ACCMODE) != O_RDONLY;
    handle->is_append = flags & O_APPEND;
    r = spool_disk_text(tree, subject->dir, subject->text, &handle->text, err);
    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, subject->dir, subject->text);
    is_gone = spool && spool->is_gone && !(flags & O_CREAT);
    lock_release(&tree->lock);
    if (is_gone || (!spool && r == TREE_ABSENT))
        return TREE_ABSENT;
    if (!spool && !handle->may_write)
        return 0; /* the text on disk, as it was at open */
    return spool_take(tree, subject->dir, subject->text, &handle->text, flags & O_TRUNC, &handle->spool, err);
}

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
    r = store_entry_text_size(tree->store, entry.row, &attr->size, err);
    return r == STORE_ABSENT ? TREE_ABSENT : r;
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
