/*
 * user.h: the kernel's access to the current task's memory: checked, and safe against unmapping at
 * any moment.
 */
#pragma once

#include "arch/x86_64/arch.h"
#include "arch/x86_64/pagetable.h"
#include "kernel/base/errno.h"
#include "lib/types.h"

/* The range lies in the user half; says nothing about what is mapped there. */
static inline bool user_range_ok(u64 address, u64 bytes)
{
    return bytes <= USER_END && address <= USER_END - bytes;
}

/* 0 or -EFAULT. May sleep: no spinlock, and not mm->lock of the current task. */
static inline s64 user_read(void *to, u64 from, usize bytes)
{
    if (!user_range_ok(from, bytes) || arch_copy_user(to, (const void *)from, bytes))
        return -EFAULT;
    return 0;
}
static inline s64 user_write(u64 to, const void *from, usize bytes)
{
    if (!user_range_ok(to, bytes) || arch_copy_user((void *)to, from, bytes))
        return -EFAULT;
    return 0;
}
