/*
 * An object is opened once per process: the map holds one struct per digest while somebody uses it, and a while longer:
 * soon it has no lock then, so that anybody may evict it, and whoever uses it again looks first whether it still is
 * what it was (decision 0021). Where its bytes are and what they look like there is the business of its kind
 * (store_place.h). Nothing is served that its form did not find right: a failed read wipes what it has written.
 */
#include <errno.h>
#include <string.h>

#include "store/store_internal.h"

#define TOUCH_NS STORE_FILES_S_NS /* between two notes of the use of an object that is kept open */

const char *store_object_noun(enum store_shelf shelf)
{
    static const char *const nouns[SHELF_COUNT] = { [SHELF_SAMPLES] = "sample", [SHELF_ARCHIVES] = "archive" };

    return nouns[shelf];
}

uint64_t store_object_hash(const struct digest *digest)
{
    uint64_t hash;

    memcpy(&hash, digest->bytes, sizeof hash);
    return map_hash_u64(hash);
}

static const struct store_kind_row *row_of(const struct store_object *object)
{
    return store_kind_row(object->ref.kind);
}

static void object_free(struct store_object *object)
{
    row_of(object)->place->close(object->store, &object->blob);
    store_seal_done(&object->seal);
    free(object);
}
DEFINE_CLEANUP(struct store_object *, object_free)

/* Moves the bytes of an object out of the way. Returns EIO with words. */
static int set_aside(const struct store_object *object, const char *why, struct err *err)
{
    row_of(object)->place->set_aside(object->store, &object->ref, &object->blob);
    return err_set(err, EIO, "%s %s is damaged on disk, set aside: %s", store_object_noun(object->ref.shelf),
                   digest_short(&object->ref.digest).s, why);
}

/* ---- opening ---- */

/* One kind. */
CHECKED static int open_ref(struct store *store, const struct store_ref *ref, bool is_look,
                            struct store_object **ret_object, struct err *err)
{
    const struct store_kind_row *row = store_kind_row(ref->kind);
    cleanup_(object_freep) struct store_object *object = calloc(1, sizeof *object);
    struct err why = { 0 };
    int r;

    if (!object)
        return err_set(err, ENOMEM, "no memory for an object");
    object->store = store;
    object->ref = *ref;
    object->n_refs = 1;
    list_init(&object->kept);
    object->blob = STORE_BLOB_NONE;
    r = row->place->open(store, ref, &object->blob, &why);
    if (r == STORE_ABSENT)
        return r;
    if (r == 0)
        r = (is_look ? row->form->look : row->form->load)(object, &why);
    if (r == -EBADMSG)
        return set_aside(object, why.text, err);
    if (r < 0)
        return err_set(err, why.code, "%s %s: %s", store_object_noun(ref->shelf), digest_short(&ref->digest).s,
                       why.text);
    *ret_object = steal_ptr(&object);
    return 0;
}

/* Wherever it is. */
CHECKED static int open_any(struct store *store, enum store_shelf shelf, const struct digest *digest, bool is_look,
                            struct store_object **ret_object, struct err *err)
{
    struct store_ref ref = { .shelf = shelf, .digest = *digest };
    int r = STORE_ABSENT;

    for (size_t i = 0; r == STORE_ABSENT && i < STORE_KINDS; i++) {
        ref.kind = store_kind_order[i];
        r = open_ref(store, &ref, is_look, ret_object, err);
    }
    return r;
}

/* The one of this digest, used or kept. */
static struct store_object *look_up_locked(struct store *store, const struct digest *digest) REQUIRES(&store->files);

static struct store_object *look_up_locked(struct store *store, const struct digest *digest)
{
    struct map_entry *entry = map_first(&store->objects, store_object_hash(digest));

    for (; entry; entry = map_next(entry)) {
        struct store_object *object = container_of(entry, struct store_object, entry);

        if (digest_equal(&object->ref.digest, digest))
            return object;
    }
    return NULL;
}

