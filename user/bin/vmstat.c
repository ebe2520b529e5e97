/*
 * vmstat: what memory and processors are doing.
 *
 *     vmstat [SECONDS [COUNT]]   a line of figures; the first since boot, the others per second
 *     vmstat -s                  every counter of /proc/vmstat
 *
 *     procs   r running or ready, b sleeping in the kernel's way
 *     memory  kilobytes: used swap, free, shared memory and files, pages saved by merging
 *     swap    pages in and out      faults  all, those that needed a device, copies on write
 *     system  interrupts, switches  cpu     percent in programs, in the kernel, idle
 */
#include "user/lib/figure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_KB 4

struct figures {
    double running, blocked;                         /* now */
    double swap_used, free, cache, saved;            /* now, kilobytes */
    double swap_in, swap_out, faults, major, copies; /* since boot */
    double interrupts, switches, user, system, idle; /* since boot */
};

static double memory(const char *name)
{
    return figure_read("/proc/meminfo", name);
}

static double event(const char *name)
{
    return figure_read("/proc/vmstat", name);
}

static void read_cpu(struct figures *f)
{
    double nice = 0, iowait = 0, irq = 0, softirq = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file) {
        if (fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf", &f->user, &nice, &f->system, &f->idle,
                   &iowait, &irq, &softirq) >= 4) {
            f->user += nice;
            f->system += irq + softirq;
            f->idle += iowait;
        }
        fclose(file);
    }
}

static struct figures read_figures(void)
{
    struct figures f = {
        .running = figure_read("/proc/stat", "procs_running"),
        .blocked = figure_read("/proc/stat", "procs_blocked"),
        .swap_used = memory("SwapTotal") - memory("SwapFree"),
        .free = memory("MemFree"),
        .cache = memory("Buffers") + memory("Cached"),
        .saved = figure_read("/sys/kernel/mm/ksm/pages_sharing", NULL) * PAGE_KB,
        .swap_in = event("pswpin"),
        .swap_out = event("pswpout"),
        .faults = event("pgfault"),
        .major = event("pgmajfault"),
        .copies = event("cow_ksm"),
        .interrupts = figure_read("/proc/stat", "intr"),
        .switches = figure_read("/proc/stat", "ctxt"),
    };
    read_cpu(&f);
    return f;
}

static void print_line(const struct figures *now, const struct figures *before, double seconds)
{
    double user = now->user - before->user, system = now->system - before->system;
    double all = user + system + now->idle - before->idle;
    all = all > 0 ? all : 1;
    printf("%2.0f %2.0f %7.0f %8.0f %7.0f %7.0f %5.0f %5.0f %6.0f %4.0f %5.0f "
           "%6.0f %6.0f %3.0f %3.0f %3.0f\n",
           now->running, now->blocked, now->swap_used, now->free, now->cache, now->saved,
           (now->swap_in - before->swap_in) / seconds, (now->swap_out - before->swap_out) / seconds,
           (now->faults - before->faults) / seconds, (now->major - before->major) / seconds,
           (now->copies - before->copies) / seconds,
           (now->interrupts - before->interrupts) / seconds,
           (now->switches - before->switches) / seconds, 100 * user / all, 100 * system / all,
           100 * (all - user - system) / all);
    fflush(stdout);
}

static int show_all_events(void)
{
    char name[128];
    double value;
    FILE *file = fopen("/proc/vmstat", "re");
    if (!file) {
        perror("vmstat: /proc/vmstat");
        return 1;
    }
    while (fscanf(file, "%127s %lf", name, &value) == 2) {
        printf("%16.0f %s\n", value, name);
    }
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "-s") == 0) {
        return show_all_events();
    }
    double seconds = argc > 1 ? atof(argv[1]) : 0;
    long count = argc > 2 ? atol(argv[2]) : argc > 1 ? -1 : 1;
    if (argc > 3 || (argc > 1 && seconds <= 0) || count == 0) {
        fputs("usage: vmstat [SECONDS [COUNT]] | vmstat -s\n", stderr);
        return 2;
    }
    struct figures before = {0}, now = read_figures();
    double uptime = figure_read("/proc/uptime", NULL);
    if (uptime <= 0) {
        uptime = 1;
    }
    for (long line = 0; count < 0 || line < count; line++) {
        if (line % 20 == 0) {
            puts("procs ------------memory----------- ---swap---- -----faults----- "
                 "---system---- ----cpu----");
            puts(" r  b    swpd     free   cache   saved    si    so    all  maj   ksm "
                 "    in     cs  us  sy  id");
        }
        if (line > 0) {
            nanosleep(&(struct timespec){(time_t)seconds,
                                         (long)((seconds - (double)(time_t)seconds) * 1e9)},
                      NULL);
            before = now;
            now = read_figures();
        }
        print_line(&now, &before, line > 0 ? seconds : uptime);
    }
    return 0;
}
