/*
 * fs_backing_table -- which open of a sample is read by whom, and which samples have a copy that the kernel reads.
 *
 * The kernel's rule: all who have an inode open at a time read it alike, through us or all from the same copy; another
 * open is EIO. Therefore every open is counted here before it is answered. A copy is worth making when a sample is
 * opened again; it is used when nobody has the sample open otherwise, and then by everybody.
 *
 * Whoever owns the table does the work it asks for on one thread: backing_next() names it, backing_built() and
 * backing_closed() say what came of it.
 *
 * Units      bytes; ids are the kernel's, > 0.
 * Ownership  the table owns its rows; one that is returned stays until its work was reported.
 * Errors     backing_open(): 0 or a negative errno. Nothing else fails.
 * Threads    the caller's lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/digest.h"
#include "util/err.h"
#include "util/list.h"
#include "util/map.h"

enum {
    BACKING_SEEN_MAX = 4096,  /* samples without a copy that are remembered after they were closed */
    BACKING_COPIES_MAX = 512, /* copies, in all */
    BACKING_QUEUE_MAX = 64,   /* samples that wait to be copied; one more asks again when it is opened again */
};

enum backing_state {
    BACKING_NONE,
    BACKING_QUEUED,
    BACKING_BUILDING,
    BACKING_READY,
    BACKING_DOOMED, /* the copy is not used any more, and has to go */
};

/* A sample that is open, or was lately. */
struct backing {
    struct map_entry by_ino;
    struct list link;
    struct list *home; /* that it is in; NULL: it is open or worked on */
    uint64_t ino;
    struct digest digest;
    int64_t bytes; /* of the copy, from when it is begun until it is gone */
    size_t n_open;
    bool is_passed; /* who has it open reads the copy */
    enum backing_state state;
    int id;
};

struct backing_table {
    struct map by_ino;
    struct list seen;   /* closed, without a copy; the one closed last at the end */
    struct list ready;  /* closed, with a copy, likewise */
    struct list queued; /* to be copied */
    struct list doomed; /* copies that have to go */
    struct list stuck;  /* copies that could not be made go */
    size_t n_seen;
    size_t n_queued;
    size_t n_copies; /* also those being made, and doomed ones */
    int64_t bytes;   /* of all copies */
    int64_t limit;   /* of `bytes` */
    bool is_on;      /* new copies are made */
};

void backing_table_init(struct backing_table *table);
void backing_table_done(struct backing_table *table); /* the copies go with the connection to the kernel */

/* What is opened, as it is known then. */
struct backing_sample {
    uint64_t ino;
    struct digest digest;
    int64_t bytes;
    bool is_fixed; /* the kernel knows its true size, so that it may be copied */
};

/* Counts an open. *ret_id > 0: it reads that copy. ESTALE: the inode is open as another sample, which cannot be. */
CHECKED int backing_open(struct backing_table *table, const struct backing_sample *sample, int *ret_id,
                         struct err *err);

/* Takes one open back; of an inode that was never counted: nothing. */
void backing_close(struct backing_table *table, uint64_t ino);

enum backing_work { BACKING_IDLE, BACKING_BUILD, BACKING_CLOSE };

/* The next piece of work, and the row that it is for. */
enum backing_work backing_next(struct backing_table *table, struct backing **ret_backing);

/* The copy of `digest` is there, as `id`; 0: there is none. */
void backing_built(struct backing_table *table, struct backing *backing, const struct digest *digest, int id);

/* The copy is gone; or not, and it will be tried again at the next backing_retry(). */
void backing_closed(struct backing_table *table, struct backing *backing, bool is_gone);
void backing_retry(struct backing_table *table);

/* Drops the copies of closed samples that `is_wanted` does not want. */
typedef bool backing_is_wanted(void *closure, const struct digest *digest);
void backing_sweep(struct backing_table *table, backing_is_wanted *is_wanted, void *closure);
