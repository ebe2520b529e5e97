/*
 * tlb.c: who may hold which translation, and how they are made to forget.
 *
 * An mm has a generation, which counts the changes that need a flush, and a mask of the CPUs that
 * may hold translations of it. A CPU has the space in its CR3 and the generation up to which it has
 * flushed. A CPU that idles or runs a kernel thread keeps its space, marked lazy: it touches no
 * user address, so it needs no IPI, and compares generations when it comes back.
 *
 *   initiator                          CPU that comes to the space      CPU that comes back lazily
 *   1 change the entries               1 set its bit in the mask        1 lazy = false
 *   2 bump the generation              2 read the generation            2 read the generation
 *   3 read the mask, and lazy flags    3 load CR3 (flushes)             3 flush if it has moved
 *   4 ask those CPUs, wait
 *
 * Each column's steps are in that order for all to see (locked instructions). So either the
 * initiator sees the bit set, or lazy false, and asks; or the CPU's step 3 comes after the
 * initiator's step 1.
 *
 * Asking. Each CPU has one request at a time, which all it asks read, and an inbox of one bit for
 * each CPU that asks. The initiator fills its request, sets its bit in the inboxes, interrupts
 * those whose inbox was empty (the others have an interrupt under way, or are looking right now),
 * and spins until every bit of `pending` is cleared. A CPU answers in the interrupt handler and in
 * every spin loop (spin_wait), so two initiators, or an initiator and one that waits with
 * interrupts off for a lock it holds, don't wait for each other. A request is not touched by its
 * owner until all have answered.
 *
 * Locks: none; cpu->tlb is changed by its own CPU with interrupts off only.
 */
#include "kernel/mm/tlb.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/counter.h"
#include "kernel/base/log.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/release.h"
#include "lib/bitmap.h"

static _Atomic u64 tlb_ceiling = 33;
TUNABLE_U64(tlb_ceiling, "tlb.ceiling", tlb_ceiling, 0, 1ul << 36,
            "pages flushed one by one; beyond, the whole space");

enum tlb_demand {
    TLB_DEMAND_RANGE,  /* forget a range of mm */
    TLB_DEMAND_TABLES, /* forget everything of mm; who holds it lazily lets go of it */
    TLB_DEMAND_ALL,    /* forget everything of whatever space */
    TLB_DEMAND_LEAVE,  /* let go of mm */
};

struct tlb_request {
    enum tlb_demand demand;
    struct mm *mm;
    va_t start, end;
    u64 generation; /* reached by whoever has obeyed this and all before */
    _Atomic cpumask_t pending;
} aligned_to(64);

static bool demand_spares_lazy(enum tlb_demand demand)
{
    return demand == TLB_DEMAND_RANGE || demand == TLB_DEMAND_ALL;
}

static struct tlb_request requests[CPU_MAX]; /* by the CPU that asks */
static struct {
    _Atomic cpumask_t from;
} aligned_to(64) inbox[CPU_MAX]; /* by the CPU that is asked */

/* --- what a CPU does to itself: interrupts off --- */

static void cpu_flush_all(struct cpu *cpu, struct mm *mm)
{
    /* Read before flushing: what is changed in between will be asked for again. */
    cpu->tlb.generation = atomic_load(&mm->tlb_generation);
    tlb_local_all();
    count(COUNT_tlb_full);
}

static void cpu_flush_range(struct cpu *cpu, const struct tlb_request *request)
{
    u64 pages = (request->end - request->start) >> PAGE_SHIFT;

    if (cpu->tlb.generation >= request->generation)
        return; /* a full flush has come in between */
    if (cpu->tlb.generation + 1 != request->generation || pages > atomic_load(&tlb_ceiling)) {
        cpu_flush_all(cpu, request->mm);
        return;
    }
    for (va_t va = request->start; va < request->end; va += PAGE_SIZE)
        tlb_local_page(va);
    cpu->tlb.generation = request->generation;
    count_add(COUNT_tlb_page, pages);
}

static void cpu_leave(struct cpu *cpu, struct mm *mm)
{
    atomic_store(&cpu->tlb.mm, NULL);
    atomic_store(&cpu->tlb.lazy, false);
    pt_load(NULL);
    atomic_fetch_and(&mm->tlb_cpus, ~cpu->bit);
}

