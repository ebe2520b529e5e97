/*
 * cpu_setup.c: processor features and the registers that switch them on.
 *
 * Protection the CPU has is always used: SMEP and SMAP (the kernel neither executes nor by accident
 * touches user memory), UMIP (users can't read descriptor table addresses), WP (the kernel obeys
 * read-only pages).
 */
#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/segments.h"
#include "lib/string.h"

struct cpu_features cpu_features;

extern u8 *const __smap_sites_start[], *const __smap_sites_end[];
extern const char syscall_entry[];

/* Page attributes by index (PCD:PWT): write-back, write-combining, uncached-, uncached; the upper
 * four as the lower. */
#define PAT_VALUE 0x0007010600070106ul

/* rflags that SYSCALL clears: everything a user may have set that the kernel must not run with. */
#define SYSCALL_FLAGS (RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC)

/* Turns stac and clac, unknown to this processor, into a no-op of the same three bytes. */
static void patch_smap_sites(void)
{
    static const u8 nop[3] = {0x0f, 0x1f, 0x00};

    for (u8 *const *site = __smap_sites_start; site < __smap_sites_end; site++)
        memcpy(*site, nop, sizeof(nop));
}

void cpu_detect(void)
{
    struct cpuid one = cpuid(1, 0), seven = {0};

    if (cpuid(0, 0).eax >= 7)
        seven = cpuid(7, 0);
    cpu_features = (struct cpu_features){
        .smep = seven.ebx & 1u << 7,
        .smap = seven.ebx & 1u << 20,
        .umip = seven.ecx & 1u << 2,
        .fsgsbase = seven.ebx & 1u << 0,
        .xsave = one.ecx & 1u << 26,
        .x2apic = one.ecx & 1u << 21,
        .tsc_deadline = one.ecx & 1u << 24,
    };
    if (!cpu_features.smap)
        patch_smap_sites();
    fpu_detect();
}

static void setup_control_registers(void)
{
    u64 cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    if (cpu_features.smep)
        cr4 |= CR4_SMEP;
    if (cpu_features.smap)
        cr4 |= CR4_SMAP;
    if (cpu_features.umip)
        cr4 |= CR4_UMIP;
    if (cpu_features.fsgsbase)
        cr4 |= CR4_FSGSBASE;
    if (cpu_features.xsave)
        cr4 |= CR4_OSXSAVE;
    cr4_write(cr4);
    cr0_write((cr0_read() & ~(u64)(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE | CR0_WP | CR0_AM);
}

static void setup_syscall(void)
{
    msr_write(MSR_STAR, (u64)SELECTOR_USER_BASE << 48 | (u64)SELECTOR_KERNEL_CODE << 32);
    msr_write(MSR_LSTAR, (u64)syscall_entry);
    msr_write(MSR_SFMASK, SYSCALL_FLAGS);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
}

void cpu_setup(void)
{
    setup_control_registers();
    msr_write(MSR_PAT, PAT_VALUE);
    setup_syscall();
    fpu_setup();
}
