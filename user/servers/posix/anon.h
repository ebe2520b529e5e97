/*
 * Inodes for files that no path leads to: pipes, sockets, eventfd and the like.
 */
#pragma once

#include "user/servers/posix/fs.h"

extern struct fs pipe_fs, socket_fs, anon_fs;

/* An inode that is nobody's but the files' that refer to it. NULL = no memory. */
struct inode *anon_create(struct fs *fs, u32 mode);

/* The one inode all kinds of eventfd and the like share: a reference. */
struct inode *anon_shared(void);
