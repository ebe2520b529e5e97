/*
 * The shootdown protocol, with threads as CPUs. Each has a TLB of its own, kept until it is
 * flushed, and looks for interrupts only between two accesses. All of them switch between spaces,
 * run lazily, read through their TLBs, and replace pages: clear the entry, flush, and give the
 * frame to somebody else at once.
 *
 * What must hold: an access never reaches a frame that has been given away meanwhile.
 */
#include "tests/unit/host.h"
#include "tests/unit/host_tunable.h"

#include "kernel/mm/tlb.c"
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define CPUS 4
#define SPACES 3
#define PAGES 64
#define FRAMES 1024
#define ROUNDS 200000
#define NOBODY (~0u)

static struct space {
    struct mm mm;
    _Atomic u32 entry[PAGES]; /* frame + 1; 0 = none */
    _Atomic bool locked;      /* the page table's lock */
} spaces[SPACES];

static struct frame frames[FRAMES];
static _Atomic u32 owner[FRAMES]; /* space * PAGES + page, or NOBODY */

static struct processor {
    struct cpu cpu;
    struct space *loaded;
    u32 entry[PAGES]; /* as in struct space, cached */
    _Atomic bool interrupt;
    u64 random;
    u64 accesses, stale, flushes;
} processors[CPUS];

static _Atomic u32 finished;

static struct processor *this_processor(void)
{
    return container_of(this_cpu(), struct processor, cpu);
}

static u64 draw(struct processor *p, u64 below)
{
    p->random = p->random * 6364136223846793005ull + 1442695040888963407ull;
    return (p->random >> 33) % below;
}

/* --- what tlb.c calls --- */

void tlb_local_page(va_t va)
{
    this_processor()->entry[va / PAGE_SIZE] = 0;
}

void tlb_local_all(void)
{
    memset(this_processor()->entry, 0, sizeof(this_processor()->entry));
}

void pt_load(const struct pagetable *pt)
{
    this_processor()->loaded = pt ? container_of((void *)pt, struct space, mm.pt) : NULL;
    tlb_local_all();
}

void ipi_send(cpumask_t mask, enum ipi kind)
{
    CHECK_EQ(kind, IPI_SHOOTDOWN);
    for (; mask; mask &= mask - 1)
        atomic_store(&processors[bit_lowest(mask)].interrupt, true);
}

static void take_interrupt(struct processor *p)
{
    if (atomic_load_explicit(&p->interrupt, memory_order_relaxed)) {
        atomic_store(&p->interrupt, false);
        tlb_answer();
    }
}

static _Atomic u64 flushed_before_put; /* pages, by CPU 0 */

/* The batch's frames are free: whoever still reaches one sees that it is nobody's. */
void frames_put_many(struct frame **batch, u32 count)
{
    atomic_store(&flushed_before_put, host_counter(COUNT_tlb_page));
    for (u32 i = 0; i < count; i++)
        atomic_store(&owner[batch[i] - frames], NOBODY);
}

/* --- what the processors do --- */

static void touch(struct processor *p)
{
    u32 page = draw(p, PAGES);

    if (!p->loaded || atomic_load(&p->cpu.tlb.lazy))
        return;
    if (!p->entry[page])
        p->entry[page] = atomic_load(&p->loaded->entry[page]);
    if (!p->entry[page])
        return;
    p->accesses++;
    p->stale += atomic_load(&owner[p->entry[page] - 1]) != (u32)(p->loaded - spaces) * PAGES + page;
}

/* As the kernel's spin_wait; the threads share fewer processors than they are. */
static void answer_and_yield(void)
{
    tlb_answer();
    sched_yield();
}

static void lock_space(struct space *space)
{
    while (atomic_exchange(&space->locked, true))
        spin_wait();
}

static void unlock_space(struct space *space)
{
    atomic_store(&space->locked, false);
}

/* Maps a frame that nobody has, if there is one at hand. */
static void map_page(struct processor *p, struct space *space, u32 page)
{
    u32 frame = draw(p, FRAMES), nobody = NOBODY;

    if (!atomic_load(&space->entry[page]) &&
        atomic_compare_exchange_strong(&owner[frame], &nobody,
                                       (u32)(space - spaces) * PAGES + page))
        atomic_store(&space->entry[page], frame + 1);
}

