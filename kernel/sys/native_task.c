/*
 * native_task.c: the native calls on tasks.
 *
 * Rights: READ to look at it and to copy it, WRITE to share its memory, MANAGE to change what it
 * is.
 */
#include "kernel/mm/ksm.h"
#include "kernel/mm/mm.h"
#include "kernel/mm/mman.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/machine.h"
#include "kernel/sys/native.h"
#include "kernel/task/port.h"

#define PID_LIMIT 0x7fffffffu

/* --- making and ending --- */

/* What belongs to the task rather than to its program: it outlives execve, and a new task starts
 * with its maker's. */
static void inherit_settings(struct mm *to, struct mm *from)
{
    rwsem_write(&to->lock);
    to->limit_memlock = from->limit_memlock;
    to->limit_space = from->limit_space;
    to->limit_stack = from->limit_stack;
    to->limit_data = from->limit_data;
    to->merge_domain = from->merge_domain;
    rwsem_write_done(&to->lock);
    if (from->merge_any)
        ksm_set_merge_any(to, true); /* without memory for it the new program is not merged */
}

/* The port for a task's calls and faults; handle 0 means none. */
static s64 lookup_server(u64 handle, struct handle_ref *port)
{
    *port = (struct handle_ref){0};
    return handle ? native_lookup(handle, HANDLE_PORT, MG_RIGHT_WRITE, port) : 0;
}

s64 native_task_create(struct trap_frame *frame)
{
    struct handle_ref port;
    s64 status = lookup_server(SYSCALL_ARG0(frame), &port);

    if (status < 0)
        return status;
    struct task *task = task_create(NULL, port.object, SYSCALL_ARG1(frame));

    handle_ref_put(&port);
    if (!task)
        return -ENOMEM;
    inherit_settings(task->mm, current_mm());
    return native_install(HANDLE_TASK, task);
}

s64 native_task_fork(struct trap_frame *frame)
{
    u64 flags = SYSCALL_ARG3(frame);
    u32 rights = flags & MG_FORK_SHARE_SPACE ? MG_RIGHT_READ | MG_RIGHT_WRITE : MG_RIGHT_READ;
    struct handle_ref parent, port = {0};
    struct task *child;
    s64 status;

    if (flags & ~(u64)MG_FORK_SHARE_SPACE)
        return -EINVAL;
    status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, rights, &parent);
    if (status == 0)
        status = lookup_server(SYSCALL_ARG1(frame), &port);
    if (status == 0)
        status = task_fork(&parent, port.object, SYSCALL_ARG2(frame), (u32)flags, &child);
    handle_ref_put(&parent);
    handle_ref_put(&port);
    return status < 0 ? status : native_install(HANDLE_TASK, child);
}

s64 native_task_kill(struct trap_frame *frame)
{
    struct handle_ref task;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, MG_RIGHT_MANAGE, &task);

    if (status < 0)
        return status;
    task_kill(task.object);
    if (task.object != current_thread()->task)
        status = task_wait_released(task.object);
    handle_ref_put(&task);
    return status;
}

s64 native_task_give(struct trap_frame *frame)
{
    u64 rights = SYSCALL_ARG2(frame);
    struct handle_ref task, ref = {0};
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, MG_RIGHT_MANAGE, &task);

    if (status == 0)
        status = native_lookup(SYSCALL_ARG1(frame), HANDLE_FREE, MG_RIGHT_PASS, &ref);
    if (status == 0)
        status = native_check_rights(rights, ref.rights);
    if (status == 0) {
        ref.rights = (u32)rights;
        status = handle_install(task.object, &ref, 0);
    }
    handle_ref_put(&ref);
    handle_ref_put(&task);
    return status;
}

/* --- a new space --- */

s64 native_task_reset_space(struct trap_frame *frame)
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, MG_RIGHT_MANAGE, &ref);

    if (status < 0)
        return status;
    struct mm *old = task_mm_get(ref.object);

    status = old ? task_reset_space(ref.object) : -ESRCH;
    struct mm *new = status == 0 ? task_mm_get(ref.object) : NULL;

    if (new) {
        inherit_settings(new, old);
        mm_put(new);
    }
    if (old)
        mm_put(old);
    handle_ref_put(&ref);
    return status;
}

/* --- settings --- */

static s64 set_name(struct task *task, u64 value)
{
    char name[TASK_NAME_BYTES];
    s64 length = native_read_string(name, value, sizeof(name));

    if (length < 0)
        return length;
    task_set_name(task, name);
    return 0;
}

/* Who has no server yet gets one, once: then no thread of it can be in the middle of a call to
 * another. */
static s64 set_server(struct task *task, u64 value)
{
    struct handle_ref port;
    struct thread *thread;
    s64 status = native_lookup(value, HANDLE_PORT, MG_RIGHT_WRITE, &port);

    if (status < 0)
        return status;
    spin_lock(&task->lock);
    if (task->server) {
        status = -EBUSY;
    } else {
        task->cookie = port.cookie;
        list_for_each_entry(thread, &task->threads, task_link) {
            thread->cookie = port.cookie;
        }
        __atomic_store_n(&task->server, port_get(port.object), __ATOMIC_RELEASE);
    }
    spin_unlock(&task->lock);
    handle_ref_put(&port);
    return status;
}

static s64 set_brk(struct mm *mm, u64 value)
{
    if (value > USER_END)
        return -EINVAL;
    rwsem_write(&mm->lock);
    mm->brk_start = mm->brk = value;
    rwsem_write_done(&mm->lock);
    return 0;
}

static s64 set_limit(struct mm *mm, u64 *limit, u64 value)
{
    rwsem_write(&mm->lock);
    *limit = value;
    rwsem_write_done(&mm->lock);
    return 0;
}

