/*
 * A small simulated machine around the merging engine: the real scanner, merge primitive, indexes,
 * page tables, knobs and allocator; and, in this file, a processor and its users.
 *
 *   processor   a TLB that keeps translations until they are flushed, and sets dirty bits only when
 *               it walks, as the hardware does
 *   users       spaces whose pages they store to, fork, pin, unmap and leave, at random; also in
 *               the middle of a scan step, on both sides of each flush
 *
 * Page contents are few, so that equal pages abound; one of them is zeros.
 */
#pragma once

#include "tests/unit/host_frames.h"
#include "tests/unit/host_sleep.h"
#include "tests/unit/host_tunable.h"

#include "arch/x86_64/pagetable.c"
#include "kernel/mm/ksm.c"
#include "kernel/mm/ksm_advisor.c"
#include "kernel/mm/ksm_control.c"
#include "kernel/mm/ksm_figures.c"
#include "kernel/mm/ksm_index_hash.c"
#include "kernel/mm/ksm_index_tree.c"
#include "kernel/mm/ksm_item.c"
#include "kernel/mm/ksm_match.c"
#include "kernel/mm/ksm_merge.c"
#include "kernel/mm/ksm_scan.c"
#include "kernel/mm/ksm_stable.c"
#include <string.h>

#define SPACES 6
#define PAGES 200 /* of each space's one VMA, on two leaves of items */
#define BASE 0x10000000ul
#define CONTENTS 12         /* the last is a page of zeros */
#define MEMORY (64ul << 20) /* on two NUMA nodes */
#define MARK 7              /* the word of a page that tells its content */

static struct space {
    struct mm mm;
    struct vma vma;
    struct lineage lineage; /* only its count is used */
    u64 content[PAGES];     /* what its user stored; 0 = not touched */
    struct frame *pinned[PAGES];
    bool alive;
} spaces[SPACES];

static struct tlb_entry {
    struct frame *frame; /* NULL = none */
    bool writable, dirty;
} tlb[SPACES][PAGES];

static bool users_interfere;
static u64 now_ns, busy_ns; /* the clock, and ksmd's CPU time */
struct mg_boot_info boot_info;
u64 *kernel_root;

static va_t page_va(u64 page)
{
    return BASE + page * PAGE_SIZE;
}

static struct space *space_of(const struct mm *mm)
{
    return container_of((struct mm *)mm, struct space, mm);
}

/* --- what the engine calls --- */

void frame_account_map(struct mm *mm, struct frame *frame)
{
    (void)mm;
    atomic_fetch_add(&frame->maps, 1);
    if (frame_kind(frame) == FRAME_KIND_MERGED)
        ksm_count_mappings(1);
}

void frame_account_unmap(struct mm *mm, struct frame *frame)
{
    (void)mm;
    atomic_fetch_sub(&frame->maps, 1);
    if (frame_kind(frame) == FRAME_KIND_MERGED)
        ksm_count_mappings(-1);
}

static void release_frame(struct frame *frame)
{
    if (frame_kind(frame) == FRAME_KIND_ANON)
        ((struct lineage *)frame->owner)->refs--;
    else if (frame_kind(frame) == FRAME_KIND_MERGED)
        ksm_frame_released(frame);
}

void lineage_put_many(struct lineage *node, u64 count)
{
    node->refs -= (u32)count;
}

struct vma *vma_find(struct mm *mm, va_t va)
{
    struct space *space = space_of(mm);

    return va < space->vma.end ? &space->vma : NULL;
}

struct vma *vma_next(const struct vma *vma)
{
    (void)vma;
    return NULL;
}

struct thread *thread_create_kernel(const char *name, void (*entry)(void *), void *argument,
                                    s32 nice)
{
    (void)name, (void)entry, (void)argument, (void)nice;
    return NULL;
}

u64 time_ns(void)
{
    return now_ns;
}

void thread_times(struct thread *thread, struct cpu_times *times)
{
    (void)thread;
    *times = (struct cpu_times){.total_ns = busy_ns};
}

void sched_point(void)
{
}

void wait_prepare(struct wait_queue *queue)
{
    (void)queue;
}

