#include "tree/tree_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LISTING_FIRST_ROOM = 32,
    LISTING_FORGOTTEN_MAX = 1000, /* names that are looked up one by one sooner than a listing is sent again */
};

#define UNKNOWN_INO UINT32_MAX /* what libfuse says for a parent, too */

static struct list_item *add(struct listing *listing)
{
    if (listing->code)
        return NULL;
    if (listing->n == listing->room) {
        size_t room = listing->room ? listing->room * 2 : LISTING_FIRST_ROOM;
        struct list_item *grown = reallocarray(listing->items, room, sizeof *grown);

        if (!grown) {
            listing->code = ENOMEM;
            return NULL;
        }
        listing->items = grown;
        listing->room = room;
    }
    listing->items[listing->n] = (struct list_item){ 0 };
    return &listing->items[listing->n++];
}

void listing_add_name(struct listing *listing, const struct node_spec *spec, const char *name)
{
    struct list_item *item = add(listing);

    if (!item)
        return;
    item->spec = spec;
    item->name = strdup(name);
    if (!item->name)
        listing->code = ENOMEM;
}

void listing_add_sample(struct listing *listing, const struct node_spec *spec, const struct sample *sample)
{
    struct list_item *item = add(listing);

    if (!item)
        return;
    item->spec = spec;
    item->digest = sample->digest;
    item->size = sample->size_bytes;
    item->mtime_s = sample->first_seen_s;
}

void listing_done(struct listing *listing)
{
    for (size_t i = 0; i < listing->n; i++)
        free(listing->items[i].name);
    free(listing->items);
    *listing = (struct listing){ 0 };
}

static void item_name(const struct list_item *item, char *ret_name, size_t room)
{
    int n = item->name ? snprintf(ret_name, room, "%s", item->name)
                       : snprintf(ret_name, room, "%s%s", digest_format(&item->digest).s, item->spec->suffix);

    assert(n > 0 && (size_t)n < room);
    (void)n;
}

/* Attributes of a sample from the listing itself: one query for the whole directory, none per file. */
static bool item_attr(struct tree *tree, uint64_t dir, const struct list_item *item, const char *name,
                      struct tree_attr *attr)
{
    struct subject subject = { .kind = SUBJECT_DIGEST, .digest = item->digest };
    struct node *node;

    if (item->name || *item->spec->suffix || item->size < 0)
        return false;
    *attr = (struct tree_attr){
        .mode = item->spec->mode,
        .nlink = 1,
        .size = item->size,
        .mtime_s = item->mtime_s == SAMPLE_NO_DATE ? tree->started_s : item->mtime_s,
        .entry_ttl_ms = item->spec->ttl_ms,
        .attr_ttl_ms = item->spec->ttl_ms,
    };
    lock_acquire(&tree->lock);
    node = node_take_locked(tree, dir, item->spec, name, &subject);
    if (node) {
        attr->ino = node->ino;
        node_tell_locked(node, attr);
    }
    lock_release(&tree->lock);
    return node != NULL;
}

static void item_number(struct tree *tree, const struct handle *handle, const struct list_item *item, const char *name,
                        struct tree_attr *attr)
{
    struct subject subject = handle->subject;
    struct err ignored = { 0 };

    if (!item->name)
        subject = (struct subject){ .kind = SUBJECT_DIGEST, .digest = item->digest };
    else if (subject_below(tree, item->spec, &subject, &ignored) != 0)
        subject = handle->subject; /* it was just deleted: any number will do */
    *attr = (struct tree_attr){ .mode = item->spec->mode };
    if (item->spec == handle->spec) { /* "." and ".." */
        attr->ino = item->name[1] ? UNKNOWN_INO : handle->ino;
        return;
    }
    attr->ino = node_number(handle->ino, item->spec, name, &subject);
}

/* The first bits of a digest, which its offset begins with. */
static int64_t key_of(const struct digest *digest)
{
    uint64_t key = 0;

    for (size_t i = 0; i < sizeof key; i++)
        key = key << CHAR_BIT | digest->bytes[i];
    return (int64_t)(key >> 2);
}

static void number(struct listing *listing)
{
    int64_t last = 0;

    for (size_t i = 0; i < listing->n; i++) {
        const struct list_item *item = &listing->items[i];
        int64_t next = listing->is_sorted && !item->name ? key_of(&item->digest) + 1 : 0;

        last = next > last ? next : last + 1;
        listing->items[i].next = last;
    }
}

