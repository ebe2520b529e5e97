/*
 * Does mremap grow, shrink and move memory with its content, and fail as Linux does?
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "memory.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static long remap(void *old, unsigned long old_bytes, unsigned long new_bytes, int flags, void *new)
{
    return syscall(SYS_mremap, old, old_bytes, new_bytes, flags, new);
}

static void fill(byte *area, size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        fill_page(area + i * PAGE, i);
    }
}

static bool holds(const byte *area, size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        if (!page_holds(area + i * PAGE, i)) {
            return false;
        }
    }
    return true;
}

/* An island with a hole behind it, to grow into. */
static byte *island_with_room(size_t pages, size_t room)
{
    byte *area = map_island(pages + room, RW);
    munmap(area + pages * PAGE, room * PAGE);
    fill(area, pages);
    return area;
}

static void shrinks(void)
{
    byte *area = map_island(6, RW);
    fill(area, 6);
    ok_equal(remap(area, 6 * PAGE, 2 * PAGE, 0, NULL), area, "to two pages");
    ok_maps(area, 6, "0-2:rw-p", "the rest is gone");
    ok(holds(area, 2), "the two have stayed");
    ok_equal(remap(area, 2 * PAGE, PAGE + 1, 0, NULL), area, "sizes are rounded up");
    ok_maps(area, 6, "0-2:rw-p", "so this was nothing");
}

static void grows_in_place(void)
{
    byte *area = island_with_room(2, 4);
    ok_equal(remap(area, 2 * PAGE, 5 * PAGE, 0, NULL), area, "there is room");
    ok_maps(area, 6, "0-5:rw-p", "three pages more");
    ok(holds(area, 2) && page_is_zero(area + 2 * PAGE) && page_is_zero(area + 4 * PAGE),
       "zero behind the old");
    ok_errno(remap(area, 5 * PAGE, 8 * PAGE, 0, NULL), ENOMEM, "no room and not to be moved");
    ok_maps(area, 6, "0-5:rw-p", "nothing has changed");
}

static void moves_to_grow(void)
{
    byte *area = map_island(3, RW);
    fill(area, 3);
    long moved = remap(area, 3 * PAGE, 10 * PAGE, MREMAP_MAYMOVE, NULL);
    ok(moved > 0 && moved != (long)area, "moves");
    ok(holds((byte *)moved, 3) && page_is_zero((byte *)moved + 9 * PAGE), "with its content");
    ok_maps(area, 3, "", "the old place is free");
    ok_equal(touch_read(area), SIGSEGV, "and faults");
    ok_equal(touch_write((byte *)moved + 9 * PAGE), 0, "the new one is all usable");
}

static void moves_to_a_place(void)
{
    byte *area = map_island(3, RW), *target = map_island(5, PROT_READ);
    fill(area, 3);
    ok_equal(remap(area, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE),
             target + PAGE, "MREMAP_FIXED");
    ok_maps(target, 5, "0-1:r--p 1-4:rw-p 4-5:r--p", "replaces what was there");
    ok(holds(target + PAGE, 3), "with the content");
    ok_maps(area, 3, "", "the old place is free");
}

static void moves_a_part(void)
{
    byte *area = map_island(6, RW), *target = map_island(2, PROT_NONE);
    fill(area, 6);
    ok_equal(remap(area + 2 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target),
             target, "two pages out of the middle");
    ok_maps(area, 6, "0-2:rw-p 4-6:rw-p", "leave a hole");
    ok(page_holds(target, 2) && page_holds(target + PAGE, 3), "are what they were");
    ok(page_holds(area + PAGE, 1) && page_holds(area + 4 * PAGE, 4), "and so is the rest");
    ok_equal(remap(target, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 2 * PAGE),
             area + 2 * PAGE, "and back");
    ok(holds(area, 6), "everything is in its place");
}

static void moves_and_shrinks(void)
{
    byte *area = map_island(4, RW), *target = map_island(4, PROT_READ);
    fill(area, 4);
    ok_equal(remap(area, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target), target,
             "both at once");
    ok_maps(target, 4, "0-2:rw-p 2-4:r--p", "two pages arrive");
    ok(holds(target, 2), "the first two");
    ok_maps(area, 4, "", "nothing remains");
}

static void keeps_protection(void)
{
    byte *area = map_island(2, RW);
    fill(area, 2);
    mprotect(area, 2 * PAGE, PROT_READ);
    byte *moved = (byte *)remap(area, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL);
    ok(holds(moved, 2), "read-only memory moves");
    ok_equal(touch_write(moved), SIGSEGV, "and stays read-only");
    ok_equal(touch_write(moved + 3 * PAGE), SIGSEGV, "where it has grown too");
}

