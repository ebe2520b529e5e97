/*
 * Shared memory of System V: segments with a number, attached and detached by address.
 *
 * A segment is a memory object; an attachment is a mapping of it, which the kernel keeps, counts
 * and ends with the address space. So nothing is recorded of who has attached what: shmdt asks the
 * kernel which object is mapped at the address. A removed segment lives on while it is mapped.
 */
#define _GNU_SOURCE
#include "user/servers/posix/shm.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#define PAGE 4096ul
#define SEGMENTS 4096u      /* SHMMNI */
#define COOKIE (1ull << 63) /* marks our objects among the mapped ones */
#define NO_REPLACE 0x100000 /* MAP_FIXED_NOREPLACE */
#define ID_STEP 32768u      /* a slot's next segment has another number */
#define MODE_REMOVED 01000  /* SHM_DEST */

struct segment {
    u32 id; /* slot + sequence * ID_STEP */
    key_t key;
    mg_handle object;
    u64 size;
    u32 uid, gid, cuid, cgid, mode;
    u32 creator, last;
    u64 attached, detached, changed; /* seconds of CLOCK_REALTIME */
    bool removed;
};

static struct segment *segments[SEGMENTS];
static u32 sequence, removed_count;

static u64 seconds(void)
{
    return time_real() / SECOND;
}

/* ---- Finding ---- */

static u64 attachments(const struct segment *segment)
{
    struct mg_object_info info;

    return mg_object_info(segment->object, &info) < 0 ? 0 : info.mappings;
}

static void destroy(struct segment *segment)
{
    segments[segment->id % ID_STEP] = NULL;
    removed_count -= segment->removed;
    mg_handle_close(segment->object);
    free(segment);
}

void shm_sweep(void)
{
    for (u32 slot = 0; slot < SEGMENTS && removed_count; slot++) {
        if (segments[slot] && segments[slot]->removed && !attachments(segments[slot]))
            destroy(segments[slot]);
    }
}

static struct segment *find(u64 id)
{
    u32 slot = (u32)id % ID_STEP;
    struct segment *segment = (s32)id >= 0 && slot < SEGMENTS ? segments[slot] : NULL;

    return segment && segment->id == (u32)id ? segment : NULL;
}

static struct segment *find_key(key_t key)
{
    for (u32 slot = 0; slot < SEGMENTS; slot++) {
        if (segments[slot] && segments[slot]->key == key && !segments[slot]->removed)
            return segments[slot];
    }
    return NULL;
}

/* May the thread, by mode bits as those of files: 4 to read, 2 to write? */
static bool may(const struct thread *thread, const struct segment *segment, u32 want)
{
    const struct credentials *cred = &thread->process->cred;
    u32 mode = segment->mode;

    if (cred->euid == 0)
        return true;
    if (cred->euid == segment->uid || cred->euid == segment->cuid)
        mode >>= 6;
    else if (cred->egid == segment->gid || cred->egid == segment->cgid)
        mode >>= 3;
    return !(want & ~mode);
}

static bool is_owner(const struct thread *thread, const struct segment *segment)
{
    u32 uid = thread->process->cred.euid;

    return uid == 0 || uid == segment->uid || uid == segment->cuid;
}

/* ---- shmget ---- */

static long create(struct thread *thread, key_t key, u64 size, u32 mode)
{
    const struct credentials *cred = &thread->process->cred;
    struct segment *segment;
    u32 slot = 0;
    long object;

    if (!size || size > INT64_MAX)
        return -EINVAL;
    while (slot < SEGMENTS && segments[slot])
        slot++;
    segment = slot < SEGMENTS && !stats_is_short(STATS_RECORD, sizeof *segment)
                  ? calloc(1, sizeof *segment)
                  : NULL;
    if (!segment)
        return slot == SEGMENTS ? -ENOSPC : -ENOMEM;
    segment->id = slot + (sequence++ % (INT32_MAX / ID_STEP)) * ID_STEP;
    object = mg_object_create(ALIGN_UP(size, PAGE), COOKIE | segment->id);
    if (object < 0) {
        free(segment);
        return -ENOMEM;
    }
    segment->object = (mg_handle)object;
    segment->key = key;
    segment->size = size;
    segment->uid = segment->cuid = cred->euid;
    segment->gid = segment->cgid = cred->egid;
    segment->mode = mode & 0777;
    segment->creator = thread->process->pid;
    segment->changed = seconds();
    segments[slot] = segment;
    return segment->id;
}

long call_shmget(struct thread *thread, const u64 *args)
{
    key_t key = (key_t)args[0];
    u32 flags = (u32)args[2];
    struct segment *segment = key == IPC_PRIVATE ? NULL : find_key(key);

    shm_sweep();
    if (!segment)
        return key == IPC_PRIVATE || flags & IPC_CREAT ? create(thread, key, args[1], flags)
                                                       : -ENOENT;
    if (flags & IPC_CREAT && flags & IPC_EXCL)
        return -EEXIST;
    if (!may(thread, segment, (flags >> 6 | flags >> 3 | flags) & 6))
        return -EACCES;
    return args[1] > segment->size ? -EINVAL : (long)segment->id;
}

/* ---- shmat, shmdt ---- */

