/*
 * /proc/cpuinfo, by asking the processor itself. All CPUs of a machine are taken to be alike: the
 * server can't choose the one it runs on.
 */
#include "user/servers/posix/proc.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/sysinfo.h"
#include <cpuid.h>
#include <string.h>

#define EXTENDED 0x80000000u

enum reg { EAX, EBX, ECX, EDX };

static void query(u32 leaf, u32 subleaf, u32 regs[4])
{
    u32 highest = __get_cpuid_max(leaf & EXTENDED, NULL);

    memset(regs, 0, 4 * sizeof *regs);
    if (leaf <= highest)
        __cpuid_count(leaf, subleaf, regs[EAX], regs[EBX], regs[ECX], regs[EDX]);
}

/* ---- Names of features: one string for each register, a name for each bit from 0 on ---- */

static const struct {
    u32 leaf;
    enum reg reg;
    const char *names; /* "-" for a bit that has none */
} features[] = {
    {1, EDX,
     "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts "
     "acpi mmx fxsr sse sse2 ss ht tm ia64 pbe"},
    {EXTENDED + 1, EDX,
     "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm "
     "3dnowext 3dnow"},
    {1, ECX,
     "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid "
     "dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand "
     "hypervisor"},
    {EXTENDED + 1, ECX,
     "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
     "skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb"},
    {7, EBX,
     "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f "
     "avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd "
     "sha_ni avx512bw avx512vl"},
    {7, ECX,
     "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni "
     "avx512_bitalg - avx512_vpopcntdq - la57 - - - - - rdpid"},
};

/* Adds the names of the bits that are set, each behind a blank. */
static void print_bits(struct text *text, const char *names, u32 bits)
{
    for (u32 bit = 0; *names; bit++) {
        usize length = strcspn(names, " ");

        if (bits >> bit & 1 && *names != '-')
            text_print(text, " %.*s", (int)length, names);
        names += length;
        names += *names == ' ';
    }
}

static void print_flags(struct text *text)
{
    text_print(text, "flags\t\t:");
    for (u32 i = 0; i < ARRAY_LEN(features); i++) {
        u32 regs[4];

        query(features[i].leaf, 0, regs);
        print_bits(text, features[i].names, regs[features[i].reg]);
    }
    text_print(text, "\n");
}

/* ---- The rest ---- */

static void print_name(struct text *text)
{
    u32 vendor[4], name[12];
    char bytes[49] = {0};
    const char *start = bytes;

    query(0, 0, vendor);
    text_print(text, "vendor_id\t: %.4s%.4s%.4s\n", (char *)&vendor[EBX], (char *)&vendor[EDX],
               (char *)&vendor[ECX]);
    for (u32 i = 0; i < 3; i++)
        query(EXTENDED + 2 + i, 0, name + 4 * i);
    memcpy(bytes, name, sizeof name);
    start += strspn(start, " ");
    query(1, 0, vendor);
    u32 signature = vendor[EAX], family = signature >> 8 & 15, model = signature >> 4 & 15;
    if (family == 6 || family == 15)
        model += signature >> 12 & 0xf0;
    if (family == 15)
        family += signature >> 20 & 0xff;
    text_print(text, "cpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n", family,
               model, *start ? start : "unknown", signature & 15);
}

static void print_one(struct text *text, const struct mg_cpu_stats *cpu)
{
    u64 khz = boot_info.tsc_hz / 1000;
    u32 regs[4], max[4];

    text_print(text, "processor\t: %u\n", cpu->id);
    print_name(text);
    text_print(text, "cpu MHz\t\t: %lu.%03lu\n", khz / 1000, khz % 1000);
    query(0, 0, max);
    text_print(text, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n",
               max[EAX]);
    print_flags(text);
    text_print(text, "bogomips\t: %lu.%02lu\n", khz / 500, khz / 5 % 100);
    query(1, 0, regs);
    text_print(text, "clflush size\t: %u\ncache_alignment\t: %u\n", (regs[EBX] >> 8 & 0xff) * 8,
               (regs[EBX] >> 8 & 0xff) * 8);
    query(EXTENDED + 8, 0, regs);
    text_print(text, "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
               regs[EAX] & 0xff, regs[EAX] >> 8 & 0xff);
}

long proc_show_cpuinfo(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct mg_cpu_stats cpus[SYSINFO_CPUS];
    u32 count = sysinfo_cpus(cpus);

    (void)node;
    (void)thread;
    for (u32 i = 0; i < count; i++)
        print_one(text, &cpus[i]);
    return 0;
}
