#include "fs/fs_backing_table.h"

#include <errno.h>
#include <stdlib.h>

void backing_table_init(struct backing_table *table)
{
    *table = (struct backing_table){ .is_on = false };
    list_init(&table->seen);
    list_init(&table->ready);
    list_init(&table->queued);
    list_init(&table->doomed);
    list_init(&table->stuck);
}

void backing_table_done(struct backing_table *table)
{
    struct map_entry *entry;

    while ((entry = map_pop(&table->by_ino)))
        free(container_of(entry, struct backing, by_ino));
    map_done(&table->by_ino);
}

static struct backing *find(const struct backing_table *table, uint64_t ino)
{
    struct map_entry *entry = map_first(&table->by_ino, map_hash_u64(ino));

    while (entry && container_of(entry, struct backing, by_ino)->ino != ino)
        entry = map_next(entry);
    return entry ? container_of(entry, struct backing, by_ino) : NULL;
}

/* The list that a row belongs to; NULL: none, it is open or worked on. */
static struct list *home_of(struct backing_table *table, const struct backing *backing)
{
    switch (backing->state) {
    case BACKING_NONE:
        return backing->n_open == 0 ? &table->seen : NULL;
    case BACKING_QUEUED:
        return &table->queued;
    case BACKING_READY:
        return backing->n_open == 0 ? &table->ready : NULL;
    case BACKING_DOOMED:
        return &table->doomed;
    case BACKING_BUILDING:
        break;
    }
    return NULL;
}

static struct backing *first_of(const struct list *list)
{
    return list_is_empty(list) ? NULL : container_of(list->next, struct backing, link);
}

static void leave(struct backing_table *table, struct backing *backing)
{
    list_remove(&backing->link);
    table->n_seen -= backing->home == &table->seen;
    table->n_queued -= backing->home == &table->queued;
    backing->home = NULL;
}

static void forget_oldest(struct backing_table *table)
{
    struct backing *oldest = container_of(table->seen.next, struct backing, link); /* not empty: n_seen */

    leave(table, oldest);
    map_remove(&table->by_ino, &oldest->by_ino);
    free(oldest);
}

/* Into its new state, and to the end of the list that it belongs to. */
static void place(struct backing_table *table, struct backing *backing, enum backing_state state)
{
    leave(table, backing);
    backing->state = state;
    backing->home = home_of(table, backing);
    if (!backing->home)
        return;
    list_add_tail(backing->home, &backing->link);
    table->n_queued += backing->home == &table->queued;
    table->n_seen += backing->home == &table->seen;
    if (table->n_seen > BACKING_SEEN_MAX)
        forget_oldest(table);
}

/* After it was opened or closed: what is queued or worked on stays where it is. */
static void settle(struct backing_table *table, struct backing *backing)
{
    if (backing->state == BACKING_NONE || backing->state == BACKING_READY)
        place(table, backing, backing->state);
}

static struct backing *add(struct backing_table *table, const struct backing_sample *sample)
{
    struct backing *backing = calloc(1, sizeof *backing);

    if (!backing)
        return NULL;
    backing->ino = sample->ino;
    backing->digest = sample->digest;
    list_init(&backing->link);
    if (!map_add(&table->by_ino, &backing->by_ino, map_hash_u64(sample->ino))) {
        free(backing);
        return NULL;
    }
    return backing;
}

/* An inode that was reused must never get the bytes of the sample that it was before. */
static void become(struct backing_table *table, struct backing *backing, const struct backing_sample *sample)
{
    backing->digest = sample->digest;
    if (backing->state == BACKING_READY)
        place(table, backing, BACKING_DOOMED);
    else if (backing->state == BACKING_QUEUED)
        place(table, backing, BACKING_NONE);
}

static bool is_worth_a_copy(const struct backing_table *table, const struct backing *backing,
                            const struct backing_sample *sample)
{
    return table->is_on && sample->is_fixed && backing->state == BACKING_NONE && sample->bytes > 0 &&
           sample->bytes <= table->limit && table->n_queued < BACKING_QUEUE_MAX;
}

int backing_open(struct backing_table *table, const struct backing_sample *sample, int *ret_id, struct err *err)
{
    struct backing *backing = find(table, sample->ino);
    bool is_again = backing && digest_equal(&backing->digest, &sample->digest);

    *ret_id = 0;
    if (backing && !is_again && backing->n_open > 0)
        return err_set(err, ESTALE, "an inode that is open as another sample");
    if (backing && !is_again)
        become(table, backing, sample);
    if (!backing)
        backing = add(table, sample);
    if (!backing)
        return err_set(err, ENOMEM, "no memory for an open sample");
    if (backing->n_open++ == 0)
        backing->is_passed = backing->state == BACKING_READY && sample->is_fixed;
    settle(table, backing);
    if (is_again && is_worth_a_copy(table, backing, sample)) {
        backing->bytes = sample->bytes;
        place(table, backing, BACKING_QUEUED);
    }
    if (backing->is_passed)
        *ret_id = backing->id;
    return 0;
}

void backing_close(struct backing_table *table, uint64_t ino)
{
    struct backing *backing = find(table, ino);

    if (!backing || backing->n_open == 0)
        return;
    backing->n_open--;
    settle(table, backing);
}

/* ---- the work ---- */

static bool is_too_much(const struct backing_table *table, const struct backing *more)
{
    return table->n_copies + (more ? 1 : 0) > BACKING_COPIES_MAX ||
           table->bytes + (more ? more->bytes : 0) > table->limit;
}

enum backing_work backing_next(struct backing_table *table, struct backing **ret_backing)
{
    for (;;) {
        struct backing *doomed = first_of(&table->doomed);
        struct backing *idle = first_of(&table->ready);
        struct backing *next = table->is_on ? first_of(&table->queued) : NULL;

        *ret_backing = doomed ? doomed : next;
        if (doomed) {
            leave(table, doomed);
            return BACKING_CLOSE;
        }
        if (is_too_much(table, next) && idle) {
            place(table, idle, BACKING_DOOMED);
        } else if (!next) {
            return BACKING_IDLE;
        } else if (is_too_much(table, next)) {
            place(table, next, BACKING_NONE); /* all others are in use */
        } else {
            table->n_copies++;
            table->bytes += next->bytes;
            place(table, next, BACKING_BUILDING);
            return BACKING_BUILD;
        }
    }
}

static void without_copy(struct backing_table *table, struct backing *backing)
{
    table->n_copies--;
    table->bytes -= backing->bytes;
    backing->id = 0;
    place(table, backing, BACKING_NONE);
}

void backing_built(struct backing_table *table, struct backing *backing, const struct digest *digest, int id)
{
    backing->id = id;
    if (id <= 0)
        without_copy(table, backing);
    else
        place(table, backing, digest_equal(digest, &backing->digest) ? BACKING_READY : BACKING_DOOMED);
}

void backing_closed(struct backing_table *table, struct backing *backing, bool is_gone)
{
    if (is_gone)
        without_copy(table, backing);
    else
        list_add_tail(&table->stuck, &backing->link);
}

void backing_retry(struct backing_table *table)
{
    list_for_each (link, &table->stuck)
        place(table, container_of(link, struct backing, link), BACKING_DOOMED);
}

void backing_sweep(struct backing_table *table, backing_is_wanted *is_wanted, void *closure)
{
    list_for_each (link, &table->ready) {
        struct backing *backing = container_of(link, struct backing, link);

        if (!is_wanted(closure, &backing->digest))
            place(table, backing, BACKING_DOOMED);
    }
}
