/*
 * Holes in the files of the RAM file system: finding, making and filling them. A hole is a page
 * that the file's object has no frame for; the kernel knows which those are.
 */
#include "user/servers/posix/stats.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <merganser/native.h>

#define PAGE 4096ul

static const u8 zeros[PAGE];

long tmpfs_seek(struct inode *base, u64 offset, bool hole)
{
    const struct tmpfs_inode *inode = tmpfs_of(base);
    long found;

    if (offset >= base->size)
        return -ENXIO;
    if (!inode->file.object) /* in the archive: there are no holes but that behind the end */
        return hole ? (long)base->size : (long)offset;
    found = mg_object_seek(inode->file.object, offset, hole ? MG_SEEK_HOLE : MG_SEEK_DATA);
    if (found == -ENXIO || (found >= 0 && (u64)found >= base->size))
        return hole ? (long)base->size : -ENXIO;
    return found;
}

bool tmpfs_is_short(const struct tmpfs_inode *inode, u64 offset, u64 size)
{
    long hole;

    if (!stats_is_short(STATS_CONTENT, size))
        return false;
    hole = mg_object_seek(inode->file.object, offset, MG_SEEK_HOLE);
    return hole >= 0 && (u64)hole < offset + size; /* else all of it has memory already */
}

/* Zeroes bytes within one page. */
static long clear(struct tmpfs_inode *inode, u64 from, u64 to)
{
    long done = 0;

    if (from < to)
        done = mg_vm_copy(inode->file.object, from, MG_HANDLE_SELF, zeros, to - from);
    return done < 0 ? -ENOSPC : 0;
}

long tmpfs_punch(struct inode *base, u64 offset, u64 size)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    u64 end = MIN(offset + size, base->size), first = ALIGN_UP(offset, PAGE);
    u64 last = ALIGN_DOWN(end, PAGE);
    long error = offset < end ? tmpfs_prepare(base, 0) : 0;

    if (error || offset >= end)
        return error;
    if (first > last) /* all in one page */
        error = clear(inode, offset, end);
    else
        error = clear(inode, offset, first);
    if (!error && first <= last)
        error = clear(inode, last, end);
    if (!error && first < last)
        error = mg_object_punch(inode->file.object, first, last - first);
    inode_touch(base, TOUCH_MODIFY | TOUCH_CHANGE);
    return error < 0 ? error : 0;
}

long tmpfs_allocate(struct inode *base, u64 offset, u64 size)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    u64 end = offset + size;
    long error = tmpfs_prepare(base, end), hole;

    if (tmpfs_is_short(inode, offset, size))
        return -ENOSPC;
    while (!error && offset < end) {
        hole = mg_object_seek(inode->file.object, offset, MG_SEEK_HOLE);
        if (hole < 0 || (u64)hole >= end)
            break;
        offset = ALIGN_DOWN((u64)hole, PAGE);
        error = clear(inode, offset, offset + PAGE);
        offset += PAGE;
    }
    return error;
}
