/*
 * Do disks keep what is written to them, with and without O_DIRECT, and refuse what they can't do?
 *
 * vm: --smp 4 --mem 256 --test-disk plain --test-disk slow --test-disk bad
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include "disk.h"
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define MANY 300ul /* pages: several requests */

static void fill_pages(byte *area, size_t pages, uint64_t seed)
{
    for (size_t i = 0; i < pages; i++) {
        fill_page(area + i * PAGE, seed + i);
    }
}

static bool pages_hold(const byte *area, size_t pages, uint64_t seed)
{
    for (size_t i = 0; i < pages; i++) {
        if (!page_holds(area + i * PAGE, seed + i)) {
            return false;
        }
    }
    return true;
}

static void round_trip(void)
{
    int fd = disk_open(PLAIN, O_RDWR | O_DIRECT), plain = disk_open(PLAIN, O_RDONLY);
    byte *out = map_pages(MANY, RW), *in = map_pages(MANY, RW);
    fill_pages(out, MANY, 7);
    ok_equal(pwrite(fd, out, MANY * PAGE, MIB), MANY * PAGE, "300 pages go out directly");
    ok_equal(pread(fd, in, MANY * PAGE, MIB), MANY * PAGE, "and come back directly");
    ok(pages_hold(in, MANY, 7), "unchanged");
    memset(in, 0, MANY * PAGE);
    ok_equal(pread(plain, in + 1, MANY * PAGE - 5, MIB + 1), MANY * PAGE - 5,
             "and through the server, at odd places");
    in[0] = out[0];
    memcpy(in + MANY * PAGE - 4, out + MANY * PAGE - 4, 4);
    ok(pages_hold(in, MANY, 7), "unchanged");
    ok_equal(fsync(fd), 0, "the disk is told to keep it");
    ok_equal(fdatasync(plain), 0, "who has not written has nothing to be kept");
}

static void positions(void)
{
    int fd = disk_open(PLAIN, O_RDWR | O_DIRECT);
    byte *area = map_pages(2, RW);
    fill_pages(area, 2, 77);
    ok_equal(lseek(fd, 4 * MIB, SEEK_SET), 4 * MIB, "a disk can be seeked");
    ok_equal(write(fd, area, 2 * PAGE), 2 * PAGE, "written there");
    ok_equal(lseek(fd, 0, SEEK_CUR), 4 * MIB + 2 * (long)PAGE, "the position has moved");
    ok_equal(lseek(fd, -(long)PAGE, SEEK_CUR), 4 * MIB + (long)PAGE, "back by a page");
    memset(area, 0, 2 * PAGE);
    ok_equal(read(fd, area, PAGE), PAGE, "read there");
    ok(page_holds(area, 78), "it is the second page");
}

static void alignment(void)
{
    int fd = disk_open(PLAIN, O_RDWR | O_DIRECT);
    byte *area = map_pages(2, RW);
    ok_errno(pread(fd, area + 8, SECTOR, 0), EINVAL, "an address within a sector");
    ok_errno(pread(fd, area, 100, 0), EINVAL, "a length that is no sector");
    ok_errno(pread(fd, area, SECTOR, 8), EINVAL, "a position within a sector");
    ok_errno(pwrite(fd, area + 8, SECTOR, 0), EINVAL, "the same for writing");
    ok_equal(pread(fd, area + SECTOR, SECTOR, SECTOR), SECTOR, "a sector within a page");
    ok_equal(pread(fd, area + 3 * SECTOR, PAGE, 5 * SECTOR), PAGE, "a page across two");
    ok_equal(pread(fd, area, 0, 0), 0, "nothing");
}

static void vectors(void)
{
    int fd = disk_open(PLAIN, O_RDWR | O_DIRECT);
    byte *out = map_pages(2, RW), *in = map_pages(3, RW);
    struct iovec pieces[] = {{in + PAGE + SECTOR, (size_t)SECTOR},
                             {in, 0},
                             {in + 2 * PAGE - 2 * SECTOR, 4 * (size_t)SECTOR},
                             {in + 2 * SECTOR, 3 * (size_t)SECTOR}};
    fill_pages(out, 2, 5);
    memset(in, 1, 3 * PAGE);
    ok_equal(pwrite(fd, out, PAGE, 8 * MIB), PAGE, "a page goes out");
    ok_equal(preadv(fd, pieces, 4, 8 * MIB), PAGE, "and comes back in pieces");
    ok(!memcmp(pieces[0].iov_base, out, 512) && !memcmp(pieces[2].iov_base, out + 512, 2048) &&
           !memcmp(pieces[3].iov_base, out + 2560, 1536),
       "each where it was wanted");
    ok(in[0] == 1 && in[SECTOR] == 1 && in[5 * SECTOR] == 1 && in[PAGE] == 1 &&
           in[2 * PAGE + 2 * SECTOR] == 1,
       "and nowhere else");
    pieces[2].iov_len = 100;
    ok_errno(preadv(fd, pieces, 4, 8 * MIB), EINVAL, "one piece is no sector");
}

