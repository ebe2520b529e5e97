/*
 * memfd_create: a file of the RAM file system that never gets a name.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>

#define CLOSE_ON_EXEC 1u /* MFD_CLOEXEC */
#define KNOWN_FLAGS (CLOSE_ON_EXEC | 2u /* MFD_ALLOW_SEALING: nothing is ever sealed */)
#define MEMFD_NAME_MAX 249

long call_memfd_create(struct thread *thread, const u64 *args)
{
    char name[MEMFD_NAME_MAX + 1];
    long error = user_get_string(thread, name, sizeof name, args[0]);
    struct inode *inode;
    struct file *file;

    if (args[1] & ~(u64)KNOWN_FLAGS)
        return -EINVAL;
    if (error < 0)
        return error == -ENAMETOOLONG ? -EINVAL : error;
    inode = tmpfs_create(S_IFREG | 0777, 0);
    if (!inode)
        return -ENOMEM;
    inode->uid = thread->process->cred.fsuid;
    inode->gid = thread->process->cred.fsgid;
    error = inode_open(thread, inode, O_RDWR, &file);
    inode_put(inode);
    return error ? error : fd_install(thread->process, file, 0, args[1] & CLOSE_ON_EXEC);
}
