#include "tree/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/clock.h"
#include "util/text.h"

int tree_new(const struct tree_config *config, struct tree **ret_tree, struct err *err)
{
    struct tree *tree = calloc(1, sizeof *tree);

    if (!tree)
        return err_set(err, ENOMEM, "no memory for the tree");
    tree->config = *config;
    tree->cache = config->cache;
    tree->store = config->store;
    tree->started_s = clock_now_s();
    lock_init(&tree->lock, LOCK_TREE);
    list_init(&tree->spools);
    list_init(&tree->handles);
    tree_tune(tree, config->deny, config->resubmit);
    *ret_tree = tree;
    return 0;
}

void tree_tune(struct tree *tree, const char *deny, bool resubmit)
{
    atomic_store(&tree->resubmit, resubmit);
    lock_acquire(&tree->lock);
    tree->has_deny = deny && text_copy(tree->deny, sizeof tree->deny, deny);
    lock_release(&tree->lock);
}

bool need_equal(const struct need *a, const struct need *b)
{
    return a->kind == b->kind && a->row == b->row && digest_equal(&a->digest, &b->digest) &&
           strcmp(a->request.s, b->request.s) == 0;
}

/* Nothing of such a directory changes but its name: the kernel need not ask again at each name that is looked up in it.
 */
static bool is_constant(const struct node_spec *spec)
{
    return S_ISDIR(spec->mode) && !(spec->ops && spec->ops->attr);
}

/* What every node of a row has in common. */
static void fill_attr(struct tree *tree, const struct node_spec *spec, struct tree_attr *attr)
{
    *attr = (struct tree_attr){
        .mode = spec->mode,
        .nlink = S_ISDIR(spec->mode) ? 2 : 1,
        .mtime_s = tree->started_s,
        .entry_ttl_ms = spec->ttl_ms,
        .attr_ttl_ms = is_constant(spec) ? FOREVER_MS : spec->ttl_ms,
    };
}

/* Attributes of a row and subject; ino is left alone. */
static int attr_of(struct tree *tree, const struct node_spec *spec, const struct subject *subject, bool is_lookup,
                   struct tree_attr *attr, struct need *need, struct err *err)
{
    struct buf text = BUF_INIT(TREE_TEXT_MAX);
    int r;

    fill_attr(tree, spec, attr);
    if (!spec->ops)
        return 0;
    if (spec->ops->attr)
        return spec->ops->attr(tree, subject, is_lookup, attr, need, err);
    if (!spec->ops->render)
        return 0;
    r = spec->ops->render(tree, subject, &text, need, err);
    if (r == TREE_NEED)
        r = 0; /* not asked for the sake of a size: open() will */
    if (r == 0)
        attr->size = (int64_t)text.n;
    if (r == TREE_ABSENT)
        r = err_set(err, ENOENT, "no such file");
    buf_done(&text);
    return r;
}

int subject_below(struct tree *tree, const struct node_spec *spec, struct subject *subject, struct err *err)
{
    struct view view;
    int r;

    if (!spec->is_per_request || subject->kind != SUBJECT_ENTRY)
        return 0;
    r = view_load(tree, subject, &view, err);
    if (r == 0 && view.has_request) {
        subject->kind = SUBJECT_REQUEST;
        (void)text_copy(subject->text, sizeof subject->text, view.request.id.s); /* shorter */
    }
    return r;
}

static int exists_below(struct tree *tree, const struct node_spec *spec, struct subject *subject, struct err *err)
{
    int r = spec->ops && spec->ops->exists ? spec->ops->exists(tree, subject, err) : 0;

    return r == 0 ? subject_below(tree, spec, subject, err) : r;
}

int tree_find_child(struct tree *tree, uint64_t parent, const char *name, const struct node_spec **ret_spec,
                    struct subject *ret_subject, struct err *err)
{
    const struct node_spec *dir;
    struct subject above;
    int r = TREE_ABSENT;

    if (!node_copy(tree, parent, &dir, &above))
        return err_set(err, ESTALE, "unknown directory");
    for (size_t i = 0; r == TREE_ABSENT && i < dir->n_children; i++) {
        const struct node_spec *spec = &dir->children[i];

        *ret_spec = spec;
        *ret_subject = above;
        if (spec->name && strcmp(spec->name, name) == 0)
            return exists_below(tree, spec, ret_subject, err);
        if (!spec->name)
            r = spec->ops->find(tree, &above, spec, name, ret_subject, err);
    }
    return r;
}

