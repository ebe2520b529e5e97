/*
 * Figures of the whole machine in /proc: memory, events, CPU time, load; and what it was started
 * with.
 */
#include "user/lib/spawn.h"
#include "user/servers/posix/host.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/sysinfo.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define PAGE_KB 4

/* ---- Memory ---- */

static void print_kb(struct text *text, const char *name, u64 pages)
{
    usize start = text->used;

    text_print(text, "%s:", name);
    text_pad(text, start, 16);
    text_print(text, "%8lu kB\n", pages * PAGE_KB);
}

/* Files lie in memory objects and can't be dropped: they are what Linux calls shmem. */
long proc_show_meminfo(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct mg_memory_stats m;

    (void)node;
    (void)thread;
    if (!stats_memory(&m))
        return -EIO;
    print_kb(text, "MemTotal", m.total);
    print_kb(text, "MemFree", m.free);
    print_kb(text, "MemAvailable", m.free);
    print_kb(text, "Buffers", 0);
    print_kb(text, "Cached", m.objects);
    print_kb(text, "SwapTotal", m.swap_total);
    print_kb(text, "SwapFree", m.swap_free);
    print_kb(text, "AnonPages", m.anonymous + m.merged);
    print_kb(text, "Shmem", m.objects);
    print_kb(text, "Slab", m.slab);
    print_kb(text, "SReclaimable", 0);
    print_kb(text, "SUnreclaim", m.slab);
    print_kb(text, "PageTables", m.tables);
    print_kb(text, "KernelPages", m.kernel);
    print_kb(text, "KsmPages", m.merged);
    return 0;
}

/* ---- Events ---- */

/* All counters, as lines of name and value. */
static void get_events(struct text *text)
{
    const usize room = 8192;
    u64 offset = 0;
    long got;

    do {
        void *to = text_reserve(text, room);

        got = to ? mg_stats(POSIX_HANDLE_SYSTEM, MG_STATS_EVENTS, offset, to, room) : 0;
        if (got > 0) {
            text->used += (usize)got;
            offset += (u64)got;
        }
    } while (got == (long)room);
}

