/*
 * memfd_create: a file of the RAM file system that never gets a name; and the seals of such files,
 * which tmpfs.c keeps to.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_ON_EXEC 1u /* MFD_CLOEXEC */
#define ALLOW_SEALING 2u /* MFD_ALLOW_SEALING */
#define KNOWN_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define MEMFD_NAME_MAX 249

/* An inode with its label, as /proc shows it. */
static struct inode *create(const struct thread *thread, const char *name, u32 flags)
{
    struct inode *inode = tmpfs_create(S_IFREG | 0777, 0);
    char *label = strdup(name);

    if (!inode || !label) {
        if (inode)
            inode_put(inode);
        free(label);
        return NULL;
    }
    inode->uid = thread->process->cred.fsuid;
    inode->gid = thread->process->cred.fsgid;
    tmpfs_of(inode)->file.label = label;
    tmpfs_of(inode)->file.seals = flags & ALLOW_SEALING ? 0 : F_SEAL_SEAL;
    return inode;
}

long call_memfd_create(struct thread *thread, const u64 *args)
{
    char name[MEMFD_NAME_MAX + 1];
    long error = user_get_string(thread, name, sizeof name, args[0]);
    struct inode *inode;
    struct file *file;

    if (args[1] & ~(u64)(CLOSE_ON_EXEC | ALLOW_SEALING))
        return -EINVAL;
    if (error < 0)
        return error == -ENAMETOOLONG ? -EINVAL : error;
    inode = create(thread, name, (u32)args[1]);
    if (!inode)
        return -ENOMEM;
    error = inode_open(thread, inode, O_RDWR, &file);
    inode_put(inode);
    return error ? error : fd_install(thread->process, file, 0, args[1] & CLOSE_ON_EXEC);
}

/* ---- Seals ---- */

long tmpfs_get_seals(struct inode *inode)
{
    return tmpfs_is_file(inode) ? (long)tmpfs_of(inode)->file.seals : -EINVAL;
}

/* Writing can't be sealed while somebody could write through a mapping. */
static bool is_mapped(const struct tmpfs_inode *inode)
{
    struct mg_object_info info;

    return inode->file.object && mg_object_info(inode->file.object, &info) >= 0 && info.mappings;
}

long tmpfs_add_seals(struct file *file, u32 seals)
{
    struct tmpfs_inode *inode = tmpfs_of(file->inode);

    if (!tmpfs_is_file(file->inode) || seals & ~(u32)KNOWN_SEALS)
        return -EINVAL;
    if (!file_can_write(file) || inode->file.seals & F_SEAL_SEAL)
        return -EPERM;
    if (seals & F_SEAL_WRITE && !(inode->file.seals & F_SEAL_WRITE) && is_mapped(inode))
        return -EBUSY;
    inode->file.seals |= seals;
    return 0;
}
