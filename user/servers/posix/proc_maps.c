/*
 * What is mapped in a process: maps, smaps and smaps_rollup, from the kernel's answer for each
 * mapping.
 */
#include "user/servers/posix/proc.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_KB 4
#define NAME_COLUMN 73

/* ---- One line of maps ---- */

/* The file a mapping shows, or NULL; *offset becomes one in that file. */
static struct inode *mapped_file(const struct mg_vma *vma, u64 *offset)
{
    *offset = vma->offset;
    if (!(vma->flags & MG_VMA_OBJECT) || vma->flags & MG_VMA_PHYSICAL)
        return NULL;
    return tmpfs_find_mapped(vma->cookie, offset);
}

/* A path with its line breaks written as octal numbers: the file has one line a mapping. */
static void print_file(struct text *text, const struct thread *reader, struct inode *inode)
{
    struct text path = {0};
    const char *at, *end;

    proc_print_path(&path, reader, inode);
    at = path.bytes;
    while (path.used && (end = memchr(at, '\n', path.used))) {
        text_add(text, at, (usize)(end - at));
        text_print(text, "\\012");
        path.used -= (usize)(end + 1 - at);
        at = end + 1;
    }
    if (path.used)
        text_add(text, at, path.used);
    text_release(&path);
}

/* What Linux calls memory without a file. */
static const char *name_of(const struct mg_vma *vma)
{
    if (vma->cookie == MG_COOKIE_ANONYMOUS)
        return "/dev/zero (deleted)";
    if (vma->flags & MG_VMA_HEAP)
        return "[heap]";
    return vma->flags & MG_VMA_STACK ? "[stack]" : NULL;
}

static void print_line(struct text *text, const struct thread *reader, const struct mg_vma *vma)
{
    u64 offset;
    struct inode *inode = mapped_file(vma, &offset);
    const char *name = inode ? NULL : name_of(vma);
    usize start = text->used;

    text_print(text, "%08lx-%08lx %c%c%c%c %08lx %02x:%02lx %lu ", vma->start, vma->end,
               vma->prot & PROT_READ ? 'r' : '-', vma->prot & PROT_WRITE ? 'w' : '-',
               vma->prot & PROT_EXEC ? 'x' : '-', vma->flags & MG_VMA_SHARED ? 's' : 'p', offset, 0,
               inode ? inode->fs->device : 0, inode ? inode->number : 0);
    if (inode || name)
        text_pad(text, start, NAME_COLUMN);
    if (inode)
        print_file(text, reader, inode);
    else if (name)
        text_print(text, "%s", name);
    text_print(text, "\n");
}

/* ---- smaps ---- */

static void print_kb(struct text *text, const char *name, u64 kb)
{
    usize start = text->used;

    text_print(text, "%s:", name);
    text_pad(text, start, 16);
    text_print(text, "%8lu kB\n", kb);
}

/* What the pages of a mapping, or of all, are. There are no huge or lazily freed pages. */
static void print_pages(struct text *text, const struct mg_vma *vma, u64 locked_bytes)
{
    print_kb(text, "Rss", vma->rss * PAGE_KB);
    print_kb(text, "Pss", vma->pss_bytes / 1024);
    print_kb(text, "Shared_Clean", vma->shared_clean * PAGE_KB);
    print_kb(text, "Shared_Dirty", vma->shared_dirty * PAGE_KB);
    print_kb(text, "Private_Clean", vma->private_clean * PAGE_KB);
    print_kb(text, "Private_Dirty", vma->private_dirty * PAGE_KB);
    print_kb(text, "Referenced", vma->referenced * PAGE_KB);
    print_kb(text, "Anonymous", vma->anonymous * PAGE_KB);
    print_kb(text, "KSM", vma->merged * PAGE_KB);
    print_kb(text, "LazyFree", 0);
    print_kb(text, "AnonHugePages", 0);
    print_kb(text, "ShmemPmdMapped", 0);
    print_kb(text, "FilePmdMapped", 0);
    print_kb(text, "Shared_Hugetlb", 0);
    print_kb(text, "Private_Hugetlb", 0);
    print_kb(text, "Swap", vma->swapped * PAGE_KB);
    print_kb(text, "Locked", locked_bytes / 1024);
}