static u64 find_event(const char *name)
{
    struct text text = {0};
    usize length = strlen(name);
    u64 value = 0;

    get_events(&text);
    text_add(&text, "", 1);
    for (const char *line = text.bytes; line && *line && !text.failed;) {
        if (!strncmp(line, name, length) && line[length] == ' ')
            value = strtoul(line + length, NULL, 10);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    text_release(&text);
    return value;
}

long proc_show_vmstat(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct mg_memory_stats m;

    (void)node;
    (void)thread;
    if (!stats_memory(&m))
        return -EIO;
    text_print(text, "nr_free_pages %lu\n", m.free);
    text_print(text, "nr_anon_pages %lu\n", m.anonymous + m.merged);
    text_print(text, "nr_file_pages %lu\n", m.objects);
    text_print(text, "nr_shmem %lu\n", m.objects);
    text_print(text, "nr_slab_unreclaimable %lu\n", m.slab);
    text_print(text, "nr_page_table_pages %lu\n", m.tables);
    get_events(text);
    return 0;
}

/* ---- CPUs ---- */

u32 sysinfo_cpus(struct mg_cpu_stats *cpus)
{
    long bytes = mg_stats(POSIX_HANDLE_SYSTEM, MG_STATS_CPUS, 0, cpus, SYSINFO_CPUS * sizeof *cpus);

    return bytes > 0 ? (u32)((usize)bytes / sizeof *cpus) : 0;
}

static void print_cpu(struct text *text, const struct mg_cpu_stats *cpu)
{
    text_print(text, " %lu 0 %lu %lu 0 0 0 0 0 0\n", proc_ticks(cpu->user_ns),
               proc_ticks(cpu->kernel_ns), proc_ticks(cpu->idle_ns));
}

/* Threads that run or would, the one that asks among them. */
static u32 count_running(void)
{
    struct process *process;
    struct thread *thread;
    u32 running = 0;

    list_for_each_entry(process, &process_all, all_link) {
        list_for_each_entry(thread, &process->threads, process_link)
            running += proc_state(process, thread) == 'R';
    }
    return running;
}

static void add_cpu(struct mg_cpu_stats *sum, const struct mg_cpu_stats *cpu)
{
    sum->user_ns += cpu->user_ns;
    sum->kernel_ns += cpu->kernel_ns;
    sum->idle_ns += cpu->idle_ns;
    sum->interrupts += cpu->interrupts;
    sum->switches += cpu->switches;
}

long proc_show_machine_stat(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct mg_cpu_stats cpus[SYSINFO_CPUS], sum = {0};
    u32 count = sysinfo_cpus(cpus);

    (void)node;
    (void)thread;
    for (u32 i = 0; i < count; i++)
        add_cpu(&sum, &cpus[i]);
    text_print(text, "cpu ");
    print_cpu(text, &sum);
    for (u32 i = 0; i < count; i++) {
        text_print(text, "cpu%u", cpus[i].id);
        print_cpu(text, &cpus[i]);
    }
    text_print(text, "intr %lu\nctxt %lu\nbtime %lu\n", sum.interrupts, sum.switches,
               (u64)((time_real() - time_now()) / SECOND));
    text_print(text, "processes %lu\nprocs_running %u\nprocs_blocked 0\n", find_event("fork"),
               count_running());
    return 0;
}

/* ---- Time and load ---- */

static void print_seconds(struct text *text, u64 ns, const char *end)
{
    u64 hundredths = proc_ticks(ns);

    text_print(text, "%lu.%02lu%s", hundredths / 100, hundredths % 100, end);
}

long proc_show_uptime(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct mg_cpu_stats cpus[SYSINFO_CPUS];
    u32 count = sysinfo_cpus(cpus);
    u64 idle = 0;

    (void)node;
    (void)thread;
    for (u32 i = 0; i < count; i++)
        idle += cpus[i].idle_ns;
    print_seconds(text, time_now(), " ");
    print_seconds(text, idle, "\n");
    return 0;
}

/*
 * The load: running threads, averaged over 1, 5 and 15 minutes. Every 5 seconds the average moves
 * towards the number of now by 1 - e^(-5/seconds). In units of 1/LOAD_ONE.
 */
#define LOAD_ONE 65536ul
#define LOAD_STEP (5 * SECOND)

static u64 load[3];

static void load_step(struct timer *timer)
{
    static const u64 keep[3] = {60297, 64453, 65173}; /* LOAD_ONE * e^(-5/60), (-5/300), (-5/900) */
    u64 running = count_running() * LOAD_ONE;

    for (u32 i = 0; i < ARRAY_LEN(load); i++)
        load[i] = (load[i] * keep[i] + running * (LOAD_ONE - keep[i])) / LOAD_ONE;
    timer_set(timer, time_now() + LOAD_STEP);
}

void proc_machine_init(void)
{
    static struct timer timer = {.fire = load_step};

    timer_set(&timer, time_now() + LOAD_STEP);
}

long proc_show_loadavg(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    for (u32 i = 0; i < ARRAY_LEN(load); i++) {
        u64 hundredths = (load[i] * 100 + LOAD_ONE / 2) / LOAD_ONE;

        text_print(text, "%lu.%02lu ", hundredths / 100, hundredths % 100);
    }
    text_print(text, "%u/%u %u\n", count_running(), thread_count, last_pid);
    return 0;
}

/* ---- What it is ---- */

long proc_show_version(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct utsname names;

    (void)node;
    (void)thread;
    host_utsname(&names);
    text_print(text, "%s version %s (%s)\n", names.sysname, names.release, names.version);
    return 0;
}

long proc_show_boot_cmdline(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    text_add(text, boot_info.cmdline, strnlen(boot_info.cmdline, sizeof boot_info.cmdline));
    text_print(text, "\n");
    return 0;
}

/* ---- Emergency: what a letter written to sysrq-trigger does ---- */

long proc_store_sysrq(struct pseudo_node *node, struct thread *thread, const char *text,
                      usize length)
{
    (void)node;
    (void)thread;
    (void)length;
    switch (*text) {
    case 'b': return mg_power(POSIX_HANDLE_SYSTEM, MG_POWER_REBOOT);
    case 'o': return mg_power(POSIX_HANDLE_SYSTEM, MG_POWER_OFF);
    case 'c': return mg_power(POSIX_HANDLE_SYSTEM, MG_POWER_PANIC);
    default: return 0; /* unknown letters do nothing, in Linux too */
    }
}