static long place(u64 address, u32 flags, struct mg_map *map)
{
    if (flags & SHM_RND)
        address = ALIGN_DOWN(address, PAGE);
    if (address % PAGE || (!address && flags & SHM_REMAP))
        return -EINVAL;
    map->addr = address;
    if (address)
        map->flags |= flags & SHM_REMAP ? MAP_FIXED : NO_REPLACE;
    return 0;
}

long call_shmat(struct thread *thread, const u64 *args)
{
    struct segment *segment = find(args[0]);
    u32 flags = (u32)args[2];
    struct mg_map map = {.flags = MAP_SHARED, .prot = PROT_READ};
    long result;

    if (!segment)
        return -EINVAL;
    if (!may(thread, segment, flags & SHM_RDONLY ? 4 : 6))
        return -EACCES;
    result = place(args[1], flags, &map);
    if (result)
        return result;
    map.len = ALIGN_UP(segment->size, PAGE);
    map.object = segment->object;
    map.prot |= (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    map.max_prot = flags & SHM_RDONLY ? PROT_READ | PROT_EXEC : 0;
    result = mg_vm_map(thread->process->task, &map);
    if (result == -EEXIST)
        return -EINVAL;
    if (result < 0)
        return result;
    segment->last = thread->process->pid;
    segment->attached = seconds();
    return result;
}

/* Unmaps all of the segment that was attached at the address, which may have come apart. */
long call_shmdt(struct thread *thread, const u64 *args)
{
    mg_handle task = thread->process->task;
    u64 address = args[0], at = address;
    struct segment *segment;
    struct mg_vma vma;

    if (address % PAGE || mg_vm_query(task, address, &vma) < 0 || vma.start != address ||
        !(vma.cookie & COOKIE) || vma.offset)
        return -EINVAL;
    segment = find(vma.cookie & ~COOKIE);
    if (!segment)
        return -EINVAL;
    do {
        if (vma.cookie == (COOKIE | segment->id) && vma.start - address == vma.offset)
            mg_vm_unmap(task, vma.start, vma.end - vma.start);
        at = vma.end;
    } while (at < address + segment->size && mg_vm_query(task, at, &vma) >= 0);
    segment->last = thread->process->pid;
    segment->detached = seconds();
    shm_sweep();
    return 0;
}

/* ---- shmctl ---- */

static long put_status(struct thread *thread, u64 address, const struct segment *segment)
{
    struct shmid_ds out;

    memset(&out, 0, sizeof out);
    out.shm_perm.__ipc_perm_key = segment->key;
    out.shm_perm.uid = segment->uid;
    out.shm_perm.gid = segment->gid;
    out.shm_perm.cuid = segment->cuid;
    out.shm_perm.cgid = segment->cgid;
    out.shm_perm.mode = segment->mode | (segment->removed ? MODE_REMOVED : 0);
    out.shm_perm.__ipc_perm_seq = (int)(segment->id / ID_STEP);
    out.shm_segsz = segment->size;
    out.shm_atime = (time_t)segment->attached;
    out.shm_dtime = (time_t)segment->detached;
    out.shm_ctime = (time_t)segment->changed;
    out.shm_cpid = (pid_t)segment->creator;
    out.shm_lpid = (pid_t)segment->last;
    out.shm_nattch = attachments(segment);
    return user_put(thread, address, &out, sizeof out);
}

static long set_owner(struct thread *thread, u64 address, struct segment *segment)
{
    struct shmid_ds in;

    if (user_get(thread, &in, address, sizeof in))
        return -EFAULT;
    segment->uid = in.shm_perm.uid;
    segment->gid = in.shm_perm.gid;
    segment->mode = in.shm_perm.mode & 0777;
    segment->changed = seconds();
    return 0;
}

static long remove_segment(struct segment *segment)
{
    if (!segment->removed)
        removed_count++;
    segment->removed = true;
    segment->key = IPC_PRIVATE;
    shm_sweep();
    return 0;
}

static long put_limits(struct thread *thread, u64 address)
{
    struct shminfo info = {.shmmax = ~0ul - (1ul << 24),
                           .shmmin = 1,
                           .shmmni = SEGMENTS,
                           .shmseg = SEGMENTS,
                           .shmall = ~0ul - (1ul << 24)};

    return user_put(thread, address, &info, sizeof info) ? -EFAULT : (long)SEGMENTS - 1;
}

long call_shmctl(struct thread *thread, const u64 *args)
{
    u32 command = (u32)args[1];
    struct segment *segment = find(args[0]);

    if (command == IPC_INFO)
        return put_limits(thread, args[2]);
    if (!segment)
        return -EINVAL;
    switch (command) {
    case IPC_STAT: return may(thread, segment, 4) ? put_status(thread, args[2], segment) : -EACCES;
    case IPC_SET: return is_owner(thread, segment) ? set_owner(thread, args[2], segment) : -EPERM;
    case IPC_RMID: return is_owner(thread, segment) ? remove_segment(segment) : -EPERM;
    case SHM_LOCK: /* pages of objects are never swapped out */
    case SHM_UNLOCK: return is_owner(thread, segment) ? 0 : -EPERM;
    default: return -EINVAL;
    }
}