static void unmap_page(struct space *space, u32 page, struct tlb_batch *batch)
{
    u32 entry = atomic_exchange(&space->entry[page], 0);

    if (entry) {
        tlb_batch_add(batch, &space->mm, page * PAGE_SIZE);
        tlb_batch_add_frame(batch, &frames[entry - 1]);
    }
}

static void change_space(struct processor *p, struct space *space, struct tlb_batch *batch)
{
    u32 first = draw(p, PAGES), count = draw(p, 4) ? 1 + draw(p, 4) : PAGES;

    lock_space(space);
    for (u32 page = first; page < PAGES && page < first + count; page++)
        unmap_page(space, page, batch);
    unlock_space(space);
}

/* One space or, like the scanner, several in one batch. */
static void change(struct processor *p)
{
    struct space *space = &spaces[draw(p, SPACES)];
    struct tlb_batch batch;

    tlb_batch_init(&batch, &space->mm, TLB_UNMAP);
    change_space(p, space, &batch);
    if (draw(p, 3) == 0)
        change_space(p, &spaces[draw(p, SPACES)], &batch);
    tlb_batch_flush(&batch);
    p->flushes++;
}

static void replace_one(struct processor *p)
{
    struct space *space = &spaces[draw(p, SPACES)];
    u32 page = draw(p, PAGES), entry;

    lock_space(space);
    entry = atomic_exchange(&space->entry[page], 0);
    if (entry) {
        tlb_flush_page(&space->mm, page * PAGE_SIZE, TLB_COW);
        atomic_store(&owner[entry - 1], NOBODY);
    }
    map_page(p, space, page);
    unlock_space(space);
}

static void step(struct processor *p)
{
    u64 choice = draw(p, 100);

    if (choice < 60) {
        for (u64 i = draw(p, 20); i; i--)
            touch(p);
    } else if (choice < 80) {
        struct space *space = &spaces[draw(p, SPACES)];

        lock_space(space);
        for (u64 i = 0; i < 20; i++)
            map_page(p, space, draw(p, PAGES));
        unlock_space(space);
    } else if (choice < 84) {
        change(p);
    } else if (choice < 88) {
        replace_one(p);
    } else if (choice < 94) {
        tlb_switch_mm(&spaces[draw(p, SPACES)].mm);
    } else {
        tlb_switch_mm(NULL);
        tlb_switch_mm(draw(p, 2) && p->loaded ? &p->loaded->mm : NULL);
    }
}

static void *run(void *argument)
{
    struct processor *p = argument;

    if (syscall(SYS_arch_prctl, ARCH_SET_GS, &p->cpu))
        panic("no GS base");
    for (int round = 0; round < ROUNDS; round++) {
        take_interrupt(p);
        step(p);
        if (round % 64 == 0)
            sched_yield();
    }
    atomic_fetch_add(&finished, 1);
    while (atomic_load(&finished) < CPUS) { /* others may still ask */
        take_interrupt(p);
        sched_yield();
    }
    return NULL;
}

static void test_storm(void)
{
    pthread_t threads[CPUS];
    u64 stale = 0, accesses = 0, flushes = 0;

    host.wait = answer_and_yield;
    for (u32 i = 0; i < FRAMES; i++)
        atomic_store(&owner[i], NOBODY);
    for (u32 i = 0; i < CPUS; i++) {
        processors[i].cpu.self = &processors[i].cpu;
        processors[i].cpu.id = i;
        processors[i].cpu.bit = BIT(i);
        processors[i].random = random_u64();
        cpus[i] = &processors[i].cpu;
    }
    cpu_count = CPUS;
    for (u32 i = 0; i < CPUS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, run, &processors[i]), 0);
    for (u32 i = 0; i < CPUS; i++) {
        pthread_join(threads[i], NULL);
        stale += processors[i].stale;
        accesses += processors[i].accesses;
        flushes += processors[i].flushes;
    }
    CHECK_EQ(stale, 0);
    CHECK(accesses > 10000);
    CHECK(flushes > 1000);
}

/* --- one CPU, step by step --- */

static struct mm *const mm = &spaces[0].mm, *const other = &spaces[1].mm;

