/*
 * What a submission came to: hunts/NAME/, searches/exact/NAME/ and the like. One made by mkdir() has no file beside it
 * and is forgotten by rmdir().
 */
#include "tree/tree_internal.h"

#include <errno.h>

#include "util/text.h"

static int find_entry(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                      struct subject *ret_subject, struct err *err)
{
    struct store_entry entry;
    int r = store_entry_get(tree->store, spec->user->dir, name, &entry, err);

    (void)parent;
    if (r != 0)
        return r == STORE_ABSENT ? TREE_ABSENT : r;
    *ret_subject = (struct subject){ .kind = SUBJECT_ENTRY, .dir = spec->user->dir };
    (void)text_copy(ret_subject->text, sizeof ret_subject->text, name); /* an entry's name is shorter */
    return 0;
}

struct entries {
    struct listing *listing;
    const struct node_spec *spec;
};

static int list_entry(void *closure, const struct store_entry *entry)
{
    const struct entries *entries = closure;

    listing_add_name(entries->listing, entries->spec, entry->name);
    return 0;
}

static int list_entries(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                        struct listing *listing, struct err *err)
{
    struct entries entries = { .listing = listing, .spec = spec };

    (void)subject;
    return store_entry_list(tree->store, spec->user->dir, list_entry, &entries, err);
}

static int attr_entry(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                      struct need *need, struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    (void)is_lookup; /* always at hand */
    (void)need;
    if (r == 0)
        attr->mtime_s = view_changed(&view);
    return r;
}

static int remove_entry(struct tree *tree, const struct subject *subject, struct err *err)
{
    struct store_entry entry;
    int r = store_entry_get(tree->store, subject->dir, subject->text, &entry, err);

    if (r != 0)
        return r < 0 ? r : TREE_ABSENT;
    if (entry.suffix[0])
        return err_set(err, EPERM, "it goes with its file: delete %s%s", entry.name, entry.suffix);
    return user_forget(tree, &entry, err);
}

const struct node_ops dir_entries = {
    .find = find_entry, .attr = attr_entry, .list = list_entries, .remove = remove_entry
};
