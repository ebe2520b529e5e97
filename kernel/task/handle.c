/*
 * handle.c: the table of names in each task.
 *
 * Under the table's lock an entry holds a reference to its object, so whoever finds it there may
 * take another one. What may sleep (dropping the last reference) happens after the lock is gone.
 * IPC's fast path reads entries itself (ipc.c).
 */
#include "kernel/task/handle.h"
#include "kernel/base/errno.h"
#include "kernel/base/slab.h"
#include "kernel/task/ipc.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

#define TABLE_FIRST_SIZE 16

static void task_class_get(void *object)
{
    task_get(object);
}
static void task_class_put(void *object)
{
    task_put(object);
}
static void thread_class_get(void *object)
{
    thread_get(object);
}
static void thread_class_put(void *object)
{
    thread_put(object);
}

static const struct handle_class task_class = {.get = task_class_get, .put = task_class_put};
static const struct handle_class thread_class = {.get = thread_class_get, .put = thread_class_put};

static const struct handle_class *classes[HANDLE_TYPES] = {
    [HANDLE_TASK] = &task_class,
    [HANDLE_THREAD] = &thread_class,
    [HANDLE_PORT] = &port_handle_class,
};

void handle_class_register(enum handle_type type, const struct handle_class *handle_class)
{
    classes[type] = handle_class;
}

static enum handle_type key_type(u32 key)
{
    return (enum handle_type)(key >> 8);
}

static u32 key_rights(u32 key)
{
    return key & ~HANDLE_KEY_TYPE;
}

void handle_table_init(struct handle_table *table)
{
    *table = (struct handle_table){.lowest = MG_HANDLE_SELF + 1};
    spin_init(&table->lock, "handle table", LOCK_HANDLES);
}

/* Twice the size; the entries stay where they are in order. Returns what is to be freed. The lock
 * is held. */
static bool grow(struct handle_table *table, u32 needed, struct handle_entry **old)
{
    u32 size = MAX(table->size * 2, (u32)TABLE_FIRST_SIZE);

    while (size <= needed)
        size *= 2;
    struct handle_entry *entries = kzalloc(size * sizeof(*entries));

    if (!entries)
        return false;
    if (table->size)
        memcpy(entries, table->entries, table->size * sizeof(*entries));
    *old = table->entries;
    table->entries = entries;
    table->size = size;
    return true;
}

/* The number for a new entry, or -errno. The lock is held. */
static s64 find_free(struct handle_table *table, mg_handle wanted, struct handle_entry **old)
{
    u32 at = wanted ? wanted : table->lowest;

    if (table->closed)
        return -ESRCH;
    while (!wanted && at < table->size && table->entries[at].key)
        at++;
    if (at >= HANDLE_MAX)
        return -EMFILE;
    if (at >= table->size && !grow(table, at, old))
        return -ENOMEM;
    if (at == MG_HANDLE_SELF || table->entries[at].key)
        return -EEXIST;
    if (!wanted)
        table->lowest = at + 1;
    return at;
}

s64 handle_install(struct task *task, struct handle_ref *ref, mg_handle wanted)
{
    struct handle_table *table = &task->handles;
    const struct handle_class *class = classes[ref->type];
    struct handle_entry *old = NULL;

    /* Before the entry can be seen, and so before it can be closed. */
    if (class->named)
        class->named(ref->object, ref->rights);
    spin_lock(&table->lock);
    s64 handle = find_free(table, wanted, &old);

    if (handle > 0)
        table->entries[handle] = (struct handle_entry){
            .key = HANDLE_KEY(ref->type, ref->rights),
            .object = ref->object,
            .cookie = ref->cookie,
        };
    spin_unlock(&table->lock);
    kfree(old);
    if (handle > 0) {
        ref->type = HANDLE_FREE;
        return handle;
    }
    if (class->unnamed)
        class->unnamed(ref->object, ref->rights);
    handle_ref_put(ref);
    return handle;
}

bool handle_is_trusted(struct task *task)
{
    struct handle_table *table = &task->handles;
    u32 system = HANDLE_KEY(HANDLE_SYSTEM, MG_RIGHT_MANAGE);

    spin_lock(&table->lock);
    bool trusted =
        MG_HANDLE_SYSTEM < table->size &&
        (table->entries[MG_HANDLE_SYSTEM].key & (HANDLE_KEY_TYPE | MG_RIGHT_MANAGE)) == system;
    spin_unlock(&table->lock);
    return trusted;
}

