/*
 * What does /proc tell about memory: mappings, their pages, and the frames behind them?
 */
#include "frames.h"
#include "proc.h"

/* The line of maps for the mapping that holds an address, "" if there is none. */
static const char *maps_line(const void *address)
{
    static char line[512];
    unsigned long at = (unsigned long)address, start, end;
    struct lines *lines = lines_open("/proc/self/maps");
    while (lines && lines_next(lines, line, sizeof line)) {
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && at >= start && at < end) {
            close(lines->fd);
            return line;
        }
    }
    return "";
}

static void maps_have_their_columns(void)
{
    char wanted[128];
    byte *area = map_island(3, PROT_READ);
    snprintf(wanted, sizeof wanted, "%08lx-%08lx r--p 00000000 00:00 0 ", (unsigned long)area,
             (unsigned long)(area + 3 * PAGE));
    ok(strcmp(maps_line(area), wanted) == 0, "anonymous memory: '%s'", maps_line(area));
    const char *line = maps_line(&wanted);
    ok(strlen(line) > 73 && strcmp(line + 73, "[stack]") == 0, "the stack, named in column 73");
    ok(strncmp(line + 25, " rw-p 00000000 00:00 0", 22) == 0, "the stack is private memory");
}

static void maps_name_files(void)
{
    char path[64], wanted[128];
    struct stat info;
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    char flags[8];
    snprintf(path, sizeof path, "/tmp/proc_memory.%d", getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, 4 * PAGE) || fstat(fd, &info)) {
        bail("%s", path);
    }
    byte *area = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    const char *line = maps_line(area);
    ok_equal(sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, flags, &offset, &major, &minor,
                    &inode),
             7, "seven columns: %s", line);
    ok(strcmp(flags, "r--s") == 0 && offset == PAGE, "shared, from the second page on");
    ok_equal(inode, info.st_ino, "inode");
    ok(strlen(line) > 73 && strcmp(line + 73, path) == 0, "path");
    keep(wanted, sizeof wanted, link_text("/proc/self/exe"));
    line = maps_line((void *)maps_name_files);
    ok(strlen(line) > 73 && strcmp(line + 73, wanted) == 0 && strstr(line, " r-xp "),
       "the program: %s", line);
    unlink(path);
}

