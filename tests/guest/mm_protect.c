/*
 * Does mprotect change just the pages it is asked to, split and merge mappings as Linux does, and
 * refuse what Linux refuses?
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>

#include "memory.h"

static void splits_and_merges(void)
{
    byte *area = map_island(8, RW);
    for (unsigned i = 0; i < 8; i++) {
        fill_page(area + i * PAGE, i);
    }
    ok_equal(mprotect(area + 2 * PAGE, 2 * PAGE, PROT_READ), 0, "read-only in the middle");
    ok_maps(area, 8, "0-2:rw-p 2-4:r--p 4-8:rw-p", "three mappings");
    ok_equal(mprotect(area + 4 * PAGE, 2 * PAGE, PROT_READ), 0, "the pages behind too");
    ok_maps(area, 8, "0-2:rw-p 2-6:r--p 6-8:rw-p", "still three");
    ok_equal(mprotect(area + PAGE, 2 * PAGE, PROT_NONE), 0, "over a border");
    ok_maps(area, 8, "0-1:rw-p 1-3:---p 3-6:r--p 6-8:rw-p", "four");
    ok_equal(mprotect(area, 8 * PAGE, RW), 0, "everything back");
    ok_maps(area, 8, "0-8:rw-p", "one again");
    bool held = true;
    for (unsigned i = 0; i < 8; i++) {
        held &= page_holds(area + i * PAGE, i);
    }
    ok(held, "the content has stayed");
}

static void takes_effect_at_once(void)
{
    byte *area = map_island(3, RW);
    memset(area, 1, 3 * PAGE);
    mprotect(area + PAGE, PAGE, PROT_READ);
    ok_equal(touch_read(area + PAGE), 0, "reading is allowed");
    ok_equal(touch_write(area + PAGE), SIGSEGV, "writing is not");
    ok(fault_last.code == SEGV_ACCERR && fault_last.address == area + PAGE, "SEGV_ACCERR there");
    ok_equal(touch_write(area), 0, "the page before is writable");
    ok_equal(touch_write(area + 2 * PAGE), 0, "the page behind is writable");
    mprotect(area + PAGE, PAGE, PROT_NONE);
    ok_equal(touch_read(area + PAGE), SIGSEGV, "PROT_NONE: no reading");
    mprotect(area + PAGE, PAGE, RW);
    ok_equal(touch_write(area + PAGE), 0, "writable again");
    ok(area[PAGE + 1] == 1, "the rest of the page has stayed");
}

static void untouched_pages(void)
{
    byte *area = map_island(2, PROT_NONE);
    ok_equal(mprotect(area, 2 * PAGE, PROT_READ), 0, "never touched, made readable");
    ok(page_is_zero(area), "reads zero");
    ok_equal(mprotect(area, 2 * PAGE, RW), 0, "made writable");
    ok_equal(touch_write(area), 0, "the zero page becomes one's own");
    ok(area[0] == 0x5a && area[1] == 0 && page_is_zero(area + PAGE), "alone");
}

/* As the kernel sees it: the library's mprotect aligns the address. */
static long protect(void *at, size_t bytes, int prot)
{
    return syscall(SYS_mprotect, at, bytes, prot);
}

static void errors(void)
{
    byte *area = map_island(4, RW);
    ok_errno(protect(area + 1, PAGE, PROT_READ), EINVAL, "unaligned address");
    ok_equal(protect(area, 0, PROT_READ), 0, "length 0 is nothing");
    ok_errno(protect(area + 1, 0, PROT_READ), EINVAL, "but not unaligned");
    ok_errno(protect(area, PAGE, 0x40), EINVAL, "an unknown protection");
    ok_errno(protect(area, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL,
             "growing both ways");
    ok_errno(protect(area, PAGE, PROT_READ | PROT_GROWSDOWN), EINVAL,
             "growing down a mapping that does not");
    ok_errno(protect(area, ~0ul, PROT_READ), ENOMEM, "length that wraps");
    ok_errno(protect((void *)0xffff800000000000, PAGE, PROT_READ), ENOMEM, "in the kernel");
    ok_maps(area, 4, "0-4:rw-p", "nothing has changed");
    munmap(area + PAGE, PAGE);
    ok_errno(protect(area + PAGE, PAGE, PROT_READ), ENOMEM, "nothing mapped");
    ok_errno(protect(area, 4 * PAGE, PROT_READ), ENOMEM, "a hole in the middle");
    ok_maps(area, 4, "0-1:r--p 2-4:rw-p", "what is before the hole has changed");
}

static void length_is_rounded_up(void)
{
    byte *area = map_island(3, RW);
    ok_equal(mprotect(area, PAGE + 1, PROT_READ), 0, "a page and a byte");
    ok_maps(area, 3, "0-2:r--p 2-3:rw-p", "is two pages");
}

static void after_fork(void)
{
    byte *area = map_island(1, RW);
    fill_page(area, 1);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = mprotect(area, PAGE, PROT_READ) == 0 && touch_write(area) == SIGSEGV;
        good &= mprotect(area, PAGE, RW) == 0 && touch_write(area) == 0 && area[0] == 0x5a;
        _exit(!good);
    }
    int status;
    waitpid(pid, &status, 0);
    ok_equal(status, 0, "a child protects and writes its copy");
    ok(page_holds(area, 1), "the parent's page is untouched");
    ok_equal(touch_write(area), 0, "and writable");
}

static void shared_file(void)
{
    char name[] = "/tmp/mm_protect-XXXXXX";
    int fd = mkstemp(name);
    ok(fd >= 0 && ftruncate(fd, (off_t)PAGE) == 0, "a file");
    int reader = open(name, O_RDONLY);
    byte *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    ok(shared != MAP_FAILED, "shared, opened for reading");
    ok_errno(mprotect(shared, PAGE, RW), EACCES, "cannot be made writable");
    byte *private = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    ok_equal(mprotect(private, PAGE, RW), 0, "a private mapping can");
    ok_equal(touch_write(private), 0, "and be written");
    ok(shared[0] == 0, "without changing the file");
    shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    ok_equal(mprotect(shared, PAGE, RW), 0, "shared, opened for both, can");
    unlink(name);
}

static void from_signal_handler(void)
{
    static byte *area;
    area = map_island(1, PROT_NONE);
    volatile int faults = 0;
    fault_catch();
    if (sigsetjmp(fault_return, 1) != 0) {
        faults++;
        mprotect(area, PAGE, faults == 1 ? PROT_READ : RW);
    }
    area[0] = 3;
    ok(faults == 2 && area[0] == 3,
       "a program may catch the faults and allow, as garbage collectors do");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(splits_and_merges),    TAP_CASE(takes_effect_at_once),
        TAP_CASE(untouched_pages),      TAP_CASE(errors),
        TAP_CASE(length_is_rounded_up), TAP_CASE(after_fork),
        TAP_CASE(shared_file),          TAP_CASE(from_signal_handler),
    };
    return TAP_MAIN(cases);
}
