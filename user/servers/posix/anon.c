/*
 * See anon.h.
 */
#include "user/servers/posix/anon.h"
#include <stdlib.h>

struct fs pipe_fs = {
    .type = "pipefs",
    .source = "none",
    .target = "",
    .device = 12,
    .magic = 0x50495045,
};
struct fs socket_fs = {
    .type = "sockfs",
    .source = "none",
    .target = "",
    .device = 13,
    .magic = 0x534f434b,
};
struct fs anon_fs = {
    .type = "anon_inodefs",
    .source = "none",
    .target = "",
    .device = 14,
    .magic = 0x09041934,
};

static void release(struct inode *inode)
{
    free(inode);
}

static const struct inode_ops ops = {.release = release};

struct inode *anon_create(struct fs *fs, u32 mode)
{
    struct inode *inode = calloc(1, sizeof *inode);

    if (inode) {
        inode_init(inode, fs, &ops, mode);
        inode->nlink = 1;
    }
    return inode;
}

struct inode *anon_shared(void)
{
    static struct inode *shared;

    if (!shared)
        shared = anon_create(&anon_fs, 0600);
    return shared ? inode_get(shared) : NULL;
}
