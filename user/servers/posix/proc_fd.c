/*
 * PID/fd: a link for each open file, which can be followed to the very file; PID/fdinfo: what is
 * known about each.
 */
#define _GNU_SOURCE
#include "user/servers/posix/anon.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static struct file *file_of(const struct pseudo_node *node)
{
    struct process *process = proc_process(node);

    return process && process->files ? fd_get_any(process, node->key.number) : NULL;
}

void proc_print_path(struct text *text, const struct thread *thread, struct inode *inode)
{
    char path[PATH_MAX];
    long length;

    if (inode->fs == &pipe_fs || inode->fs == &socket_fs) {
        text_print(text, "%s:[%lu]", inode->fs == &pipe_fs ? "pipe" : "socket", inode->number);
        return;
    }
    if (inode->fs == &anon_fs) {
        text_print(text, "anon_inode:[%lu]", inode->number);
        return;
    }
    length = path_of(thread, inode, path, sizeof path);
    if (length >= 0)
        text_add(text, path, (usize)length);
    else if (tmpfs_is_file(inode) && tmpfs_of(inode)->file.label)
        text_print(text, "/memfd:%s (deleted)", tmpfs_of(inode)->file.label);
    else /* its name is not known any more */
        text_print(text, "/#%lu (deleted)", inode->number);
}

/* ---- fd ---- */

static long fd_show(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct file *file = file_of(node);

    if (!file)
        return -ENOENT;
    if (pidfd_of(file))
        text_print(text, "anon_inode:[pidfd]");
    else if (file->inode)
        proc_print_path(text, thread, file->inode);
    else
        text_print(text, "anon_inode:[file]");
    return 0;
}

static long fd_follow(struct pseudo_node *node, struct thread *thread, struct inode **result)
{
    struct file *file = file_of(node);

    if (!file)
        return -ENOENT;
    if (!proc_may_inspect(thread, proc_process(node)))
        return -EACCES;
    if (!file->inode)
        return -ENXIO;
    *result = inode_get(file->inode);
    return 0;
}

static const struct pseudo_entry fd_entry = {
    .mode = S_IFLNK | 0500,
    .show = fd_show,
    .follow = fd_follow,
    .size = 64,
};

/* ---- fdinfo ---- */

static bool closes_on_exec(const struct process *process, u32 fd)
{
    return process->files->cloexec[fd];
}

static long fdinfo_show(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct file *file = file_of(node);
    u32 flags;

    (void)thread;
    if (!file)
        return -ENOENT;
    flags = file->flags;
    if (closes_on_exec(proc_process(node), node->key.number))
        flags |= O_CLOEXEC;
    text_print(text, "pos:\t%lu\nflags:\t0%o\n", file->position, flags);
    if (file->inode)
        text_print(text, "mnt_id:\t%lu\nino:\t%lu\n", file->inode->fs->device, file->inode->number);
    if (pidfd_of(file))
        text_print(text, "Pid:\t%u\nNSpid:\t%u\n", pidfd_of(file), pidfd_of(file));
    return 0;
}

static const struct pseudo_entry fdinfo_entry = {.mode = S_IFREG | 0444, .show = fdinfo_show};

/* ---- The directories ---- */

static void set_child(struct pseudo_child *child, const struct pseudo_entry *entry, u32 fd,
                      const struct file *file)
{
    child->entry = entry;
    child->key.number = fd;
    if (entry == &fd_entry) /* the link's permissions tell how the file was opened */
        child->mode =
            S_IFLNK | 0100 | (file_can_read(file) ? 0400 : 0) | (file_can_write(file) ? 0200 : 0);
    snprintf(child->name, sizeof child->name, "%u", fd);
}

static long find(struct pseudo_node *dir, const char *name, const struct pseudo_entry *entry,
                 struct pseudo_child *child)
{
    struct process *process = proc_process(dir);
    struct file *file = NULL;
    u32 fd;

    if (process && process->files && proc_parse_number(name, FD_LIMIT, &fd))
        file = fd_get_any(process, fd);
    if (!file)
        return -ENOENT;
    set_child(child, entry, fd, file);
    return 0;
}

static bool next(struct pseudo_node *dir, const struct pseudo_entry *entry, u64 *place,
                 struct pseudo_child *child)
{
    struct process *process = proc_process(dir);

    if (!process || !process->files)
        return false;
    for (; *place < process->files->size; ++*place) {
        struct file *file = fd_get_any(process, *place);

        if (file) {
            set_child(child, entry, (u32)*place, file);
            return true;
        }
    }
    return false;
}

long proc_find_fd(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    return find(dir, name, &fd_entry, child);
}

bool proc_next_fd(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    return next(dir, &fd_entry, place, child);
}

long proc_find_fdinfo(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    return find(dir, name, &fdinfo_entry, child);
}

bool proc_next_fdinfo(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    return next(dir, &fdinfo_entry, place, child);
}
