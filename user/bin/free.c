/*
 * free: how much memory there is, and what it is used for, from /proc/meminfo.
 *
 *     free [-k | -m | -h]     kilobytes (default), megabytes, or what reads best
 */
#include "user/lib/figure.h"
#include <stdio.h>
#include <string.h>

#define PAGE_KB 4

static char unit = 'k';

/* A field of /proc/meminfo in kilobytes, 0 if it is not there. */
static double field(const char *name)
{
    return figure_read("/proc/meminfo", name);
}

static void print_amount(double kilobytes)
{
    if (unit == 'h') {
        static const char suffixes[] = "KMGT";
        int scale = 0;
        while (kilobytes >= 1024 && suffixes[scale + 1]) {
            kilobytes /= 1024;
            scale++;
        }
        printf("%11.1f%c", kilobytes, suffixes[scale]);
    } else {
        printf("%12.0f", unit == 'm' ? kilobytes / 1024 : kilobytes);
    }
}

static void print_row(const char *title, const double *amounts, int count)
{
    printf("%-7s", title);
    for (int i = 0; i < count; i++) {
        print_amount(amounts[i]);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    if (argc == 2 && argv[1][0] == '-' && argv[1][1] && strchr("kmh", argv[1][1]) && !argv[1][2]) {
        unit = argv[1][1];
    } else if (argc > 1) {
        fputs("usage: free [-k | -m | -h]\n", stderr);
        return 2;
    }
    double total = field("MemTotal"), unused = field("MemFree");
    double cache = field("Buffers") + field("Cached") + field("SReclaimable"),
           swap = field("SwapTotal");
    double memory[] = {total, total - unused - cache, unused, field("Shmem"),
                       cache, field("MemAvailable")};
    double swapped[] = {swap, swap - field("SwapFree"), field("SwapFree")};
    double saved[] = {figure_read("/sys/kernel/mm/ksm/pages_sharing", NULL) * PAGE_KB};
    printf("%7s%12s%12s%12s%12s%12s%12s\n", "", "total", "used", "free", "shared", "buff/cache",
           "available");
    print_row("Mem:", memory, 6);
    print_row("Swap:", swapped, 3);
    print_row("Merged:", saved, 1);
    return 0;
}
