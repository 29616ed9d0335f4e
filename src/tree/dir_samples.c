/*
 * Directories of samples and of their metadata: those of the root, where every digest resolves, and those of a request,
 * where its results are.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

/* ---- finding ---- */

/* "<sha256>" and, with a suffix, "<sha256>.json"; upper case is the same name. */
static bool parse_name(const char *name, const char *suffix, struct digest *ret_digest)
{
    char hex[DIGEST_TEXT + 1];

    if (strlen(name) < DIGEST_TEXT)
        return false;
    memcpy(hex, name, DIGEST_TEXT);
    hex[DIGEST_TEXT] = '\0';
    if (name[DIGEST_TEXT] && strcmp(name + DIGEST_TEXT, suffix) != 0)
        return false;
    return digest_parse(hex, ret_digest);
}

static int is_in_group(struct tree *tree, const struct subject *group, const struct digest *digest, bool *ret_has,
                       struct err *err)
{
    struct store_sample sample;
    int r = store_sample_get(tree->store, digest, &sample, err);

    *ret_has = false;
    return r == 0 ? group_has(group, &sample.sample, ret_has, err) : r;
}

static int is_result(struct tree *tree, const struct subject *parent, const struct digest *digest, struct err *err)
{
    struct view view;
    bool has = false;
    int r = view_load(tree, parent, &view, err);

    if (r != 0)
        return r;
    if (!view.has_request)
        return TREE_ABSENT;
    r = store_result_has(tree->store, view.request.row, digest, &has, err);
    if (r == 0 && has && parent->kind == SUBJECT_GROUP)
        r = is_in_group(tree, parent, digest, &has, err);
    return r < 0 ? r : has ? 0 : TREE_ABSENT;
}

int find_by_digest(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                   struct subject *ret_subject, struct err *err)
{
    struct digest digest;
    int r = 0;

    if (!parse_name(name, spec->suffix, &digest))
        return TREE_ABSENT;
    if (parent->kind != SUBJECT_NONE)
        r = is_result(tree, parent, &digest, err);
    if (r == 0)
        *ret_subject = (struct subject){ .kind = SUBJECT_DIGEST, .digest = digest };
    return r;
}

/* ---- attributes ---- */

/* What is known of a sample: 0, TREE_ABSENT (asked lately, not there), or TREE_NEED. */
static int known(struct tree *tree, const struct digest *digest, struct store_sample *ret_sample, struct need *need,
                 struct err *err)
{
    int r = store_sample_get(tree->store, digest, ret_sample, err);

    if (r < 0)
        return r;
    if (r == 0 && ret_sample->state != STORE_SAMPLE_ABSENT)
        return 0;
    if (r == 0 && clock_is_fresh(ret_sample->checked_s, CACHE_ABSENT_S))
        return TREE_ABSENT;
    *need = (struct need){ .kind = NEED_METADATA, .digest = *digest };
    return TREE_NEED;
}

/* Not known yet: the kernel must ask again, and getattr then says. */
static int provisional(int r, bool is_lookup, struct tree_attr *attr)
{
    if (r != TREE_NEED || !is_lookup)
        return r;
    attr->entry_ttl_ms = 0;
    attr->attr_ttl_ms = 0;
    return 0;
}

static int attr_sample(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                       struct need *need, struct err *err)
{
    struct store_sample sample;
    int64_t size = 0;
    int r = known(tree, &subject->digest, &sample, need, err);

    if (r != 0)
        return provisional(r, is_lookup, attr);
    if (sample.sample.first_seen_s != SAMPLE_NO_DATE)
        attr->mtime_s = sample.sample.first_seen_s;
    r = store_object_look(tree->store, &subject->digest, &size, err);
    if (r < 0)
        return r;
    if (r == 0) /* verified bytes know better than metadata */
        attr->size = size;
    else if (sample.sample.size_bytes >= 0)
        attr->size = sample.sample.size_bytes;
    else
        attr->attr_ttl_ms = 0; /* the service did not say: known once it is here */
    return 0;
}