static void start_alone(void)
{
    memset(processors, 0, sizeof(processors));
    for (u32 i = 0; i < SPACES; i++) {
        atomic_store(&spaces[i].mm.tlb_cpus, 0);
        atomic_store(&spaces[i].mm.tlb_generation, 0);
    }
    processors[0].cpu.self = &processors[0].cpu;
    processors[0].cpu.bit = 1;
    cpus[0] = &processors[0].cpu;
    cpu_count = 1;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, &processors[0].cpu))
        panic("no GS base");
}

static void test_ceiling(void)
{
    start_alone();
    tlb_switch_mm(mm);
    CHECK_EQ(atomic_load(&mm->tlb_cpus), 1);
    tlb_flush_range(mm, 0, 33 * PAGE_SIZE, TLB_UNMAP);
    CHECK_EQ(host_counter(COUNT_tlb_page), 33);
    CHECK_EQ(host_counter(COUNT_tlb_full), 0);
    tlb_flush_range(mm, 0, 34 * PAGE_SIZE, TLB_PROTECT);
    CHECK_EQ(host_counter(COUNT_tlb_page), 33);
    CHECK_EQ(host_counter(COUNT_tlb_full), 1);
    CHECK_EQ(host_counter(COUNT_tlb_reason_unmap), 1);
    CHECK_EQ(host_counter(COUNT_tlb_reason_protect), 1);
    tlb_flush_page(other, 0, TLB_COW); /* nobody runs it */
    CHECK_EQ(host_counter(COUNT_tlb_reason_cow), 0);
    CHECK_EQ(host_counter(COUNT_tlb_ipi), 0);
}

static void test_lazy(void)
{
    start_alone();
    tlb_switch_mm(mm);
    tlb_switch_mm(NULL);
    CHECK(processors[0].loaded == &spaces[0]); /* kept */
    tlb_switch_mm(mm);
    CHECK_EQ(host_counter(COUNT_tlb_generation_skip), 1);
    tlb_switch_mm(NULL);
    atomic_fetch_add(&mm->tlb_generation, 1); /* another CPU changed something, and spared us */
    tlb_switch_mm(mm);
    CHECK_EQ(host_counter(COUNT_tlb_full), 1);
    tlb_switch_mm(other);
    CHECK_EQ(atomic_load(&mm->tlb_cpus), 0);
    CHECK_EQ(atomic_load(&other->tlb_cpus), 1);
    tlb_switch_mm(NULL);
    tlb_forget_mm(other);
    CHECK(!processors[0].loaded && !atomic_load(&other->tlb_cpus));
}

static void test_batch(void)
{
    struct tlb_batch batch;

    start_alone();
    tlb_switch_mm(mm);
    tlb_batch_init(&batch, mm, TLB_MERGE);
    tlb_batch_flush(&batch); /* nothing to do */
    CHECK_EQ(atomic_load(&mm->tlb_generation), 0);
    for (u32 i = 0; i < TLB_BATCH_FRAMES; i++) {
        atomic_store(&owner[i], 1);
        tlb_batch_add(&batch, mm, (3 + i % 5) * PAGE_SIZE);
        CHECK_EQ(tlb_batch_add_frame(&batch, &frames[i]), i + 1 == TLB_BATCH_FRAMES);
    }
    CHECK(tlb_batch_full(&batch) && batch.start == 3 * PAGE_SIZE && batch.end == 8 * PAGE_SIZE);
    tlb_batch_flush(&batch);
    CHECK_EQ(host_counter(COUNT_tlb_page), 5);
    CHECK_EQ(host_counter(COUNT_tlb_batch), 1);
    CHECK_EQ(atomic_load(&flushed_before_put), 5);
    CHECK(batch.count == 0 && batch.mm == mm);
    CHECK_EQ(atomic_load(&owner[TLB_BATCH_FRAMES - 1]), NOBODY);

    tlb_batch_add(&batch, mm, 0);
    tlb_batch_add(&batch, other, 0);
    tlb_batch_flush(&batch);
    CHECK_EQ(host_counter(COUNT_tlb_full), 1);
    CHECK(atomic_load(&mm->tlb_generation) == 2 && atomic_load(&other->tlb_generation) == 1);
}

int main(void)
{
    tap_run("pages singly up to the ceiling, then everything", test_ceiling);
    tap_run("lazy CPUs look at the generation when they return", test_lazy);
    tap_run("a batch flushes once, and frees after", test_batch);
    start_alone();
    tap_run("no stale translation in a storm of switches and shootdowns", test_storm);
    return tap_done();
}