void wait_cancel(struct wait_queue *queue)
{
    (void)queue;
}

s64 wait_sleep(struct wait_queue *queue, bool interruptible, u64 deadline)
{
    (void)queue, (void)interruptible, (void)deadline;
    return 0;
}

/* --- the processor --- */

static void tlb_drop(struct space *space, u64 first, u64 last)
{
    for (u64 page = first; page < last; page++)
        tlb[space - spaces][page].frame = NULL;
}

void tlb_batch_init(struct tlb_batch *batch, struct mm *mm, enum tlb_reason reason)
{
    batch->reason = reason;
    batch->mm = mm;
    batch->many = false;
    batch->start = ~0ul;
    batch->end = 0;
    batch->count = 0;
}

void tlb_batch_add_range(struct tlb_batch *batch, struct mm *mm, va_t start, va_t end)
{
    batch->many |= mm != batch->mm;
    batch->start = MIN(batch->start, start);
    batch->end = MAX(batch->end, end);
}

static void interfere(void);

void tlb_batch_flush(struct tlb_batch *batch)
{
    CHECK_EQ(host.locks_held, 0);
    CHECK(batch->count <= TLB_BATCH_FRAMES);
    interfere();
    for (u32 i = 0; i < SPACES; i++) {
        if (batch->many)
            tlb_drop(&spaces[i], 0, PAGES);
        else if (batch->mm == &spaces[i].mm && batch->start < batch->end)
            tlb_drop(&spaces[i], (batch->start - BASE) / PAGE_SIZE,
                     (batch->end - BASE) / PAGE_SIZE);
    }
    for (u32 i = 0; i < batch->count; i++)
        frame_put(batch->frames[i]);
    tlb_batch_init(batch, batch->mm, batch->reason);
    interfere();
}

/* Loads a translation as the hardware's walk does, setting accessed and dirty; false = page
 * fault. */
static bool tlb_walk(struct space *space, u64 page, bool write)
{
    struct tlb_entry *entry = &tlb[space - spaces][page];
    pte_t *slot = pt_walk(&space->mm.pt, page_va(page));
    pte_t pte = slot ? pte_read(slot) : (pte_t){0};

    if (!pte_is_present(pte) || (write && !pte_is_writable(pte)))
        return false;
    pte_set_bits(slot, write ? PTE_A | PTE_D : PTE_A);
    *entry = (struct tlb_entry){pte_frame(pte), pte_is_writable(pte), write || pte_is_dirty(pte)};
    return true;
}

/* --- the kernel around the engine: faults, fork, unmapping --- */

static struct frame *new_frame(struct space *space, u64 page)
{
    struct frame *frame = frame_alloc(0, ALLOC_ZERO, (u32)random_below(2));

    space->lineage.refs++;
    frame->owner = &space->lineage;
    frame->index = page_va(page) / PAGE_SIZE;
    frame_set_kind(frame, FRAME_KIND_ANON);
    return frame;
}

/* Nobody else can see the frame that this entry maps (policy exact). */
static bool frame_is_ours(struct space *space, struct frame *frame, u64 page)
{
    if (frame_kind(frame) == FRAME_KIND_MERGED)
        return ksm_reuse_frame(frame, &space->lineage, page_va(page) / PAGE_SIZE);
    return atomic_load(&frame->refs) == 1 + frame->pins && atomic_load(&frame->maps) == 1;
}

static void fault_copy(struct space *space, u64 page, pte_t *slot, struct frame *old)
{
    struct frame *frame = new_frame(space, page);

    if (old)
        page_copy(frame_page(frame), frame_page(old));
    frame_account_map(&space->mm, frame);
    pte_t before = pte_exchange(slot, pte_make(frame_pfn(frame), PTE_READ | PTE_WRITE));
    if (pte_is_ksm_zero(before))
        ksm_count_zero(&space->mm, -1);
    tlb_drop(space, page, page + 1);
    if (old) {
        frame_account_unmap(&space->mm, old);
        pt_unlock(slot);
        frame_put(old);
        pt_lock(slot);
    }
}

