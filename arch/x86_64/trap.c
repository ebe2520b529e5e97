/*
 * trap.c: where every exception and interrupt arrives from entry.asm, interrupts off, and is sent
 * on to whom it concerns.
 *
 *   page fault   user mode                 trap_user_fault (floor 5), interrupts on
 *                kernel, in usercopy.asm   trap_kernel_fault (floor 5); else on at the fixup
 *                kernel, anywhere else     panic
 *   exception    user mode                 trap_user_exception (floor 6), interrupts on
 *                kernel                    panic
 *   interrupt                              interrupt_dispatch (irq.c)
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/pagetable.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/log.h"

static const char *const exception_names[VECTOR_EXCEPTIONS] = {
    [0] = "division by zero",
    [1] = "debug exception",
    [VECTOR_NMI] = "non-maskable interrupt",
    [VECTOR_BREAKPOINT] = "breakpoint",
    [VECTOR_OVERFLOW] = "overflow",
    [5] = "bound exceeded",
    [6] = "invalid instruction",
    [7] = "no FPU",
    [VECTOR_DOUBLE_FAULT] = "double fault",
    [10] = "invalid TSS",
    [11] = "segment not present",
    [12] = "stack fault",
    [13] = "general protection fault",
    [VECTOR_PAGE_FAULT] = "page fault",
    [16] = "floating point exception",
    [17] = "alignment fault",
    [VECTOR_MACHINE_CHECK] = "machine check",
    [19] = "SIMD exception",
    [21] = "control protection fault",
};

/* An instruction that may touch user memory, and where to go on when that fails: collected from
 * usercopy.asm. */
struct user_access {
    u64 instruction, fixup;
};
extern const struct user_access __user_access_start[], __user_access_end[];

static const struct user_access *user_access_find(u64 rip)
{
    for (const struct user_access *at = __user_access_start; at < __user_access_end; at++)
        if (at->instruction == rip)
            return at;
    return NULL;
}

static bool in_stack_window(u64 address)
{
    return address >= STACK_BASE && address < STACK_BASE + WINDOW_BYTES;
}

static const char *kernel_fault_reason(const struct trap_frame *frame, u64 address)
{
    if (frame->error_code & PAGE_FAULT_FETCH)
        return "jump to what is no code";
    if (address < PAGE_SIZE)
        return "null pointer";
    if (address < USER_END)
        return "user memory touched by its address";
    if (frame->error_code & PAGE_FAULT_PRESENT)
        return "write to read-only memory";
    return in_stack_window(address) ? "kernel stack overflow" : "access to unmapped memory";
}

/* A page fault while the kernel ran. Returns only if it was an access to user memory. */
static void kernel_page_fault(struct trap_frame *frame, u64 address)
{
    const struct user_access *access = user_access_find(frame->rip);

    if (!access || address >= USER_END)
        panic_trap(frame, "%s in the kernel: address %#lx", kernel_fault_reason(frame, address),
                   address);
    if (frame->rflags & RFLAGS_IF)
        irq_enable();
    bool resolved = trap_kernel_fault(frame, address);
    irq_disable();
    if (!resolved)
        frame->rip = access->fixup;
}

static void kernel_exception(struct trap_frame *frame)
{
    u64 address = cr2_read();

    if (frame->vector == VECTOR_DOUBLE_FAULT && in_stack_window(address))
        panic_trap(frame, "kernel stack overflow: address %#lx", address);
    panic_trap(frame, "%s in the kernel", exception_names[frame->vector] ?: "unknown exception");
}

static void exception(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_NMI) {
        nmi_dispatch();
        return;
    }
    if (frame->vector == VECTOR_MACHINE_CHECK)
        panic_trap(frame, "machine check: the hardware reports an error");
    if (!trap_from_user(frame) || frame->vector == VECTOR_DOUBLE_FAULT)
        kernel_exception(frame);
    irq_enable();
    trap_user_exception(frame);
}

/* Called by entry.asm. What came from user mode goes through return_to_user afterwards. */
void trap_dispatch(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_PAGE_FAULT) {
        u64 address = cr2_read();

        if (!trap_from_user(frame)) {
            kernel_page_fault(frame, address);
            return;
        }
        irq_enable();
        trap_user_fault(frame, address);
    } else if (frame->vector < VECTOR_EXCEPTIONS) {
        exception(frame);
    } else {
        interrupt_dispatch(frame);
    }
}
