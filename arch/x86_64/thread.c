/*
 * thread.c: the processor's view of threads: switching, first start, and the registers that user
 * space shows and sets.
 *
 * On a thread's kernel stack, from the top: the trap frame with its user registers; the kernel's
 * call frames; and while it is not running, what switch.h has pushed.
 */
#include "kernel/task/thread.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/pagetable.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/segments.h"
#include "arch/x86_64/switch.h"
#include "kernel/base/errno.h"
#include "lib/string.h"

/* entry.asm knows these places: boot/layout.inc. */
static_assert(offsetof(struct cpu, kernel_stack) == 8, "CPU_KERNEL_STACK");
static_assert(offsetof(struct cpu, user_rsp) == 16, "CPU_USER_RSP");
static_assert(offsetof(struct cpu, current) == 24, "CPU_CURRENT");
static_assert(offsetof(struct cpu, resched) == 32, "CPU_RESCHED");
static_assert(offsetof(struct thread, work) == 48, "THREAD_WORK");
static_assert(offsetof(struct trap_frame, vector) == 120, "FRAME_VECTOR");
static_assert(offsetof(struct trap_frame, rax) == 80, "FRAME_RAX");
static_assert(sizeof(struct trap_frame) == 176, "FRAME_SIZE");
static_assert(offsetof(struct trap_frame, rip) - offsetof(struct trap_frame, vector) == 16,
              "TAIL_RIP");
static_assert(offsetof(struct trap_frame, rflags) - offsetof(struct trap_frame, vector) == 32,
              "TAIL_RFLAGS");
static_assert(offsetof(struct trap_frame, rsp) - offsetof(struct trap_frame, vector) == 40,
              "TAIL_RSP");
static_assert(TRAP_SYSCALL == 256, "TRAP_SYSCALL");
static_assert(SELECTOR_USER_DATA == 0x2b && SELECTOR_USER_CODE == 0x33, "selectors");
static_assert(KERNEL_STACK_SIZE == 16384, "KERNEL_STACK_SIZE");

/* Marks a frame that has to be left by IRET, since more than the result of a system call has
 * changed. */
#define TRAP_NONE 257

/* arch_prctl(2) */
enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004 };

void thread_start(void); /* entry.asm */

/* What lies on the stack of a thread that has not run yet, for the first switch and thread_start.
 */
struct first_frame {
    u64 rip, rbp, entry, argument;
};

/* --- FS and GS bases: in the processor while the thread runs --- */

void switch_bases_out_slow(struct thread *thread)
{
    thread->arch.fs_base = msr_read(MSR_FS_BASE);
    thread->arch.gs_base = msr_read(MSR_KERNEL_GS_BASE);
}

void switch_bases_in_slow(struct thread *thread)
{
    msr_write(MSR_FS_BASE, thread->arch.fs_base);
    msr_write(MSR_KERNEL_GS_BASE, thread->arch.gs_base);
}

/* --- first start --- */

void arch_thread_prepare(struct thread *thread, void (*entry)(void *), void *argument)
{
    struct trap_frame *user = thread_user_frame(thread);
    struct first_frame *first = (struct first_frame *)((u64)user - 16) - 1;

    memset(user, 0, sizeof(*user));
    user->vector = TRAP_NONE;
    user->cs = SELECTOR_USER_CODE;
    user->ss = SELECTOR_USER_DATA;
    user->rflags = RFLAGS_FIXED | RFLAGS_IF;
    memset((void *)first, 0, (u64)user - (u64)first);
    first->rip = (u64)thread_start;
    first->entry = (u64)entry;
    first->argument = (u64)argument;
    thread->arch.kernel_rsp = (u64)first;
}

struct trap_frame *thread_user_frame(const struct thread *thread)
{
    return (struct trap_frame *)thread->stack_top - 1;
}

/* --- registers as user space has them --- */

/* clang-format off */
#define GENERAL_REGISTERS(X)                                                                       \
    X(r15) X(r14) X(r13) X(r12) X(rbp) X(rbx) X(r11) X(r10) X(r9) X(r8) X(rax) X(rcx) X(rdx)       \
    X(rsi) X(rdi) X(rip) X(rsp)
/* clang-format on */

void arch_get_regs(struct thread *thread, struct mg_regs *regs)
{
    const struct trap_frame *frame = thread_user_frame(thread);
    u64 flags = irq_save();

    if (thread == current_thread())
        switch_bases_out(thread);
    irq_restore(flags);
#define COPY(name) regs->name = frame->name;
    GENERAL_REGISTERS(COPY)
#undef COPY
    regs->orig_rax = frame->vector == TRAP_SYSCALL ? frame->error_code : ~0ul;
    regs->cs = frame->cs;
    regs->ss = frame->ss;
    regs->rflags = frame->rflags;
    regs->fs_base = thread->arch.fs_base;
    regs->gs_base = thread->arch.gs_base;
}

s64 arch_set_regs(struct thread *thread, const struct mg_regs *regs)
{
    struct trap_frame *frame = thread_user_frame(thread);

    if (regs->rip >= USER_END || regs->fs_base >= USER_END || regs->gs_base >= USER_END)
        return -EINVAL;
#define COPY(name) frame->name = regs->name;
    GENERAL_REGISTERS(COPY)
#undef COPY
    frame->vector = TRAP_NONE;
    frame->cs = SELECTOR_USER_CODE;
    frame->ss = SELECTOR_USER_DATA;
    frame->rflags = (regs->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
    u64 flags = irq_save();
    thread->arch.fs_base = regs->fs_base;
    thread->arch.gs_base = regs->gs_base;
    if (thread == current_thread())
        switch_bases_in(thread);
    irq_restore(flags);
    return 0;
}

static s64 base_get(u64 base, u64 to)
{
    return to < USER_END && arch_copy_user((void *)to, &base, sizeof(base)) == 0 ? 0 : -EFAULT;
}

s64 arch_prctl(u64 code, u64 value)
{
    struct thread *self = current_thread();
    u64 flags = irq_save(); /* between two swapgs there is no struct cpu */
    bool set = (code == ARCH_SET_FS || code == ARCH_SET_GS) && value < USER_END;

    switch_bases_out(self);
    if (set && code == ARCH_SET_FS)
        self->arch.fs_base = value;
    if (set && code == ARCH_SET_GS)
        self->arch.gs_base = value;
    if (set)
        switch_bases_in(self);
    irq_restore(flags);
    switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS: return set ? 0 : -EPERM;
    case ARCH_GET_FS: return base_get(self->arch.fs_base, value);
    case ARCH_GET_GS: return base_get(self->arch.gs_base, value);
    default: return -EINVAL;
    }
}
