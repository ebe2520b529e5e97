/*
 * What all inodes have in common: references, permissions, times; mounts; and the directories that
 * a process works in.
 */
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <stdlib.h>

#define MOUNTS_MAX 64

struct inode *fs_root;
struct fs *fs_mounts[MOUNTS_MAX];
u32 fs_mount_count;

void inode_put(struct inode *inode)
{
    if (!--inode->refs)
        inode->ops->release(inode);
}

struct inode *inode_get_running(struct inode *inode)
{
    inode->runners++;
    return inode_get(inode);
}

void inode_put_running(struct inode *inode)
{
    inode->runners--;
    inode_put(inode);
}

u64 inode_new_number(void)
{
    static u64 last = 1;

    return ++last;
}

void inode_init(struct inode *inode, struct fs *fs, const struct inode_ops *ops, u32 mode)
{
    inode->refs = 1;
    inode->mode = mode;
    inode->number = inode_new_number();
    inode->fs = fs;
    inode->ops = ops;
    inode->atime = inode->mtime = inode->ctime = inode->btime = (s64)time_real();
}

void inode_touch(struct inode *inode, u32 which)
{
    s64 now = (s64)time_real();

    if (which & TOUCH_ACCESS)
        inode->atime = now;
    if (which & TOUCH_MODIFY)
        inode->mtime = now;
    if (which & TOUCH_CHANGE)
        inode->ctime = now;
}

long fs_mount(struct inode *dir, struct inode *root, struct fs *fs)
{
    if (fs_mount_count == MOUNTS_MAX)
        return -ENOSPC;
    if (dir) {
        dir->mounted = root;
        root->covered = inode_get(dir);
    }
    fs->root = root;
    fs_mounts[fs_mount_count++] = fs;
    return 0;
}

void fs_unmount(struct inode *root)
{
    u32 at = 0;

    while (fs_mounts[at] != root->fs)
        at++;
    fs_mount_count--;
    for (; at < fs_mount_count; at++)
        fs_mounts[at] = fs_mounts[at + 1];
    root->covered->mounted = NULL;
    inode_put(root->covered);
    root->covered = NULL;
    inode_put(root);
}

static bool in_group(const struct credentials *cred, u32 gid, u32 own)
{
    if (gid == own)
        return true;
    for (u32 i = 0; i < cred->group_count; i++) {
        if (cred->groups[i] == gid)
            return true;
    }
    return false;
}

static long check(const struct credentials *cred, const struct inode *inode, u32 may, u32 uid,
                  u32 gid)
{
    u32 mode = inode->mode;

    if (uid == 0) { /* root may all but execute what nobody can execute */
        bool executable = mode & 0111 || inode_is_dir(inode);

        return may & MAY_EXEC && !executable ? -EACCES : 0;
    }
    if (inode->uid == uid)
        mode >>= 6;
    else if (in_group(cred, inode->gid, gid))
        mode >>= 3;
    return may & ~mode & 7 ? -EACCES : 0;
}

long inode_permission(const struct thread *thread, const struct inode *inode, u32 may)
{
    const struct credentials *cred = &thread->process->cred;

    if (may & MAY_WRITE && inode->fs->read_only && !S_ISCHR(inode->mode))
        return -EROFS;
    return check(cred, inode, may, cred->fsuid, cred->fsgid);
}

long inode_permission_real(const struct thread *thread, const struct inode *inode, u32 may)
{
    const struct credentials *cred = &thread->process->cred;

    if (may & MAY_WRITE && inode->fs->read_only && !S_ISCHR(inode->mode))
        return -EROFS;
    return check(cred, inode, may, cred->uid, cred->gid);
}

bool inode_is_owner(const struct thread *thread, const struct inode *inode)
{
    u32 uid = thread->process->cred.fsuid;

    return uid == 0 || uid == inode->uid;
}

struct fs_context *fs_context_create(void)
{
    struct fs_context *context = calloc(1, sizeof *context);

    if (!context)
        return NULL;
    context->refs = 1;
    context->root = inode_get(fs_root);
    context->cwd = inode_get(fs_root);
    context->umask = 022;
    return context;
}

struct fs_context *fs_context_copy(const struct fs_context *from)
{
    struct fs_context *context = malloc(sizeof *context);

    if (!context)
        return NULL;
    *context = *from;
    context->refs = 1;
    inode_get(context->root);
    inode_get(context->cwd);
    return context;
}

void fs_context_put(struct fs_context *context)
{
    if (--context->refs)
        return;
    inode_put(context->root);
    inode_put(context->cwd);
    free(context);
}