static void end_of_disk(void)
{
    int fd = disk_open(PLAIN, O_RDWR), direct = disk_open(PLAIN, O_RDWR | O_DIRECT);
    long end = PLAIN * MIB;
    byte *area = map_pages(4, RW);
    ok_equal(lseek(fd, 0, SEEK_END), end, "the end is where the size says");
    ok_equal(read(fd, area, 100), 0, "nothing is read there");
    ok_equal(pread(direct, area, PAGE, end), 0, "nor directly");
    ok_equal(pread(fd, area, 4 * PAGE, end - 100), 100, "a read is cut at the end");
    ok_equal(pread(direct, area, 4 * PAGE, end - 3 * SECTOR), 3 * SECTOR, "directly as well");
    ok_errno(pwrite(fd, area, 1, end), ENOSPC, "there is no room behind it");
    ok_errno(pwrite(direct, area, PAGE, end + MIB), ENOSPC, "nor directly");
    ok_equal(pwrite(direct, area, 2 * PAGE, end - (long)PAGE), PAGE, "a write is cut at the end");
}

static void facts(void)
{
    int fd = disk_open(PLAIN, O_RDONLY), sector = 0;
    uint64_t bytes = 0;
    unsigned long sectors = 0;
    struct stat stat;
    char text[64] = "";
    ok(fstat(fd, &stat) == 0 && S_ISBLK(stat.st_mode) && (stat.st_rdev >> 8) == 254,
       "it is a block device");
    ok(ioctl(fd, BLKGETSIZE64, &bytes) == 0 && bytes == PLAIN * (uint64_t)MIB, "of 32 MiB");
    ok(ioctl(fd, BLKGETSIZE, &sectors) == 0 && sectors == bytes / 512, "in sectors");
    ok(ioctl(fd, BLKSSZGET, &sector) == 0 && sector == 512, "of 512 bytes");
    ok_errno(write(fd, text, 1), EBADF, "opened for reading, it can't be written to");
    ok_errno(ioctl(fd, TCGETS, text), ENOTTY, "it is no terminal");
    ok_equal(system("grep -q '254 .* 32768 vd' /proc/partitions"), 0, "it is in /proc/partitions");
    ok_equal(mknod("/tmp/no-disk", S_IFBLK | 0600, 8 << 8), 0, "a node for another disk");
    ok_errno(open("/tmp/no-disk", O_RDONLY), ENXIO, "which is not there");
}

