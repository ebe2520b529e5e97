/*
 * panic.c: the end: stop the other CPUs, say why, show where.
 *
 * tools/vm recognises the word PANIC at the start of a line. The first CPU to panic speaks; a panic
 * inside the panic halts at once.
 */
#include "arch/x86_64/arch.h"
#include "kernel/base/log.h"
#include "kernel/task/thread.h"
#include "lib/format.h"

static _Atomic bool panicking;

static void print_return_address(u64 rip)
{
    u64 offset;
    const char *name = symbol_find(rip, &offset);

    if (name)
        log_line("  %016lx  %s+%#lx", rip, name, offset);
    else
        log_line("  %016lx", rip);
}

static void print_registers(const struct trap_frame *frame)
{
    log_line("  rip %016lx  rsp %016lx  flags %08lx", frame->rip, frame->rsp, frame->rflags);
    log_line("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", frame->rax, frame->rbx, frame->rcx,
             frame->rdx);
    log_line("  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", frame->rsi, frame->rdi, frame->rbp,
             frame->r8);
    log_line("  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", frame->r9, frame->r10, frame->r11,
             frame->r12);
    log_line("  r13 %016lx  r14 %016lx  r15 %016lx", frame->r13, frame->r14, frame->r15);
}

static void panic_begin(const char *template, va_list arguments)
{
    char reason[256];

    irq_disable();
    if (atomic_exchange(&panicking, true))
        cpu_halt_forever();
    ipi_send(~0ul, IPI_STOP);
    log_break_lock();
    screen_take();
    vformat(reason, sizeof(reason), template, arguments);
    log_line("PANIC: %s", reason);

    struct cpu *cpu = this_cpu();
    struct thread *thread = cpu->current;
    log_line("  on CPU %u, thread %u %.16s of task %.16s", cpu->id, thread ? thread->id : 0,
             thread ? thread->name : "-", thread && thread->task ? thread->task->name : "-");
}

/* What panic() does once it has kept its caller's registers: arch/x86_64/panic.asm. */
struct trap_frame panic_registers;
void panic_speak(const char *template, ...);

void panic_speak(const char *template, ...)
{
    va_list arguments;

    va_start(arguments, template);
    panic_begin(template, arguments);
    va_end(arguments);
    print_registers(&panic_registers);
    backtrace_walk(panic_registers.rip, panic_registers.rbp, print_return_address);
    cpu_halt_forever();
}

void panic_trap(const struct trap_frame *frame, const char *template, ...)
{
    va_list arguments;

    va_start(arguments, template);
    panic_begin(template, arguments);
    va_end(arguments);
    log_line("  trap %lu, error %#lx", frame->vector, frame->error_code);
    print_registers(frame);
    backtrace_walk(frame->rip, frame->rbp, print_return_address);
    cpu_halt_forever();
}
