/*
 * main.c: the kernel's start on one screen, a call a floor.
 *
 * arch has brought the boot CPU to here: memory map, frame allocator, page tables, traps, interrupt
 * controllers, clock. The other CPUs enter at cpu_main, when smp_start wakes them.
 */
#include "arch/x86_64/arch.h"
#include "kernel/base/log.h"
#include "kernel/base/tunable.h"
#include "kernel/dev/dev.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/mm.h"
#include "kernel/sys/init_start.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

/* What uname shows: programs take from it which of Linux's calls they may expect. */
#define RELEASE "6.12.0-merganser"

void kernel_main(void)
{
    strlcpy(boot_info.version, RELEASE, sizeof(boot_info.version));
    log_line("Merganser " RELEASE ", %lu MiB in %u node%s", frames_total() >> 8, node_count,
             node_count == 1 ? "" : "s");
    sched_init();
    mm_init();
    ksm_init();
    smp_start();
    frame_cache_size();
    log_line("%u CPU%s, arguments: %s", cpu_count, cpu_count == 1 ? "" : "s", boot_info.cmdline);
    dev_init();
    if (tunable_apply_words(boot_info.cmdline))
        log_line("tunables: an argument was refused, its tunable stays as it was");
    init_start();
    cpu_main();
}