static void print_flags(struct text *text, const struct mg_vma *vma)
{
    static const struct {
        u32 flag;
        const char *name;
    } names[] = {
        {MG_VMA_GROWSDOWN, "gd"}, {MG_VMA_PHYSICAL, "pf"},  {MG_VMA_LOCKED, "lo"},
        {MG_VMA_DONTFORK, "dc"},  {MG_VMA_NORESERVE, "nr"}, {MG_VMA_WIPEONFORK, "wf"},
        {MG_VMA_DONTDUMP, "dd"},  {MG_VMA_MERGEABLE, "mg"},
    };
    bool shared = vma->flags & MG_VMA_SHARED;
    bool write = vma->prot & PROT_WRITE;

    text_print(text, "VmFlags: %s%s%s%s", vma->prot & PROT_READ ? "rd " : "", write ? "wr " : "",
               vma->prot & PROT_EXEC ? "ex " : "", shared ? "sh " : "");
    /* What mprotect may grant: everything on private memory; on shared memory at least what is. */
    text_print(text, "mr %sme %s", !shared || write ? "mw " : "", shared ? "ms " : "");
    if (write && !shared && !(vma->flags & MG_VMA_NORESERVE))
        text_print(text, "ac ");
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        if (vma->flags & names[i].flag)
            text_print(text, "%s ", names[i].name);
    }
    text_print(text, "\n");
}

static u64 locked_bytes(const struct mg_vma *vma)
{
    return vma->flags & MG_VMA_LOCKED ? vma->pss_bytes : 0;
}

/* ---- The files ---- */

/* The mapping at or behind an address; false after the last, or when the process has gone. */
static bool next_vma(const struct process *process, u64 address, struct mg_vma *vma)
{
    return process->task && mg_vm_query(process->task, address, vma) >= 0;
}

long proc_show_maps(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct mg_vma vma = {0};

    if (!process)
        return -ESRCH;
    while (next_vma(process, vma.end, &vma))
        print_line(text, reader, &vma);
    return 0;
}

long proc_show_smaps(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct mg_vma vma = {0};

    if (!process)
        return -ESRCH;
    while (next_vma(process, vma.end, &vma)) {
        print_line(text, reader, &vma);
        print_kb(text, "Size", (vma.end - vma.start) / 1024);
        print_kb(text, "KernelPageSize", PAGE_KB);
        print_kb(text, "MMUPageSize", PAGE_KB);
        print_pages(text, &vma, locked_bytes(&vma));
        text_print(text, "THPeligible:           0\n");
        print_flags(text, &vma);
    }
    return 0;
}

static void add_pages(struct mg_vma *sum, const struct mg_vma *vma)
{
    sum->rss += vma->rss;
    sum->pss_bytes += vma->pss_bytes;
    sum->shared_clean += vma->shared_clean;
    sum->shared_dirty += vma->shared_dirty;
    sum->private_clean += vma->private_clean;
    sum->private_dirty += vma->private_dirty;
    sum->referenced += vma->referenced;
    sum->anonymous += vma->anonymous;
    sum->merged += vma->merged;
    sum->swapped += vma->swapped;
}

long proc_show_smaps_rollup(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct mg_vma vma = {0}, sum = {0};
    u64 locked = 0;
    usize start = text->used;

    (void)reader;
    if (!process || !process->task)
        return -ESRCH;
    while (next_vma(process, vma.end, &vma)) {
        if (!sum.end)
            sum.start = vma.start;
        sum.end = vma.end;
        add_pages(&sum, &vma);
        locked += locked_bytes(&vma);
    }
    text_print(text, "%08lx-%08lx ---p 00000000 00:00 0 ", sum.start, sum.end);
    text_pad(text, start, NAME_COLUMN);
    text_print(text, "[rollup]\n");
    print_pages(text, &sum, locked);
    return 0;
}
