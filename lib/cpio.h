/*
 * Reads a cpio archive of the "new ASCII" format (magic 070701, or 070702 with check sums) that
 * lies in memory, as the boot loader left it. An entry is
 *
 *     header: 6 bytes of magic and 13 fields of 8 hexadecimal digits
 *     name with its NUL, padded so that the data starts at a multiple of 4 from the archive's start
 *     data, padded likewise
 *
 * and the entry named "TRAILER!!!" ends the archive. Nothing is copied: names and data point into
 * the archive. Nothing is believed: each length is checked against the archive's size first.
 */
#pragma once

#include "lib/types.h"

struct cpio {
    const u8 *archive;
    usize size;
    usize position; /* of the next header, in bytes from the archive's start */
};

struct cpio_entry {
    const char *name; /* ends with NUL */
    usize name_length;
    const u8 *data;
    usize size;
    u32 inode, mode, uid, gid, nlink, mtime;
    u32 dev_major, dev_minor;   /* of the file system it was read from */
    u32 rdev_major, rdev_minor; /* for device nodes */
};

enum cpio_status {
    CPIO_ENTRY, /* *entry is the next one */
    CPIO_END,   /* the trailer was reached */
    CPIO_BAD,   /* malformed or cut off; the iterator stays where it is */
};

/* Starts at the archive's beginning; it must stay in place while entries are used. */
void cpio_open(struct cpio *cpio, const void *archive, usize size);

/* Reads the next entry. */
nodiscard enum cpio_status cpio_next(struct cpio *cpio, struct cpio_entry *entry);

/* Searches the whole archive for a name, byte for byte, without moving any iterator. */
nodiscard bool cpio_find(const void *archive, usize size, const char *name,
                         struct cpio_entry *entry);
