/*
 * The merging engine in a small simulated machine: the real scanner, merge primitive, index, page
 * tables and allocator; and around them, in this file, a processor and its users.
 *
 *   processor   a TLB that keeps translations until they are flushed, and sets dirty bits only when
 *               it walks, as the hardware does
 *   users       spaces whose pages they store to, fork, pin, unmap and leave, at random; also in
 *               the middle of a scan step, on both sides of each flush
 *
 * Page contents are few, so that equal pages abound. What must hold: nobody ever reads anything but
 * what he stored; counts are exact; no translation outlives a flush that should have ended it; and
 * when the users rest, equal pages of a domain end up in one frame.
 */
#include "tests/unit/host_frames.h"
#include "tests/unit/host_sleep.h"

#include "arch/x86_64/pagetable.c"
#include "kernel/mm/ksm.c"
#include "kernel/mm/ksm_index_hash.c"
#include "kernel/mm/ksm_item.c"
#include "kernel/mm/ksm_merge.c"
#include "kernel/mm/ksm_scan.c"
#include <string.h>

#define SPACES 6
#define PAGES 200 /* of each space's one VMA, on two leaves of items */
#define BASE 0x10000000ul
#define CONTENTS 12
#define MARK 7 /* the word of a page that tells its content */

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
_Atomic u64 ksm_run = KSM_RUN_MERGE, ksm_pages_to_scan, ksm_sleep_millisecs;
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
    return 0;
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
    struct frame *frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);

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
    pte_exchange(slot, pte_make(frame_pfn(frame), PTE_READ | PTE_WRITE));
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
    bool ours = pte_is_present(pte);
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
    if (pte_is_present(pte)) {
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
    pte_clear_bits(slot, PTE_W);
    frame_get(pte_frame(pte));
    frame_account_map(&child->mm, pte_frame(pte));
    pte.raw = pte_readonly(pte).raw | PTE_D;
    pte_set(pt_walk_alloc(&child->mm.pt, page_va(page)), pte);
}

/* --- users --- */

static void user_store(struct space *space, u64 page, u64 content)
{
    struct tlb_entry *entry = &tlb[space - spaces][page];

    if (!entry->frame || !entry->writable || !entry->dirty) {
        while (!tlb_walk(space, page, true))
            fault_write(space, page);
    }
    ((u64 *)frame_page(entry->frame))[MARK] = content;
    space->content[page] = content;
}

static void user_load(struct space *space, u64 page)
{
    struct tlb_entry *entry = &tlb[space - spaces][page];

    if (!space->content[page] || (!entry->frame && !tlb_walk(space, page, false)))
        return;
    CHECK_EQ(((u64 *)frame_page(entry->frame))[MARK], space->content[page]);
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
        ((u64 *)frame_page(frame))[MARK] = space->content[page] = 1 + random_below(CONTENTS);
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
        struct scan_page *page = step.count ? &step.pages[random_below(step.count)] : NULL;

        if (!page || random_below(4) == 0)
            user_acts();
        else if (page->partner_mm && random_below(2))
            user_acts_on(space_of(page->partner_mm), (page->partner_va - BASE) / PAGE_SIZE);
        else
            user_acts_on(space_of(step.mm), (page->va - BASE) / PAGE_SIZE);
    }
}

/* --- what must hold --- */

/* Recounts mappings, references and merged frames from the page tables. */
static void check_counts(void)
{
    static u32 maps[(64ul << 20) / PAGE_SIZE];
    s64 mappings = 0;
    u64 merged = 0;

    memset(maps, 0, sizeof(maps));
    for (u32 i = 0; i < SPACES; i++) {
        for (u64 page = 0; spaces[i].alive && page < PAGES; page++) {
            pte_t *slot = pt_walk(&spaces[i].mm.pt, page_va(page));
            struct tlb_entry *entry = &tlb[i][page];

            if (slot && pte_is_present(pte_read(slot)))
                maps[pte_pfn(pte_read(slot)).raw]++;
            if (!entry->frame)
                continue;
            CHECK(slot && pte_frame(pte_read(slot)) == entry->frame);
            CHECK(!entry->writable || pte_is_writable(pte_read(slot)));
            CHECK(!entry->dirty || !entry->writable || pte_is_dirty(pte_read(slot)));
        }
    }
    for (u64 pfn = 0; pfn < frame_table_end; pfn++) {
        struct frame *frame = &frame_table[pfn];
        bool counted =
            frame_kind(frame) == FRAME_KIND_ANON || frame_kind(frame) == FRAME_KIND_MERGED;

        CHECK_EQ(maps[pfn], counted ? atomic_load(&frame->maps) : 0);
        if (counted)
            CHECK_EQ(atomic_load(&frame->refs), maps[pfn] + frame->pins);
        if (frame_kind(frame) == FRAME_KIND_MERGED) {
            mappings += maps[pfn];
            merged++;
            CHECK(maps[pfn] > 0);
        }
    }
    CHECK_EQ(ksm_stats.mappings, mappings);
    CHECK_EQ(ksm_stats.shared, merged);
    CHECK_EQ(host.locks_held, 0);
}

