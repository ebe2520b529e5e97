/*
 * Does madvise do what each advice promises, and refuse what Linux refuses?
 */
#define _GNU_SOURCE
#include "memory.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#define ADVICE_POPULATE_READ 22
#define ADVICE_POPULATE_WRITE 23

static int resident(void *area, size_t pages)
{
    unsigned char in_core[64];
    int count = 0;
    if (mincore(area, pages * PAGE, in_core) < 0) {
        return -1;
    }
    for (size_t i = 0; i < pages; i++) {
        count += in_core[i] & 1;
    }
    return count;
}

static void errors(void)
{
    byte *area = map_island(4, RW);
    ok_errno(madvise(area, PAGE, 9999), EINVAL, "unknown advice");
    ok_errno(madvise(area, PAGE, -1), EINVAL, "negative advice");
    ok_errno(madvise(area + 1, PAGE, MADV_NORMAL), EINVAL, "unaligned address");
    ok_errno(madvise(area, ~0ul - PAGE, MADV_NORMAL), EINVAL, "length that wraps");
    ok_equal(madvise(area, 0, MADV_DONTNEED), 0, "length 0");
    ok_errno(madvise(area, 0, 9999), EINVAL, "length 0, unknown advice");
    munmap(area + PAGE, PAGE);
    ok_errno(madvise(area + PAGE, PAGE, MADV_NORMAL), ENOMEM, "nothing mapped");
    ok_equal(madvise(area + PAGE, 0, MADV_NORMAL), 0, "length 0 where nothing is mapped");
}

static void hole_is_passed_over(void)
{
    byte *area = map_island(4, RW);
    memset(area, 1, 4 * PAGE);
    munmap(area + PAGE, PAGE);
    ok_errno(madvise(area, 4 * PAGE, MADV_DONTNEED), ENOMEM, "a hole in the middle");
    ok(area[0] == 0 && area[2 * PAGE] == 0 && area[3 * PAGE] == 0, "the rest has been done");
}

static void dontneed(void)
{
    byte *area = map_island(4, RW);
    memset(area, 1, 4 * PAGE);
    ok_equal(madvise(area + PAGE, 2 * PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
    ok_equal(resident(area, 4), 2, "gives the pages back");
    ok(area[0] == 1 && page_is_zero(area + PAGE) && page_is_zero(area + 2 * PAGE) &&
           area[3 * PAGE] == 1,
       "they are zero, the others are not");
    ok_equal(madvise(area, 1, MADV_DONTNEED), 0, "a byte is a page");
    ok(area[0] == 0, "all of it");
    mprotect(area, 4 * PAGE, PROT_READ);
    ok_equal(madvise(area + 3 * PAGE, PAGE, MADV_DONTNEED), 0, "read-only memory too");
    ok(area[3 * PAGE] == 0, "is zero");
    mlock(area, PAGE);
    ok_errno(madvise(area, PAGE, MADV_DONTNEED), EINVAL, "locked memory");
}

static void dontneed_shared(void)
{
    byte *area = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(area, 3, 2 * PAGE);
    ok_equal(madvise(area, 2 * PAGE, MADV_DONTNEED), 0, "of shared memory");
    ok(area[0] == 3 && area[PAGE] == 3, "only the mapping goes, the content is the object's");
}

static void dontneed_after_fork(void)
{
    byte *area = map_island(2, RW);
    fill_page(area, 1);
    pid_t pid = fork();
    if (pid == 0) {
        madvise(area, PAGE, MADV_DONTNEED);
        _exit(!page_is_zero(area));
    }
    int status;
    waitpid(pid, &status, 0);
    ok(status == 0 && page_holds(area, 1), "a child drops its copy, the parent's stays");
}

static void lazy_free(void)
{
    byte *area = map_island(2, RW);
    memset(area, 1, 2 * PAGE);
    ok_equal(madvise(area, 2 * PAGE, MADV_FREE), 0, "MADV_FREE");
    ok((area[0] == 0 || area[0] == 1) && (area[PAGE] == 0 || area[PAGE] == 1),
       "old content or zero");
    area[0] = 7;
    ok(area[0] == 7, "a write cancels it");
    byte *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok_errno(madvise(shared, PAGE, MADV_FREE), EINVAL, "of shared memory");
    mlock(area, PAGE);
    ok_errno(madvise(area, PAGE, MADV_FREE), EINVAL, "of locked memory");
}

static void removal(void)
{
    byte *private = map_pages(1, RW);
    ok_errno(madvise(private, PAGE, MADV_REMOVE), EINVAL, "MADV_REMOVE of private memory");
    byte *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shared, 3, 2 * PAGE);
    ok_equal(madvise(shared, PAGE, MADV_REMOVE), 0, "of shared memory");
    ok(shared[0] == 0 && shared[PAGE] == 3, "takes the content away");
    mprotect(shared, PAGE, PROT_READ);
    ok_equal(madvise(shared, PAGE, MADV_REMOVE), 0, "even if it is read-only now");
}

static void harmless_advice(void)
{
    static const struct {
        int advice;
        const char *name;
    } advices[] = {
        {MADV_NORMAL, "MADV_NORMAL"},
        {MADV_RANDOM, "MADV_RANDOM"},
        {MADV_SEQUENTIAL, "MADV_SEQUENTIAL"},
        {MADV_WILLNEED, "MADV_WILLNEED"},
        {MADV_COLD, "MADV_COLD"},
        {MADV_PAGEOUT, "MADV_PAGEOUT"},
    };
    byte *area = map_island(2, RW);
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
        fill_page(area, i);
        ok_equal(madvise(area, 2 * PAGE, advices[i].advice), 0, "%s", advices[i].name);
        ok(page_holds(area, i) && page_is_zero(area + PAGE), "keeps the content");
    }
    mlock(area, PAGE);
    ok_errno(madvise(area, PAGE, MADV_PAGEOUT), EINVAL, "MADV_PAGEOUT of locked memory");
    ok_errno(madvise(area, PAGE, MADV_COLD), EINVAL, "MADV_COLD of locked memory");
}

