#include "tree/tree_internal.h"

#include "util/text.h"

static int find_hunt(struct tree *tree, const struct subject *parent, const char *name, struct subject *ret_subject,
                     struct err *err)
{
    struct store_entry entry;
    int r = store_entry_get(tree->store, STORE_HUNTS, name, &entry, err);

    (void)parent;
    if (r != 0)
        return r == STORE_ABSENT ? TREE_ABSENT : r;
    *ret_subject = (struct subject){ .kind = SUBJECT_ENTRY, .dir = STORE_HUNTS };
    (void)text_copy(ret_subject->text, sizeof ret_subject->text, name); /* an entry's name is shorter */
    return 0;
}

struct hunts {
    struct listing *listing;
    const struct node_spec *spec;
};

static int list_entry(void *closure, const struct store_entry *entry)
{
    const struct hunts *hunts = closure;

    listing_add_name(hunts->listing, hunts->spec, entry->name);
    return 0;
}

static int list_hunts(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                      struct listing *listing, struct err *err)
{
    struct hunts hunts = { .listing = listing, .spec = spec };

    (void)subject;
    return store_entry_list(tree->store, STORE_HUNTS, list_entry, &hunts, err);
}

const struct node_ops dir_hunts = { .find = find_hunt, .list = list_hunts };
