/*
 * free: how much memory there is, and what it is used for, from /proc/meminfo.
 *
 *     free [-k | -m | -h]     kilobytes (default), megabytes, or what reads best
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char unit = 'k';

/* A field of /proc/meminfo in kilobytes, 0 if it is not there. */
static double field(const char *name)
{
    char line[128];
    double kilobytes = 0;
    size_t length = strlen(name);
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            kilobytes = atof(line + length + 1);
        }
    }
    if (file) {
        fclose(file);
    }
    return kilobytes;
}

/* Pages saved by merging, in kilobytes. */
static double merged(void)
{
    double pages = 0;
    FILE *file = fopen("/sys/kernel/mm/ksm/pages_sharing", "re");
    if (file) {
        if (fscanf(file, "%lf", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * 4;
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
    double saved[] = {merged()};
    printf("%7s%12s%12s%12s%12s%12s%12s\n", "", "total", "used", "free", "shared", "buff/cache",
           "available");
    print_row("Mem:", memory, 6);
    print_row("Swap:", swapped, 3);
    print_row("Merged:", saved, 1);
    return 0;
}
