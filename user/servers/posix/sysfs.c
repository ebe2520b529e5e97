/*
 * The tree of /sys: the tunables of merging in kernel/mm/ksm (tunables.c); CPUs and memory nodes
 * in devices/system.
 */
#include "user/servers/posix/sysfs.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/block.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/sysinfo.h"
#include "user/servers/posix/tunables.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdio.h>
#include <string.h>

#define DIRECTORY (S_IFDIR | 0755)
#define FILE_SIZE 4096 /* what stat shows for every file, as Linux does */
#define PAGE_KB 4

static struct fs sys_fs = {
    .type = "sysfs",
    .source = "sysfs",
    .target = "/sys",
    .device = PROC_DEVICE + 1,
    .magic = 0x62656572,
};

/* ---- CPUs ---- */

static u64 mask_below(u32 count)
{
    return count < 64 ? (1ul << count) - 1 : ~0ul;
}

static long show_cpus(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    text_print_list(text, mask_below(boot_info.cpus));
    return 0;
}

static const struct pseudo_entry cpu_entry = {.mode = DIRECTORY};

/* A name made of a word and a number below `count`. */
static bool parse_numbered(const char *name, const char *word, u32 count, u32 *number)
{
    usize length = strlen(word);

    return !strncmp(name, word, length) && proc_parse_number(name + length, count - 1, number);
}

static void set_numbered(struct pseudo_child *child, const struct pseudo_entry *entry,
                         const char *word, u32 number)
{
    child->entry = entry;
    child->key.number = number;
    snprintf(child->name, sizeof child->name, "%s%u", word, number);
}

static long find_cpu(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    u32 number;

    (void)dir;
    if (!parse_numbered(name, "cpu", boot_info.cpus, &number))
        return -ENOENT;
    set_numbered(child, &cpu_entry, "cpu", number);
    return 0;
}

static bool next_cpu(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    (void)dir;
    if (*place >= boot_info.cpus)
        return false;
    set_numbered(child, &cpu_entry, "cpu", (u32)*place);
    return true;
}

/* ---- Memory nodes ---- */

static long show_nodes(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    text_print_list(text, mask_below(boot_info.nodes));
    return 0;
}

/* The CPUs of a node. */
static u64 cpus_of(u32 number)
{
    struct mg_cpu_stats cpus[SYSINFO_CPUS];
    u32 count = sysinfo_cpus(cpus);
    u64 mask = 0;

    for (u32 i = 0; i < count; i++) {
        if (cpus[i].node == number)
            mask |= 1ul << cpus[i].id;
    }
    return mask;
}

static long show_nodes_with_cpu(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    u64 mask = 0;

    (void)node;
    (void)thread;
    for (u32 i = 0; i < boot_info.nodes; i++)
        mask |= cpus_of(i) ? 1ul << i : 0;
    text_print_list(text, mask);
    return 0;
}

static long show_cpulist(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)thread;
    text_print_list(text, cpus_of(node->key.number));
    return 0;
}

static long show_cpumap(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)thread;
    text_print(text, "%0*lx\n", (int)DIV_UP(boot_info.cpus, 4), cpus_of(node->key.number));
    return 0;
}

static const struct pseudo_entry node_entries[] = {
    {.name = "cpulist", .mode = S_IFREG | 0444, .show = show_cpulist, .size = FILE_SIZE},
    {.name = "cpumap", .mode = S_IFREG | 0444, .show = show_cpumap, .size = FILE_SIZE},
    {0},
};

static void print_node_kb(struct text *text, const char *name, u64 pages)
{
    usize start = text->used;

    text_print(text, "Node 0 %s:", name);
    text_pad(text, start, 23);
    text_print(text, "%8lu kB\n", pages * PAGE_KB);
}

