/*
 * store_place -- where the bytes of objects are kept, and in which form they are there. Internal.
 *
 * A kind of object is a row of a table: a place and a form. Everything else in this layer works on objects of any kind.
 *
 * Ownership  struct store_blob is storage of the caller, from open or begin until close.
 * Errors     STORE_ABSENT from open: nothing of this kind is there.
 * Threads    any; what a place shares is guarded by store->files, which the caller does not hold.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/digest.h"
#include "store/store.h"
#include "store/store_files.h"

/*
 * The shelves of a place: what an object is follows from its shelf, so that an archive is never taken for a sample.
 */
enum store_shelf { SHELF_SAMPLES, SHELF_ARCHIVES, SHELF_COUNT };

/* Which object. */
struct store_ref {
    enum store_kind kind;
    enum store_shelf shelf;
    struct digest digest;
};

/* What a place says of the bytes of an object, in nanoseconds since the epoch. */
struct store_facts {
    int64_t bytes;
    int64_t came_ns;
    int64_t used_ns; /* equal to came_ns until it is opened for the first time */
    uint64_t number; /* of this copy; another copy has another one, as long as both are there */
};

/* Bytes that are open, or being written. */
struct store_blob {
    int fd;                              /* of a file, else -1 */
    struct store_memory *memory;         /* a piece of memory, else NULL */
    char name[STORE_FILES_NAME_MAX + 1]; /* of a temporary that has not been published; "" else */
};
#define STORE_BLOB_NONE ((struct store_blob){ .fd = -1 })

typedef int store_place_each(void *closure, const struct store_ref *ref, const struct store_facts *facts);

enum store_evict { EVICT_LOOK, EVICT_REMOVE };

struct store_place {
    /* While a blob is open nobody evicts it, this process or another. */
    int (*open)(struct store *store, const struct store_ref *ref, struct store_blob *ret_blob, struct err *err);

    /* A new, empty blob, not visible before it is published. */
    int (*begin)(struct store *store, const struct store_ref *ref, struct store_blob *ret_blob, struct err *err);

    /* Has room for `n` bytes; what was not needed is given back when it is published. *ret_taken: how many of them are
     * not free on the disk any more; some filesystems only promise. ENOSPC, ENOMEM. */
    int (*reserve)(const struct store_blob *blob, int64_t n, int64_t *ret_taken, struct err *err);

    /* Makes what these writers have written durable, as far as the place is, and visible; what was there is replaced.
     * Counts. After a failure some of them may be visible, each of them whole. */
    int (*publish)(struct store *store, struct store_writer *const *writers, size_t n, struct err *err);

    /* A temporary that was not published is gone then. */
    void (*close)(struct store *store, struct store_blob *blob);

    /* Fewer than `n` bytes only at the end. */
    int (*read)(const struct store_blob *blob, void *to, size_t n, int64_t offset, size_t *ret_n, struct err *err);
    int (*write)(const struct store_blob *blob, const void *data, size_t n, int64_t offset, struct err *err);

    /* EBADMSG: something else than bytes. */
    int (*facts)(const struct store_blob *blob, struct store_facts *ret_facts, struct err *err);

    /* Notes that it was used then. Best effort. */
    void (*touch)(struct store *store, const struct store_blob *blob, int64_t used_ns);

    /* A blob that nobody uses may be evicted while it rests. To wake it (from rest, or only from being closed) is to
     * open it again, if it is still what it was; else STORE_ABSENT or an errno. NULL: to open it is no work. */
    void (*rest)(const struct store_blob *blob);
    int (*wake)(struct store *store, const struct store_ref *ref, const struct store_blob *blob,
                const struct store_facts *facts, bool was_resting);

    bool (*exists)(struct store *store, const struct store_ref *ref);

    /* Every object of a kind on a shelf, in no order; stops and returns non-zero when `each` does. */
    int (*list)(struct store *store, enum store_kind kind, enum store_shelf shelf, store_place_each *each,
                void *closure, struct err *err);

    /* True when it was there and nobody has it open; with EVICT_REMOVE it is gone then, and counted. */
    bool (*evict)(struct store *store, const struct store_ref *ref, enum store_evict how);

    /* Moves a damaged blob out of the way, unless its name leads to another one. */
    void (*set_aside)(struct store *store, const struct store_ref *ref, const struct store_blob *blob);
};

extern const struct store_place store_place_disk;
extern const struct store_place store_place_memory;

/* ---- forms: what the bytes in a place mean ---- */

struct store_form {
    /* Sets object->plain_bytes, cheaply. EBADMSG: it is not what was written. */
    int (*look)(struct store_object *object, struct err *err);

    /* The same, and what is needed to serve it. */
    int (*load)(struct store_object *object, struct err *err);

    /* After look(): whether load() is quick. NULL: always. */
    bool (*is_checked)(const struct store_object *object);

    /* All of [offset, offset + n). EBADMSG as above; `to` has anything then. */
    int (*read)(const struct store_object *object, int64_t offset, char *to, size_t n, struct err *err);

    /* A writer's chunk, and what stands around all of them. */
    int (*write_chunk)(struct store_writer *writer, bool is_last, struct err *err);
    int (*finish)(struct store_writer *writer, int64_t plain_bytes, struct err *err);
};

extern const struct store_form store_form_sealed;
extern const struct store_form store_form_plain;

/* ---- kinds ---- */

struct store_kind_row {
    const struct store_place *place;
    const struct store_form *form;
};

const struct store_kind_row *store_kind_row(enum store_kind kind);

/* Kinds in the order in which an object is looked for. */
extern const enum store_kind store_kind_order[STORE_KINDS];
