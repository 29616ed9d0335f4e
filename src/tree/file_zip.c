/*
 * zips/<sha256>.zip: a local sample in a zip with a password, for mail and sandboxes. It is made when it is opened; its
 * size is known before.
 */
#include "tree/tree_internal.h"

#include <errno.h>

#include "util/text.h"

/* Only under its whole name, and only while the sample is local. */
static int find_zip(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                    struct subject *ret_subject, struct err *err)
{
    int r =
        text_has_suffix(name, spec->suffix) ? find_by_digest(tree, parent, spec, name, ret_subject, err) : TREE_ABSENT;

    if (r != 0)
        return r;
    return store_object_exists(tree->store, &ret_subject->digest) ? 0 : TREE_ABSENT;
}

static int attr_zip(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                    struct need *need, struct err *err)
{
    struct store_sample known;
    int r = store_zip_size(tree->store, &subject->digest, &tree->config.zip, &attr->size, err);

    (void)is_lookup; /* always at hand */
    (void)need;
    if (r != 0)
        return r == STORE_ABSENT ? TREE_ABSENT : r;
    r = store_sample_get(tree->store, &subject->digest, &known, err);
    if (r == 0 && known.sample.first_seen_s != SAMPLE_NO_DATE)
        attr->mtime_s = known.sample.first_seen_s;
    return r < 0 ? r : 0;
}

static int open_zip(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open, struct need *need,
                    struct err *err)
{
    struct tree_attr attr = { .mtime_s = tree->started_s };
    int r = attr_zip(tree, &handle->subject, false, &attr, need, err);

    (void)flags;
    if (r == 0 && !store_object_is_checked(tree->store, &handle->subject.digest)) {
        *need = (struct need){ .kind = NEED_LOCAL, .digest = handle->subject.digest };
        return TREE_NEED; /* read whole, to compare it with its digest */
    }
    if (r == 0)
        r = store_zip_open(tree->store, &handle->subject.digest, &tree->config.zip, attr.mtime_s, &handle->zip, err);
    ret_open->is_live = false; /* pages may be kept while it is open; the next one has other random bytes */
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}

static int read_zip(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                    struct need *need, struct err *err)
{
    (void)tree;
    (void)need;
    return store_zip_read(handle->zip, offset, to, n, ret_n, err);
}

const struct node_ops file_zip = { .find = find_zip, .attr = attr_zip, .open = open_zip, .read = read_zip };