static void fault_write(struct space *space, u64 page)
{
    pte_t *slot = pt_walk_alloc(&space->mm.pt, page_va(page));

    pt_lock(slot);
    pte_t pte = pte_read(slot);
    bool ours = pte_is_present(pte) && !pte_is_special(pte);
    bool merged = ours && frame_kind(pte_frame(pte)) == FRAME_KIND_MERGED;

    if (ours && frame_is_ours(space, pte_frame(pte), page)) {
        if (merged)
            ksm_count_mappings(-1);
        pte_set_bits(slot, PTE_W | PTE_D);
    } else {
        fault_copy(space, page, slot, ours ? pte_frame(pte) : NULL);
    }
    pt_unlock(slot);
}

static void unmap_page(struct space *space, u64 page)
{
    pte_t *slot = pt_walk(&space->mm.pt, page_va(page));
    pte_t pte = slot ? pte_exchange(slot, (pte_t){0}) : (pte_t){0};

    tlb_drop(space, page, page + 1);
    if (pte_is_ksm_zero(pte)) {
        ksm_count_zero(&space->mm, -1);
    } else if (pte_is_present(pte)) {
        frame_account_unmap(&space->mm, pte_frame(pte));
        frame_put(pte_frame(pte));
    }
    space->content[page] = 0;
}

static void release_table(struct frame *table, void *context)
{
    (void)context;
    frame_put(table);
}

/* The last reference may be the scanner's. */
void mm_put(struct mm *mm)
{
    struct space *space = space_of(mm);

    lock_check_may_sleep();
    if (atomic_fetch_sub(&mm->users, 1) != 1)
        return;
    CHECK_EQ(atomic_load(&mm->lock.state), 0);
    ksm_exit(mm);
    for (u64 page = 0; page < PAGES; page++)
        unmap_page(space, page);
    pt_unlink_tables(&mm->pt, 0, USER_END, release_table, NULL);
    pt_destroy(&mm->pt);
    CHECK_EQ(space->mm.pt.tables, 0);
    space->alive = false;
}

static void space_start(struct space *space, u32 domain)
{
    memset(&space->mm, 0, sizeof(space->mm));
    rwsem_init(&space->mm.lock, LOCK_MM);
    CHECK(pt_create(&space->mm.pt));
    atomic_store(&space->mm.users, 1);
    space->mm.lineage = &space->lineage;
    space->mm.merge_domain = domain;
    space->vma = (struct vma){.mm = &space->mm,
                              .start = BASE,
                              .end = page_va(PAGES),
                              .pgoff = BASE / PAGE_SIZE,
                              .flags = VMA_MERGEABLE};
    space->alive = true;
}

static void fork_page(struct space *parent, struct space *child, u64 page)
{
    pte_t *slot = pt_walk(&parent->mm.pt, page_va(page));
    pte_t pte = slot ? pte_read(slot) : (pte_t){0};

    child->content[page] = parent->content[page];
    if (!pte_is_present(pte))
        return;
    if (pte_is_ksm_zero(pte)) {
        pte_set(pt_walk_alloc(&child->mm.pt, page_va(page)), pte);
        ksm_count_zero(&child->mm, 1);
        return;
    }
    pte_clear_bits(slot, PTE_W);
    frame_get(pte_frame(pte));
    frame_account_map(&child->mm, pte_frame(pte));
    pte.raw = pte_readonly(pte).raw | PTE_D;
    pte_set(pt_walk_alloc(&child->mm.pt, page_va(page)), pte);
}

/* --- users --- */

/* The word that stands for a content. */
static u64 word_of(u64 content)
{
    return content == CONTENTS ? 0 : content;
}

static void user_store(struct space *space, u64 page, u64 content)
{
    struct tlb_entry *entry = &tlb[space - spaces][page];

    if (!entry->frame || !entry->writable || !entry->dirty) {
        while (!tlb_walk(space, page, true))
            fault_write(space, page);
    }
    ((u64 *)frame_page(entry->frame))[MARK] = word_of(content);
    space->content[page] = content;
}