static void shared_memory_has_no_file(void)
{
    byte *area = mmap(NULL, 64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *line = maps_line(area);
    ok(strlen(line) > 73 && strcmp(line + 73, "/dev/zero (deleted)") == 0, "its name: %s", line);
    ok(strncmp(line + 25, " rw-s 00000000 ", 15) == 0, "shared, from its beginning on");
    munmap(area, 40 * PAGE);
    line = maps_line(area + 40 * PAGE);
    ok(strlen(line) > 73 && strcmp(line + 73, "/dev/zero (deleted)") == 0 &&
           strncmp(line + 25, " rw-s 00028000 ", 15) == 0,
       "what is left of it, too");
}

static void smaps_count_pages(void)
{
    byte *area = map_island(8, RW);
    ok_equal(smaps_number(area, "Size"), 32, "size");
    ok_equal(smaps_number(area, "Rss"), 0, "nothing is there yet");
    memset(area, 1, 3 * PAGE);
    ok_equal(smaps_number(area, "Rss"), 12, "three pages are");
    ok_equal(smaps_number(area, "Pss"), 12, "for this process alone");
    ok_equal(smaps_number(area, "Private_Dirty"), 12, "written");
    ok_equal(smaps_number(area, "Anonymous"), 12, "anonymous");
    ok_equal(smaps_number(area, "Referenced"), 12, "referenced");
    ok_equal(smaps_number(area, "KSM"), 0, "not merged");
    ok_equal(smaps_number(area, "Swap"), 0, "not swapped");
    ok_equal(smaps_number(area, "KernelPageSize"), 4, "page size");
    ok(smaps_flag(area, "rd") && smaps_flag(area, "wr") && !smaps_flag(area, "ex"), "flags");
    pid_t pid = start(sleep_forever);
    ok_equal(smaps_number(area, "Pss"), 6, "after fork, half of them");
    ok_equal(smaps_number(area, "Private_Dirty"), 0, "nothing is private");
    ok_equal(smaps_number(area, "Shared_Clean") + smaps_number(area, "Shared_Dirty"), 12, "shared");
    finish(pid);
    ok(eventually(smaps_number(area, "Pss") == 12, 5000), "then they are its own again");
}

static void rollup_adds_up(void)
{
    char line[256];
    const char *path = "/proc/self/smaps_rollup";
    long rss = 0, pss = 0;
    struct lines *lines = lines_open("/proc/self/smaps");
    while (lines && lines_next(lines, line, sizeof line)) {
        rss += strncmp(line, "Rss:", 4) == 0 ? atol(line + 4) : 0;
        pss += strncmp(line, "Pss:", 4) == 0 ? atol(line + 4) : 0;
    }
    long all = number_of(path, "Rss"), share = number_of(path, "Pss");
    ok(all > 0 && labs(all - rss) <= 64, "Rss: %ld of %ld", all, rss);
    ok(share > 0 && labs(share - pss) <= 96, "Pss: %ld of %ld", share, pss);
    const char *text = slurp(path);
    ok(text && strncmp(strchr(text, ' '), " ---p 00000000 00:00 0 ", 23) == 0 &&
           strncmp(text + 73, "[rollup]\n", 9) == 0,
       "the title is a line of maps");
}

static void statm_agrees(void)
{
    unsigned long size, resident, shared, text, lib, data, dirty;
    byte *area = map_pages(100, RW);
    int got = sscanf(slurp("/proc/self/statm"), "%lu %lu %lu %lu %lu %lu %lu", &size, &resident,
                     &shared, &text, &lib, &data, &dirty);
    ok_equal(got, 7, "seven numbers");
    ok_equal(size * 4, number_of("/proc/self/status", "VmSize"), "size in pages");
    ok(resident >= shared && shared + text > 0 && lib == 0 && dirty == 0, "the rest is sound");
    ok(data >= 100, "data");
    unsigned long size_after;
    munmap(area, 100 * PAGE);
    sscanf(slurp("/proc/self/statm"), "%lu", &size_after);
    ok_equal(size - size_after, 100, "100 pages less");
    ok(number_of("/proc/self/status", "VmPeak") >= (long)size * 4, "the peak remembers");
}

static void memory_is_a_file(void)
{
    byte *area = map_island(2, RW), bytes[16] = {0};
    off_t at = (off_t)(uintptr_t)area;
    int fd = open("/proc/self/mem", O_RDWR);
    memcpy(area, "merganser", 10);
    ok(fd >= 0 && pread(fd, bytes, 10, at) == 10 && memcmp(bytes, "merganser", 10) == 0, "read");
    ok(pwrite(fd, "duck", 5, at + PAGE) == 5 && strcmp((char *)area + PAGE, "duck") == 0, "write");
    ok_equal(lseek(fd, at + 3, SEEK_SET), at + 3, "seek");
    ok(read(fd, bytes, 3) == 3 && memcmp(bytes, "gan", 3) == 0, "read from there");
    ok_equal(lseek(fd, 0, SEEK_CUR), at + 6, "which moves on");
    munmap(area + 2 * PAGE, PAGE);
    ok_equal(pread(fd, bytes, 16, at + 2 * (off_t)PAGE - 4), 4, "up to the end of a mapping");
    ok_errno(pread(fd, bytes, 16, 4096), EIO, "nothing is mapped there");
}

static byte *common;

static void change_and_sleep(void)
{
    common[0] = 77;
    sleep_forever();
}

static void memory_of_a_child(void)
{
    byte seen = 0;
    common = map_pages(1, RW);
    common[0] = 1;
    pid_t pid = start(change_and_sleep);
    int fd = open(proc_path(pid, "mem"), O_RDWR);
    off_t at = (off_t)(uintptr_t)common;
    ok(eventually(pread(fd, &seen, 1, at) == 1 && seen == 77, 5000), "its own copy is read");
    ok_equal(common[0], 1, "not the parent's");
    finish(pid);
    ok_equal(pread(fd, &seen, 1, at), 0, "afterwards there is nothing");
}

static void pagemap_shows_pages(void)
{
    uint64_t entries[4];
    byte *area = map_island(4, RW);
    area[PAGE] = 1;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    off_t at = (off_t)((uintptr_t)area / PAGE * 8);
    ok_equal(pread(fd, entries, 32, at), 32, "four entries");
    ok(!(entries[0] & PRESENT) && entries[1] & PRESENT && !(entries[2] & PRESENT), "one is there");
    ok(entries[1] & EXCLUSIVE, "mapped once");
    ok_errno(pread(fd, entries, 7, at), EINVAL, "whole entries only");
    ok_errno(pread(fd, entries, 8, at + 4), EINVAL, "at their places");
    pid_t pid = start(sleep_forever);
    ok(!(entry_of(area + PAGE) & EXCLUSIVE), "after fork, mapped twice");
    finish(pid);
    ok(entry_of(area + PAGE) & EXCLUSIVE, "and once again");
}

static void frames_have_counts_and_flags(void)
{
    uint64_t count = 0, flags = 0;
    byte *area = map_pages(1, RW);
    area[0] = 1;
    uint64_t pfn = PFN(entry_of(area));
    int counts = open("/proc/kpagecount", O_RDONLY), kinds = open("/proc/kpageflags", O_RDONLY);
    if (!pfn || counts < 0 || kinds < 0) {
        skip("frame numbers are hidden here");
        return;
    }
    ok(pread(counts, &count, 8, (off_t)pfn * 8) == 8 && count == 1, "one mapping");
    ok(pread(kinds, &flags, 8, (off_t)pfn * 8) == 8 && flags >> 12 & 1, "of anonymous memory");
    pid_t pid = start(sleep_forever);
    ok(pread(counts, &count, 8, (off_t)pfn * 8) == 8 && count == 2, "two after fork");
    finish(pid);
    ok_errno(pread(counts, &count, 8, (off_t)pfn * 8 + 1), EINVAL, "whole entries only");
    ok_equal(pread(counts, &count, 8, 1l << 50), 0, "memory has an end");
}

static void locked_memory_shows(void)
{
    byte *area = map_pages(4, RW);
    long before = number_of("/proc/self/status", "VmLck");
    if (mlock(area, 4 * PAGE) != 0) {
        skip("mlock: %s", strerror(errno));
        return;
    }
    ok_equal(number_of("/proc/self/status", "VmLck") - before, 16, "VmLck");
    ok_equal(smaps_number(area, "Locked"), 16, "Locked");
    ok(smaps_flag(area, "lo"), "and a flag");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(maps_have_their_columns),
        TAP_CASE(maps_name_files),
        TAP_CASE(shared_memory_has_no_file),
        TAP_CASE(smaps_count_pages),
        TAP_CASE(rollup_adds_up),
        TAP_CASE(statm_agrees),
        TAP_CASE(memory_is_a_file),
        TAP_CASE(memory_of_a_child),
        TAP_CASE(pagemap_shows_pages),
        TAP_CASE(frames_have_counts_and_flags),
        TAP_CASE(locked_memory_shows),
    };
    return TAP_MAIN(cases);
}
