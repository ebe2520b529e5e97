/*
 * The devices in /dev.
 */
#pragma once

#include "user/servers/posix/fs.h"

/* Makes the nodes in /dev. */
void dev_init(void);

/* Opens a character device by its number: -ENXIO if nobody has it. */
long dev_open(struct inode *inode, struct file *file, struct thread *thread);

static inline u64 dev_number(u32 major, u32 minor)
{
    return (u64)major << 8 | minor; /* as st_rdev shows numbers below 256 */
}

enum { DEV_MEM_MAJOR = 1, DEV_TTY_MAJOR = 4, DEV_TTY_ALIAS_MAJOR = 5, DEV_MISC_MAJOR = 10 };
enum { DEV_TTY_OWN = 0, DEV_CONSOLE = 1, DEV_TTYS0 = 64, DEV_KSM = 233 };

/* /dev/kmsg (kmsg.c). */
extern const struct file_ops kmsg_ops;
