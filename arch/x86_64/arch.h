/*
 * arch.h: what the rest of the kernel may ask of the processor and the platform.
 */
#pragma once

#include "kernel/base/cpu.h"
#include "kernel/base/frame.h"
#include "lib/types.h"
#include <merganser/abi.h>

struct thread;

/*
 * What is on a kernel stack after a trap, an interrupt or a system call from user mode; the same
 * for all three, so that a thread's user registers are always at the top of its kernel stack.
 * Pushed by arch/x86_64/entry.asm.
 */
struct trap_frame {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 vector;     /* trap number; TRAP_SYSCALL for a system call */
    u64 error_code; /* of the trap; for a system call its number */
    u64 rip, cs, rflags, rsp, ss;
};
#define TRAP_SYSCALL 256

/* error_code of a page fault (Intel SDM volume 3, 4.7). */
enum {
    PAGE_FAULT_PRESENT = 1, /* a right is missing, not the mapping */
    PAGE_FAULT_WRITE = 2,
    PAGE_FAULT_RESERVED = 8, /* a reserved bit is set in an entry */
    PAGE_FAULT_FETCH = 16,
};

static inline bool trap_from_user(const struct trap_frame *frame)
{
    return frame->cs & 3;
}

/* --- interrupts --- */

static inline u64 irq_save(void)
{
    u64 flags;
    __asm__ volatile("pushfq; pop %0; cli" : "=r"(flags)::"memory");
    return flags;
}
static inline void irq_restore(u64 flags)
{
    if (flags & 0x200)
        __asm__ volatile("sti" ::: "memory");
}
static inline void irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}
static inline void irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}
bool irq_enabled(void);
static inline void cpu_relax(void)
{
    __asm__ volatile("pause");
}
/* Interrupts on and halt until the next one; called with them off, returns with them off. */
void cpu_idle(void);
_Noreturn void cpu_halt_forever(void);

/* Sends the fixed interrupt to the CPUs in mask (never this one). */
enum ipi { IPI_RESCHEDULE, IPI_SHOOTDOWN, IPI_STACKS, IPI_STOP };
void ipi_send(cpumask_t mask, enum ipi kind);
/* Hooks that floor 5 and 3 register; run in interrupt context (shootdown also from spin_wait). */
extern void (*shootdown_hook)(void);
extern void (*timer_hook)(void);

/* A legacy or PCI interrupt line (global system interrupt): handler runs in interrupt context with
 * the line masked until irq_line_unmask. 0 or -errno. */
s64 irq_line_attach(u32 gsi, void (*handler)(void *context), void *context);
void irq_line_unmask(u32 gsi);
void irq_line_detach(u32 gsi);
/* An interrupt that a device makes by writing *data to *address (MSI); handler runs in interrupt
 * context. 0, or -EBUSY when no vector is left. */
s64 irq_message_attach(void (*handler)(void *context), void *context, u64 *address, u32 *data);

/* --- time --- */

/* Nanoseconds since the kernel's entry; the same on all CPUs; never goes back. */
u64 time_ns(void);
/* CLOCK_REALTIME minus time_ns(), from the RTC at start. */
extern u64 time_realtime_offset;
extern u64 tsc_hz;
/* One-shot timer of this CPU: timer_hook runs at `when` (time_ns), or soon if past. 0 = none. */
void timer_program(u64 when);

/* --- threads --- */

struct arch_thread {      /* embedded in struct thread */
    u64 kernel_rsp;       /* while it does not run */
    u64 fs_base, gs_base; /* of user mode; while it runs, the processor's count */
    void *fpu;            /* XSAVE area; NULL for kernel threads */
};
extern u32 fpu_size; /* bytes of an XSAVE area, 64-byte aligned */

#define KERNEL_STACK_SIZE (16 * 1024)
/* A kernel stack, with nothing mapped below it: its top, or NULL = no memory. */
void *kernel_stack_alloc(void);
void kernel_stack_free(void *top);

/* Prepares a thread's stack so that the first switch to it (switch.h) calls entry(argument) with
 * interrupts off. */
void arch_thread_prepare(struct thread *thread, void (*entry)(void *), void *argument);
/* Leaves the kernel with the registers in the trap frame at the top of the current thread's stack;
 * never returns. */