/* The open object of this digest with one more reference, or NULL. */
static struct store_object *find_locked(struct store *store, const struct digest *digest) REQUIRES(&store->files);

static struct store_object *find_locked(struct store *store, const struct digest *digest)
{
    struct store_object *object = look_up_locked(store, digest);

    if (!object || object->n_refs == 0)
        return NULL;
    object->n_refs++;
    return object;
}

static struct store_object *find(struct store *store, const struct digest *digest)
{
    struct store_object *object;

    lock_acquire(&store->files);
    object = find_locked(store, digest);
    lock_release(&store->files);
    return object;
}

int store_object_open(struct store *store, const struct digest *digest, struct store_object **ret_object,
                      struct err *err)
{
    return store_object_open_on(store, SHELF_SAMPLES, digest, ret_object, err);
}

/* ---- keeping ---- */

/* Its place hears of it now and then; else each open and each close would write to the disk. */
static void note_use(struct store_object *object)
{
    object->used_ns = store_files_now_ns();
    if (object->touched_ns != 0 && object->used_ns - object->touched_ns < TOUCH_NS)
        return;
    object->touched_ns = object->used_ns;
    row_of(object)->place->touch(object->store, &object->blob, object->used_ns);
}

static void let_go(struct store_object *object)
{
    if (object->used_ns != object->touched_ns)
        row_of(object)->place->touch(object->store, &object->blob, object->used_ns);
    object_free(object);
}

/* Bytes that prove themselves each time they are read need no look at their file. */
static bool may_be_kept(const struct store_object *object)
{
    return object->is_current && object->ref.shelf == SHELF_SAMPLES && row_of(object)->place->rest &&
           !row_of(object)->form->is_checked;
}

static void retire_locked(struct store *store, struct store_object *object) REQUIRES(&store->files);

/* Takes it out of the map: nobody finds it any more, who has it keeps it. */
static void retire_locked(struct store *store, struct store_object *object)
{
    if (object->is_current)
        map_remove(&store->objects, &object->entry);
    if (!list_is_empty(&object->kept)) {
        list_remove(&object->kept);
        store->n_kept--;
    }
    object->is_current = false;
}

/* Keeps an object that nobody uses, or lets it go; the oldest goes when there are too many. */
static void keep(struct store *store, struct store_object *object)
{
    struct store_object *goes = object;

    lock_acquire(&store->files);
    if (!look_up_locked(store, &object->ref.digest) &&
        map_add(&store->objects, &object->entry, store_object_hash(&object->ref.digest))) {
        object->is_current = true;
        list_add_tail(&store->kept, &object->kept);
        goes = NULL;
        if (++store->n_kept > store->n_kept_max) {
            goes = container_of(store->kept.next, struct store_object, kept);
            retire_locked(store, goes);
        }
    }
    lock_release(&store->files);
    if (goes)
        let_go(goes);
}

/* Closes what was not used since. */
static void drop_kept(struct store *store, int64_t since_ns)
{
    struct store_object *object;

    do {
        object = NULL;
        lock_acquire(&store->files);
        if (!list_is_empty(&store->kept)) {
            object = container_of(store->kept.next, struct store_object, kept);
            if (object->used_ns < since_ns)
                retire_locked(store, object);
            else
                object = NULL;
        }
        lock_release(&store->files);
        if (object)
            let_go(object);
    } while (object);
}

void store_object_drop_kept(struct store *store)
{
    drop_kept(store, INT64_MAX);
}

/* From now on anybody may evict them. */
static void rest_all(struct store *store)
{
    lock_acquire(&store->files);
    list_for_each (link, &store->kept) {
        struct store_object *object = container_of(link, struct store_object, kept);

        if (!object->is_resting)
            row_of(object)->place->rest(&object->blob);
        object->is_resting = true;
    }
    lock_release(&store->files);
}