static void cpu_obey(struct cpu *cpu, const struct tlb_request *request)
{
    struct mm *mm = atomic_load_explicit(&cpu->tlb.mm, memory_order_relaxed);
    bool lazy = atomic_load_explicit(&cpu->tlb.lazy, memory_order_relaxed);

    if (!mm || (request->demand != TLB_DEMAND_ALL && mm != request->mm))
        return; /* it has left the space, and flushed by that */
    if (lazy && demand_spares_lazy(request->demand))
        return; /* it will compare generations */
    if (lazy || request->demand == TLB_DEMAND_LEAVE)
        cpu_leave(cpu, mm);
    else if (request->demand == TLB_DEMAND_RANGE)
        cpu_flush_range(cpu, request);
    else
        cpu_flush_all(cpu, mm);
}

/* --- asking and answering --- */

void tlb_answer(void)
{
    struct cpu *cpu = this_cpu();

    if (likely(atomic_load_explicit(&inbox[cpu->id].from, memory_order_relaxed) == 0))
        return;
    u64 flags = irq_save();
    cpumask_t from = atomic_exchange(&inbox[cpu->id].from, 0);
    for (; from; from &= from - 1) {
        struct tlb_request *request = &requests[bit_lowest(from)];

        cpu_obey(cpu, request);
        cpu->shootdowns_received++;
        atomic_fetch_and(&request->pending, ~cpu->bit);
    }
    irq_restore(flags);
}

/* Hands the request to the CPUs in mask, without this one, and waits until all have obeyed. */
static void tlb_ask(struct cpu *cpu, const struct tlb_request *request, cpumask_t mask)
{
    struct tlb_request *mine = &requests[cpu->id];
    cpumask_t interrupt = 0;

    debug_assert(irq_enabled());
    debug_assert(atomic_load(&mine->pending) == 0);
    mine->demand = request->demand;
    mine->mm = request->mm;
    mine->start = request->start;
    mine->end = request->end;
    mine->generation = request->generation;
    atomic_store(&mine->pending, mask);
    for (cpumask_t left = mask; left; left &= left - 1) {
        u32 id = bit_lowest(left);

        if (atomic_fetch_or(&inbox[id].from, cpu->bit) == 0)
            interrupt |= 1ul << id;
    }
    if (interrupt)
        ipi_send(interrupt, IPI_SHOOTDOWN);
    count_add(COUNT_tlb_ipi, bit_count(interrupt));
    cpu->shootdowns_sent++;
    while (atomic_load(&mine->pending))
        spin_wait();
}

/* Those of the mask that keep their space lazily: they will look at the generation themselves. */
static cpumask_t lazy_cpus(cpumask_t mask)
{
    cpumask_t lazy = 0;

    for (cpumask_t left = mask; left; left &= left - 1) {
        u32 id = bit_lowest(left);

        if (atomic_load(&cpus[id]->tlb.lazy))
            lazy |= 1ul << id;
    }
    count_add(COUNT_tlb_avoided_lazy, bit_count(lazy));
    return lazy;
}

/* Has the request obeyed by every CPU of the mask, this one included. */
static void tlb_demand(const struct tlb_request *request, cpumask_t mask)
{
    struct cpu *cpu = this_cpu();

    if (mask & cpu->bit) {
        u64 flags = irq_save();

        cpu_obey(cpu, request);
        irq_restore(flags);
        mask &= ~cpu->bit;
    }
    if (mask && demand_spares_lazy(request->demand))
        mask &= ~lazy_cpus(mask);
    if (mask)
        tlb_ask(cpu, request, mask);
    else
        count(COUNT_tlb_local);
}

/* --- flushing one space --- */

static void tlb_flush(struct mm *mm, va_t start, va_t end, enum tlb_reason reason,
                      enum tlb_demand demand)
{
    struct tlb_request request = {.demand = demand, .mm = mm, .start = start, .end = end};

    request.generation = atomic_fetch_add(&mm->tlb_generation, 1) + 1;
    cpumask_t mask = atomic_load(&mm->tlb_cpus);
    if (!mask)
        return;
    count(COUNT_tlb_reason_unmap + reason);
    tlb_demand(&request, mask);
}
static_assert(COUNT_tlb_reason_cow - COUNT_tlb_reason_unmap == TLB_COW - TLB_UNMAP,
              "one counter for each reason, in their order");

