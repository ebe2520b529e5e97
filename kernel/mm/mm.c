/*
 * mm.c: address spaces come and go.
 *
 * A space ends in an order that makes each step safe: the scanner lets go; the rmap finds it no
 * more; every CPU that still holds its tables lets go; and then nobody is left to see its pages, so
 * they are dropped without a flush (the mask of CPUs is empty), and the tables after them.
 *
 * All spaces are on a list, for the auditor.
 */
#include "kernel/base/log.h"
#include "kernel/base/refs.h"
#include "kernel/base/slab.h"
#include "kernel/mm/access.h"
#include "kernel/mm/audit.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/release.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/zap.h"
#include "kernel/task/futex.h"
#include "kernel/task/thread.h"

#define DEFAULT_STACK_LIMIT (8ul << 20)

static struct slab_cache mm_cache = SLAB_CACHE("mm", struct mm);
static struct spinlock mm_list_lock = SPINLOCK_INIT("mm list", LOCK_LINEAGE);
static struct list mm_list = LIST_INIT(mm_list); /* mm->all_link; guarded by mm_list_lock */

/* --- creation --- */

/* Everything but the node in the lineage tree; locked for writing. */
static struct mm *mm_alloc(void)
{
    struct mm *mm = slab_zalloc(&mm_cache);

    if (!mm)
        return NULL;
    if (!pt_create(&mm->pt)) {
        slab_free(&mm_cache, mm);
        return NULL;
    }
    atomic_init(&mm->users, 1);
    rwsem_init(&mm->lock, LOCK_MM);
    rb_init(&mm->vmas);
    list_init(&mm->moved);
    mm->gap_top = MMAP_CEILING;
    mm->limit_memlock = mm->limit_space = mm->limit_data = ~0ul;
    mm->limit_stack = DEFAULT_STACK_LIMIT;
    rwsem_try_write(&mm->lock); /* nobody else knows it */
    return mm;
}

/* The space becomes known; a space without a node does not come to be. */
static struct mm *mm_publish(struct mm *mm, struct lineage *node)
{
    if (!node) {
        rwsem_write_done(&mm->lock);
        pt_destroy(&mm->pt);
        slab_free(&mm_cache, mm);
        return NULL;
    }
    mm->lineage = node;
    spin_lock(&mm_list_lock);
    list_add_tail(&mm->all_link, &mm_list);
    spin_unlock(&mm_list_lock);
    return mm;
}

struct mm *mm_create_child(struct mm *parent)
{
    struct mm *mm = mm_alloc();

    return mm ? mm_publish(mm, lineage_create_child(parent->lineage, mm)) : NULL;
}

/* An empty space; NULL = no memory. */
static struct mm *mm_create(void)
{
    struct mm *mm = mm_alloc();

    if (mm)
        mm = mm_publish(mm, lineage_create_root(mm));
    if (mm)
        rwsem_write_done(&mm->lock);
    return mm;
}

/* --- the end --- */

static void release_table(struct frame *table, void *context)
{
    struct tlb_batch *batch = context;

    if (tlb_batch_add_frame(batch, table))
        tlb_batch_flush(batch);
}

/* No CPU holds the tables: the batch flushes nothing, and frees. */
static void mm_clear(struct mm *mm)
{
    struct tlb_batch batch;

    tlb_batch_init(&batch, mm, TLB_UNMAP);
    for (struct vma *vma; (vma = vma_find(mm, 0));) {
        zap_range(vma, vma->start, vma->end, &batch);
        vma_remove(vma);
        sched_point();
    }
    pt_unlink_tables(&mm->pt, 0, TABLES_END, release_table, &batch);
    tlb_batch_flush(&batch);
}

static void mm_destroy(struct mm *mm)
{
    spin_lock(&mm_list_lock);
    list_remove(&mm->all_link);
    spin_unlock(&mm_list_lock);
    ksm_exit(mm);
    lineage_detach(mm->lineage);
    tlb_forget_mm(mm);

    rwsem_write(&mm->lock);
    mm_clear(mm);
    rwsem_write_done(&mm->lock);
    debug_assert(mm_rss(mm) == 0 && mm->total == 0 && mm->locked == 0);
    pt_destroy(&mm->pt);
    lineage_put(mm->lineage);
    slab_free(&mm_cache, mm);
}

struct mm *mm_get(struct mm *mm)
{
    atomic_fetch_add_explicit(&mm->users, 1, memory_order_relaxed);
    return mm;
}

void mm_put(struct mm *mm)
{
    if (atomic_fetch_sub_explicit(&mm->users, 1, memory_order_acq_rel) == 1)
        mm_destroy(mm);
}

/* --- asking --- */

struct mm *current_mm(void)
{
    return current_thread()->task->mm;
}

u64 mm_rss(const struct mm *mm)
{
    return atomic_load_explicit(&mm->rss_anon, memory_order_relaxed) +
           atomic_load_explicit(&mm->rss_object, memory_order_relaxed) +
           atomic_load_explicit(&mm->rss_merged, memory_order_relaxed);
}

u64 mm_peak_rss(struct mm *mm)
{
    u64 now = mm_rss(mm);
    u64 peak = atomic_load_explicit(&mm->peak_rss, memory_order_relaxed);

    if (now <= peak)
        return peak;
    atomic_store_explicit(&mm->peak_rss, now, memory_order_relaxed);
    return now;
}

struct mm *mm_next(struct mm *after)
{
    struct mm *next = NULL;

    spin_lock(&mm_list_lock);
    for (struct list *at = after ? after->all_link.next : mm_list.next; at != &mm_list && !next;
         at = at->next) {
        struct mm *mm = list_entry(at, struct mm, all_link);

        if (refs_get_unless_zero(&mm->users))
            next = mm;
    }
    spin_unlock(&mm_list_lock);
    if (after)
        mm_put(after);
    return next;
}

/* --- start --- */

void mm_init(void)
{
    frame_release_hook = frame_released;
    shootdown_hook = tlb_answer;
    sched_switch_mm_hook = tlb_switch_mm;
    mm_hooks =
        (struct mm_hooks){.create = mm_create, .fork = mm_fork, .get = mm_get, .put = mm_put};
    futex_key_hook = futex_key;
    object_init();
    audit_init();
}
