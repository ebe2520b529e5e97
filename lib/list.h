/*
 * Intrusive circular doubly linked list.
 *
 * A `struct list` is either a head, which stands for the whole list, or a node inside a larger
 * structure. Head and nodes form one ring, so no operation has an end to check for:
 *
 *     head <-> first <-> ... <-> last <-> (head)
 *
 * An initialised node that is on no list is a ring of itself: list_empty(node) is then true, and
 * list_remove leaves a node in that state. Callers bring their own lock.
 */
#pragma once

#include "lib/types.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Has the list exactly one node? */
static inline bool list_is_single(const struct list *head)
{
    return !list_empty(head) && head->next == head->prev;
}

/* Links a node, which is on no list, between two neighbours. */
static inline void list_link(struct list *node, struct list *prev, struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

/* Puts node right behind `where`: at the front when that is a head. */
static inline void list_add(struct list *node, struct list *where)
{
    list_link(node, where, where->next);
}

/* Puts node right before `where`: at the end when that is a head. */
static inline void list_add_tail(struct list *node, struct list *where)
{
    list_link(node, where->prev, where);
}

/* Takes node off its list and initialises it; harmless if it is on none. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves node, which is on some list, right before `where`. */
static inline void list_move_tail(struct list *node, struct list *where)
{
    list_remove(node);
    list_add_tail(node, where);
}

/* Moves every node of `from` before `where`, in order; `from` is left empty. */
static inline void list_splice_tail(struct list *from, struct list *where)
{
    if (list_empty(from))
        return;
    from->next->prev = where->prev;
    from->prev->next = where;
    where->prev->next = from->next;
    where->prev = from->prev;
    list_init(from);
}

/* The first node, taken off the list; NULL if there is none. */
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;

    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

static inline usize list_length(const struct list *head)
{
    usize length = 0;

    for (const struct list *node = head->next; node != head; node = node->next)
        length++;
    return length;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* The first entry of a list that is not empty, and the one after another. */
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_next_entry(entry, member)                                                           \
    list_entry((entry)->member.next, __typeof__(*(entry)), member)

/* Visits each node. */
#define list_for_each(node, head)                                                                \
    for (struct list *node = (head)->next; node != (head); node = node->next)

/* Visits each entry; `entry` (and `after`) are pointers declared by the caller. `_safe` allows the
 * body to remove the entry it is at. */
#define list_for_each_entry(entry, head, member)                                                 \
    for (entry = list_first_entry(head, __typeof__(*entry), member); &entry->member != (head);   \
         entry = list_next_entry(entry, member))
#define list_for_each_entry_safe(entry, after, head, member)                                     \
    for (entry = list_first_entry(head, __typeof__(*entry), member),                             \
        after = list_next_entry(entry, member);                                                  \
         &entry->member != (head); entry = after, after = list_next_entry(after, member))