static void populate(void)
{
    byte *area = map_island(4, RW);
    if (madvise(area, PAGE, ADVICE_POPULATE_READ) < 0 && errno == EINVAL) {
        skip("no MADV_POPULATE_READ in this kernel");
        return;
    }
    ok_equal(madvise(area, 4 * PAGE, ADVICE_POPULATE_WRITE), 0, "MADV_POPULATE_WRITE");
    ok_equal(resident(area, 4), 4, "brings the pages in");
    ok_equal(smaps_number(area, "Private_Dirty"), 16, "as one's own");
    mprotect(area, PAGE, PROT_READ);
    ok_errno(madvise(area, PAGE, ADVICE_POPULATE_WRITE), EINVAL, "of read-only memory");
    ok_equal(madvise(area, PAGE, ADVICE_POPULATE_READ), 0, "MADV_POPULATE_READ of it");
    mprotect(area, PAGE, PROT_NONE);
    ok_errno(madvise(area, PAGE, ADVICE_POPULATE_READ), EINVAL, "of what cannot be read");
    munmap(area, PAGE);
    ok_errno(madvise(area, 2 * PAGE, ADVICE_POPULATE_READ), ENOMEM, "of a hole");
}

static void dontfork(void)
{
    byte *area = map_island(3, RW);
    memset(area, 1, 3 * PAGE);
    ok_equal(madvise(area + PAGE, PAGE, MADV_DONTFORK), 0, "MADV_DONTFORK");
    ok(smaps_flag(area + PAGE, "dc") && !smaps_flag(area, "dc"), "marks the mapping");
    pid_t pid = fork();
    if (pid == 0) {
        bool good = touch_read(area + PAGE) == SIGSEGV && fault_last.code == SEGV_MAPERR;
        _exit(!(good && area[0] == 1 && area[2 * PAGE] == 1));
    }
    int status;
    waitpid(pid, &status, 0);
    ok_equal(status, 0, "a child does not have it");
    ok_equal(madvise(area + PAGE, PAGE, MADV_DOFORK), 0, "MADV_DOFORK");
    ok_maps(area, 3, "0-3:rw-p", "takes the mark away");
    pid = fork();
    if (pid == 0) {
        _exit(area[PAGE]);
    }
    waitpid(pid, &status, 0);
    ok_equal(WEXITSTATUS(status), 1, "now a child has it");
}

