/*
 * /dev/ksm: does the interface of 2009 work, with the defects of the driver that was posted mended?
 *
 * linux: no
 */
#define _GNU_SOURCE
#include <merganser/ksm_device.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>

#include "ksm.h"
#include "proc.h"

static int device = -1;

static int new_area(void)
{
    int area = ioctl(device, KSM_CREATE_SHARED_MEMORY_AREA);
    if (area < 0) {
        bail("no shared memory area");
    }
    return area;
}

static int offer(int area, const void *start, uint32_t pages)
{
    struct ksm_memory_region region = {.npages = pages, .addr = (uint64_t)start};
    return ioctl(area, KSM_REGISTER_MEMORY_REGION, &region);
}

static void calls(void)
{
    int area = new_area();
    ok_equal(ioctl(device, KSM_GET_API_VERSION), KSM_API_VERSION, "the version");
    ok_errno(ioctl(device, 0xab04), ENOTTY, "a call that the device doesn't have");
    ok_errno(ioctl(area, 0xab22), ENOTTY, "or an area: no success by a positive number");
    ok_errno(ioctl(area, KSM_GET_API_VERSION), ENOTTY, "the device's call on an area");
    ok_errno(ioctl(device, KSM_REMOVE_MEMORY_REGION), ENOTTY, "an area's on the device");
    ok_equal(ioctl(area, KSM_REMOVE_MEMORY_REGION), 0, "nothing registered, nothing removed");
    ok_errno(ioctl(area, KSM_REGISTER_MEMORY_REGION, (void *)8), EFAULT, "a bad pointer");
    ok_errno(ioctl(device, KSM_GET_INFO_KTHREAD, (void *)8), EFAULT, "for the answer");
    ok_errno(ioctl(device, KSM_START_STOP_KTHREAD, (void *)8), EFAULT, "for the setting");
    close(area);
}

static void regions_are_checked(void)
{
    byte *start = map_equal(8, 1);
    int area = new_area(), other = new_area();
    struct ksm_memory_region good = {.npages = 1, .addr = (uint64_t)start}, bad = good;
    bad.pad = 1;
    ok_errno(ioctl(area, KSM_REGISTER_MEMORY_REGION, &bad), EINVAL, "padding that is not 0");
    bad = good;
    bad.reserved = 1;
    ok_errno(ioctl(area, KSM_REGISTER_MEMORY_REGION, &bad), EINVAL, "a reserved word");
    ok_errno(offer(area, start + 1, 1), EINVAL, "an address within a page");
    ok_errno(offer(area, start, 0), EINVAL, "no page");
    ok_errno(offer(area, (void *)-PAGE, 2), EINVAL, "a range beyond the last address");
    ok_errno(offer(area, (void *)(1ul << 47), 1), ENOMEM, "the kernel's half");
    ok_errno(offer(area, start - PAGE - PAGE, ~0u), ENOMEM, "a range with holes");
    ok(!smaps_flag(start, "mg"), "is not half registered");
    ok_equal(offer(area, start + 2 * PAGE, 4), 0, "a region");
    ok(smaps_flag(start + 2 * PAGE, "mg"), "may be merged");
    ok_errno(offer(area, start + 5 * PAGE, 1), EEXIST, "one that overlaps");
    ok_errno(offer(other, start, 3), EEXIST, "in another area too");
    ok_equal(offer(other, start, 2), 0, "a neighbour doesn't");
    close(area);
    close(other);
    ok(!smaps_flag(start, "mg") && !smaps_flag(start + 2 * PAGE, "mg"), "closed, nothing may be");
}

static void quota(void)
{
    byte *start = map_island(5000, RW);
    int area = new_area(), taken = 0;
    while (taken < 5000 && offer(area, start + taken * PAGE, 1) == 0) {
        taken++;
    }
    ok(taken == 4096 && errno == ENOSPC, "there is an end to regions (%d)", taken);
    ok_equal(ioctl(area, KSM_REMOVE_MEMORY_REGION), 0, "all are removed");
    ok_equal(offer(area, start, 5000), 0, "then there is room again");
    close(area);
}

static void scanner(void)
{
    struct ksm_kthread_info info, set = {.sleep = 3500, .pages_to_scan = 1234};
    ok_equal(ioctl(device, KSM_START_STOP_KTHREAD, &set), 0, "the scanner stops");
    ok_equal(ksm_get("run"), 0, "run");
    ok_equal(ksm_get("pages_to_scan"), 1234, "pages_to_scan");
    ok_equal(ksm_get("sleep_millisecs"), 4, "microseconds are rounded up");
    ok_equal(ioctl(device, KSM_GET_INFO_KTHREAD, &info), 0, "it is asked");
    ok(info.sleep == 4000 && info.pages_to_scan == 1234 && info.flags == 0, "and tells");
    set = (struct ksm_kthread_info){.sleep = 2000, .pages_to_scan = 4000, .flags = KSM_FLAG_RUN};
    ok_equal(ioctl(device, KSM_START_STOP_KTHREAD, &set), 0, "it runs");
    ok_equal(ksm_get("run"), 1, "run");
    ioctl(device, KSM_GET_INFO_KTHREAD, &info);
    ok(memcmp(&info, &set, sizeof info) == 0, "and tells what was set");
    set.flags = 2;
    ok_errno(ioctl(device, KSM_START_STOP_KTHREAD, &set), EINVAL, "an unknown flag");
    set.flags = 0, set.reserved = 1;
    ok_errno(ioctl(device, KSM_START_STOP_KTHREAD, &set), EINVAL, "a reserved word");
    ok_equal(ksm_get("run"), 1, "change nothing");
}

