/*
 * switch.h: one thread leaves the processor, another comes: extended state, FS and GS bases, where
 * the kernel stack is looked up, and the stack itself.
 *
 * Inline, since a message between two tasks is made of little else. On the stack of a thread that
 * does not run lie, from kernel_rsp upwards, the address where it goes on and its frame pointer; all
 * other registers that a function must keep are in the frame of whoever switched, because the
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

/* Returns when somebody switches back to prev. */
static always_inline void arch_switch(struct cpu *cpu, struct thread *prev, struct thread *next)
{
    if (prev->arch.fpu) {
        fpu_save(prev->arch.fpu);
        switch_bases_out(prev);
    }
    if (next->arch.fpu) {
        fpu_load(next->arch.fpu);
        switch_bases_in(next);
    }
    cpu->current = next;
    cpu->kernel_stack = (u64)next->stack_top;
    cpu_arch(cpu)->tss.rsp[0] = (u64)next->stack_top;
    __asm__ volatile("push %%rbp\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "mov %%rsp, %c2(%%rdi)\n\t"
                     "mov %c2(%%rsi), %%rsp\n\t"
                     "ret\n"
                     "1:\tpop %%rbp"
                     : "+D"(prev), "+S"(next)
                     : "i"(offsetof(struct thread, arch.kernel_rsp))
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "memory", "cc");
}