static s64 set_reserve(struct mm *mm, u64 value)
{
    if (value > 1)
        return -EINVAL;
    mm->pt.alloc_flags = value ? ALLOC_RESERVE : 0;
    return 0;
}

/* What others rely on, and so only who is trusted with the machine may set. */
static s64 set_bounds(struct mm *mm, u64 what, u64 value)
{
    if (machine_check(MG_HANDLE_SYSTEM, MG_RIGHT_MANAGE))
        return -EACCES;
    switch (what) {
    case MG_TASK_MEMLOCK_LIMIT: return set_limit(mm, &mm->limit_memlock, value);
    case MG_TASK_SPACE_LIMIT: return set_limit(mm, &mm->limit_space, value);
    case MG_TASK_STACK_LIMIT: return set_limit(mm, &mm->limit_stack, value);
    case MG_TASK_DATA_LIMIT: return set_limit(mm, &mm->limit_data, value);
    case MG_TASK_RESERVE: return set_reserve(mm, value);
    default: return value > ~0u ? -EINVAL : ksm_set_domain(mm, (u32)value);
    }
}

static s64 set_space(struct mm *mm, u64 what, u64 value)
{
    switch (what) {
    case MG_TASK_MERGE_DOMAIN:
    case MG_TASK_MEMLOCK_LIMIT:
    case MG_TASK_SPACE_LIMIT:
    case MG_TASK_STACK_LIMIT:
    case MG_TASK_DATA_LIMIT:
    case MG_TASK_RESERVE: return set_bounds(mm, what, value);
    case MG_TASK_BRK: return set_brk(mm, value);
    case MG_TASK_MEMORY_MERGE: return value > 1 ? -EINVAL : ksm_set_merge_any(mm, value != 0);
    default: return -EINVAL;
    }
}

static s64 set_task(struct task *task, u64 what, u64 value)
{
    switch (what) {
    case MG_TASK_PID:
        if (value > PID_LIMIT)
            return -EINVAL;
        task->pid = (u32)value;
        return 0;
    case MG_TASK_NAME: return set_name(task, value);
    case MG_TASK_SERVER: return set_server(task, value);
    }
    struct mm *mm = task_mm_get(task);

    if (!mm)
        return -ESRCH;
    s64 status = set_space(mm, what, value);

    mm_put(mm);
    return status;
}

s64 native_task_set(struct trap_frame *frame)
{
    struct handle_ref task;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, MG_RIGHT_MANAGE, &task);

    if (status < 0)
        return status;
    status = set_task(task.object, SYSCALL_ARG1(frame), SYSCALL_ARG2(frame));
    handle_ref_put(&task);
    return status;
}

/* --- figures --- */

static u64 executable_pages(struct mm *mm)
{
    u64 pages = 0;

    for (struct vma *vma = vma_find(mm, 0); vma; vma = vma_next(vma))
        if (vma->prot & PROT_EXEC)
            pages += vma_pages(vma);
    return pages;
}

static void fill_layout(struct mg_task_info *info, struct mm *mm)
{
    rwsem_read(&mm->lock);
    info->total = mm->total;
    info->locked = mm->locked;
    info->stack = mm->stack;
    info->data = mm->data;
    info->text = executable_pages(mm);
    info->peak_total = mm->peak_total;
    info->brk_start = mm->brk_start;
    info->brk = mm->brk;
    info->stack_start = mm->stack_start;
    info->merge_any = mm->merge_any;
    info->merge_domain = mm->merge_domain;
    info->ksm_items = ksm_item_count(mm);
    rwsem_read_done(&mm->lock);
}

static void fill_space(struct mg_task_info *info, struct mm *mm)
{
    fill_layout(info, mm);
    info->rss_anon = atomic_load(&mm->rss_anon);
    info->rss_object = atomic_load(&mm->rss_object);
    info->rss_merged = atomic_load(&mm->rss_merged);
    info->swapped = atomic_load(&mm->swapped);
    info->tables = atomic_load(&mm->pt.tables);
    info->peak_rss = mm_peak_rss(mm);
    info->minor_faults = atomic_load(&mm->minor_faults);
    info->major_faults = atomic_load(&mm->major_faults);
    info->cow_faults = atomic_load(&mm->cow_faults);
    info->ksm_merging = info->rss_merged;
    info->ksm_zero = atomic_load(&mm->ksm_zero);
}

#define THREAD_PAGES 5 /* stack and registers */

static u64 mapped_pages(struct task *task)
{
    struct mm *mm = task_mm_get(task);
    u64 pages = mm ? mm_rss(mm) + atomic_load(&mm->pt.tables) : 0;

    if (mm)
        mm_put(mm);
    return pages + task->thread_count * THREAD_PAGES;
}

/* What others can't see of the task: objects that are not mapped, the tasks it has made. */
static u64 held_pages(struct task *task)
{
    u64 pages = handle_table_pages(task);

    for (struct task *made = NULL; (made = task_next_made(task, made));)
        pages += mapped_pages(made) + handle_table_pages(made);
    return pages;
}

s64 native_task_info(struct trap_frame *frame)
{
    struct mg_task_info info = {0};
    struct cpu_times times;
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, MG_RIGHT_READ, &ref);

    if (status < 0)
        return status;
    struct task *task = ref.object;
    struct mm *mm = task_mm_get(task);

    if (mm) {
        fill_space(&info, mm);
        mm_put(mm);
    }
    task_times(task, &times);
    info.user_ns = times.user_ns;
    info.kernel_ns = times.kernel_ns;
    info.threads = task->thread_count;
    info.held = held_pages(task);
    handle_ref_put(&ref);
    return user_write(SYSCALL_ARG1(frame), &info, sizeof(info));
}
