/*
 * clock.c: time from the time stamp counter, and one-shot timers from the local APIC.
 *
 *   ns = (tsc - start) * tsc_mult / 2^32
 *
 * All CPUs' counters are taken to run together, as they do where the TSC is invariant, and in
 * emulators. Their rate is told by CPUID, or measured against a clock whose rate is known: HPET,
 * else the ACPI timer, else the PIT.
 */
#include "arch/x86_64/clock.h"
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/log.h"

#define NS_PER_S 1000000000ul
#define MULT_SHIFT 32
#define TIME_MAX (1ul << 59) /* 18 years: later deadlines need not be exact */

u64 tsc_hz;
u64 time_realtime_offset;

static u64 tsc_start;
static u64 tsc_mult;   /* ns per tick, times 2^32; 0 until known, then time stands at 0 */
static u64 lapic_mult; /* ticks of the local APIC's timer per ns, times 2^32 */

/* a * b / c, with 128 bits in between; the result must fit 64. */
static u64 multiply_divide(u64 a, u64 b, u64 c)
{
    u64 result, high;

    __asm__("mulq %3; divq %4" : "=&a"(result), "=&d"(high) : "0"(a), "r"(b), "r"(c) : "cc");
    return result;
}

u64 time_ns(void)
{
    return (u64)((unsigned __int128)(tsc_read() - tsc_start) * tsc_mult >> MULT_SHIFT);
}

void clock_start(void)
{
    tsc_start = tsc_read();
}

void clock_delay_us(u64 us)
{
    u64 end = time_ns() + us * 1000;

    while (time_ns() < end)
        cpu_relax();
}

/* --- clocks of known rate --- */

struct reference {
    const char *name;
    bool (*start)(void); /* false: not there */
    u64 (*read)(void);
    u64 hz, mask;
    u64 window_us; /* how long to measure: the coarser the clock, the longer */
};

enum { HPET_PERIOD = 4, HPET_CONFIG = 0x10, HPET_COUNTER = 0xf0, HPET_ENABLE = 1 };
enum { PM_TIMER_HZ = 3579545, PIT_HZ = 1193182 };
enum { PIT_CHANNEL2 = 0x42, PIT_COMMAND = 0x43, PIT_GATE = 0x61 };
#define FEMTOSECONDS 1000000000000000ul

static volatile u8 *hpet;
static struct reference reference_hpet;

static bool hpet_start(void)
{
    if (!acpi.hpet.raw)
        return false;
    hpet = kernel_map_device(acpi.hpet, PAGE_SIZE);
    u32 period = *(volatile u32 *)(hpet + HPET_PERIOD);
    if (period == 0 || period > 100000000)
        return false;
    reference_hpet.hz = FEMTOSECONDS / period;
    *(volatile u32 *)(hpet + HPET_CONFIG) |= HPET_ENABLE;
    return true;
}

static u64 hpet_read(void)
{
    return *(volatile u32 *)(hpet + HPET_COUNTER);
}

static bool pm_timer_start(void)
{
    return acpi.pm_timer.address && !acpi.pm_timer.memory;
}

static u64 pm_timer_read(void)
{
    return io_in32((u16)acpi.pm_timer.address);
}

/* Channel 2 counts down from 65535 once its gate is opened (and the speaker kept off). */
static bool pit_start(void)
{
    io_out8(PIT_GATE, (u8)((io_in8(PIT_GATE) & ~2) | 1));
    io_out8(PIT_COMMAND, 0xb4); /* channel 2, both bytes, mode 2 */
    io_out8(PIT_CHANNEL2, 0xff);
    io_out8(PIT_CHANNEL2, 0xff);
    return true;
}

static u64 pit_read(void)
{
    io_out8(PIT_COMMAND, 0x80); /* latch channel 2 */
    u64 low = io_in8(PIT_CHANNEL2);

    return ~(low | (u64)io_in8(PIT_CHANNEL2) << 8);
}

static struct reference reference_hpet = {"HPET", hpet_start, hpet_read, 0, 0xffffffff, 2000};
static const struct reference reference_pm = {"ACPI timer", pm_timer_start, pm_timer_read,
                                              PM_TIMER_HZ,  0xffffff,       10000};
static const struct reference reference_pit = {"PIT", pit_start, pit_read, PIT_HZ, 0xffff, 10000};