/* A task that has a server is managed by that, not by itself: it could otherwise give its threads
 * other threads' cookies, or lift its limits. Who is trusted with the machine may do so. */
static u32 rights_over_self(struct task *task)
{
    return !task->server || handle_is_trusted(task) ? MG_RIGHT_ALL
                                                    : MG_RIGHT_ALL & ~(u32)MG_RIGHT_MANAGE;
}

static s64 lookup_self(struct task *task, enum handle_type type, u32 rights, struct handle_ref *ref)
{
    if (type != HANDLE_TASK && type != HANDLE_FREE)
        return -EBADF;
    u32 held = rights_over_self(task);

    if ((held & rights) != rights)
        return -EACCES;
    *ref = (struct handle_ref){HANDLE_TASK, held, task_get(task), task->spaces};
    return 0;
}

/*
 * A program that hands its own task to another lets that one into its memory. When the task gets
 * another program, perhaps one with the rights of another user, that is over. Who manages the task
 * has put the program there.
 */
static bool is_stale(const struct handle_entry *entry)
{
    return key_type(entry->key) == HANDLE_TASK && !(entry->key & MG_RIGHT_MANAGE) &&
           entry->cookie != ((const struct task *)entry->object)->spaces;
}

/* The entry as a reference; the lock is held. */
static struct handle_ref refer(const struct handle_entry *entry)
{
    struct handle_ref ref = {key_type(entry->key), key_rights(entry->key), entry->object,
                             entry->cookie};

    if (ref.type == HANDLE_TASK)
        ref.cookie = ((const struct task *)ref.object)->spaces;
    classes[ref.type]->get(ref.object);
    return ref;
}

s64 handle_lookup(struct task *task, mg_handle handle, enum handle_type type, u32 rights,
                  struct handle_ref *ref)
{
    struct handle_table *table = &task->handles;
    s64 status = -EBADF;

    *ref = (struct handle_ref){0};
    if (handle == MG_HANDLE_SELF)
        return lookup_self(task, type, rights, ref);
    spin_lock(&table->lock);
    if (handle < table->size && table->entries[handle].key) {
        const struct handle_entry *entry = &table->entries[handle];

        if (type != HANDLE_FREE && key_type(entry->key) != type) {
            status = -EBADF;
        } else if ((key_rights(entry->key) & rights) != rights) {
            status = -EACCES;
        } else if (is_stale(entry)) {
            status = -ESRCH;
        } else {
            *ref = refer(entry);
            status = 0;
        }
    }
    spin_unlock(&table->lock);
    return status;
}

void handle_ref_put(struct handle_ref *ref)
{
    enum handle_type type = ref->type;

    ref->type = HANDLE_FREE;
    if (type != HANDLE_FREE)
        classes[type]->put(ref->object);
}

/* An entry that has been taken out of its table. */
static void drop_entry(const struct handle_entry *entry)
{
    const struct handle_class *class = classes[key_type(entry->key)];

    if (class->unnamed)
        class->unnamed(entry->object, key_rights(entry->key));
    class->put(entry->object);
}

s64 handle_close(struct task *task, mg_handle handle)
{
    struct handle_table *table = &task->handles;
    struct handle_entry entry = {0};

    spin_lock(&table->lock);
    if (handle < table->size) {
        entry = table->entries[handle];
        table->entries[handle].key = 0;
        if (entry.key)
            table->lowest = MIN(table->lowest, handle);
    }
    spin_unlock(&table->lock);
    if (!entry.key)
        return -EBADF;
    drop_entry(&entry);
    return 0;
}

u64 handle_table_pages(struct task *task)
{
    struct handle_table *table = &task->handles;
    u64 pages = 0, used = 0;

    spin_lock(&table->lock);
    for (u32 i = 0; i < table->size; i++) {
        const struct handle_entry *entry = &table->entries[i];

        if (!entry->key)
            continue;
        used++;
        if (classes[key_type(entry->key)]->pages)
            pages += classes[key_type(entry->key)]->pages(entry->object);
    }
    spin_unlock(&table->lock);
    return pages + used / HANDLES_PER_PAGE;
}

void handle_table_close(struct handle_table *table)
{
    spin_lock(&table->lock);
    struct handle_entry *entries = table->entries;
    u32 size = table->size;

    table->closed = true;
    table->entries = NULL;
    table->size = 0;
    spin_unlock(&table->lock);
    for (u32 i = 0; i < size; i++)
        if (entries[i].key)
            drop_entry(&entries[i]);
    kfree(entries);
}
