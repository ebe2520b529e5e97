/*
 * kstack.c: kernel stacks of 16 KiB, each below an address multiple of 32 KiB, with nothing mapped
 * beneath: an overflow faults (and, as there is no stack left for that, becomes a double fault on a
 * stack of its own).
 *
 * Freed stacks are kept mapped for reuse, up to CACHE_MAX. Beyond that a batch of them is unmapped.
 * Another CPU may still have them in its TLB, so their frames and addresses are not reused before
 * every CPU has answered IPI_STACKS. Nobody waits for that: the next caller who finds
 * `flush_waiting` empty gives the frames back. When thousands of threads end at once most stacks
 * are freed before the first answer, so somebody (the reaper) must call again until all is done.
 */
#include "arch/x86_64/kstack.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/pagetable.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/lock.h"
#include "lib/bitmap.h"

#define SLOT_BYTES (2ul * KERNEL_STACK_SIZE)
#define SLOTS 65536ul
#define STACK_PAGES (KERNEL_STACK_SIZE / PAGE_SIZE)
#define CACHE_MAX 32
#define BATCH 32

static_assert(SLOTS * SLOT_BYTES <= WINDOW_BYTES, "the window holds all stacks");

/* A stack that is no longer mapped. */
struct retired {
    u64 slot;
    struct frame *frames[STACK_PAGES];
};

static struct spinlock lock = SPINLOCK_INIT("stacks", LOCK_ARCH); /* guards all below */
static u64 used[BITMAP_WORDS(SLOTS)];
static u64 next_slot; /* where to look for a free one */
static u64 *cached;   /* mapped and free, linked through their lowest word */
static u32 cached_count;
static struct retired retired[BATCH];
static u32 retired_count;
static _Atomic cpumask_t flush_waiting; /* CPUs that may still have the retired ones in their TLB */

static u64 slot_bottom(u64 slot)
{
    return STACK_BASE + slot * SLOT_BYTES + KERNEL_STACK_SIZE;
}

static void flush_retired(void)
{
    for (u32 i = 0; i < retired_count; i++)
        for (u64 page = 0; page < STACK_PAGES; page++)
            page_invalidate(slot_bottom(retired[i].slot) + page * PAGE_SIZE);
}

void kstack_flush_here(void)
{
    flush_retired(); /* they don't change while anybody is waited for */
    atomic_fetch_and(&flush_waiting, ~(1ul << this_cpu()->id));
}

/* Takes a stack off the cache and unmaps it. */
static void retire_one(void)
{
    u64 bottom = (u64)cached;
    struct retired *to = &retired[retired_count++];

    cached = (u64 *)*cached;
    cached_count--;
    to->slot = (bottom - STACK_BASE) / SLOT_BYTES;
    for (u64 page = 0; page < STACK_PAGES; page++) {
        u64 *leaf = kmap_leaf(bottom + page * PAGE_SIZE);

        to->frames[page] = pte_frame((pte_t){*leaf});
        __atomic_store_n(leaf, 0, __ATOMIC_RELEASE);
    }
}

static cpumask_t other_cpus(void)
{
    cpumask_t mask = 0;

    for (u32 id = 0; id < cpu_count; id++)
        if (atomic_load(&cpus[id]->online) && cpus[id] != this_cpu())
            mask |= 1ul << id;
    return mask;
}

/* Makes progress with what is freed: `done` receives what has become reusable, returns how many;
 * *notify the CPUs that are to be sent IPI_STACKS. The lock is held. */
static u32 advance(struct retired *done, cpumask_t *notify)
{
    u32 count = 0;

    *notify = 0;
    if (retired_count > 0 && atomic_load(&flush_waiting) == 0) {
        count = retired_count;
        for (u32 i = 0; i < count; i++) {
            done[i] = retired[i];
            bitmap_clear(used, retired[i].slot);
        }
        retired_count = 0;
    }
    if (retired_count == 0 && cached_count >= CACHE_MAX + BATCH) {
        while (retired_count < BATCH)
            retire_one();
        flush_retired();
        *notify = other_cpus();
        atomic_store(&flush_waiting, *notify);
    }
    return count;
}

static void give_back(const struct retired *done, u32 count)
{
    for (u32 i = 0; i < count; i++)
        for (u64 page = 0; page < STACK_PAGES; page++)
            frame_put(done[i].frames[page]);
}

/* Maps fresh frames at a slot; on failure nothing is left behind. */
static bool slot_map(u64 slot)
{
    struct frame *frames[STACK_PAGES];
    u64 *leaves[STACK_PAGES];
    u64 got = 0;

    for (; got < STACK_PAGES; got++) {
        leaves[got] = kmap_leaf(slot_bottom(slot) + got * PAGE_SIZE);
        frames[got] = leaves[got] ? frame_alloc(0, 0, NODE_ANY) : NULL;
        if (!frames[got])
            break;
    }
    if (got < STACK_PAGES) {
        while (got > 0)
            frame_put(frames[--got]);
        return false;
    }
    for (u64 page = 0; page < STACK_PAGES; page++)
        kernel_map_page(slot_bottom(slot) + page * PAGE_SIZE, pfn_pa(frame_pfn(frames[page])),
                        PTE_READ | PTE_WRITE);
    return true;
}

void *kernel_stack_alloc(void)
{
    u64 flags = spin_lock_irq(&lock);
    u64 *stack = cached, slot = SLOTS;

    if (stack) {
        cached = (u64 *)*stack;
        cached_count--;
    } else {
        slot = bitmap_find_clear(used, SLOTS, next_slot);
        if (slot == SLOTS)
            slot = bitmap_find_clear(used, SLOTS, 0);
        if (slot < SLOTS)
            bitmap_set(used, slot);
        next_slot = slot < SLOTS ? slot + 1 : 0;
    }
    spin_unlock_irq(&lock, flags);
    if (stack)
        return (u8 *)stack + KERNEL_STACK_SIZE;
    if (slot == SLOTS)
        return NULL;
    if (slot_map(slot))
        return (void *)(slot_bottom(slot) + KERNEL_STACK_SIZE);
    flags = spin_lock_irq(&lock);
    bitmap_clear(used, slot);
    spin_unlock_irq(&lock, flags);
    return NULL;
}

bool kernel_stack_trim(void)
{
    struct retired done[BATCH];
    cpumask_t notify;
    u64 flags = spin_lock_irq(&lock);
    u32 count = advance(done, &notify);
    bool more = retired_count > 0;

    spin_unlock_irq(&lock, flags);
    if (notify)
        ipi_send(notify, IPI_STACKS);
    give_back(done, count);
    return more;
}

void kernel_stack_free(void *top)
{
    u64 *stack = (u64 *)((u8 *)top - KERNEL_STACK_SIZE);
    u64 flags = spin_lock_irq(&lock);

    *stack = (u64)cached;
    cached = stack;
    cached_count++;
    spin_unlock_irq(&lock, flags);
    kernel_stack_trim();
}
