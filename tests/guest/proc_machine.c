/*
 * What do /proc and /sys tell about the machine?
 */
#include <sched.h>
#include <sys/statfs.h>

#include "proc.h"

static void memory_has_figures(void)
{
    const char *path = "/proc/meminfo";
    long total = number_of(path, "MemTotal"), available = number_of(path, "MemAvailable");
    long unused = number_of(path, "MemFree");
    ok(total > 1024 && unused > 0 && unused < total, "total and free: %ld, %ld", total, unused);
    ok(available > 0 && available <= total, "available: %ld", available);
    char line[64];
    snprintf(line, sizeof line, "MemTotal:       %8ld kB\n", total);
    ok(strncmp(slurp(path), line, strlen(line)) == 0, "in columns, total first");
    ok(number_of(path, "Cached") >= 0 && number_of(path, "Buffers") >= 0, "caches");
    ok(number_of(path, "SwapTotal") >= number_of(path, "SwapFree"), "swap");
    long before = number_of(path, "AnonPages");
    size_t size = 16 << 20;
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 1, size);
    long after = number_of(path, "AnonPages");
    ok(after - before > 8192, "16 MB more are in use, less what others free: %ld", after - before);
    ok(stat_field("/proc/self/stat", 24) > 4000, "by this process");
}

static void faults_are_counted(void)
{
    const int pages = 200;
    long before = counter_of("/proc/vmstat", "pgfault");
    unsigned long long own = stat_field("/proc/self/stat", 10);
    char *area =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(area, pages * PAGE, MADV_NOHUGEPAGE);
    for (int i = 0; i < pages; i++) {
        area[i * (int)PAGE] = 1;
    }
    ok(before > 0 && counter_of("/proc/vmstat", "pgfault") - before >= pages, "in vmstat");
    ok(stat_field("/proc/self/stat", 10) - own >= (unsigned)pages, "and in stat");
}

static void processors_have_times(void)
{
    const char *text = slurp("/proc/stat");
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), lines = 0;
    unsigned long long sum[4], one[4];
    ok(text && sscanf(text, "cpu  %llu %llu %llu %llu", &sum[0], &sum[1], &sum[2], &sum[3]) == 4,
       "the sum comes first");
    for (const char *at = text; (at = strstr(at, "\ncpu")); at++) {
        lines++;
    }
    ok_equal(lines, cpus, "a line for each");
    ok(sscanf(strstr(text, "\ncpu0"), "\ncpu0 %llu %llu %llu %llu", &one[0], &one[1], &one[2],
              &one[3]) == 4 &&
           one[3] <= sum[3],
       "with its own times");
    long boot = counter_of("/proc/stat", "btime"), up = atol(slurp("/proc/uptime"));
    ok(labs(time(NULL) - up - boot) <= 2, "booted %ld seconds ago", up);
    ok(counter_of("/proc/stat", "ctxt") > 0, "switches");
    ok(counter_of("/proc/stat", "procs_running") >= 1, "somebody runs");
    long before = counter_of("/proc/stat", "processes");
    waitpid(start((void (*)(void))sched_yield), NULL, 0);
    ok(counter_of("/proc/stat", "processes") > before, "processes are counted");
}

static void busy_time_is_the_users(void)
{
    const char *path = "/proc/self/stat";
    unsigned long long before = stat_field(path, 14);
    long end = now_ns(CLOCK_PROCESS_CPUTIME_ID) + 200 * 1000000l;
    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < end) {
        for (volatile int i = 0; i < 100000; i++) {
        }
    }
    unsigned long long used = stat_field(path, 14) - before;
    ok(used >= 10 && used < 100, "200 ms are about 20 ticks: %llu", used);
}

static void uptime_and_load(void)
{
    double first = 0, second = 0, idle = 0, load[3];
    int running, all, last;
    ok_equal(sscanf(slurp("/proc/uptime"), "%lf %lf", &first, &idle), 2, "uptime and idle time");
    pause_ms(60);
    sscanf(slurp("/proc/uptime"), "%lf", &second);
    ok(second - first >= 0.05 && second - first < 10, "it goes on: %.2f", second - first);
    pid_t pid = start(sleep_forever);
    ok_equal(sscanf(slurp("/proc/loadavg"), "%lf %lf %lf %d/%d %d", &load[0], &load[1], &load[2],
                    &running, &all, &last),
             6, "load: %s", slurp("/proc/loadavg"));
    ok(running >= 1 && all > running - 1 && last >= pid, "running, all, and the last number");
    finish(pid);
}

static void names_agree_with_uname(void)
{
    struct utsname name;
    char text[400];
    uname(&name);
    snprintf(text, sizeof text, "%s\n", name.release);
    ok(strcmp(slurp("/proc/sys/kernel/osrelease"), text) == 0, "release");
    snprintf(text, sizeof text, "%s\n", name.nodename);
    ok(strcmp(slurp("/proc/sys/kernel/hostname"), text) == 0, "host");
    snprintf(text, sizeof text, "%s version %s ", name.sysname, name.release);
    ok(strncmp(slurp("/proc/version"), text, strlen(text)) == 0, "version");
    ok(atol(slurp("/proc/sys/kernel/pid_max")) > getpid(), "numbers of processes end");
    ok(atol(slurp("/proc/sys/vm/max_map_count")) > 0, "so do mappings");
    ok(slurp("/proc/cmdline") && strchr(slurp("/proc/cmdline"), '\n'), "arguments of the kernel");
}