static long show_meminfo(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    struct mg_memory_stats m;

    (void)node;
    (void)thread;
    if (!stats_memory(&m))
        return -EIO;
    print_node_kb(text, "MemTotal", m.total);
    print_node_kb(text, "MemFree", m.free);
    print_node_kb(text, "MemUsed", m.total - m.free);
    print_node_kb(text, "FilePages", m.objects);
    print_node_kb(text, "AnonPages", m.anonymous + m.merged);
    print_node_kb(text, "Shmem", m.objects);
    print_node_kb(text, "PageTables", m.tables);
    print_node_kb(text, "Slab", m.slab);
    return 0;
}

static long show_distance(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    text_print(text, "10\n"); /* to itself, by definition */
    return 0;
}

/* The kernel counts memory as a whole: only a node that is alone has figures of its own. */
static const struct pseudo_entry only_node_entries[] = {
    {.name = "cpulist", .mode = S_IFREG | 0444, .show = show_cpulist, .size = FILE_SIZE},
    {.name = "cpumap", .mode = S_IFREG | 0444, .show = show_cpumap, .size = FILE_SIZE},
    {.name = "meminfo", .mode = S_IFREG | 0444, .show = show_meminfo, .size = FILE_SIZE},
    {.name = "distance", .mode = S_IFREG | 0444, .show = show_distance, .size = FILE_SIZE},
    {0},
};

static const struct pseudo_entry node_entry = {.mode = DIRECTORY, .entries = node_entries};
static const struct pseudo_entry only_node_entry = {
    .mode = DIRECTORY,
    .entries = only_node_entries,
};

static void set_node(struct pseudo_child *child, u32 number)
{
    set_numbered(child, boot_info.nodes == 1 ? &only_node_entry : &node_entry, "node", number);
}

static long find_node(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    u32 number;

    (void)dir;
    if (!parse_numbered(name, "node", boot_info.nodes, &number))
        return -ENOENT;
    set_node(child, number);
    return 0;
}

static bool next_node(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    (void)dir;
    if (*place >= boot_info.nodes)
        return false;
    set_node(child, (u32)*place);
    return true;
}

/* ---- The tree ---- */

#define LIST(name_, show_)                                                                         \
    {                                                                                              \
        .name = #name_, .mode = S_IFREG | 0444, .show = show_, .size = FILE_SIZE                   \
    }

static const struct pseudo_entry cpu_entries[] = {
    LIST(online, show_cpus),
    LIST(possible, show_cpus),
    LIST(present, show_cpus),
    {0},
};

static const struct pseudo_entry nodes_entries[] = {
    LIST(online, show_nodes),
    LIST(possible, show_nodes),
    LIST(has_cpu, show_nodes_with_cpu),
    {0},
};

static const struct pseudo_entry system_entries[] = {
    {.name = "cpu", .mode = DIRECTORY, .entries = cpu_entries, .find = find_cpu, .next = next_cpu},
    {.name = "node",
     .mode = DIRECTORY,
     .entries = nodes_entries,
     .find = find_node,
     .next = next_node},
    {0},
};

static const struct pseudo_entry devices_entries[] = {
    {.name = "system", .mode = DIRECTORY, .entries = system_entries},
    {0},
};

static const struct pseudo_entry mm_entries[] = {
    {.name = "ksm", .mode = DIRECTORY, .find = tunables_find_ksm, .next = tunables_next_ksm},
    {0},
};

static const struct pseudo_entry kernel_entries[] = {
    {.name = "mm", .mode = DIRECTORY, .entries = mm_entries},
    {0},
};

static const struct pseudo_entry root_entries[] = {
    {.name = "kernel", .mode = DIRECTORY, .entries = kernel_entries},
    {.name = "devices", .mode = DIRECTORY, .entries = devices_entries},
    {.name = "block", .mode = DIRECTORY, .find = block_find_shown, .next = block_next_shown},
    {0},
};

static const struct pseudo_entry root_entry = {.mode = S_IFDIR | 0555, .entries = root_entries};

void sysfs_mount(void)
{
    pseudo_mount(&sys_fs, &root_entry);
}
