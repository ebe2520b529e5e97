/*
 * mount and umount2. What can be mounted is another RAM file system; its content goes with it when
 * it is unmounted. /proc and /sys are mounted from the start, once.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define TYPE_MAX 32
#define OPTIONS_MAX 4096
#define FIRST_DEVICE 32 /* of what is mounted later */
#define OTHER_WAYS (MS_BIND | MS_MOVE | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)
#define TMPFS_MAGIC 0x01021994

/* ---- Mounting ---- */

static struct fs *fs_create(const char *source, const char *target, bool read_only)
{
    static u64 devices = FIRST_DEVICE;
    struct fs *fs = calloc(1, sizeof *fs);

    if (!fs)
        return NULL;
    *fs = (struct fs){
        .type = "tmpfs",
        .source = strdup(source),
        .target = strdup(target),
        .device = devices++,
        .magic = TMPFS_MAGIC,
        .read_only = read_only,
        .mounted_later = true,
    };
    return fs;
}

static void fs_free(struct fs *fs)
{
    free((char *)fs->source);
    free((char *)fs->target);
    free(fs);
}

/* The value of "mode=" among the options, or 01777. */
static u32 mode_of(const char *options)
{
    const char *at = strstr(options, "mode=");

    return at ? (u32)strtoul(at + 5, NULL, 8) & 07777 : 01777;
}

static long mount_tmpfs(struct thread *thread, struct inode *dir, const char *source,
                        const char *options, bool read_only)
{
    char target[PATH_MAX];
    long length = path_of(thread, dir, target, sizeof target);
    struct fs *fs = length < 0 ? NULL : fs_create(source, target, read_only);
    struct inode *root = fs ? tmpfs_init() : NULL;

    if (!root) {
        if (fs)
            fs_free(fs);
        return length < 0 ? length : -ENOMEM;
    }
    root->mode = S_IFDIR | mode_of(options);
    root->fs = fs;
    if (!fs_mount(dir, root, fs))
        return 0;
    inode_put(root);
    fs_free(fs);
    return -ENOSPC;
}

/* Where the walk ends in a mounted root, the directory below is covered already. */
static long remount(struct inode *dir, bool read_only)
{
    if (!dir->covered && dir != fs_root)
        return -EINVAL;
    dir->fs->read_only = read_only;
    return 0;
}

static long mount_checked(struct thread *thread, struct inode *dir, const char *source,
                          const char *type, u64 flags, const char *options)
{
    bool read_only = flags & MS_RDONLY;

    if (!inode_is_dir(dir))
        return -ENOTDIR;
    if (flags & MS_REMOUNT)
        return remount(dir, read_only);
    if (flags & OTHER_WAYS)
        return -EINVAL;
    if (!strcmp(type, "tmpfs") || !strcmp(type, "ramfs"))
        return mount_tmpfs(thread, dir, source, options, read_only);
    return !strcmp(type, "proc") || !strcmp(type, "sysfs") ? -EBUSY : -ENODEV;
}

/* An optional string: empty if the address is 0. */
static long get_optional(struct thread *thread, char *to, usize size, u64 address)
{
    long length = 0;

    *to = '\0';
    if (address)
        length = user_get_string(thread, to, size, address);
    return length < 0 ? (length == -ENAMETOOLONG ? -EINVAL : length) : 0;
}

long call_mount(struct thread *thread, const u64 *args)
{
    static char options[OPTIONS_MAX];
    char source[PATH_MAX], type[TYPE_MAX];
    struct inode *dir;
    long error;

    if (thread->process->cred.euid)
        return -EPERM;
    error = get_optional(thread, source, sizeof source, args[0]);
    if (!error)
        error = get_optional(thread, type, sizeof type, args[2]);
    if (!error)
        error = get_optional(thread, options, sizeof options, args[4]);
    if (!error)
        error = path_at(thread, AT_FDCWD, args[1], PATH_FOLLOW, &dir);
    if (error)
        return error;
    error = mount_checked(thread, dir, source, type, args[3], options);
    inode_put(dir);
    return error;
}

/* ---- Unmounting ---- */

static bool is_in(const struct inode *inode, const struct fs *fs)
{
    return inode && inode->fs == fs;
}

static bool process_uses(const struct process *process, const struct fs *fs)
{
    if (process->zombie)
        return false;
    if (is_in(process->fs->cwd, fs) || is_in(process->fs->root, fs) ||
        is_in(process->program.exe, fs))
        return true;
    for (u32 fd = 0; fd < process->files->size; fd++) {
        const struct file *file = process->files->files[fd];

        if (file && is_in(file->inode, fs))
            return true;
    }
    return false;
}

static bool is_busy(const struct fs *fs)
{
    const struct process *process;

    for (u32 i = 0; i < fs_mount_count; i++) {
        const struct inode *root = fs_mounts[i]->root;

        if (root && is_in(root->covered, fs))
            return true;
    }
    list_for_each_entry(process, &process_all, all_link) {
        if (process_uses(process, fs))
            return true;
    }
    return false;
}

static long unmount(struct inode *root, u32 flags)
{
    struct fs *fs = root->fs;

    if (root == fs_root || (!root->covered && root != fs->root))
        return -EINVAL;
    if (!fs->mounted_later || is_busy(fs))
        return -EBUSY;
    if (flags & MNT_EXPIRE)
        return -EAGAIN;
    tmpfs_empty(root);
    fs_unmount(root);
    return 0;
}

long call_umount2(struct thread *thread, const u64 *args)
{
    u32 flags = (u32)args[1];
    struct inode *root;
    struct fs *fs;
    long error;

    if (flags & ~(u32)(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
        return -EINVAL;
    if (thread->process->cred.euid)
        return -EPERM;
    error = path_at(thread, AT_FDCWD, args[0], flags & UMOUNT_NOFOLLOW ? 0 : PATH_FOLLOW, &root);
    if (error)
        return error;
    fs = root->fs;
    error = unmount(root, flags);
    inode_put(root);
    if (!error)
        fs_free(fs);
    return error;
}