static void random_names(void)
{
    char first[64], boot[64];
    keep(first, sizeof first, slurp("/proc/sys/kernel/random/uuid"));
    keep(boot, sizeof boot, slurp("/proc/sys/kernel/random/boot_id"));
    ok(strlen(first) == 37 && first[8] == '-' && first[14] == '4', "a UUID: %s", first);
    ok(strcmp(first, slurp("/proc/sys/kernel/random/uuid")) != 0, "another each time");
    ok(strcmp(boot, slurp("/proc/sys/kernel/random/boot_id")) == 0, "the boot keeps its own");
}

static void processors_are_described(void)
{
    long count = 0;
    const char *text = slurp("/proc/cpuinfo");
    for (const char *at = text; at && (at = strstr(at, "processor\t: ")); at++) {
        count++;
    }
    ok_equal(count, sysconf(_SC_NPROCESSORS_ONLN), "each CPU");
    ok(text && strstr(text, "\nmodel name\t: "), "its name");
    ok(text && strstr(text, "\nflags\t\t: fpu ") && strstr(text, " sse2 "), "what it can");
}

static void mounts_are_listed(void)
{
    const char *text = slurp("/proc/self/mounts");
    ok(text && strstr(text, " /proc proc "), "proc");
    ok(text && strstr(text, " /sys sysfs "), "sys");
    text = slurp("/proc/self/mountinfo");
    ok(text && strstr(text, " / /proc ") && strstr(text, " - proc "), "and in the longer form");
    ok(strstr(slurp("/proc/filesystems"), "nodev\tproc\n"), "its kind is known");
    struct statfs info;
    ok(statfs("/proc", &info) == 0 && info.f_type == 0x9fa0, "magic number of proc");
    ok(statfs("/sys", &info) == 0 && info.f_type == 0x62656572, "of sys");
}

static void sys_knows_cpus_and_nodes(void)
{
    char text[32];
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    snprintf(text, sizeof text, cpus > 1 ? "0-%ld\n" : "0\n", cpus - 1);
    ok(strcmp(slurp("/sys/devices/system/cpu/present"), text) == 0, "CPUs");
    ok(access("/sys/devices/system/cpu/cpu0", F_OK) == 0, "a directory for each");
    snprintf(text, sizeof text, "/sys/devices/system/cpu/cpu%ld", cpus);
    ok_errno(access(text, F_OK), ENOENT, "and no more");
    if (access("/sys/devices/system/node", F_OK) != 0) {
        skip("no nodes here");
        return;
    }
    ok(slurp("/sys/devices/system/node/online")[0] == '0', "node 0");
    ok(slurp("/sys/devices/system/node/node0/cpulist")[0] == '0', "has the first CPU");
}

#define KSM "/sys/kernel/mm/ksm/"

static void merging_has_knobs(void)
{
    struct stat info;
    if (access(KSM, F_OK) != 0) {
        skip("this kernel does not merge");
        return;
    }
    ok(stat(KSM "pages_to_scan", &info) == 0 && (info.st_mode & 0777) == 0644, "to write");
    ok(info.st_size == 4096, "with the size all have");
    ok(stat(KSM "pages_shared", &info) == 0 && (info.st_mode & 0777) == 0444, "to read");
    ok_errno(open(KSM "pages_shared", O_WRONLY), EACCES, "and only that, even for root");
    ok_errno(open(KSM "none_of_them", O_RDONLY), ENOENT, "no others");
    const char *text = slurp(KSM "pages_to_scan");
    ok(text && text[strlen(text) - 1] == '\n' && atol(text) > 0, "a number and a newline");
    if (geteuid() != 0) {
        skip("writing needs root");
        return;
    }
    ok(spill(KSM "run", "3") < 0 && errno == EINVAL, "what is wrong is refused");
    ok(spill(KSM "pages_to_scan", "many") < 0 && errno == EINVAL, "words too");
    char old[32];
    keep(old, sizeof old, slurp(KSM "sleep_millisecs"));
    ok_equal(spill(KSM "sleep_millisecs", "37\n"), 0, "a write");
    ok(strcmp(slurp(KSM "sleep_millisecs"), "37\n") == 0, "is read back");
    spill(KSM "sleep_millisecs", old);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(memory_has_figures),    TAP_CASE(faults_are_counted),
        TAP_CASE(processors_have_times), TAP_CASE(busy_time_is_the_users),
        TAP_CASE(uptime_and_load),       TAP_CASE(names_agree_with_uname),
        TAP_CASE(random_names),          TAP_CASE(processors_are_described),
        TAP_CASE(mounts_are_listed),     TAP_CASE(sys_knows_cpus_and_nodes),
        TAP_CASE(merging_has_knobs),
    };
    return TAP_MAIN(cases);
}