int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct tree_attr *ret_attr, struct err *err)
{
    const struct node_spec *spec = NULL;
    struct need need = { 0 };
    struct subject subject;
    struct node *node;
    int r;

    if (strlen(name) > TREE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a name of more than %d bytes", TREE_NAME_MAX);
    r = tree_find_child(tree, parent, name, &spec, &subject, err);
    if (r == 0)
        r = attr_of(tree, spec, &subject, true, ret_attr, &need, err);
    if (r == TREE_ABSENT)
        return err_set(err, ENOENT, "no such name");
    if (r < 0)
        return r;
    lock_acquire(&tree->lock);
    node = node_take_locked(tree, parent, spec, name, &subject);
    ret_attr->ino = node ? node->ino : 0;
    if (node)
        node_tell_locked(node, ret_attr);
    lock_release(&tree->lock);
    return node ? 0 : err_set(err, ENOMEM, "no memory for a node");
}

void tree_forget(struct tree *tree, uint64_t ino, uint64_t n_lookups)
{
    lock_acquire(&tree->lock);
    node_forget_locked(tree, ino, n_lookups);
    lock_release(&tree->lock);
}

static void tell(struct tree *tree, uint64_t ino, struct tree_attr *attr)
{
    struct node *node;

    lock_acquire(&tree->lock);
    node = node_get_locked(tree, ino);
    if (node)
        node_tell_locked(node, attr);
    lock_release(&tree->lock);
}

int tree_getattr(struct tree *tree, uint64_t ino, struct handle *handle, struct tree_attr *ret_attr,
                 struct need *ret_need, struct err *err)
{
    const struct node_spec *spec;
    struct subject subject;
    int r;

    if (!node_copy(tree, ino, &spec, &subject))
        return err_set(err, ESTALE, "unknown inode");
    if (handle && handle->spool) { /* also a file that was unlinked while open */
        fill_attr(tree, spec, ret_attr);
        lock_acquire(&tree->lock);
        ret_attr->size = (int64_t)handle->spool->text.n;
        ret_attr->mtime_s = handle->spool->mtime_s;
        lock_release(&tree->lock);
        r = 0;
    } else {
        r = attr_of(tree, spec, &subject, false, ret_attr, ret_need, err);
    }
    ret_attr->ino = ino;
    if (r == 0)
        tell(tree, ino, ret_attr);
    if (r == TREE_ABSENT)
        return err_set(err, ENOENT, "no such file");
    return r;
}

static int render(struct tree *tree, struct handle *handle, struct need *need, struct err *err)
{
    int r = handle->spec->ops->render(tree, &handle->subject, &handle->text, need, err);

    if (r == TREE_ABSENT)
        return err_set(err, ENOENT, "no such file");
    if (r != 0)
        return r;
    return buf_check(&handle->text, err, "the file");
}

static void handle_free(struct tree *tree, struct handle *handle)
{
    if (!handle)
        return;
    buf_done(&handle->text);
    listing_done(&handle->listing);
    store_object_unref(handle->object);
    store_zip_unref(handle->zip);
    lock_acquire(&tree->lock);
    list_remove(&handle->link);
    if (handle->spool) {
        spool_writing_locked(handle, false);
        handle->spool->n_open--;
        spool_drop_locked(tree, handle->spool);
    }
    lock_release(&tree->lock);
    lock_done(&handle->lock);
    free(handle);
}

static void free_spools(struct tree *tree)
{
    lock_acquire(&tree->lock);
    list_for_each (link, &tree->spools) {
        struct spool *spool = container_of(link, struct spool, link);

        spool->n_open = 0;
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
}

static void free_handles(struct tree *tree)
{
    while (!list_is_empty(&tree->handles)) /* nobody else is left to take them */
        handle_free(tree, container_of(tree->handles.next, struct handle, link));
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    free_handles(tree);
    free_spools(tree);
    node_free_all(tree);
    groups_free(tree->groups);
    lock_done(&tree->lock);
    free(tree);
}

static int handle_new(struct tree *tree, uint64_t ino, struct handle **ret_handle, struct err *err)
{
    struct handle *handle = calloc(1, sizeof *handle);

    if (!handle)
        return err_set(err, ENOMEM, "no memory for an open file");
    lock_init(&handle->lock, LOCK_TREE);
    handle->ino = ino;
    handle->text.max = TREE_TEXT_MAX;
    lock_acquire(&tree->lock);
    list_add_tail(&tree->handles, &handle->link);
    lock_release(&tree->lock);
    if (!node_copy(tree, ino, &handle->spec, &handle->subject)) {
        handle_free(tree, handle);
        return err_set(err, ESTALE, "unknown inode");
    }
    *ret_handle = handle;
    return 0;
}

int tree_open(struct tree *tree, uint64_t ino, int flags, const struct caller *who, struct handle **ret_handle,
              struct tree_open *ret_open, struct need *ret_need, struct err *err)
{
    struct handle *handle = NULL;
    int r = handle_new(tree, ino, &handle, err);

    if (r < 0)
        return r;
    *ret_open = (struct tree_open){ .is_live = true };
    handle->may_write = (flags & O_ACCMODE) != O_RDONLY;
    handle->opener = handle->may_write ? process_caller(tree, who) : *who;
    if (S_ISDIR(handle->spec->mode))
        r = err_set(err, EISDIR, "is a directory");
    else if ((flags & O_ACCMODE) != O_RDONLY && !(handle->spec->mode & S_IWUSR))
        r = err_set(err, EROFS, "this file cannot be written");
    else if (handle->spec->ops->open)
        r = handle->spec->ops->open(tree, handle, flags, ret_open, ret_need, err);
    else
        r = render(tree, handle, ret_need, err);
    if (r != 0) {
        handle_free(tree, handle);
        return r == TREE_ABSENT ? err_set(err, ENOENT, "no such file") : r;
    }
    *ret_handle = handle;
    return 0;
}

static void copy_out(const struct buf *text, int64_t offset, void *to, size_t n, size_t *ret_n)
{
    size_t left = offset < (int64_t)text->n ? text->n - (size_t)offset : 0;

    *ret_n = n < left ? n : left;
    if (*ret_n)
        memcpy(to, text->data + offset, *ret_n);
}

int tree_read(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
              struct need *ret_need, struct err *err)
{
    if (offset < 0)
        return err_set(err, EINVAL, "a negative offset");
    if (handle->spec->ops->read)
        return handle->spec->ops->read(tree, handle, offset, to, n, ret_n, ret_need, err);
    if (handle->spool) {
        lock_acquire(&tree->lock);
        copy_out(&handle->spool->text, offset, to, n, ret_n);
        lock_release(&tree->lock);
    } else {
        copy_out(&handle->text, offset, to, n, ret_n);
    }
    return 0;
}

enum tree_ready tree_poll(struct tree *tree, struct handle *handle)
{
    return handle->spec->ops->poll ? handle->spec->ops->poll(tree, handle) : TREE_READY_ALWAYS;
}

/* Whether somebody else has the file open for writing, whose close is still to come. */
static bool has_other_writer(struct tree *tree, const struct handle *handle)
{
    bool found = false;

    lock_acquire(&tree->lock);
    list_for_each (link, &tree->handles) {
        const struct handle *other = container_of(link, struct handle, link);

        found |= other != handle && other->spool == handle->spool && other->may_write;
    }
    lock_release(&tree->lock);
    return found;
}

int tree_release(struct tree *tree, struct handle *handle, struct need *ret_need, struct err *err)
{
    int r = 0;

    if (handle->spool && handle->may_write && !has_other_writer(tree, handle))
        r = tree_flush(tree, handle, 0, ret_need, err); /* whoever closes last: what is dirty is sent now */
    handle_free(tree, handle);
    return r;
}

int tree_meet(struct tree *tree, const struct need *needs, size_t n, struct err *err)
{
    struct digest digests[TREE_MEET_MAX];

    assert(n >= 1 && n <= TREE_MEET_MAX && (n == 1 || needs->kind == NEED_METADATA));
    switch (needs->kind) {
    case NEED_METADATA:
        for (size_t i = 0; i < n; i++)
            digests[i] = needs[i].digest;
        return cache_fetch_metadata(tree->cache, digests, n, err);
    case NEED_BYTES:
        return cache_fetch_bytes(tree->cache, &needs->digest, &needs->who, err);
    case NEED_LOCAL:
        return cache_check_local(tree->cache, &needs->digest, err);
    case NEED_QUOTAS:
        return cache_fetch_quotas(tree->cache, err);
    case NEED_SUBMIT:
        return cache_submit(tree->cache, needs->row, err);
    case NEED_REQUEST:
        return cache_fetch_request(tree->cache, &needs->request, err);
    case NEED_NONE:
    case NEED_CHANGE:
    case NEED_ARRIVAL:
        break;
    }
    return err_set(err, EIO, "a need that nobody can meet");
}

uint64_t tree_changes(struct tree *tree)
{
    return cache_changes(tree->cache);
}

uint64_t tree_wait_changes(struct tree *tree, uint64_t seen, int64_t wait_ms)
{
    return cache_wait_changes(tree->cache, seen, wait_ms);
}

bool tree_is_local(struct tree *tree, const struct digest *digest)
{
    return store_object_exists(tree->store, digest);
}

void tree_cancel(struct tree *tree)
{
    cache_cancel(tree->cache);
}

int tree_opendir(struct tree *tree, uint64_t ino, struct handle **ret_handle, enum tree_listing *ret_listing,
                 struct err *err)
{
    int r = handle_new(tree, ino, ret_handle, err);

    if (r == 0)
        *ret_listing = listing_agree(tree, *ret_handle);
    return r;
}

void tree_releasedir(struct tree *tree, struct handle *handle)
{
    handle_free(tree, handle);
}
