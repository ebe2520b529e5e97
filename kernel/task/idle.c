/*
 * idle.c: the scheduler's start on each CPU, and what a CPU does when there is nothing to do.
 *
 * An idle CPU has no tick. It says that it is idle, looks once more, and halts with interrupts on;
 * a waker that fills its queue afterwards sees the mark and sends an interrupt.
 */
#include "kernel/task/futex.h"
#include "kernel/task/sched.h"

static _Noreturn void idle_loop(void)
{
    struct cpu *cpu = this_cpu();
    struct runqueue *queue = this_runqueue();

    for (;;) {
        irq_disable();
        atomic_fetch_or(&sched_idle, BIT(cpu->id));
        if (!atomic_load(&queue->count) && !atomic_load(&cpu->resched))
            cpu_idle();
        atomic_fetch_and(&sched_idle, ~BIT(cpu->id));
        sched_schedule();
        irq_enable();
    }
}

static void idle_thread(void *argument)
{
    (void)argument;
    idle_loop();
}

/* The scheduler may use this CPU from now on. */
static void start_cpu(struct cpu *cpu, struct thread *idle)
{
    cpu->idle = idle;
    idle->cpu = cpu->id;
    runqueues[cpu->id].accounted = time_ns();
    atomic_fetch_or(&sched_cpus, BIT(cpu->id));
}

void sched_init(void)
{
    struct cpu *cpu = this_cpu();

    for (u32 i = 0; i < CPU_MAX; i++)
        runqueue_init(&runqueues[i]);
    futex_init();
    timer_tick_hook = sched_tick;
    timer_start();
    cpu->current = thread_adopt("start");
    cpu->current->cpu = cpu->id;
    start_cpu(cpu, thread_create_idle(idle_thread));
    thread_start_reaper();
}

/* The boot CPU comes here as the thread that started the kernel and is no longer needed; the others
 * as nothing yet, and become their idle thread. */
void cpu_main(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu->current)
        thread_exit();
    cpu->current = thread_adopt("idle");
    start_cpu(cpu, cpu->current);
    idle_loop();
}
