/* The cpio reader: good archives, archives cut at every byte, and archives with damaged bytes. */
#include "lib/cpio.h"
#include "tests/unit/tap.h"
#include <string.h>

static u8 archive[4096];
static usize archive_size;

static void pad(void)
{
    while (archive_size % 4)
        archive[archive_size++] = 0;
}

/* Appends an entry as the format's description says; magic 1 or 2. */
static void append(int magic, const char *name, u32 mode, const char *data, u32 size)
{
    u32 sum = 0;

    for (u32 i = 0; magic == 2 && i < size; i++)
        sum += (u8)data[i];
    archive_size +=
        sprintf((char *)archive + archive_size,
                "07070%d%08x%08X%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", magic, 11, mode,
                1000, 100, 2, 0x65a0b1c2, size, 3, 4, 5, 6, (u32)strlen(name) + 1, sum);
    memcpy(archive + archive_size, name, strlen(name) + 1);
    archive_size += strlen(name) + 1;
    pad();
    memcpy(archive + archive_size, data, size);
    archive_size += size;
    pad();
}

static void build(void)
{
    archive_size = 0;
    append(1, "bin", 040755, "", 0);
    append(1, "bin/sh", 0100755, "shell", 5);
    append(2, "summed", 0100644, "checksum!", 9);
    append(1, "etc/a", 0100644, "abcd", 4);
    append(1, "TRAILER!!!", 0, "", 0);
}

static void test_good(void)
{
    struct cpio cpio;
    struct cpio_entry entry;

    build();
    cpio_open(&cpio, archive, archive_size);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_ENTRY);
    CHECK(strcmp(entry.name, "bin") == 0 && entry.size == 0 && entry.mode == 040755);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_ENTRY);
    CHECK(strcmp(entry.name, "bin/sh") == 0 && entry.name_length == 6);
    CHECK(entry.size == 5 && memcmp(entry.data, "shell", 5) == 0);
    CHECK(entry.inode == 11 && entry.uid == 1000 && entry.gid == 100 && entry.nlink == 2);
    CHECK_EQ(entry.mtime, 0x65a0b1c2);
    CHECK(entry.dev_major == 3 && entry.dev_minor == 4);
    CHECK(entry.rdev_major == 5 && entry.rdev_minor == 6);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_ENTRY);
    CHECK(memcmp(entry.data, "checksum!", 9) == 0);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_ENTRY);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_END);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_END);
}

static void test_find(void)
{
    struct cpio_entry entry;

    build();
    CHECK(cpio_find(archive, archive_size, "etc/a", &entry) && entry.size == 4);
    CHECK(!cpio_find(archive, archive_size, "etc", &entry));
    CHECK(!cpio_find(archive, 0, "etc/a", &entry));
}

/* Reads all entries and every byte they name; how it ended. */
static enum cpio_status read_all(const u8 *bytes, usize size, usize *entries)
{
    struct cpio cpio;
    struct cpio_entry entry;
    enum cpio_status status;
    u32 sum = 0;

    *entries = 0;
    cpio_open(&cpio, bytes, size);
    while ((status = cpio_next(&cpio, &entry)) == CPIO_ENTRY) {
        CHECK_EQ(strlen(entry.name), entry.name_length);
        for (usize i = 0; i < entry.size; i++)
            sum += entry.data[i];
        ++*entries;
    }
    return sum == UINT32_MAX ? CPIO_BAD : status;
}

static void test_cut(void)
{
    usize entries;

    build();
    for (usize size = 0; size <= archive_size; size++) {
        u8 *exact = malloc(size + !size); /* so that reading beyond it is caught */

        memcpy(exact, archive, size);
        /* the trailer's own padding is all that may be missing */
        CHECK_EQ(read_all(exact, size, &entries),
                 size + 3 > archive_size - 1 ? CPIO_END : CPIO_BAD);
        free(exact);
    }
}

static void test_damage(void)
{
    usize entries;

    build();
    for (int round = 0; round < 20000; round++) {
        u8 *copy = malloc(archive_size);

        memcpy(copy, archive, archive_size);
        for (u64 hits = 1 + random_below(3); hits; hits--) {
            u8 *byte = &copy[random_below(archive_size)];

            *byte = random_u64();
            if (random_below(2))
                *byte = "0123456789abcdefF"[*byte % 17];
        }
        read_all(copy, archive_size, &entries);
        CHECK(entries <= 5); /* the trailer, renamed, is one */
        free(copy);
    }
}

/* One field changed; the reader must stay where it was. */
static void check_refused(usize offset, const char *digits)
{
    struct cpio cpio;
    struct cpio_entry entry;

    build();
    memcpy(archive + offset, digits, strlen(digits));
    cpio_open(&cpio, archive, archive_size);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_BAD);
    CHECK_EQ(cpio.position, 0);
}

/* More NULs than one move the content to a boundary; the name ends at the first. */
static void test_padded_name(void)
{
    struct cpio cpio;
    struct cpio_entry entry;

    build();
    memcpy(archive + 94, "00000006", 8);
    cpio_open(&cpio, archive, archive_size);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_ENTRY);
    CHECK(strcmp(entry.name, "bin") == 0 && entry.name_length == 3);
    CHECK_EQ(cpio_next(&cpio, &entry), CPIO_ENTRY);
    CHECK(strcmp(entry.name, "bin/sh") == 0);
}

/* Where these bytes stand in the archive. */
static u8 *find_data(const char *text)
{
    u8 *at = archive;

    while (memcmp(at, text, strlen(text)) != 0)
        at++;
    return at;
}

static void test_refused(void)
{
    usize entries;

    check_refused(0, "070707");    /* the old format's magic */
    check_refused(6, "0000000g");  /* no digit */
    check_refused(54, "ffffffff"); /* file size */
    check_refused(54, "fffffffe");
    check_refused(94, "ffffffff"); /* name size */
    check_refused(94, "00000000");
    check_refused(94, "00000001"); /* empty name */
    check_refused(94, "00000003"); /* no NUL at its end */

    build();
    find_data("shell")[0] ^= 1; /* has no check sum */
    CHECK_EQ(read_all(archive, archive_size, &entries), CPIO_END);
    find_data("checksum!")[3] ^= 1;
    CHECK_EQ(read_all(archive, archive_size, &entries), CPIO_BAD);
    CHECK_EQ(entries, 2);
}

int main(void)
{
    tap_run("all fields of a good archive", test_good);
    tap_run("an entry is found by its name", test_find);
    tap_run("an archive cut at any byte ends cleanly", test_cut);
    tap_run("20,000 damaged archives are read within bounds", test_damage);
    tap_run("a name may be followed by more NULs", test_padded_name);
    tap_run("contradicting headers and wrong sums are refused", test_refused);
    return tap_done();
}