/* Eight processes change a part each of one block, again and again. */
static void parts_of_a_block(void)
{
    int fd = disk_open(PLAIN, O_RDWR);
    char block[512], wanted[512];
    for (int i = 0; i < 8; i++) {
        memset(wanted + 64 * i, 'a' + i, 64);
        if (fork() == 0) {
            for (int turn = 0; turn < 20; turn++) {
                memset(block, turn == 19 ? 'a' + i : turn, 64);
                if (pwrite(fd, block, 64, 9 * MIB + 64 * i) != 64) {
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    for (int i = 0, status; i < 8; i++) {
        ok(wait(&status) > 0 && status == 0, "a writer has come through");
    }
    ok_equal(pread(fd, block, 512, 9 * MIB), 512, "read what they made of it");
    ok(!memcmp(block, wanted, 512), "every part is as it was written last");
}

static void bad_sector(void)
{
    int fd = disk_open(BAD, O_RDONLY), direct = disk_open(BAD, O_RDONLY | O_DIRECT);
    byte *area = map_pages(4, RW);
    long at = BAD_SECTOR * SECTOR;
    memset(area, 1, 4 * PAGE);
    ok_errno(pread(direct, area, PAGE, at), EIO, "a bad sector");
    ok_errno(pread(fd, area, 10, at + 5), EIO, "through the server");
    ok_equal(pread(direct, area, 2 * PAGE, at - 2 * (long)PAGE), 2 * PAGE, "what is before it");
    ok(page_is_zero(area) && page_is_zero(area + PAGE), "has arrived");
    ok_equal(pread(direct, area, PAGE, at + 8 * SECTOR), PAGE, "and what is behind it");
}

static void bad_memory(void)
{
    int fd = disk_open(PLAIN, O_RDWR | O_DIRECT);
    byte *area = map_island(2, RW);
    ok_errno(pread(fd, NULL, PAGE, 0), EFAULT, "no memory there");
    ok_errno(pread(fd, area, 4 * PAGE, 0), EFAULT, "none at the end");
    mprotect(area, PAGE, PROT_READ);
    ok_errno(pread(fd, area, PAGE, 0), EFAULT, "memory that can't be written to");
    ok_equal(pwrite(fd, area, PAGE, 12 * MIB), PAGE, "can be written from");
    ok_errno(pread(fd, (byte *)(1ul << 47) - PAGE, PAGE, 0), EFAULT,
             "the end of the address space");
    ok_errno(pread(fd, (byte *)~0xffful, PAGE, 0), EFAULT, "the kernel's memory");
    ok_equal(audit(), 0, "no frame has a wrong count");
}

/* File to file, which waits in the middle of a copy. */
static void copies(void)
{
    byte *out = map_pages(64, RW);
    int disk = disk_open(PLAIN, O_RDWR), file = open("/tmp/copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
    fill_pages(out, 64, 99);
    ok_equal(pwrite(disk, out, 64 * PAGE, 16 * MIB), 64 * PAGE, "64 pages on the disk");
    ok_equal(system("f=$(ls /sys/block | while read d; do [ $(cat /sys/block/$d/size) = 65536 ] &&"
                    " echo $d; done); dd if=/dev/$f of=/tmp/copy bs=4k skip=4096 count=64 && "
                    "cat /dev/$f | wc -c | grep -q 33554432"),
             0, "dd and cat read them");
    memset(out, 0, 64 * PAGE);
    ok_equal(pread(file, out, 64 * PAGE, 0), 64 * PAGE, "from the file");
    ok(pages_hold(out, 64, 99), "they are the same");
    unlink("/tmp/copy");
}

static void *churn(void *argument)
{
    unsigned long self = (unsigned long)argument, bad = 0;
    int fd = disk_open(PLAIN, self & 1 ? O_RDWR | O_DIRECT : O_RDWR);
    byte *area = map_pages(40, RW);
    for (unsigned long turn = 0; turn < 12; turn++) {
        size_t pages = 1 + (self * 7 + turn * 5) % 40;
        long at = (20 + (long)self) * MIB + (long)(turn * PAGE);
        fill_pages(area, pages, self * 1000 + turn);
        bad += pwrite(fd, area, pages * PAGE, at) != (long)(pages * PAGE);
        memset(area, 0, pages * PAGE);
        bad += pread(fd, area, pages * PAGE, at) != (long)(pages * PAGE);
        bad += !pages_hold(area, pages, self * 1000 + turn);
    }
    return (void *)bad;
}

static void many_at_once(void)
{
    pthread_t threads[8];
    void *bad;
    for (unsigned long i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, churn, (void *)i);
    }
    for (unsigned long i = 0; i < 8; i++) {
        pthread_join(threads[i], &bad);
        ok_equal((long)bad, 0, "a thread finds what it has written");
    }
    ok_equal(audit(), 0, "no frame has a wrong count");
}

/* A disk that does not answer in time is reset, and works again. */
static void time_out(void)
{
    struct flight flight = {.fd = disk_open(SLOW, O_RDWR | O_DIRECT), .memory = map_pages(1, RW)};
    flight.bytes = PAGE;
    fill_page(flight.memory, 3);
    ok_equal(pwrite(flight.fd, flight.memory, PAGE, MIB), PAGE, "a slow write");
    sleep_ns(2 * LATE_NS);
    ok_equal(tunable_set("block.timeout_ms", "300"), 0, "a short time-out");
    flight_start(&flight);
    long result = flight_end(&flight);
    ok(result == (long)PAGE || (result == -1 && errno == EIO),
       "a transfer that takes too long is ended, one way or the other: %ld", result);
    ok_equal(system("dmesg | grep -q 'vd.: started again'"), 0, "by a reset of the disk");
    ok_equal(tunable_set("block.timeout_ms", "30000"), 0, "patience again");
    memset(flight.memory, 0, PAGE);
    ok_equal(pread(flight.fd, flight.memory, PAGE, MIB), PAGE, "the disk works again");
    ok(page_holds(flight.memory, 3), "and has kept what it had");
    ok_equal(audit(), 0, "no frame has a wrong count");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(round_trip), TAP_CASE(positions),    TAP_CASE(alignment),
        TAP_CASE(vectors),    TAP_CASE(end_of_disk),  TAP_CASE(facts),
        TAP_CASE(bad_sector), TAP_CASE(bad_memory),   TAP_CASE(parts_of_a_block),
        TAP_CASE(copies),     TAP_CASE(many_at_once), TAP_CASE(time_out),
    };
    return TAP_MAIN(cases);
}
