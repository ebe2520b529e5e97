/*
 * switch.h: one thread leaves the processor, another comes: extended state, FS and GS bases, where
 * the kernel stack is looked up, and the stack itself.
 *
 * Inline, since a message between two tasks is made of little else. On the stack of a thread that
 * does not run lie, from kernel_rsp upwards, the address where it goes on and its frame pointer;
 * all other registers that a function must keep are in the frame of whoever switched, because the
 * compiler is told that they are lost.
 *
 * Interrupts are off. CR3 is not touched: kernel/mm/tlb.c does that.
 */
#pragma once

#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/segments.h"
#include "kernel/task/thread.h"

/* Processors without RDFSBASE: the bases are in model specific registers. */
void switch_bases_out_slow(struct thread *thread);
void switch_bases_in_slow(struct thread *thread);

static always_inline void switch_bases_out(struct thread *thread)
{
    if (unlikely(!cpu_features.fsgsbase)) {
        switch_bases_out_slow(thread);
        return;
    }
    __asm__ volatile("rdfsbase %0\n\tswapgs\n\trdgsbase %1\n\tswapgs"
                     : "=r"(thread->arch.fs_base), "=r"(thread->arch.gs_base));
}

static always_inline void switch_bases_in(struct thread *thread)
{
    if (unlikely(!cpu_features.fsgsbase)) {
        switch_bases_in_slow(thread);
        return;
    }
    __asm__ volatile("wrfsbase %0\n\tswapgs\n\twrgsbase %1\n\tswapgs" ::"r"(thread->arch.fs_base),
                     "r"(thread->arch.gs_base));
}

static always_inline void switch_stack_tops(struct cpu *cpu, struct thread *next)
{
    u64 top = (u64)next->stack_top;

    cpu->current = next;
    cpu->kernel_stack = top;
    cpu_arch(cpu)->tss.rsp[0] = top;
}

/* Either may be a kernel thread, which has no state of the user's. */
static always_inline void switch_state(struct thread *prev, struct thread *next)
{
    if (prev->arch.fpu) {
        fpu_save(prev->arch.fpu);
        switch_bases_out(prev);
    }
    if (next->arch.fpu) {
        fpu_load(next->arch.fpu);
        switch_bases_in(next);
    }
}

/* Both are user threads: the same, in fewer instructions where the processor has all it takes. */
static always_inline void switch_user_state(struct thread *prev, struct thread *next)
{
    u64 fs_base, gs_base;

    if (unlikely(!cpu_features.quick_switch)) {
        switch_state(prev, next);
        return;
    }
    __asm__ volatile("xsaveopt64 (%[from])\n\t"
                     "xrstor64 (%[to])\n\t"
                     "rdfsbase %[fs]\n\t"
                     "wrfsbase %[next_fs]\n\t"
                     "swapgs\n\t"
                     "rdgsbase %[gs]\n\t"
                     "wrgsbase %[next_gs]\n\t"
                     "swapgs"
                     : [fs] "=&r"(fs_base), [gs] "=&r"(gs_base)
                     : [from] "r"(prev->arch.fpu), [to] "r"(next->arch.fpu), "a"((u32)fpu_parts),
                       "d"(0), [next_fs] "r"(next->arch.fs_base), [next_gs] "r"(next->arch.gs_base)
                     : "memory");
    prev->arch.fs_base = fs_base;
    prev->arch.gs_base = gs_base;
}

#define SWITCH_SAVE                                                                                \
    "push %%rbp\n\t"                                                                               \
    "lea 1f(%%rip), %%rax\n\t"                                                                     \
    "push %%rax\n\t"                                                                               \
    "mov %%rsp, %c[rsp](%%rdi)\n\t"
#define SWITCH_LOST                                                                                \
    "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc"

/* Returns when somebody switches back to prev. */
static always_inline void arch_switch(struct cpu *cpu, struct thread *prev, struct thread *next)
{
    switch_state(prev, next);
    switch_stack_tops(cpu, next);
    __asm__ volatile(SWITCH_SAVE "mov %c[rsp](%%rsi), %%rsp\n\t"
                                 "ret\n"
                                 "1:\tpop %%rbp"
                     : "+D"(prev), "+S"(next)
                     : [rsp] "i"(offsetof(struct thread, arch.kernel_rsp))
                     : SWITCH_LOST);
}

/*
 * The same for two user threads, but next goes on in user mode, with the registers in its frame:
 * for a thread whose calls on the kernel stack have nothing left to do but return. They are
 * forgotten. prev may run elsewhere as soon as its stack is left, which is here.
 */
static always_inline void arch_switch_to_user(struct cpu *cpu, struct thread *prev,
                                              struct thread *next)
{
    struct trap_frame *frame = next->ipc.frame;

    switch_user_state(prev, next);
    switch_stack_tops(cpu, next);
    __asm__ volatile(SWITCH_SAVE "mov %%rsi, %%rsp\n\t"
                                 "movl $0, %c[on_cpu](%%rdi)\n\t"
                                 "jmp return_to_user\n"
                                 "1:\tpop %%rbp"
                     : "+D"(prev), "+S"(frame)
                     : [rsp] "i"(offsetof(struct thread, arch.kernel_rsp)),
                       [on_cpu] "i"(offsetof(struct thread, on_cpu))
                     : SWITCH_LOST);
}