static void check_contents(void)
{
    for (u32 i = 0; i < SPACES; i++)
        for (u64 page = 0; spaces[i].alive && page < PAGES; page++)
            user_load(&spaces[i], page);
}

/* No two domains share a merged frame, and equal pages of one domain are all in one frame. */
static void check_merged(void)
{
    struct frame *home[3][CONTENTS + 1] = {{NULL}};

    for (u32 i = 0; i < SPACES; i++) {
        struct space *space = &spaces[i];

        for (u64 page = 0; space->alive && page < PAGES; page++) {
            struct frame **seen = &home[space->mm.merge_domain][space->content[page]];

            if (!space->content[page])
                continue;
            struct frame *frame = pte_frame(pte_read(pt_walk(&space->mm.pt, page_va(page))));
            CHECK(!*seen || *seen == frame);
            *seen = frame;
        }
    }
    for (u32 content = 1; content <= CONTENTS; content++)
        CHECK(!home[1][content] || home[1][content] != home[2][content]);
}

/* --- the questions --- */

static void storm(int steps)
{
    users_interfere = true;
    for (int at = 0; at < steps; at++) {
        for (u64 i = random_below(60); i; i--)
            user_acts();
        for (u32 i = 0; i < 2; i++) {
            if (!atomic_load(&spaces[i].mm.users)) {
                space_start(&spaces[i], 1 + i);
                CHECK_EQ(ksm_register(&spaces[i].mm), 0);
            }
        }
        scan_batch(1 + random_below(300));
        if (at % 20 == 0) {
            check_counts();
            check_contents();
        }
    }
    users_interfere = false;
}

static void test_storm(void)
{
    storm(1000);
    CHECK(host_counter(COUNT_ksm_merge) > 1000);
    CHECK(host_counter(COUNT_ksm_refused_pinned) > 100);
    CHECK(host_counter(COUNT_ksm_refused_changed) > 100);
    CHECK(host_counter(COUNT_cow_ksm_reuse) > 10);
}

static void pass(int times)
{
    for (; times; times--) {
        u64 passes = ksm_stats.full_scans;

        while (ksm_stats.full_scans == passes)
            scan_batch(100);
    }
}

static void test_rest(void)
{
    for (int round = 0; round < 12; round++) {
        storm(150);
        for (u32 i = 0; i < SPACES; i++)
            if (spaces[i].alive)
                unpin_all(&spaces[i]);
        pass(6);
        check_counts();
        check_contents();
        check_merged();
        CHECK(ksm_stats.shared > 0 && ksm_stats.shared <= 2 * CONTENTS);
    }
}

/* A pass over pages that nobody stores to hashes nothing. */
static void test_idle(void)
{
    u64 hashed = host_counter(COUNT_ksm_hashed), merged = host_counter(COUNT_ksm_merge);

    pass(3);
    CHECK_EQ(host_counter(COUNT_ksm_hashed), hashed);
    CHECK_EQ(host_counter(COUNT_ksm_merge), merged);
}

static void test_unmerge(void)
{
    CHECK_EQ(ksm_unmerge_all(), 0);
    CHECK_EQ(ksm_stats.shared, 0);
    CHECK_EQ(ksm_stats.mappings, 0);
    CHECK_EQ(ksm_stats.items, 0);
    check_counts();
    check_contents();
    pass(6);
    check_merged();
}

static void test_end(void)
{
    for (u32 i = 0; i < SPACES; i++) {
        if (spaces[i].alive)
            user_exit(&spaces[i]);
        CHECK_EQ(spaces[i].lineage.refs, 0);
    }
    CHECK(list_empty(&ksm_spaces));
    CHECK_EQ(ksm_stats.shared, 0);
    CHECK_EQ(ksm_stats.mappings, 0);
    CHECK_EQ(ksm_stats.items, 0);
    CHECK_EQ(ksm_stats.unstable, 0);
    CHECK_EQ(ksm_stats.leaves, 0);
    scan_batch(100);
    check_counts();
}

int main(void)
{
    static u64 root[512];

    host_frames_init(64ul << 20);
    kernel_root = root;
    frame_release_hook = release_frame;
    ksm_init();
    tap_run("users who store, fork, pin and leave notice nothing", test_storm);
    tap_run("at rest, equal pages of a domain are one frame", test_rest);
    tap_run("an idle machine is not hashed", test_idle);
    tap_run("everything can be made private again", test_unmerge);
    tap_run("when all have left, nothing is left", test_end);
    return tap_done();
}
