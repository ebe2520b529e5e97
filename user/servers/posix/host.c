/*
 * The machine as a whole: its names, its load, its log, and how it is turned off.
 */
#define _GNU_SOURCE
#include "user/servers/posix/host.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define REBOOT_MAGIC 0xfee1deadu
#define SYSINFO_BYTES 112

static bool is_root(const struct thread *thread)
{
    return thread->process->cred.euid == 0;
}

/* ---- Names ---- */

char host_name[HOST_NAME_BYTES] = "merganser", host_domain[HOST_NAME_BYTES] = "(none)";

void host_utsname(struct utsname *names)
{
    memset(names, 0, sizeof *names);
    strcpy(names->sysname, "Linux"); /* whose calls these are */
    strcpy(names->nodename, host_name);
    strncpy(names->release, boot_info.version, sizeof names->release - 1);
    strcpy(names->version, "Merganser");
    strcpy(names->machine, "x86_64");
    strcpy(names->domainname, host_domain);
}

long call_uname(struct thread *thread, const u64 *args)
{
    struct utsname names;

    host_utsname(&names);
    return user_put(thread, args[0], &names, sizeof names);
}

static long set_host(struct thread *thread, const u64 *args, char *name)
{
    char new[HOST_NAME_BYTES] = {0};

    if (!is_root(thread))
        return -EPERM;
    if (args[1] >= sizeof new)
        return -EINVAL;
    if (user_get(thread, new, args[0], args[1]))
        return -EFAULT;
    memcpy(name, new, sizeof new);
    return 0;
}

long call_sethostname(struct thread *thread, const u64 *args)
{
    return set_host(thread, args, host_name);
}

long call_setdomainname(struct thread *thread, const u64 *args)
{
    return set_host(thread, args, host_domain);
}

long call_sysinfo(struct thread *thread, const u64 *args)
{
    struct mg_memory_stats memory = {0};
    struct sysinfo info;

    stats_memory(&memory);
    memset(&info, 0, sizeof info);
    info.uptime = time_now() / SECOND;
    info.totalram = memory.total;
    info.freeram = memory.free;
    info.sharedram = memory.objects;
    info.totalswap = memory.swap_total;
    info.freeswap = memory.swap_free;
    info.procs = (unsigned short)thread_count;
    info.mem_unit = 4096;
    return user_put(thread, args[0], &info, SYSINFO_BYTES);
}

/* ---- The log ---- */

enum { LOG_READ_ALL = 3, LOG_READ_CLEAR = 4, LOG_CLEAR = 5, LOG_UNREAD = 9, LOG_SIZE = 10 };

static u64 log_cleared; /* bytes of the log before this are not shown any more */

/* Reads the log from an offset to its end: bytes, which the caller frees, and *size. */
static char *read_log(u64 offset, usize *size)
{
    u64 end = log_end(log_cleared);
    char *text = malloc(end - offset + 1);

    *size = 0;
    if (!text)
        return NULL;
    while (offset + *size < end) {
        usize got = log_get(offset + *size, text + *size, end - offset - *size);

        if (!got)
            break;
        *size += got;
    }
    return text;
}

/* Where what can be shown begins. */
static u64 log_start(void)
{
    u64 end = log_end(log_cleared);

    return MAX(log_cleared, end - MIN(end, LOG_KEPT_BYTES));
}

/* The end of the log that fits. */
static long give_log(struct thread *thread, u64 address, s32 room, bool clear)
{
    usize size, shown;
    u64 start = log_start();
    long result;
    char *text;

    if (!address || room < 0)
        return -EINVAL;
    text = read_log(start, &size);
    if (!text)
        return -ENOMEM;
    shown = MIN(size, (usize)room);
    result = user_put(thread, address, text + size - shown, shown) ? -EFAULT : (long)shown;
    if (result >= 0 && clear)
        log_cleared = start + size;
    free(text);
    return result;
}

long call_syslog(struct thread *thread, const u64 *args)
{
    u32 what = (u32)args[0];

    if (what != LOG_READ_ALL && what != LOG_SIZE && !is_root(thread))
        return -EPERM;
    switch (what) {
    case LOG_READ_ALL:
    case LOG_READ_CLEAR: return give_log(thread, args[1], (s32)args[2], what == LOG_READ_CLEAR);
    case LOG_CLEAR: log_cleared = log_end(log_cleared); return 0;
    case LOG_UNREAD: return (long)(log_end(log_cleared) - log_start());
    case LOG_SIZE: return LOG_KEPT_BYTES;
    default: return what <= LOG_SIZE ? 0 : -EINVAL; /* the console's level is not ours to set */
    }
}

/* ---- The end ---- */

static bool is_second_magic(u32 magic)
{
    return magic == 672274793 || magic == 85072278 || magic == 369367448 || magic == 537993216;
}

long call_reboot(struct thread *thread, const u64 *args)
{
    long error;

    if (!is_root(thread))
        return -EPERM;
    if ((u32)args[0] != REBOOT_MAGIC || !is_second_magic((u32)args[1]))
        return -EINVAL;
    switch ((int)args[2]) {
    case RB_AUTOBOOT: error = mg_power(POSIX_HANDLE_SYSTEM, MG_POWER_REBOOT); break;
    case RB_POWER_OFF:
    case RB_HALT_SYSTEM: error = mg_power(POSIX_HANDLE_SYSTEM, MG_POWER_OFF); break;
    case RB_ENABLE_CAD:
    case RB_DISABLE_CAD: return 0;
    default: return -EINVAL;
    }
    return error < 0 ? error : 0;
}