static int render_metadata(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                           struct err *err)
{
    struct store_sample sample;
    int r = known(tree, &subject->digest, &sample, need, err);

    if (r != 0)
        return r;
    cache_encode_sample(text, &sample.sample);
    buf_putc(text, '\n');
    return 0;
}

static int attr_metadata(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                         struct need *need, struct err *err)
{
    struct buf text = BUF_INIT(TREE_TEXT_MAX);
    int r = render_metadata(tree, subject, &text, need, err);

    attr->size = (int64_t)text.n;
    attr->attr_ttl_ms = 0; /* metadata can be completed later */
    buf_done(&text);
    return provisional(r, is_lookup, attr);
}

const char *sample_state(struct tree *tree, const struct store_sample *sample)
{
    if (store_object_exists(tree->store, &sample->sample.digest))
        return "local";
    return sample->state == STORE_SAMPLE_GONE ? "gone" : "remote";
}

/* ---- bytes ---- */

/* Opens what is here. STORE_ABSENT: it is not. TREE_NEED: it is, but a thread that may wait has to see to it first. */
static int open_local(struct tree *tree, struct handle *handle, struct need *need, struct err *err)
{
    const struct digest *digest = &handle->subject.digest;
    int r;

    *need = (struct need){ .kind = NEED_LOCAL, .digest = *digest };
    if (!store_object_is_checked(tree->store, digest))
        return TREE_NEED; /* read whole, to compare it with its digest */
    r = cache_note_local(tree->cache, digest, store_object_open(tree->store, digest, &handle->object, err), err);
    if (r == 0 && !node_was_told(tree, handle->ino, store_object_size(handle->object)))
        return TREE_NEED; /* the size in the kernel goes */
    return r;
}

static int open_sample(struct tree *tree, struct handle *handle, int flags, struct tree_open *ret_open,
                       struct need *need, struct err *err)
{
    const struct digest *digest = &handle->subject.digest;
    uint64_t seen = tree_changes(tree); /* before looking, so that no change falls between */
    bool is_exact = node_is_exact(tree, handle->ino);
    struct store_sample sample;
    struct request_id bringer;
    int r = is_exact ? open_local(tree, handle, need, err) : STORE_ABSENT;

    if (r == STORE_ABSENT) {
        r = known(tree, digest, &sample, need, err);
        if (r == 0)
            r = open_local(tree, handle, need, err);
        is_exact = r == 0 && sample.sample.size_bytes == store_object_size(handle->object);
    }
    if (r == 0) {
        /* Exact sizes let the kernel keep pages for ever; without one every read must reach us. */
        ret_open->is_immutable = is_exact;
        ret_open->is_live = !is_exact;
        ret_open->is_sample = true;
        ret_open->digest = *digest;
        ret_open->bytes = store_object_size(handle->object);
        node_set_size(tree, handle->ino, ret_open->bytes, is_exact);
    }
    if (r != STORE_ABSENT)
        return r;
    if (sample.state == STORE_SAMPLE_GONE)
        return err_set(err, ENODATA, "sample %s: the service knows it but cannot deliver it", digest_short(digest).s);
    handle->opener = process_caller(tree, &handle->opener);
    r = deny_sample(tree, digest, flags, &handle->opener, err);
    if (r == 0)
        r = store_asked_under_way(tree->store, digest, &bringer, err);
    if (r < 0)
        return r;
    if (r == 0) { /* without a thread: a list may take hours */
        *need = (struct need){ .kind = NEED_ARRIVAL, .row = (int64_t)seen };
        return TREE_NEED;
    }
    *need = (struct need){ .kind = NEED_BYTES, .digest = *digest, .who = handle->opener };
    return TREE_NEED;
}

int read_object(struct tree *tree, struct handle *handle, int64_t offset, void *to, size_t n, size_t *ret_n,
                struct need *need, struct err *err)
{
    (void)need; /* open() has seen to it that the bytes are here */
    return cache_note_local(tree->cache, &handle->subject.digest,
                            store_object_read(handle->object, offset, to, n, ret_n, err), err);
}

/* ---- listing ---- */

struct digests {
    struct digest *items;
    size_t n;
    size_t room;
};