void store_object_tidy(struct store *store)
{
    int64_t since_ns = store_files_now_ns() - (int64_t)STORE_KEPT_IDLE_S * STORE_FILES_S_NS;

    drop_kept(store, store_room_is_news(store) ? INT64_MAX : since_ns);
    rest_all(store);
}

/* One that is in use, else one that was kept and is still what it was. NULL: it has to be opened. */
static struct store_object *find_or_wake(struct store *store, const struct digest *digest, bool *ret_is_awake)
{
    struct store_object *object;

    lock_acquire(&store->files);
    object = find_locked(store, digest);
    *ret_is_awake = object != NULL;
    if (!object) {
        object = look_up_locked(store, digest);
        if (object)
            retire_locked(store, object); /* ours alone, until it is in the map again */
    }
    lock_release(&store->files);
    if (!object || *ret_is_awake)
        return object;
    if (row_of(object)->place->wake(store, &object->ref, &object->blob, &object->facts, object->is_resting) != 0) {
        object_free(object);
        return NULL;
    }
    object->is_resting = false;
    object->n_refs = 1;
    return object;
}

/* One table for all shelves: a digest is that of a sample or that of an archive, never both. */
int store_object_open_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                         struct store_object **ret_object, struct err *err)
{
    cleanup_(object_freep) struct store_object *opened = NULL;
    bool is_awake;
    struct store_object *object = find_or_wake(store, digest, &is_awake);
    int r;

    if (is_awake) {
        *ret_object = object;
        return 0;
    }
    opened = object;
    r = opened ? 0 : open_any(store, shelf, digest, false, &opened, err); /* not under the lock: disk */
    if (r != 0)
        return r;
    note_use(opened);
    lock_acquire(&store->files);
    object = find_locked(store, digest); /* somebody was faster */
    if (!object && map_add(&store->objects, &opened->entry, store_object_hash(digest))) {
        object = steal_ptr(&opened);
        object->is_current = true;
    }
    lock_release(&store->files);
    if (!object)
        return err_set(err, ENOMEM, "no memory for the table of open objects");
    *ret_object = object;
    return 0;
}

int store_object_look(struct store *store, const struct digest *digest, int64_t *ret_bytes, struct err *err)
{
    return store_object_look_on(store, SHELF_SAMPLES, digest, ret_bytes, err);
}

int store_object_look_on(struct store *store, enum store_shelf shelf, const struct digest *digest, int64_t *ret_bytes,
                         struct err *err)
{
    cleanup_(object_freep) struct store_object *looked_at = NULL;
    cleanup_(store_object_unrefp) struct store_object *object = find(store, digest);
    int r = object ? 0 : open_any(store, shelf, digest, true, &looked_at, err);

    if (r == 0)
        *ret_bytes = object ? object->plain_bytes : looked_at->plain_bytes;
    return r;
}

bool store_object_is_checked(struct store *store, const struct digest *digest)
{
    cleanup_(object_freep) struct store_object *looked_at = NULL;
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    struct err ignored = { 0 };
    bool has_plain;

    lock_acquire(&store->files);
    has_plain = store->counts[STORE_PLAIN].n_samples > 0;
    object = find_locked(store, digest);
    lock_release(&store->files);
    if (!has_plain || object || open_any(store, SHELF_SAMPLES, digest, true, &looked_at, &ignored) != 0)
        return true; /* also what cannot be opened: that is quick, and says why */
    return !row_of(looked_at)->form->is_checked || row_of(looked_at)->form->is_checked(looked_at);
}

struct store_object *store_object_ref(struct store_object *object)
{
    lock_acquire(&object->store->files);
    object->n_refs++;
    lock_release(&object->store->files);
    return object;
}

void store_object_replaced_locked(struct store *store, const struct digest *digest)
{
    struct store_object *object = look_up_locked(store, digest);

    if (!object)
        return;
    retire_locked(store, object);
    if (object->n_refs == 0)
        object_free(object);
}