static void errors(void)
{
    byte *area = map_island(4, RW), *other = map_island(4, RW);
    int move = MREMAP_MAYMOVE | MREMAP_FIXED;
    ok_errno(remap(area + 1, PAGE, PAGE, 0, NULL), EINVAL, "unaligned address");
    ok_errno(remap(area, PAGE, 0, 0, NULL), EINVAL, "new size 0");
    ok_errno(remap(area, PAGE, PAGE, 64, NULL), EINVAL, "unknown flag");
    ok_errno(remap(area, PAGE, PAGE, MREMAP_FIXED, other), EINVAL, "MREMAP_FIXED without MAYMOVE");
    ok_errno(remap(area, PAGE, PAGE, move, other + 1), EINVAL, "unaligned new address");
    ok_errno(remap(area, 2 * PAGE, 2 * PAGE, move, area + PAGE), EINVAL, "new and old overlap");
    ok_errno(remap(area, 2 * PAGE, 2 * PAGE, move, area), EINVAL, "new is old");
    ok_errno(remap(area, PAGE, PAGE, move, (void *)0x7ffffffff000), EINVAL,
             "new address beyond the end");
    ok_errno(remap(area, PAGE, ~0ul, MREMAP_MAYMOVE, NULL), EINVAL, "size that wraps");
    ok_errno(remap(area, 0, PAGE, MREMAP_MAYMOVE, NULL), EINVAL, "old size 0 of private memory");
    ok_maps(area, 4, "0-4:rw-p", "nothing has changed");
    munmap(area + 2 * PAGE, 2 * PAGE);
    ok_errno(remap(area + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL), EFAULT,
             "nothing mapped");
    ok_errno(remap(area, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL), EFAULT, "only in part mapped");
    mprotect(other, PAGE, PROT_READ);
    ok_errno(remap(other, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE, NULL), EFAULT,
             "growing two mappings");
    ok_equal(remap(other, 4 * PAGE, PAGE, 0, NULL), other, "shrinking away a whole other mapping");
    ok_maps(other, 4, "0-1:r--p", "is allowed");
}

static void shared_twice(void)
{
    byte *area = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fill(area, 2);
    byte *again = (byte *)remap(area, 0, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    ok(again != (byte *)-1 && again != area, "old size 0 maps shared memory a second time");
    ok(holds(again, 2), "it is the same memory");
    again[5] = 77;
    ok(area[5] == 77, "in both directions");
    byte *moved = (byte *)remap(area, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                                map_pages(2, PROT_NONE));
    ok(moved != (byte *)-1 && moved[5] == 77, "shared memory moves");
    again[6] = 78;
    ok(moved[6] == 78, "and is still shared");
}

static void dontunmap(void)
{
    byte *area = map_island(3, RW);
    fill(area, 3);
    ok_errno(remap(area, 3 * PAGE, 3 * PAGE, MREMAP_DONTUNMAP, NULL), EINVAL, "without MAYMOVE");
    ok_errno(remap(area, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), EINVAL,
             "and resizing");
    byte *moved = (byte *)remap(area, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    ok(moved != (byte *)-1 && holds(moved, 3), "MREMAP_DONTUNMAP moves the pages");
    ok_maps(area, 3, "0-3:rw-p", "and leaves the mapping");
    ok(page_is_zero(area) && page_is_zero(area + 2 * PAGE), "empty");
}

static void across_fork(void)
{
    byte *area = map_island(4, RW);
    fill(area, 4);
    pid_t pid = fork();
    if (pid == 0) {
        byte *moved = (byte *)remap(area, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE, NULL);
        bool good = moved != (byte *)-1 && holds(moved, 4);
        fill_page(moved + PAGE, 99);
        good &= page_holds(moved + PAGE, 99) && page_holds(moved, 0);
        _exit(!good);
    }
    int status;
    byte *moved = (byte *)remap(area, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE, NULL);
    fill_page(moved + 2 * PAGE, 98);
    waitpid(pid, &status, 0);
    ok_equal(status, 0, "a child moves and writes shared pages");
    ok(page_holds(moved + PAGE, 1) && page_holds(moved + 2 * PAGE, 98),
       "and so does the parent, unseen");
}

static void grows_by_far(void)
{
    byte *area = map_pages(1, RW);
    fill(area, 1);
    size_t pages = 1;
    while (pages < 32768 && area != (byte *)-1) {
        byte *bigger = (byte *)remap(area, pages * PAGE, 2 * pages * PAGE, MREMAP_MAYMOVE, NULL);
        if (bigger == (byte *)-1) {
            break;
        }
        pages *= 2;
        area = bigger;
        area[(pages - 1) * PAGE] = 1;
    }
    ok(pages == 32768 && page_holds(area, 0), "128 MB in steps of two");
    ok_equal(remap(area, pages * PAGE, PAGE, 0, NULL), area, "and back to a page");
    ok(page_holds(area, 0), "with its content");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(shrinks),          TAP_CASE(grows_in_place), TAP_CASE(moves_to_grow),
        TAP_CASE(moves_to_a_place), TAP_CASE(moves_a_part),   TAP_CASE(moves_and_shrinks),
        TAP_CASE(keeps_protection), TAP_CASE(errors),         TAP_CASE(shared_twice),
        TAP_CASE(dontunmap),        TAP_CASE(across_fork),    TAP_CASE(grows_by_far),
    };
    return TAP_MAIN(cases);
}
