/*
 * /proc/sys: settings of the system that exist here, under the names they have in Linux.
 */
#include "user/lib/spawn.h"
#include "user/servers/posix/host.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/proc.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/utsname.h>

#define MAX_MAP_COUNT "mm.max_map_count"
#define MMAP_MIN_ADDRESS 0x10000
#define LAST_CAPABILITY 40
#define OVERFLOW_ID 65534

/* A file that shows one expression. */
#define VALUE(function, format, value)                                                             \
    static long function(struct pseudo_node *node, struct thread *thread, struct text *text)       \
    {                                                                                              \
        (void)node;                                                                                \
        (void)thread;                                                                              \
        text_print(text, format "\n", value);                                                      \
        return 0;                                                                                  \
    }

/* ---- kernel ---- */

/* One field of what uname tells. */
#define NAME(function, field)                                                                      \
    static long function(struct pseudo_node *node, struct thread *thread, struct text *text)       \
    {                                                                                              \
        struct utsname names;                                                                      \
                                                                                                   \
        (void)node;                                                                                \
        (void)thread;                                                                              \
        host_utsname(&names);                                                                      \
        text_print(text, "%s\n", names.field);                                                     \
        return 0;                                                                                  \
    }

NAME(show_ostype, sysname)
NAME(show_osrelease, release)
NAME(show_version, version)
VALUE(show_hostname, "%s", host_name)
VALUE(show_domainname, "%s", host_domain)
VALUE(show_pid_max, "%d", PID_MAX)
VALUE(show_threads_max, "%u", thread_limit)
VALUE(show_ngroups_max, "%d", GROUPS_MAX)
VALUE(show_cap_last_cap, "%d", LAST_CAPABILITY)
VALUE(show_overflow_id, "%d", OVERFLOW_ID)
VALUE(show_randomize_va_space, "%d", 0) /* nothing is placed at random */
VALUE(show_ns_last_pid, "%u", last_pid)

/* A name up to the end of the line; too long a one is cut, as Linux does. */
static long store_name(char *name, const char *bytes)
{
    usize length = strcspn(bytes, "\n");

    memset(name, 0, HOST_NAME_BYTES);
    memcpy(name, bytes, MIN(length, (usize)HOST_NAME_BYTES - 1));
    return 0;
}

static long store_hostname(struct pseudo_node *node, struct thread *thread, const char *bytes,
                           usize length)
{
    (void)node;
    (void)thread;
    (void)length;
    return store_name(host_name, bytes);
}

static long store_domainname(struct pseudo_node *node, struct thread *thread, const char *bytes,
                             usize length)
{
    (void)node;
    (void)thread;
    (void)length;
    return store_name(host_domain, bytes);
}

/* ---- kernel/random ---- */

static void print_uuid(struct text *text, const u8 b[16])
{
    text_print(text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", b[0],
               b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
               b[14], b[15]);
}

/* Version 4: random, but for the six bits that say so. */
static void make_uuid(u8 bytes[16])
{
    random_bytes(bytes, 16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
}

static long show_uuid(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    u8 bytes[16];

    (void)node;
    (void)thread;
    make_uuid(bytes);
    print_uuid(text, bytes);
    return 0;
}

static long show_boot_id(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    static u8 bytes[16]; /* all zero until somebody asks */

    (void)node;
    (void)thread;
    if (!bytes[6])
        make_uuid(bytes);
    print_uuid(text, bytes);
    return 0;
}

/* ---- vm ---- */

VALUE(show_overcommit_memory, "%d", 0) /* refused is only what the machine can never have */
VALUE(show_mmap_min_addr, "%d", MMAP_MIN_ADDRESS)

static long show_max_map_count(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    const usize room = 64;
    char *to = text_reserve(text, room);
    long length = to ? mg_tunable_read(POSIX_HANDLE_SYSTEM, MAX_MAP_COUNT, to, room) : 0;

    (void)node;
    (void)thread;
    if (length < 0)
        return length;
    text->used += MIN((usize)length, room);
    return 0;
}

static long store_max_map_count(struct pseudo_node *node, struct thread *thread, const char *bytes,
                                usize length)
{
    long error = mg_tunable_write(POSIX_HANDLE_SYSTEM, MAX_MAP_COUNT, bytes, length);

    (void)node;
    (void)thread;
    return error < 0 ? error : 0;
}

/* ---- fs ---- */

VALUE(show_nr_open, "%d", FD_LIMIT)
VALUE(show_file_max, "%u", file_limit)

static long show_file_nr(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    text_print(text, "%u\t0\t%u\n", file_count, file_limit);
    return 0;
}

/* ---- Tables ---- */

#define RO(name_, show_)                                                                           \
    {                                                                                              \
        .name = name_, .mode = S_IFREG | 0444, .show = show_                                       \
    }
#define RW(name_, show_, store_)                                                                   \
    {                                                                                              \
        .name = name_, .mode = S_IFREG | 0644, .show = show_, .store = store_                      \
    }

static const struct pseudo_entry random_entries[] = {
    RO("uuid", show_uuid),
    RO("boot_id", show_boot_id),
    {0},
};

static const struct pseudo_entry kernel_entries[] = {
    RO("ostype", show_ostype),
    RO("osrelease", show_osrelease),
    RO("version", show_version),
    RW("hostname", show_hostname, store_hostname),
    RW("domainname", show_domainname, store_domainname),
    RO("pid_max", show_pid_max),
    RO("threads-max", show_threads_max),
    RO("ns_last_pid", show_ns_last_pid),
    RO("ngroups_max", show_ngroups_max),
    RO("cap_last_cap", show_cap_last_cap),
    RO("overflowuid", show_overflow_id),
    RO("overflowgid", show_overflow_id),
    RO("randomize_va_space", show_randomize_va_space),
    {.name = "random", .mode = S_IFDIR | 0555, .entries = random_entries},
    {0},
};

static const struct pseudo_entry vm_entries[] = {
    RO("overcommit_memory", show_overcommit_memory),
    RO("mmap_min_addr", show_mmap_min_addr),
    RW("max_map_count", show_max_map_count, store_max_map_count),
    {0},
};

static const struct pseudo_entry fs_entries[] = {
    RO("nr_open", show_nr_open),
    RO("file-max", show_file_max),
    RO("file-nr", show_file_nr),
    {0},
};

const struct pseudo_entry proc_sys_entries[] = {
    {.name = "kernel", .mode = S_IFDIR | 0555, .entries = kernel_entries},
    {.name = "vm", .mode = S_IFDIR | 0555, .entries = vm_entries},
    {.name = "fs", .mode = S_IFDIR | 0555, .entries = fs_entries},
    {0},
};
