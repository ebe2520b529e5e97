/*
 * Who a process is: user and group ids, and capabilities.
 *
 * The rules are Linux's: a set*uid call that takes the last 0 away from the three user ids takes
 * all capabilities with it, and the effective ones follow the effective id.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/exec.h"
#include "user/servers/posix/limits.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <string.h>

#define KEEP (~0u)            /* an argument of -1: leave this one as it is */
#define VERSION_1 0x19980330u /* of capget's structures: 32 bits a set */
#define VERSION_2 0x20071026u /* and 64 */
#define VERSION_3 0x20080522u

struct cap_header {
    u32 version;
    s32 pid;
};

struct cap_data { /* 32 capabilities; versions 2 and 3 have two of them */
    u32 effective, permitted, inheritable;
};

/* ---- User ids ---- */

static bool any_root(const struct credentials *cred)
{
    return !cred->uid || !cred->euid || !cred->suid;
}

/* Takes new user ids into use, and what follows from them for the capabilities. */
static void set_users(struct process *process, u32 uid, u32 euid, u32 suid)
{
    struct credentials *cred = &process->cred;
    bool was_root = any_root(cred), was_effective = !cred->euid;

    cred->uid = uid;
    cred->euid = cred->fsuid = euid;
    cred->suid = suid;
    if (was_root && !any_root(cred) && !process->keep_capabilities)
        cred->cap_permitted = cred->cap_effective = 0;
    if (was_effective && cred->euid)
        cred->cap_effective = 0;
    else if (!was_effective && !cred->euid)
        cred->cap_effective = cred->cap_permitted;
    limits_tell(process);
}

static bool is_own_user(const struct credentials *cred, u32 id)
{
    return id == KEEP || id == cred->uid || id == cred->euid || id == cred->suid;
}

long call_setresuid(struct thread *thread, const u64 *args)
{
    const struct credentials *cred = &thread->process->cred;
    u32 uid = (u32)args[0], euid = (u32)args[1], suid = (u32)args[2];

    if (!has_capability(cred, CAP_SETUID) &&
        !(is_own_user(cred, uid) && is_own_user(cred, euid) && is_own_user(cred, suid)))
        return -EPERM;
    set_users(thread->process, uid == KEEP ? cred->uid : uid, euid == KEEP ? cred->euid : euid,
              suid == KEEP ? cred->suid : suid);
    return 0;
}

long call_setreuid(struct thread *thread, const u64 *args)
{
    const struct credentials *cred = &thread->process->cred;
    u32 uid = (u32)args[0], euid = (u32)args[1];
    bool may = has_capability(cred, CAP_SETUID);
    bool saved = uid != KEEP || (euid != KEEP && euid != cred->uid);

    if (!may && uid != KEEP && uid != cred->uid && uid != cred->euid)
        return -EPERM;
    if (!may && !is_own_user(cred, euid))
        return -EPERM;
    uid = uid == KEEP ? cred->uid : uid;
    euid = euid == KEEP ? cred->euid : euid;
    set_users(thread->process, uid, euid, saved ? euid : cred->suid);
    return 0;
}

long call_setuid(struct thread *thread, const u64 *args)
{
    const struct credentials *cred = &thread->process->cred;
    u32 uid = (u32)args[0];

    if (uid == KEEP)
        return -EINVAL;
    if (has_capability(cred, CAP_SETUID))
        set_users(thread->process, uid, uid, uid);
    else if (uid == cred->uid || uid == cred->suid)
        set_users(thread->process, cred->uid, uid, cred->suid);
    else
        return -EPERM;
    return 0;
}

/* This and setfsgid return the old id and never fail: who is refused sees no change. */
long call_setfsuid(struct thread *thread, const u64 *args)
{
    struct credentials *cred = &thread->process->cred;
    u32 old = cred->fsuid, id = (u32)args[0];

    if (id != KEEP && (id == old || is_own_user(cred, id) || has_capability(cred, CAP_SETUID)))
        cred->fsuid = id;
    return old;
}

static long put_three(struct thread *thread, const u64 *args, u32 one, u32 two, u32 three)
{
    if (user_put(thread, args[0], &one, sizeof one) ||
        user_put(thread, args[1], &two, sizeof two) ||
        user_put(thread, args[2], &three, sizeof three))
        return -EFAULT;
    return 0;
}

long call_getresuid(struct thread *thread, const u64 *args)
{
    const struct credentials *cred = &thread->process->cred;

    return put_three(thread, args, cred->uid, cred->euid, cred->suid);
}

long call_getuid(struct thread *thread, const u64 *args)
{
    (void)args;
    return thread->process->cred.uid;
}

long call_geteuid(struct thread *thread, const u64 *args)
{
    (void)args;
    return thread->process->cred.euid;
}

/* ---- Group ids ---- */

static void set_gids(struct credentials *cred, u32 gid, u32 egid, u32 sgid)
{
    cred->gid = gid;
    cred->egid = cred->fsgid = egid;
    cred->sgid = sgid;
}

static bool is_own_group(const struct credentials *cred, u32 id)
{
    return id == KEEP || id == cred->gid || id == cred->egid || id == cred->sgid;
}

long call_setresgid(struct thread *thread, const u64 *args)
{
    struct credentials *cred = &thread->process->cred;
    u32 gid = (u32)args[0], egid = (u32)args[1], sgid = (u32)args[2];

    if (!has_capability(cred, CAP_SETGID) &&
        !(is_own_group(cred, gid) && is_own_group(cred, egid) && is_own_group(cred, sgid)))
        return -EPERM;
    set_gids(cred, gid == KEEP ? cred->gid : gid, egid == KEEP ? cred->egid : egid,
             sgid == KEEP ? cred->sgid : sgid);
    return 0;
}