/* --- measuring --- */

struct sample {
    u64 tsc, count;
};

/* Reads both clocks as nearly at once as a few tries allow. */
static struct sample sample_take(const struct reference *reference)
{
    struct sample best = {0};
    u64 best_span = ~0ul;

    for (u32 i = 0; i < 5; i++) {
        u64 before = tsc_read(), count = reference->read(), span = tsc_read() - before;

        if (span < best_span) {
            best_span = span;
            best = (struct sample){before + span / 2, count};
        }
    }
    return best;
}

/* Lets both the TSC and the local APIC's timer run against the reference. */
static void measure(const struct reference *reference, u64 *tsc_rate, u64 *lapic_rate)
{
    u64 window = reference->hz * reference->window_us / 1000000;
    struct sample first = sample_take(reference), last;
    u32 lapic_first, lapic_last;

    lapic_timer_count(~0u);
    lapic_first = lapic_timer_left();
    while (((reference->read() - first.count) & reference->mask) < window)
        for (u32 i = 0; i < 50; i++)
            cpu_relax();
    lapic_last = lapic_timer_left();
    last = sample_take(reference);
    lapic_timer_count(0);

    u64 counts = (last.count - first.count) & reference->mask;
    *tsc_rate = multiply_divide(last.tsc - first.tsc, reference->hz, counts);
    *lapic_rate = multiply_divide(lapic_first - lapic_last, *tsc_rate, last.tsc - first.tsc);
}

/* The TSC's rate as the processor (leaf 0x15) or the hypervisor (0x40000010) tells it; 0 = it does
 * not. */
static u64 tsc_rate_told(void)
{
    struct cpuid crystal = {0}, hypervisor = {0};

    if (cpuid(0, 0).eax >= 0x15)
        crystal = cpuid(0x15, 0);
    if (crystal.eax && crystal.ebx && crystal.ecx)
        return (u64)crystal.ecx * crystal.ebx / crystal.eax;
    if ((cpuid(1, 0).ecx & 1u << 31) && cpuid(0x40000000, 0).eax >= 0x40000010)
        hypervisor = cpuid(0x40000010, 0);
    return hypervisor.eax * 1000ul;
}

static const struct reference *reference_find(void)
{
    if (reference_hpet.start())
        return &reference_hpet;
    if (reference_pm.start())
        return &reference_pm;
    reference_pit.start();
    return &reference_pit;
}

void clock_init(void)
{
    const struct reference *reference = NULL;
    u64 lapic_hz = 0;

    tsc_hz = tsc_rate_told();
    if (!tsc_hz || !cpu_features.tsc_deadline) {
        u64 measured;

        reference = reference_find();
        measure(reference, &measured, &lapic_hz);
        tsc_hz = tsc_hz ?: measured;
    }
    tsc_mult = (NS_PER_S << MULT_SHIFT) / tsc_hz;
    lapic_mult = (lapic_hz << MULT_SHIFT) / NS_PER_S;
    time_realtime_offset = rtc_read() * NS_PER_S - time_ns();
    boot_info.tsc_hz = tsc_hz;
    boot_info.realtime_offset = time_realtime_offset;
    log_line("clock: TSC at %lu.%03lu MHz by %s", tsc_hz / 1000000, tsc_hz / 1000 % 1000,
             reference ? reference->name : "CPUID");
}

/* --- one-shot timer --- */

static void timer_program_count(u64 when)
{
    u64 now = time_ns();

    if (when == 0) {
        lapic_timer_count(0);
        return;
    }
    /* A longer wait than a second ends early, and is set again. */
    u64 wait = when > now ? MIN(when - now, NS_PER_S) : 0;
    u64 count = wait * lapic_mult >> MULT_SHIFT;

    lapic_timer_count((u32)MIN(count + 1, 0xfffffffful));
}

static void timer_program_deadline(u64 when)
{
    u64 tsc = 0;

    if (when)
        tsc = tsc_start + multiply_divide(MIN(when, TIME_MAX), tsc_hz, NS_PER_S) + 1;
    msr_write(MSR_TSC_DEADLINE, tsc);
}

void timer_program(u64 when)
{
    if (cpu_features.tsc_deadline)
        timer_program_deadline(when);
    else
        timer_program_count(when);
}