_Noreturn void arch_return_to_user(void);
/* The user registers of a thread that is in the kernel: at the top of its kernel stack. */
struct trap_frame *thread_user_frame(const struct thread *thread);
/* Between user registers and the ABI's form; set checks and forces what user mode must not choose
 * (cs, ss, flags, canonical rip and bases): 0 or -EINVAL. */
void arch_get_regs(struct thread *thread, struct mg_regs *regs);
s64 arch_set_regs(struct thread *thread, const struct mg_regs *regs);
/* FPU image of a thread that is not running, or is the current one. Sets only valid state: 0 or
 * -EINVAL. */
void arch_fpu_init(struct thread *thread);
s64 arch_fpu_get(struct thread *thread, void *buffer, usize size); /* bytes */
s64 arch_fpu_set(struct thread *thread, const void *buffer, usize size);
/* arch_prctl(2): ARCH_SET_FS and so on, for the current thread. */
s64 arch_prctl(u64 code, u64 value);

/* --- traps: entry.asm and trap.c call these, floors 3 to 6 provide them --- */

/* Page fault from user mode: kernel/mm/fault.c. Interrupts are on. */
void trap_user_fault(struct trap_frame *frame, va_t address);
/* Page fault of the kernel in an access to user memory; true = resolved, try again. */
bool trap_kernel_fault(struct trap_frame *frame, va_t address);
/* Other exceptions from user mode: kernel/sys. Interrupts are on. */
void trap_user_exception(struct trap_frame *frame);
/* kernel/sys/syscall.c; result into frame->rax. Interrupts are on. */
void syscall_dispatch(struct trap_frame *frame);
/* Before the way back to user mode, as long as cpu->resched or thread->work is set; interrupts are
 * on. */
void thread_before_user(struct trap_frame *frame);

/* --- user memory, with SMAP opened and faults caught: kernel/sys/user.h is the checked face --- */

/* Bytes NOT copied. */
usize arch_copy_user(void *to, const void *from, usize bytes);
/* 0 or -EFAULT */
s64 arch_load_user_u32(const u32 *from, u32 *value);
s64 arch_cas_user_u32(u32 *at, u32 expected, u32 desired, u32 *seen);
/* Length without the NUL, at most size; -EFAULT. */
s64 arch_string_user(char *to, const char *from, usize size);

/* --- platform --- */

_Noreturn void machine_power_off(void);
_Noreturn void machine_reboot(void);
u8 io_in8(u16 port);
u16 io_in16(u16 port);
u32 io_in32(u16 port);
void io_out8(u16 port, u8 value);
void io_out16(u16 port, u16 value);
void io_out32(u16 port, u32 value);
/* Device registers, uncached; NULL when the window is full. */
volatile void *kernel_map_device(pa_t pa, usize bytes);

/* Where PCI's configuration space is memory, 1 MiB a bus; base 0 = by ports only. */
struct pci_window {
    pa_t base; /* of first_bus */
    u8 first_bus, last_bus;
};
extern struct pci_window pci_window;

struct numa_distances {
    u8 distance[NODE_MAX][NODE_MAX]; /* SLIT; 10 = local, 20 where the firmware says nothing */
};
extern struct numa_distances numa_distances;

/* What the boot loader gave us, in memory that stays. Filled by arch before kernel_main. */
struct boot_module {
    pa_t start;
    u64 bytes;
    char name[32]; /* the module's command line: "init", "initramfs" */
};
extern struct boot_module boot_modules[4];
extern u32 boot_module_count;
extern struct mg_boot_info boot_info; /* cmdline, framebuffer, ... */

/* Looks for the word `name` or `name=value` among the kernel's arguments; value is what follows the
 * '=', or empty. */
bool boot_argument(const char *name, char *value, usize size);
/* The console server draws on the screen from now on: the log keeps off it, until screen_take in a
 * panic. */
void screen_release(void);
void screen_take(void);

/* A kernel symbol for backtraces: name and offset of the function around address; NULL when
 * unknown. */
const char *symbol_find(u64 address, u64 *offset);
/* Walks frame pointers from rbp; calls visit for each return address; stops at the stack's end. */
void backtrace_walk(u64 rip, u64 rbp, void (*visit)(u64 rip));

/* Order of start-up: boot.asm, arch_start (start.c), kernel_main; that calls smp_start, and each
 * other CPU then enters cpu_main with its struct cpu ready. */
void smp_start(void);
void kernel_main(void);
_Noreturn void cpu_main(void);
