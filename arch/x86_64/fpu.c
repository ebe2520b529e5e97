/*
 * fpu.c: the extended state of user threads: x87, SSE, AVX, AVX-512. The kernel itself uses none of
 * it.
 *
 * It is saved when a thread leaves a CPU and loaded when one comes, always in the standard (not
 * compacted) XSAVE form, which is also what user space is shown. XSAVEOPT leaves parts in their
 * initial state unwritten, with their bit in `present` clear; a reader is given zeros for those.
 * Processors without XSAVE use FXSAVE: the first 512 bytes of the same form.
 */
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/errno.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

/* Parts of the state: bits of XCR0. */
enum {
    PART_X87 = 1 << 0,
    PART_SSE = 1 << 1,
    PART_AVX = 1 << 2,
    PART_AVX512 = 7 << 5,
};
#define PARTS_WANTED (PART_X87 | PART_SSE | PART_AVX | PART_AVX512)
#define PARTS_END 8

#define LEGACY_BYTES 512
#define MXCSR_INITIAL 0x1f80u
#define CONTROL_INITIAL 0x37fu

struct xsave_area {
    u16 control, status, tag, opcode;
    u64 rip, rdp;
    u32 mxcsr, mxcsr_mask;
    u8 registers[480];
    u64 present;   /* parts that are not in their initial state; from here on only with XSAVE */
    u64 compacted; /* 0: standard form */
    u64 reserved[6];
    u8 extended[];
};
static_assert(offsetof(struct xsave_area, present) == LEGACY_BYTES, "XSAVE header");

u32 fpu_size = LEGACY_BYTES;

u64 fpu_parts = PART_X87 | PART_SSE;
static u32 mxcsr_mask = 0xffbf;
static struct {
    u32 offset, bytes;
} part_place[PARTS_END]; /* of the parts beyond SSE */

static void xcr0_write(u64 value)
{
    __asm__ volatile("xsetbv" ::"c"(0), "a"((u32)value), "d"((u32)(value >> 32)));
}

static void area_init(struct xsave_area *area)
{
    memset(area, 0, fpu_size);
    area->control = CONTROL_INITIAL;
    area->mxcsr = MXCSR_INITIAL;
}

/* --- processor --- */

void fpu_detect(void)
{
    if (!cpu_features.xsave)
        return;
    fpu_parts = cpuid(0xd, 0).eax & PARTS_WANTED;
    if ((fpu_parts & PART_AVX512) != PART_AVX512)
        fpu_parts &= ~(u64)PART_AVX512;
    cpu_features.xsaveopt = cpuid(0xd, 1).eax & 1;
    cpu_features.quick_switch = cpu_features.xsaveopt && cpu_features.fsgsbase;
    fpu_size = sizeof(struct xsave_area);
    for (u32 part = 2; part < PARTS_END; part++)
        if (fpu_parts >> part & 1) {
            struct cpuid place = cpuid(0xd, part);

            part_place[part].offset = place.ebx;
            part_place[part].bytes = place.eax;
            fpu_size = MAX(fpu_size, place.ebx + place.eax);
        }
    fpu_size = ALIGN_UP(fpu_size, 64u);
}

void fpu_setup(void)
{
    static struct xsave_area probe aligned_to(64);

    if (cpu_features.xsave)
        xcr0_write(fpu_parts);
    __asm__ volatile("fninit");
    __asm__ volatile("fxsave64 (%0)" ::"r"(&probe) : "memory");
    if (probe.mxcsr_mask)
        mxcsr_mask = probe.mxcsr_mask;
}

/* --- threads --- */

/* Brings the area of the thread up to date: that of the current one is in the processor. */
static struct xsave_area *area_current(struct thread *thread)
{
    if (thread == current_thread())
        fpu_save(thread->arch.fpu);
    return thread->arch.fpu;
}

void arch_fpu_init(struct thread *thread)
{
    area_init(thread->arch.fpu);
    if (thread == current_thread())
        fpu_load(thread->arch.fpu);
}

/* Writes out the parts that the processor left unwritten because they are in their initial
 * state. */
static void area_complete(struct xsave_area *area)
{
    u64 absent = cpu_features.xsave ? fpu_parts & ~area->present : 0;

    if (absent & PART_X87) {
        u32 mxcsr = area->mxcsr, mask = area->mxcsr_mask;

        memset(area, 0, offsetof(struct xsave_area, registers));
        memset(area->registers, 0, 128);
        area->control = CONTROL_INITIAL;
        area->mxcsr = mxcsr;
        area->mxcsr_mask = mask;
    }
    if (absent & PART_SSE)
        memset(area->registers + 128, 0, 256);
    for (u32 part = 2; part < PARTS_END; part++)
        if (absent >> part & 1)
            memset((u8 *)area + part_place[part].offset, 0, part_place[part].bytes);
}

s64 arch_fpu_get(struct thread *thread, void *buffer, usize size)
{
    struct xsave_area *area = area_current(thread);

    if (size < fpu_size)
        return -EINVAL;
    area_complete(area);
    memcpy(buffer, area, fpu_size);
    return fpu_size;
}

/* What XRSTOR would refuse with an exception must not get that far. */
static bool area_valid(const struct xsave_area *area, usize size)
{
    static const u64 zero[6];

    if (area->mxcsr & ~mxcsr_mask)
        return false;
    if (size == LEGACY_BYTES)
        return true;
    return !(area->present & ~fpu_parts) && area->compacted == 0 &&
           memcmp(area->reserved, zero, sizeof(zero)) == 0;
}

s64 arch_fpu_set(struct thread *thread, const void *buffer, usize size)
{
    struct xsave_area *area = thread->arch.fpu;

    if ((size != fpu_size && size != LEGACY_BYTES) || !area_valid(buffer, size))
        return -EINVAL;
    if (size == LEGACY_BYTES)
        area_init(area);
    memcpy(area, buffer, size);
    if (size == LEGACY_BYTES && fpu_size > LEGACY_BYTES)
        area->present = PART_X87 | PART_SSE;
    if (thread == current_thread())
        fpu_load(area);
    return 0;
}