void store_object_unref(struct store_object *object)
{
    bool is_last;
    bool is_kept;

    if (!object)
        return;
    lock_acquire(&object->store->files);
    is_last = --object->n_refs == 0;
    is_kept = may_be_kept(object);
    if (is_last)
        retire_locked(object->store, object);
    lock_release(&object->store->files);
    if (!is_last)
        return;
    if (is_kept) {
        note_use(object);
        keep(object->store, object);
    } else {
        object->used_ns = store_files_now_ns();
        let_go(object);
    }
}

int64_t store_object_size(const struct store_object *object)
{
    return object->plain_bytes;
}

/* ---- reading ---- */

/* The object cannot be opened again, who has it keeps it. */
static void mark_damaged(struct store_object *object)
{
    lock_acquire(&object->store->files);
    retire_locked(object->store, object);
    lock_release(&object->store->files);
}

int store_object_read(struct store_object *object, int64_t offset, void *to, size_t n, size_t *ret_n, struct err *err)
{
    struct err why = { 0 };
    int r;

    if (offset < 0)
        return err_set(err, EINVAL, "a negative offset");
    if (offset >= object->plain_bytes)
        n = 0;
    else if ((uint64_t)(object->plain_bytes - offset) < n)
        n = (size_t)(object->plain_bytes - offset);
    r = n > 0 ? row_of(object)->form->read(object, offset, to, n, &why) : 0;
    if (r == 0) {
        *ret_n = n;
        return 0;
    }
    secret_wipe(to, n); /* not proven to be the sample */
    if (r != -EBADMSG)
        return err_set(err, why.code, "read %s %s: %s", store_object_noun(object->ref.shelf),
                       digest_short(&object->ref.digest).s, why.text);
    mark_damaged(object);
    return set_aside(object, why.text, err);
}

/* ---- what is there ---- */

/* True when it is there as one of the first `n_kinds`. */
static bool exists_among(struct store *store, const struct digest *digest, size_t n_kinds)
{
    struct store_ref ref = { .shelf = SHELF_SAMPLES, .digest = *digest };
    bool exists = false;

    for (size_t i = 0; !exists && i < n_kinds; i++) {
        ref.kind = store_kind_order[i];
        exists = store_kind_row(ref.kind)->place->exists(store, &ref);
    }
    return exists;
}

bool store_object_exists(struct store *store, const struct digest *digest)
{
    return exists_among(store, digest, STORE_KINDS);
}

struct listing {
    struct store *store;
    store_digest_each *each;
    void *closure;
    size_t n_before; /* kinds that have been listed */
};

static int list_one(void *closure, const struct store_ref *ref, const struct store_facts *facts)
{
    const struct listing *listing = closure;

    (void)facts;
    if (exists_among(listing->store, &ref->digest, listing->n_before)) /* twice there, once in the list */
        return 0;
    return listing->each(listing->closure, &ref->digest);
}

int store_object_list(struct store *store, store_digest_each *each, void *closure, struct err *err)
{
    struct listing listing = { .store = store, .each = each, .closure = closure };
    int r = 0;

    for (; r == 0 && listing.n_before < STORE_KINDS; listing.n_before++) {
        enum store_kind kind = store_kind_order[listing.n_before];

        r = store_kind_row(kind)->place->list(store, kind, SHELF_SAMPLES, list_one, &listing, err);
    }
    return r;
}

int64_t store_object_version(struct store *store)
{
    int64_t disk = store_place_disk_version(store);
    int64_t n_counted;

    lock_acquire(&store->files);
    n_counted = store->n_counted;
    lock_release(&store->files);
    return disk ? (int64_t)(map_hash_u64((uint64_t)disk) ^ map_hash_u64((uint64_t)n_counted)) | 1 : 0;
}

bool store_object_is_damaged(struct store *store, const struct digest *digest)
{
    return !store_object_exists(store, digest) && store_place_disk_damaged(store, digest, false) > 0;
}

void store_object_drop_damaged(struct store *store, const struct digest *digest)
{
    (void)store_place_disk_damaged(store, digest, true); /* how many there were is of no interest */
}
