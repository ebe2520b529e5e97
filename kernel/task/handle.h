/*
 * handle.h: names of kernel objects in a task, with rights.
 *
 * A task's table is an array indexed by handle; entry 0 is never used, and MG_HANDLE_SELF is not in
 * the table but understood by lookup, so that a task holds no reference to itself. New handles get
 * the lowest free number.
 */
#pragma once

#include "kernel/base/lock.h"
#include "lib/types.h"
#include <merganser/abi.h>

struct task;

enum handle_type {
    HANDLE_FREE,
    HANDLE_TASK,
    HANDLE_THREAD,
    HANDLE_PORT,
    HANDLE_OBJECT,
    HANDLE_IRQ,
    HANDLE_SYSTEM,
    HANDLE_BLOCK,
    HANDLE_TYPES
};

#define HANDLE_MAX 65536
#define HANDLES_PER_PAGE 16 /* what a handle and its object cost, for handle_table_pages */

struct handle_ref { /* an object with one reference held */
    enum handle_type type;
    u32 rights;
    void *object;
    /* ports: what calls through this handle carry; tasks: the space it was made for */
    u64 cookie;
};

/* How each type takes and drops references; floors above register theirs at start-up. */
struct handle_class {
    void (*get)(void *object);
    void (*put)(void *object); /* may sleep */
    /* An entry with these rights appeared in a table, or went: for ports, which die with their last
     * receiver. NULL = not interested. */
    void (*named)(void *object, u32 rights);
    void (*unnamed)(void *object, u32 rights);
    u64 (*pages)(const void *object); /* memory that goes with its last handle; NULL = little */
};
void handle_class_register(enum handle_type type, const struct handle_class *handle_class);

struct handle_entry {
    u32 key; /* HANDLE_KEY(type, rights); 0 = free */
    u32 spare;
    void *object;
    u64 cookie;
};
#define HANDLE_KEY(type, rights) ((u32)(type) << 8 | (rights))
#define HANDLE_KEY_TYPE 0xffffff00u

struct handle_table {
    struct spinlock lock; /* LOCK_HANDLES, guards all; no interrupt handler takes it */
    u32 size;             /* of entries */
    u32 lowest;           /* no entry below it is free */
    bool closed;          /* the task has ended: nothing is installed any more */
    struct handle_entry *entries;
};
void handle_table_init(struct handle_table *table);
void handle_table_close(struct handle_table *table); /* drops every object; may sleep */

/* Puts ref (its reference moves into the table, on failure it is dropped) under a new number, or
 * under `wanted` when not 0. Returns the handle. -ENOMEM, -EMFILE, -EEXIST (wanted is taken),
 * -ESRCH (the task has ended). May sleep. */
s64 handle_install(struct task *task, struct handle_ref *ref, mg_handle wanted);
/* Looks up, checks type (HANDLE_FREE = any) and rights, takes a reference: 0, -EBADF, -EACCES. A
 * task's handle without MG_RIGHT_MANAGE is for the space it had: -ESRCH once that was exchanged. */
s64 handle_lookup(struct task *task, mg_handle handle, enum handle_type type, u32 rights,
                  struct handle_ref *ref);
/* Whether the task has the system handle where its first program got it, and may manage. */
bool handle_is_trusted(struct task *task);
/* Memory that the table and what it names take. */
u64 handle_table_pages(struct task *task);
/* Drops the reference and forgets the object; harmless on an empty ref. May sleep. */
void handle_ref_put(struct handle_ref *ref);
s64 handle_close(struct task *task, mg_handle handle); /* 0, -EBADF; may sleep */
