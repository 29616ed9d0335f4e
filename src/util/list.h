/*
 * list -- an intrusive, circular, doubly linked list.
 *
 * The list does not own its entries. Threads: the caller's lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/check.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add_tail(struct list *head, struct list *entry)
{
    entry->prev = head->prev;
    entry->next = head;
    head->prev->next = entry;
    head->prev = entry;
}

/* Removes and re-initialises, so that removing twice is harmless. */
static inline void list_remove(struct list *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    list_init(entry);
}

/* `entry` is a cursor of type struct list *, safe against removing the current entry. */
#define list_for_each(entry, head)                                                                                     \
    for (struct list *entry = (head)->next, *next_##entry = entry->next; entry != (head);                              \
         entry = next_##entry, next_##entry = entry->next)