static int collect(void *closure, const struct digest *digest)
{
    struct digests *digests = closure;

    if (digests->n == digests->room) {
        size_t room = digests->room ? digests->room * 2 : 64;
        struct digest *grown = reallocarray(digests->items, room, sizeof *grown);

        if (!grown)
            return 1;
        digests->items = grown;
        digests->room = room;
    }
    digests->items[digests->n++] = *digest;
    return 0;
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(((const struct digest *)a)->bytes, ((const struct digest *)b)->bytes, DIGEST_BYTES);
}

static int list_digests(struct tree *tree, bool local_only, const struct node_spec *spec, struct listing *listing,
                        struct err *err)
{
    struct digests digests = { 0 };
    struct store_sample sample;
    int r = local_only ? store_object_list(tree->store, collect, &digests, err)
                       : store_sample_list(tree->store, collect, &digests, err);

    if (r > 0)
        r = err_set(err, ENOMEM, "no memory for a listing");
    if (digests.n > 0)
        qsort(digests.items, digests.n, sizeof *digests.items, by_digest);
    listing->is_sorted = true;
    for (size_t i = 0; r >= 0 && i < digests.n; i++) {
        r = store_sample_get(tree->store, &digests.items[i], &sample, err);
        if (r == 0 && sample.state != STORE_SAMPLE_ABSENT)
            listing_add_sample(listing, spec, &sample.sample);
    }
    free(digests.items);
    return r < 0 ? r : 0;
}

static int list_local(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                      struct listing *listing, struct err *err)
{
    (void)subject;
    return list_digests(tree, true, spec, listing, err);
}

static int list_known(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                      struct listing *listing, struct err *err)
{
    (void)subject;
    return list_digests(tree, false, spec, listing, err);
}

int list_results(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                 struct listing *listing, struct err *err)
{
    cleanup_(freep) struct sample *page = calloc(TREE_PAGE, sizeof *page);
    struct view view;
    int64_t from = 0;
    size_t n;
    int r = view_load(tree, subject, &view, err);

    if (!page)
        return err_set(err, ENOMEM, "no memory for a listing");
    if (r != 0 || !view.has_request)
        return r < 0 ? r : 0;
    do {
        r = store_result_page(tree->store, view.request.row, from, page, TREE_PAGE, &n, err);
        for (size_t i = 0; r == 0 && i < n; i++) {
            bool is_in = true;

            if (subject->kind == SUBJECT_GROUP)
                r = group_has(subject, &page[i], &is_in, err);
            if (is_in)
                listing_add_sample(listing, spec, &page[i]);
        }
        from += (int64_t)n;
    } while (r == 0 && n == TREE_PAGE);
    return r;
}

/* What is listed has bytes and a row. */
static int64_t version_local(struct tree *tree, const struct subject *subject)
{
    int64_t rows = store_rows_version(tree->store);
    int64_t objects = store_object_version(tree->store);

    (void)subject;
    return objects ? (int64_t)(map_hash_u64((uint64_t)rows) ^ map_hash_u64((uint64_t)objects)) | 1 : 0;
}

/* A request that is done keeps its results; one that was forgotten and came again has another row. */
static int64_t version_results(struct tree *tree, const struct subject *subject)
{
    struct err ignored = { 0 };
    struct view view;

    if (view_load(tree, subject, &view, &ignored) != 0 || !view.has_request || view.request.state != REQUEST_DONE)
        return 0;
    return (int64_t)(map_hash_u64((uint64_t)view.request.row) ^ map_hash_u64((uint64_t)view.request.finished_s)) | 1;
}

const struct node_ops file_sample = {
    .find = find_by_digest, .attr = attr_sample, .open = open_sample, .read = read_object
};
const struct node_ops file_metadata = { .find = find_by_digest, .attr = attr_metadata, .render = render_metadata };
const struct node_ops dir_samples = { .list = list_local, .version = version_local };
const struct node_ops dir_metadata = { .list = list_known };
const struct node_ops dir_result_samples = { .list = list_results, .version = version_results };
const struct node_ops dir_result_metadata = { .list = list_results, .version = version_results };
