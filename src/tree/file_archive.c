/*
 * archive.zip: what the service sent for a multi-download, as it came. On disk it is sealed like every sample.
 */
#include "tree/tree_internal.h"

static int open_archive_of(struct tree *tree, const struct subject *subject, struct store_object **ret_object,
                           struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    if (r != 0)
        return r;
    if (!view.has_request || view.kind != QUERY_MULTI)
        return TREE_ABSENT;
    r = store_archive_open(tree->store, &view.request.id, ret_object, err);
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

static int exists_archive(struct tree *tree, const struct subject *subject, struct err *err)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;

    return open_archive_of(tree, subject, &object, err);
}

static int attr_archive(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                        struct need *need, struct err *err)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    int r = open_archive_of(tree, subject, &object, err);

    (void)is_lookup; /* always at hand */
    (void)need;
    if (r == 0)
        attr->size = store_object_size(object);
    return r;
}

static int open_archive(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open,
                        struct need *need, struct err *err)
{
    (void)flags;
    (void)ret_open; /* live: a retry may bring another one */
    (void)need;
    return open_archive_of(tree, &handle->subject, &handle->object, err);
}

const struct node_ops file_archive = {
    .exists = exists_archive, .attr = attr_archive, .open = open_archive, .read = read_object
};