static void user_load(struct space *space, u64 page)
{
    struct tlb_entry *entry = &tlb[space - spaces][page];

    if (!space->content[page] || (!entry->frame && !tlb_walk(space, page, false)))
        return;
    CHECK_EQ(((u64 *)frame_page(entry->frame))[MARK], word_of(space->content[page]));
    CHECK_EQ(((u64 *)frame_page(entry->frame))[MARK + 1], 0);
}

/* A pin makes the page exclusive; its end leaves the entry dirty, for the device may have
 * stored. */
static void user_pin(struct space *space, u64 page)
{
    struct frame *frame = space->pinned[page];

    if (frame) {
        pte_t *slot = pt_walk(&space->mm.pt, page_va(page));

        CHECK(pte_frame(pte_read(slot)) == frame); /* it was not replaced under the device */
        space->content[page] = 1 + random_below(CONTENTS);
        ((u64 *)frame_page(frame))[MARK] = word_of(space->content[page]);
        pte_set_bits(slot, PTE_D);
        frame->pins--;
        space->pinned[page] = NULL;
        frame_put(frame);
    } else if (space->content[page]) {
        while (!tlb_walk(space, page, true))
            fault_write(space, page);
        frame = pte_frame(pte_read(pt_walk(&space->mm.pt, page_va(page))));
        frame_get(frame);
        frame->pins++;
        space->pinned[page] = frame;
    }
}

static void unpin_all(struct space *space)
{
    for (u64 page = 0; page < PAGES; page++)
        if (space->pinned[page])
            user_pin(space, page);
}

/* The layout may change only when nobody holds mm->lock. */
static void user_unmap(struct space *space)
{
    u64 first = random_below(PAGES), last = first + random_below(PAGES - first) + 1;

    if (!rwsem_try_write(&space->mm.lock))
        return;
    unpin_all(space);
    ksm_forget_range(&space->mm, page_va(first), page_va(last));
    for (u64 page = first; page < last; page++)
        unmap_page(space, page);
    rwsem_write_done(&space->mm.lock);
}

static void user_fork(struct space *parent, struct space *child)
{
    if (atomic_load(&child->mm.users) || !rwsem_try_write(&parent->mm.lock))
        return;
    unpin_all(parent);
    space_start(child, parent->mm.merge_domain);
    for (u64 page = 0; page < PAGES; page++)
        fork_page(parent, child, page);
    tlb_drop(parent, 0, PAGES);
    CHECK_EQ(ksm_fork(&child->mm, &parent->mm), 0);
    rwsem_write_done(&parent->mm.lock);
}

static void user_exit(struct space *space)
{
    unpin_all(space);
    space->alive = false; /* nobody uses it any more; the scanner may hold it a little longer */
    mm_put(&space->mm);
}

/* Often the same again: the page changes hands, and its content does not. */
static u64 next_content(const struct space *space, u64 page)
{
    u64 old = space->content[page];

    return old && random_below(2) ? old : 1 + random_below(CONTENTS);
}

static void user_acts_on(struct space *space, u64 page)
{
    u64 choice = random_below(1000);

    if (!space->alive)
        return;
    if (choice < 600)
        user_store(space, page, next_content(space, page));
    else if (choice < 960)
        user_load(space, page);
    else if (choice < 985)
        user_pin(space, page);
    else if (choice < 990)
        user_unmap(space);
    else if (choice < 994)
        user_fork(space, &spaces[random_below(SPACES)]);
    else if (choice < 995 && space != spaces)
        user_exit(space);
}

static void user_acts(void)
{
    user_acts_on(&spaces[random_below(SPACES)], random_below(PAGES));
}

/* Users go for the very pages that the scanner is about, and for their partners. */
static void interfere(void)
{
    for (u64 i = users_interfere ? random_below(12) : 0; i; i--) {
        struct ksm_page *page = step.count ? &step.pages[random_below(step.count)] : NULL;

        if (!page || random_below(4) == 0)
            user_acts();
        else if (page->partner_mm && random_below(2))
            user_acts_on(space_of(page->partner_mm), (page->partner_va - BASE) / PAGE_SIZE);
        else
            user_acts_on(space_of(step.mm), (page->va - BASE) / PAGE_SIZE);
    }
}