static void wipeonfork(void)
{
    byte *area = map_island(2, RW);
    memset(area, 1, 2 * PAGE);
    ok_equal(madvise(area, PAGE, MADV_WIPEONFORK), 0, "MADV_WIPEONFORK");
    ok(smaps_flag(area, "wf"), "marks the mapping");
    pid_t pid = fork();
    if (pid == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            _exit(area[0]);
        }
        int status;
        bool good = area[0] == 0 && area[PAGE] == 1;
        area[0] = 5;
        waitpid(grandchild, &status, 0);
        _exit(!(good && status == 0));
    }
    int status;
    waitpid(pid, &status, 0);
    ok(status == 0 && area[0] == 1, "a child sees zero there, and so does its child");
    ok_equal(madvise(area, PAGE, MADV_KEEPONFORK), 0, "MADV_KEEPONFORK");
    pid = fork();
    if (pid == 0) {
        _exit(area[0]);
    }
    waitpid(pid, &status, 0);
    ok_equal(WEXITSTATUS(status), 1, "undoes it");
    byte *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok_errno(madvise(shared, PAGE, MADV_WIPEONFORK), EINVAL, "of shared memory");
}

static void dontdump(void)
{
    byte *area = map_island(2, RW);
    ok_equal(madvise(area, PAGE, MADV_DONTDUMP), 0, "MADV_DONTDUMP");
    ok(smaps_flag(area, "dd") && !smaps_flag(area + PAGE, "dd"), "splits and marks the mapping");
    ok_maps(area, 2, "0-1:rw-p 1-2:rw-p", "into two");
    ok_equal(madvise(area, PAGE, MADV_DODUMP), 0, "MADV_DODUMP");
    ok_maps(area, 2, "0-2:rw-p", "makes them one again");
}

static void mergeable(void)
{
    byte *area = map_island(4, RW);
    if (madvise(area, PAGE, MADV_MERGEABLE) < 0) {
        skip("no KSM in this kernel");
        return;
    }
    ok(smaps_flag(area, "mg"), "MADV_MERGEABLE marks the mapping");
    ok(!smaps_flag(area + PAGE, "mg"), "and only what was asked for");
    ok_maps(area, 4, "0-1:rw-p 1-4:rw-p", "which splits it");
    ok_equal(madvise(area + PAGE, PAGE, MADV_MERGEABLE), 0, "the next page");
    ok_maps(area, 4, "0-2:rw-p 2-4:rw-p", "merges the mappings");
    ok_equal(madvise(area, 4 * PAGE, MADV_UNMERGEABLE), 0, "MADV_UNMERGEABLE");
    ok_maps(area, 4, "0-4:rw-p", "one mapping again");
    ok(!smaps_flag(area, "mg"), "without the mark");
    ok_equal(madvise(area, 4 * PAGE, MADV_UNMERGEABLE), 0, "of what is not mergeable: nothing");
    ok_errno(madvise(area + 1, PAGE, MADV_MERGEABLE), EINVAL, "unaligned");
    ok_errno(madvise(area, ~0ul - PAGE, MADV_MERGEABLE), EINVAL, "length that wraps");
    ok_equal(madvise(area, 0, MADV_MERGEABLE), 0, "length 0");
    byte *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok_equal(madvise(shared, PAGE, MADV_MERGEABLE), 0, "of shared memory: no error");
    ok(!smaps_flag(shared, "mg"), "and no effect");
    munmap(area + PAGE, PAGE);
    ok_errno(madvise(area, 4 * PAGE, MADV_MERGEABLE), ENOMEM, "over a hole");
    ok(smaps_flag(area, "mg") && smaps_flag(area + 2 * PAGE, "mg"), "the mapped parts are marked");
    ok_errno(madvise(area, 4 * PAGE, MADV_UNMERGEABLE), ENOMEM, "back, over a hole");
    ok(!smaps_flag(area, "mg") && !smaps_flag(area + 2 * PAGE, "mg"),
       "the mapped parts are unmarked");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(errors),          TAP_CASE(hole_is_passed_over), TAP_CASE(dontneed),
        TAP_CASE(dontneed_shared), TAP_CASE(dontneed_after_fork), TAP_CASE(lazy_free),
        TAP_CASE(removal),         TAP_CASE(harmless_advice),     TAP_CASE(populate),
        TAP_CASE(dontfork),        TAP_CASE(wipeonfork),          TAP_CASE(dontdump),
        TAP_CASE(mergeable),
    };
    return TAP_MAIN(cases);
}
