/*
 * query.c: what is mapped, for /proc/PID/maps, smaps and pagemap.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/mm.h"
#include "kernel/mm/object.h"
#include "kernel/mm/walk.h"
#include "kernel/sys/user.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

/* --- one mapping --- */

static const struct {
    u32 vma, abi;
} flag_names[] = {
    {VMA_SHARED, MG_VMA_SHARED},         {VMA_GROWSDOWN, MG_VMA_GROWSDOWN},
    {VMA_LOCKED, MG_VMA_LOCKED},         {VMA_MERGEABLE, MG_VMA_MERGEABLE},
    {VMA_PHYSICAL, MG_VMA_PHYSICAL},     {VMA_DONTFORK, MG_VMA_DONTFORK},
    {VMA_WIPEONFORK, MG_VMA_WIPEONFORK}, {VMA_DONTDUMP, MG_VMA_DONTDUMP},
    {VMA_NORESERVE, MG_VMA_NORESERVE},
};

static u32 query_flags(const struct vma *vma)
{
    const struct mm *mm = vma->mm;
    u32 flags = vma->object ? MG_VMA_OBJECT : 0;

    for (u32 i = 0; i < ARRAY_LEN(flag_names); i++)
        if (vma->flags & flag_names[i].vma)
            flags |= flag_names[i].abi;
    if (vma->start < mm->brk && vma->end > mm->brk_start)
        flags |= MG_VMA_HEAP;
    if (mm->stack_start && vma->start <= mm->stack_start && vma->end > mm->stack_start)
        flags |= MG_VMA_STACK;
    return flags;
}

static void count_page(struct mg_vma *result, pte_t pte)
{
    struct frame *frame = pte_frame(pte);
    u32 maps = MAX(atomic_load_explicit(&frame->maps, memory_order_relaxed), 1u);
    enum frame_kind kind = frame_kind(frame);

    result->rss++;
    result->pss_bytes += PAGE_SIZE / maps;
    result->referenced += pte_is_accessed(pte);
    result->anonymous += kind != FRAME_KIND_OBJECT;
    result->merged += kind == FRAME_KIND_MERGED;
    if (maps > 1)
        *(pte_is_dirty(pte) ? &result->shared_dirty : &result->shared_clean) += 1;
    else
        *(pte_is_dirty(pte) ? &result->private_dirty : &result->private_clean) += 1;
}

static void count_pages(struct vma *vma, struct mg_vma *result)
{
    struct leaf_run run;

    for (va_t va = vma->start; leaf_next(&vma->mm->pt, &va, vma->end, &run);) {
        pt_lock(run.slot);
        for (pte_t *slot = run.slot; run.va < run.end; run.va += PAGE_SIZE, slot++) {
            pte_t pte = pte_read(slot);

            if (pte_is_mapped(pte) && !pte_is_special(pte))
                count_page(result, pte);
        }
        pt_unlock(run.slot);
    }
}

s64 mm_query(struct mm *mm, va_t addr, struct mg_vma *result)
{
    *result = (struct mg_vma){0};
    rwsem_read(&mm->lock);
    struct vma *vma = vma_find(mm, addr);
    if (vma) {
        result->start = vma->start;
        result->end = vma->end;
        result->prot = vma->prot;
        result->flags = query_flags(vma);
        result->offset = vma->object ? vma->offset << PAGE_SHIFT : 0;
        result->cookie = vma->object ? vma->object->cookie : 0;
        count_pages(vma, result);
    }
    rwsem_read_done(&mm->lock);
    return vma ? 0 : -ENOENT;
}

/* --- pagemap: Linux's format --- */

#define PAGEMAP_PRESENT (1ul << 63)
#define PAGEMAP_SHARED (1ul << 61)    /* of a file, or shared anonymous memory */
#define PAGEMAP_EXCLUSIVE (1ul << 56) /* mapped once */
#define PAGEMAP_CHUNK 64ul

static u64 pagemap_entry(pte_t pte)
{
    if (!pte_is_mapped(pte))
        return 0;
    u64 entry = PAGEMAP_PRESENT | pte_pfn(pte).raw;
    if (pte_is_special(pte))
        return entry;
    const struct frame *frame = pte_frame(pte);
    if (frame_kind(frame) == FRAME_KIND_OBJECT)
        entry |= PAGEMAP_SHARED;
    if (atomic_load_explicit(&frame->maps, memory_order_relaxed) == 1)
        entry |= PAGEMAP_EXCLUSIVE;
    return entry;
}

s64 mm_pagemap(struct mm *mm, va_t addr, u64 pages, u64 *user_buffer)
{
    u64 entries[PAGEMAP_CHUNK];
    struct leaf_run run;
    u64 done = 0;

    addr &= PAGE_MASK;
    if (addr > USER_END)
        return 0;
    pages = MIN(pages, (USER_END - addr) >> PAGE_SHIFT);
    while (done < pages) {
        u64 chunk = MIN(pages - done, PAGEMAP_CHUNK);
        va_t from = addr + done * PAGE_SIZE, to = from + chunk * PAGE_SIZE;

        memset(entries, 0, chunk * sizeof(u64));
        rwsem_read(&mm->lock);
        for (va_t va = from; leaf_next(&mm->pt, &va, to, &run);)
            for (; run.va < run.end; run.va += PAGE_SIZE, run.slot++)
                entries[(run.va - from) >> PAGE_SHIFT] = pagemap_entry(pte_read(run.slot));
        rwsem_read_done(&mm->lock);
        if (user_write((u64)(user_buffer + done), entries, chunk * sizeof(u64)))
            return -EFAULT;
        done += chunk;
        if (thread_is_dying())
            break;
        sched_point();
    }
    return (s64)done;
}