/* The first item behind this offset. */
static size_t item_at(const struct listing *listing, int64_t offset)
{
    size_t low = 0;
    size_t high = listing->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (listing->items[middle].next > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

CHECKED static int make(struct tree *tree, struct handle *handle, struct err *err)
{
    struct listing *listing = &handle->listing;
    int r = 0;

    listing_done(listing);
    /* Of an empty listing the kernel keeps that there is nothing, and no page that it could drop. */
    listing_add_name(listing, handle->spec, ".");
    listing_add_name(listing, handle->spec, "..");
    for (size_t i = 0; r >= 0 && i < handle->spec->n_children; i++) {
        const struct node_spec *spec = &handle->spec->children[i];

        if (spec->is_unlisted)
            continue;
        if (!spec->name) {
            const struct node_ops *lists = handle->spec->ops && handle->spec->ops->list ? handle->spec->ops : spec->ops;

            r = lists->list(tree, &handle->subject, spec, listing, err);
        } else if (!spec->ops || !spec->ops->exists || spec->ops->exists(tree, &handle->subject, err) == 0) {
            listing_add_name(listing, spec, spec->name);
        }
    }
    if (r >= 0 && listing->code)
        r = err_set(err, listing->code, "no memory for a listing");
    number(listing);
    listing->is_made = r >= 0;
    return r < 0 ? r : 0;
}

/* Somebody has the directory open since another version, and may still give the kernel a listing of then. */
static bool has_older_reader_locked(struct tree *tree, const struct handle *handle) REQUIRES(&tree->lock);

static bool has_older_reader_locked(struct tree *tree, const struct handle *handle)
{
    list_for_each (link, &tree->handles) {
        const struct handle *other = container_of(link, struct handle, link);

        if (other->ino == handle->ino && other->version != 0 && other->version != handle->version)
            return true;
    }
    return false;
}

enum tree_listing listing_agree(struct tree *tree, struct handle *handle)
{
    const struct node_ops *ops = handle->spec->ops;
    int64_t version = ops && ops->version ? ops->version(tree, &handle->subject) : 0;
    enum tree_listing listing = TREE_LISTING_LIVE;
    struct node *node;

    if (version == 0)
        return TREE_LISTING_LIVE;
    lock_acquire(&tree->lock);
    handle->version = version;
    node = node_get_locked(tree, handle->ino);
    if (!node || has_older_reader_locked(tree, handle)) {
        handle->version = 0;
    } else if (node->listed == version && tree->n_forgotten - node->forgotten <= LISTING_FORGOTTEN_MAX) {
        listing = TREE_LISTING_KEPT;
    } else {
        listing = TREE_LISTING_NEW;
        node->listed = version;
        node->forgotten = tree->n_forgotten;
    }
    lock_release(&tree->lock);
    return listing;
}

int tree_list(struct tree *tree, struct handle *handle, int64_t offset, bool want_attr, tree_list_sink *sink,
              void *closure, struct err *err)
{
    char name[TREE_NAME_MAX + 1];

    if (offset < 0)
        return err_set(err, EINVAL, "a negative offset");
    if (offset == 0 || !handle->listing.is_made) {
        int r = make(tree, handle, err);

        if (r < 0)
            return r;
    }
    for (size_t i = item_at(&handle->listing, offset); i < handle->listing.n; i++) {
        const struct list_item *item = &handle->listing.items[i];
        struct tree_attr attr;
        bool has_attr;

        item_name(item, name, sizeof name);
        has_attr = want_attr && item_attr(tree, handle->ino, item, name, &attr);
        if (!has_attr)
            item_number(tree, handle, item, name, &attr);
        if (sink(closure, name, &attr, has_attr, item->next) != 0)
            break;
    }
    return 0;
}

void tree_statfs(struct tree *tree, struct tree_statfs *ret_statfs)
{
    struct cache_quotas quotas;
    struct store_usage usage;

    store_room_usage(tree->store, &usage);
    *ret_statfs = (struct tree_statfs){
        .bytes_total = usage.limit_bytes > 0 ? usage.limit_bytes : usage.bytes + usage.free_bytes,
        .bytes_used = usage.bytes,
        .bytes_free = usage.free_bytes,
    };
    if (cache_quotas(tree->cache, &quotas, NULL)) {
        ret_statfs->downloads_limit = quotas.download_limit;
        ret_statfs->downloads_left = quotas.download_limit - quotas.download_count;
    }
}