void tlb_flush_range(struct mm *mm, va_t start, va_t end, enum tlb_reason reason)
{
    tlb_flush(mm, start, end, reason, TLB_DEMAND_RANGE);
}

void tlb_flush_page(struct mm *mm, va_t va, enum tlb_reason reason)
{
    tlb_flush(mm, va, va + PAGE_SIZE, reason, TLB_DEMAND_RANGE);
}

/* --- batches --- */

void tlb_batch_init(struct tlb_batch *batch, struct mm *mm, enum tlb_reason reason)
{
    batch->reason = reason;
    batch->mm = mm;
    batch->many = false;
    batch->tables = false;
    batch->start = ~0ul;
    batch->end = 0;
    batch->pages = 0;
    batch->cpus = 0;
    batch->count = 0;
}

/* Several spaces are flushed by one request to all their CPUs; each generation is bumped as its
 * entries change, so that lazy CPUs notice. */
static void batch_note_space(struct tlb_batch *batch, struct mm *mm)
{
    atomic_fetch_add(&mm->tlb_generation, 1);
    batch->cpus |= atomic_load(&mm->tlb_cpus);
}

void tlb_batch_add_range(struct tlb_batch *batch, struct mm *mm, va_t start, va_t end)
{
    batch->pages += (end - start) >> PAGE_SHIFT;
    if (mm != batch->mm && !batch->many) {
        if (batch->start < batch->end)
            batch_note_space(batch, batch->mm);
        batch->many = true;
    }
    if (batch->many)
        batch_note_space(batch, mm);
    batch->start = MIN(batch->start, start);
    batch->end = MAX(batch->end, end);
}

static void batch_flush_many(const struct tlb_batch *batch)
{
    struct tlb_request request = {.demand = TLB_DEMAND_ALL};

    if (!batch->cpus)
        return;
    count(COUNT_tlb_reason_unmap + batch->reason);
    tlb_demand(&request, batch->cpus);
}

void tlb_batch_flush(struct tlb_batch *batch)
{
    if (batch->many)
        batch_flush_many(batch);
    else if (batch->tables)
        tlb_flush(batch->mm, 0, USER_END, batch->reason, TLB_DEMAND_TABLES);
    else if (batch->start < batch->end)
        tlb_flush(batch->mm, batch->start, batch->end, batch->reason, TLB_DEMAND_RANGE);
    if (batch->pages)
        count(COUNT_tlb_batch);
    frames_put_many(batch->frames, batch->count);
    tlb_batch_init(batch, batch->mm, batch->reason);
}

/* --- switching --- */

/* No thread of the loaded space runs from now on, or one does again. */
static void switch_lazy(struct cpu *cpu, struct mm *mm, bool back)
{
    if (!back || !atomic_load_explicit(&cpu->tlb.lazy, memory_order_relaxed)) {
        atomic_store_explicit(&cpu->tlb.lazy, !back, memory_order_release);
        return;
    }
    atomic_store(&cpu->tlb.lazy, false);
    if (cpu->tlb.generation != atomic_load(&mm->tlb_generation))
        cpu_flush_all(cpu, mm);
    else
        count(COUNT_tlb_generation_skip);
}

void tlb_switch_mm(struct mm *next)
{
    struct cpu *cpu = this_cpu();
    struct mm *old = atomic_load_explicit(&cpu->tlb.mm, memory_order_relaxed);

    if (unlikely(next == old) || unlikely(!next)) {
        if (old)
            switch_lazy(cpu, old, next);
        return;
    }
    atomic_fetch_or(&next->tlb_cpus, cpu->bit);
    cpu->tlb.generation = atomic_load(&next->tlb_generation);
    atomic_store_explicit(&cpu->tlb.mm, next, memory_order_relaxed);
    atomic_store_explicit(&cpu->tlb.lazy, false, memory_order_relaxed);
    pt_load(&next->pt);
    if (old)
        atomic_fetch_and(&old->tlb_cpus, ~cpu->bit);
}

void tlb_forget_mm(struct mm *mm)
{
    struct tlb_request request = {.demand = TLB_DEMAND_LEAVE, .mm = mm};
    cpumask_t mask = atomic_load(&mm->tlb_cpus);

    if (mask)
        tlb_demand(&request, mask);
    debug_assert(atomic_load(&mm->tlb_cpus) == 0);
}