static void as_another(void)
{
    struct ksm_kthread_info info = {0};
    byte *start = map_equal(1, 2);
    bool right = setuid(1000) == 0;
    int own = open("/dev/ksm", O_RDWR), area = ioctl(own, KSM_CREATE_SHARED_MEMORY_AREA);
    right = right && ioctl(own, KSM_START_STOP_KTHREAD, &info) < 0 && errno == EPERM;
    right = right && ioctl(own, KSM_GET_INFO_KTHREAD, &info) == 0 && info.flags == KSM_FLAG_RUN;
    _exit(right && offer(area, start, 1) == 0 ? 0 : 1);
}

static void users(void)
{
    ok_equal(tap_child(as_another), 0, "anybody may offer memory and look, root sets");
}

static void merges_and_parts(void)
{
    byte *first = map_equal(16, 3), *second = map_equal(16, 3);
    int one = new_area(), two = new_area();
    ok_equal(offer(one, first, 16), 0, "a region of one area");
    ok_equal(offer(two, second, 16), 0, "and one of another");
    ok(ksm_wait_pages(first, 16) && ksm_wait_pages(second, 16), "are merged");
    ok_equal(ioctl(one, KSM_REMOVE_MEMORY_REGION), 0, "the first is removed");
    ok_equal(ksm_kb(first), 0, "and private");
    ok_equal(ksm_kb(second), 64, "the second is as it was");
    ok_equal(offer(one, first, 8), 0, "half of it again");
    ok(ksm_wait_pages(first, 8), "is merged");
    close(one);
    ok_equal(ksm_kb(first), 0, "closing an area removes its regions");
    ok_equal(ksm_kb(second), 64, "and no others");
    close(two);
    ok(all_hold(first, 16, 3) && all_hold(second, 16, 3), "everything holds what it held");
}

/* --- areas and processes that end apart --- */

static int inherited;

static long free_megabytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) < 0 ? 0 : (long)(info.freeram * info.mem_unit >> 20);
}

static void offer_and_end(void)
{
    byte *start = map_island(8192, RW);
    memset(start, 5, 8192 * PAGE);
    _exit(offer(inherited, start, 8192) == 0 ? 0 : 1);
}

static void offer_and_become_another(void)
{
    if (offer(inherited, map_equal(16, 6), 16) < 0) {
        _exit(1);
    }
    execl("/bin/busybox", "true", NULL);
    _exit(1);
}

static void ends(void)
{
    byte *start = map_equal(16, 7);
    inherited = new_area();
    offer(inherited, start, 16);
    long before = free_megabytes();
    ok_equal(tap_child(offer_and_end), 0, "a child offers 32 MB to an area that stays");
    bool back = eventually(free_megabytes() > before - 16, 5000); /* the scanner may look at it */
    ok(back, "its memory ends with it (%ld, then %ld MB free)", before, free_megabytes());
    ok_equal(tap_child(offer_and_become_another), 0, "one becomes another program");
    ok(ksm_wait_pages(start, 16), "ours is merged");
    ok_equal(ioctl(inherited, KSM_REMOVE_MEMORY_REGION), 0, "what is left is removed");
    ok_equal(ksm_kb(start), 0, "and private");
    munmap(start, 8 * PAGE);
    offer(inherited, start + 8 * PAGE, 8);
    munmap(start + 8 * PAGE, 4 * PAGE);
    ok_equal(ioctl(inherited, KSM_REMOVE_MEMORY_REGION), 0, "a region that is half unmapped too");
    ok(all_hold(start + 12 * PAGE, 4, 7), "the rest holds what it held");
    close(inherited);
}

/* The posted driver took whatever is not anonymous for merged. */
static void files_do_not_merge(void)
{
    int file = open("/tmp/ksm-device", O_RDWR | O_CREAT | O_TRUNC, 0600), area = new_area();
    static byte page[PAGE];
    fill_page(page, 8);
    for (int i = 0; i < 8; i++) {
        if (write(file, page, PAGE) != (ssize_t)PAGE) {
            bail("no file");
        }
    }
    byte *start = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, file, 0);
    for (int i = 0; i < 8; i++) {
        (void)*(volatile byte *)(start + i * PAGE);
    }
    start[0] = page[0]; /* this one becomes anonymous */
    start[PAGE] = page[0];
    ok_equal(offer(area, start, 8), 0, "a file mapped privately");
    ok(ksm_wait_pages(start, 2), "merges where it was written");
    ksm_scan(3);
    ok_equal(ksm_kb(start), 8, "and nowhere else");
    close(area);
    ok(all_hold(start, 8, 8), "it holds what it held");
    close(file);
    unlink("/tmp/ksm-device");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(calls), TAP_CASE(regions_are_checked),
        TAP_CASE(quota), TAP_CASE(scanner),
        TAP_CASE(users), TAP_CASE(merges_and_parts),
        TAP_CASE(ends),  TAP_CASE(files_do_not_merge),
    };
    device = open("/dev/ksm", O_RDWR);
    return KSM_MAIN(cases);
}
