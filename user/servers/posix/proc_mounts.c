/*
 * What is mounted where, in the two formats of Linux, and which kinds of file system there are.
 */
#include "user/servers/posix/anon.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/proc.h"
#include <string.h>

#define FIRST_MOUNT 20 /* number of the root's mount; any would do */

static const char *access_of(const struct fs *fs)
{
    return fs->read_only ? "ro" : "rw";
}

long proc_show_mounts(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    for (u32 i = 0; i < fs_mount_count; i++) {
        const struct fs *fs = fs_mounts[i];

        text_print(text, "%s %s %s %s 0 0\n", fs->source, fs->target, fs->type, access_of(fs));
    }
    return 0;
}

/* All others are mounted on directories of the first. */
long proc_show_mountinfo(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    for (u32 i = 0; i < fs_mount_count; i++) {
        const struct fs *fs = fs_mounts[i];

        text_print(text, "%u %u 0:%lu / %s %s - %s %s %s\n", FIRST_MOUNT + i, i ? FIRST_MOUNT : 1,
                   fs->device, fs->target, access_of(fs), fs->type, fs->source, access_of(fs));
    }
    return 0;
}

/* Is the kind of the i-th mount told by an earlier one? */
static bool is_repeated(u32 i)
{
    for (u32 before = 0; before < i; before++) {
        if (!strcmp(fs_mounts[before]->type, fs_mounts[i]->type))
            return true;
    }
    return false;
}

long proc_show_filesystems(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    const struct fs *unnamed[] = {&pipe_fs, &socket_fs, &anon_fs};

    (void)node;
    (void)thread;
    for (u32 i = 0; i < fs_mount_count; i++) {
        if (!is_repeated(i))
            text_print(text, "nodev\t%s\n", fs_mounts[i]->type);
    }
    for (u32 i = 0; i < ARRAY_LEN(unnamed); i++)
        text_print(text, "nodev\t%s\n", unnamed[i]->type);
    return 0;
}
