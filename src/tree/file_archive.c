/*
 * archive.zip: what the service sent for a multi-download, as it came. On disk it is sealed like every sample.
 */
#include "tree/tree_internal.h"

/* TREE_ABSENT: this is no multi-download. */
static int request_of(struct tree *tree, const struct subject *subject, struct request_id *ret_id, struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    if (r != 0)
        return r;
    if (!view.has_request || view.kind != QUERY_MULTI)
        return TREE_ABSENT;
    *ret_id = view.request.id;
    return 0;
}

static int look(struct tree *tree, const struct subject *subject, int64_t *ret_size, struct err *err)
{
    struct request_id id;
    int r = request_of(tree, subject, &id, err);

    if (r == 0)
        r = store_archive_look(tree->store, &id, ret_size, err);
    return r > 0 ? TREE_ABSENT : r;
}

static int exists_archive(struct tree *tree, const struct subject *subject, struct err *err)
{
    int64_t size;

    return look(tree, subject, &size, err);
}

static int attr_archive(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                        struct need *need, struct err *err)
{
    (void)is_lookup; /* always at hand */
    (void)need;
    return look(tree, subject, &attr->size, err);
}

static int open_archive(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open,
                        struct need *need, struct err *err)
{
    struct request_id id;
    int r = request_of(tree, &handle->subject, &id, err);

    (void)flags;
    (void)ret_open; /* live: a retry may bring another one */
    (void)need;
    if (r == 0)
        r = store_archive_open(tree->store, &id, &handle->object, err);
    return r > 0 ? TREE_ABSENT : r;
}

const struct node_ops file_archive = {
    .exists = exists_archive, .attr = attr_archive, .open = open_archive, .read = read_object
};
