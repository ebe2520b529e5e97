/*
 * audit.c: recounts every frame.
 *
 * All page tables and all objects are walked, and what they say of each frame is counted: mappings,
 * and whether an object holds it. Then every frame is compared: its maps must be the mappings
 * found, its references those plus one for an object plus its pins. The recount is kept in the
 * frames themselves (frame->audit: mappings found, times two, plus one for an object). How many
 * frames are of each kind is compared with what the CPUs have counted.
 *
 * Nobody is stopped. If anything was allocated, freed, faulted or flushed meanwhile, which the
 * event counters tell, the picture is of no one moment and is thrown away; after some attempts the
 * auditor gives up and says so. Who holds a reference for a moment (the scanner while it hashes, a
 * copy from a page) is counted by nobody, so a frame is wrong only if several recounts say so. One
 * audit runs at a time.
 */
#include "kernel/mm/audit.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/walk.h"
#include "kernel/task/thread.h"
#include "lib/format.h"

#define AUDIT_ATTEMPTS 20
#define AUDIT_PAUSE_NS 20000000ul
#define AUDIT_CONFIRM 3  /* recounts that must find something wrong */
#define AUDIT_REPORTS 20 /* wrong frames told one by one */

static struct mutex audit_mutex; /* guards frame->audit */

/* Changes whenever a reference or a mapping may have. */
static u64 activity(void)
{
    static const enum counter events[] = {
        COUNT_pgfault,        COUNT_pgalloc,         COUNT_pgfree,    COUNT_fork,
        COUNT_tlb_batch,      COUNT_ksm_merge,       COUNT_ksm_adopt, COUNT_tlb_reason_unmap,
        COUNT_tlb_reason_cow, COUNT_tlb_reason_merge};
    u64 sum = 0;

    for (u32 i = 0; i < ARRAY_LEN(events); i++)
        sum += counter_sum(events[i]);
    return sum;
}

static void each_frame(void (*visit)(struct frame *frame, u64 *wrong), u64 *wrong)
{
    for (u64 pfn = 0; pfn < frame_table_end; pfn++)
        if (pfn_valid((pfn_t){pfn}))
            visit(&frame_table[pfn], wrong);
}

static void clear_frame(struct frame *frame, u64 *wrong)
{
    (void)wrong;
    frame->audit = 0;
}

/* --- counting --- */

static void count_space(struct mm *mm)
{
    struct leaf_run run;

    rwsem_read(&mm->lock);
    for (va_t va = 0; leaf_next(&mm->pt, &va, TABLES_END, &run);)
        for (; run.va < run.end; run.va += PAGE_SIZE, run.slot++) {
            pte_t pte = pte_read(run.slot);

            if (pte_is_mapped(pte) && !pte_is_special(pte))
                pte_frame(pte)->audit += 2;
        }
    rwsem_read_done(&mm->lock);
}

static void count_object(struct object *object)
{
    struct frame *frame;

    mutex_lock(&object->lock);
    radix_for_each(frame, page, &object->frames, 0, ~0ul)
        frame->audit += 1;
    mutex_unlock(&object->lock);
}

static void count_all(void)
{
    each_frame(clear_frame, NULL);
    for (struct mm *mm = mm_next(NULL); mm; mm = mm_next(mm))
        count_space(mm);
    for (struct object *object = object_next(NULL); object; object = object_next(object))
        count_object(object);
}

/* --- comparing --- */

static bool frame_is_right(const struct frame *frame)
{
    u32 maps = atomic_load_explicit(&frame->maps, memory_order_relaxed);
    u32 refs = atomic_load_explicit(&frame->refs, memory_order_relaxed);

    switch (frame_kind(frame)) {
    case FRAME_KIND_ANON:
    case FRAME_KIND_MERGED:
    case FRAME_KIND_OBJECT:
        return maps == frame->audit / 2 && refs == maps + frame->audit % 2 + frame->pins;
    case FRAME_KIND_SLAB: return frame->audit == 0; /* maps counts objects there */
    default: return frame->audit == 0 && maps == 0;
    }
}

static void check_frame(struct frame *frame, u64 *wrong)
{
    *wrong += !frame_is_right(frame);
}

static void report_frame(struct frame *frame, u64 *reported)
{
    if (!frame_is_right(frame) && ++*reported <= AUDIT_REPORTS)
        log_line("audit: frame %#lx kind %u: refs %u maps %u pins %u, found %u mappings%s",
                 frame_pfn(frame).raw, frame_kind(frame), atomic_load(&frame->refs),
                 atomic_load(&frame->maps), frame->pins, frame->audit / 2,
                 frame->audit % 2 ? " and an object" : "");
}

static void count_kind(struct frame *frame, u64 *kinds)
{
    kinds[frame_kind(frame)]++;
}

/* Kinds of which there are not as many frames as counted; told if wanted. */
static u64 wrong_kinds(bool tell)
{
    u64 kinds[FRAME_KIND_MASK + 1] = {0}, wrong = 0;

    each_frame(count_kind, kinds);
    for (u32 kind = FRAME_KIND_KERNEL; kind <= FRAME_KIND_MASK; kind++) {
        u64 counted = frames_of_kind(kind);

        wrong += kinds[kind] != counted;
        if (tell && kinds[kind] != counted)
            log_line("audit: %lu frames of kind %u, counted %lu", kinds[kind], kind, counted);
    }
    return wrong;
}

/* True if nothing happened while the frames were counted; only then is *wrong a finding. */
static bool recount(u64 *wrong)
{
    u64 before = activity();

    *wrong = 0;
    count_all();
    each_frame(check_frame, wrong);
    *wrong += wrong_kinds(false);
    return activity() == before;
}

/* How many frames are wrong, each logged; 0 if the machine was never quiet. */
static u64 audit(void)
{
    u64 wrong = 0, found, reported = 0;
    u32 quiet = 0;

    mutex_lock(&audit_mutex);
    for (u32 attempt = 0; attempt < AUDIT_ATTEMPTS; attempt++) {
        if (recount(&found)) {
            wrong = found;
            if (++quiet == AUDIT_CONFIRM || !wrong)
                break;
        }
        sched_sleep_until(time_ns() + AUDIT_PAUSE_NS);
    }
    if (wrong) {
        each_frame(report_frame, &reported);
        wrong_kinds(true);
    }
    mutex_unlock(&audit_mutex);
    if (!quiet)
        log_line("audit: the machine was never quiet, nothing was checked");
    return wrong;
}

/* Reading the figure is what makes it. */
static s64 audit_read(const struct tunable *t, char *buffer, usize size)
{
    (void)t;
    return (s64)format(buffer, size, "%lu\n", audit());
}

TUNABLE(mm_audit, .name = "mm.audit", .help = "recount all frames: how many have wrong counts",
        .read = audit_read);

void audit_init(void)
{
    mutex_init(&audit_mutex, LOCK_AUDIT);
}