long call_setregid(struct thread *thread, const u64 *args)
{
    struct credentials *cred = &thread->process->cred;
    u32 gid = (u32)args[0], egid = (u32)args[1];
    bool may = has_capability(cred, CAP_SETGID);
    bool saved = gid != KEEP || (egid != KEEP && egid != cred->gid);

    if (!may && gid != KEEP && gid != cred->gid && gid != cred->egid)
        return -EPERM;
    if (!may && !is_own_group(cred, egid))
        return -EPERM;
    gid = gid == KEEP ? cred->gid : gid;
    egid = egid == KEEP ? cred->egid : egid;
    set_gids(cred, gid, egid, saved ? egid : cred->sgid);
    return 0;
}

long call_setgid(struct thread *thread, const u64 *args)
{
    struct credentials *cred = &thread->process->cred;
    u32 gid = (u32)args[0];

    if (gid == KEEP)
        return -EINVAL;
    if (has_capability(cred, CAP_SETGID))
        set_gids(cred, gid, gid, gid);
    else if (gid == cred->gid || gid == cred->sgid)
        set_gids(cred, cred->gid, gid, cred->sgid);
    else
        return -EPERM;
    return 0;
}

long call_setfsgid(struct thread *thread, const u64 *args)
{
    struct credentials *cred = &thread->process->cred;
    u32 old = cred->fsgid, id = (u32)args[0];

    if (id != KEEP && (id == old || is_own_group(cred, id) || has_capability(cred, CAP_SETGID)))
        cred->fsgid = id;
    return old;
}

long call_getresgid(struct thread *thread, const u64 *args)
{
    const struct credentials *cred = &thread->process->cred;

    return put_three(thread, args, cred->gid, cred->egid, cred->sgid);
}

long call_getgid(struct thread *thread, const u64 *args)
{
    (void)args;
    return thread->process->cred.gid;
}

long call_getegid(struct thread *thread, const u64 *args)
{
    (void)args;
    return thread->process->cred.egid;
}

long call_getgroups(struct thread *thread, const u64 *args)
{
    const struct credentials *cred = &thread->process->cred;
    s32 room = (s32)args[0];

    if (room < 0 || (room && (u32)room < cred->group_count))
        return -EINVAL;
    if (room && user_put(thread, args[1], cred->groups, cred->group_count * sizeof(u32)))
        return -EFAULT;
    return cred->group_count;
}

long call_setgroups(struct thread *thread, const u64 *args)
{
    struct credentials *cred = &thread->process->cred;
    u32 groups[GROUPS_MAX];

    if (!has_capability(cred, CAP_SETGID))
        return -EPERM;
    if (args[0] > GROUPS_MAX)
        return -EINVAL;
    if (args[0] && user_get(thread, groups, args[1], args[0] * sizeof(u32)))
        return -EFAULT;
    cred->group_count = (u32)args[0];
    memcpy(cred->groups, groups, args[0] * sizeof(u32));
    return 0;
}

/* ---- Capabilities ---- */

/* How many 32-bit halves the caller's version of the structure has; 0 = unknown version. */
static u32 halves_of(u32 version)
{
    switch (version) {
    case VERSION_1: return 1;
    case VERSION_2:
    case VERSION_3: return 2;
    default: return 0;
    }
}

/* Takes the header; tells a caller with an unknown version which one to use. */
static long get_header(struct thread *thread, u64 address, struct cap_header *header, u32 *halves)
{
    if (user_get(thread, header, address, sizeof *header))
        return -EFAULT;
    *halves = halves_of(header->version);
    if (*halves)
        return header->pid < 0 ? -EINVAL : 0;
    return user_put_u32(thread, address, VERSION_3) ? -EFAULT : -EINVAL;
}

long call_capget(struct thread *thread, const u64 *args)
{
    struct cap_header header;
    struct cap_data data[2];
    const struct process *process = thread->process;
    u32 halves;
    long error = get_header(thread, args[0], &header, &halves);

    if (error)
        return error == -EINVAL && !halves && !args[1] ? 0 : error;
    if (header.pid && !thread_find((u32)header.pid))
        return -ESRCH;
    if (header.pid)
        process = thread_find((u32)header.pid)->process;
    for (u32 i = 0; i < halves; i++) {
        data[i].effective = (u32)(process->cred.cap_effective >> 32 * i);
        data[i].permitted = (u32)(process->cred.cap_permitted >> 32 * i);
        data[i].inheritable = (u32)(process->cred.cap_inheritable >> 32 * i);
    }
    return args[1] ? user_put(thread, args[1], data, halves * sizeof *data) : 0;
}

static u64 join(u32 low, u32 high, u32 halves)
{
    return (low | (halves == 2 ? (u64)high << 32 : 0)) & CAP_ALL;
}

long call_capset(struct thread *thread, const u64 *args)
{
    struct cap_header header;
    struct cap_data data[2] = {0};
    struct credentials *cred = &thread->process->cred;
    u64 effective, permitted, inheritable;
    u32 halves;
    long error = get_header(thread, args[0], &header, &halves);

    if (error)
        return error;
    if (header.pid && (u32)header.pid != thread->tid)
        return -EPERM;
    if (user_get(thread, data, args[1], halves * sizeof *data))
        return -EFAULT;
    effective = join(data[0].effective, data[1].effective, halves);
    permitted = join(data[0].permitted, data[1].permitted, halves);
    inheritable = join(data[0].inheritable, data[1].inheritable, halves);
    if (permitted & ~cred->cap_permitted || effective & ~permitted ||
        inheritable & ~(cred->cap_inheritable | cred->cap_permitted))
        return -EPERM;
    cred->cap_effective = effective;
    cred->cap_permitted = permitted;
    cred->cap_inheritable = inheritable;
    limits_tell(thread->process);
    return 0;
}
