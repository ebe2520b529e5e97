/*
 * /dev/ksm, the merging interface of 2009, on the engine of today: merganser/ksm_device.h.
 *
 * A region is a range of one process's memory, registered through one area (a descriptor that the
 * device makes). It is in two lists, its area's and its process's, and ends with whichever ends
 * first: so an area that somebody keeps open holds no memory of a process that is gone, and the
 * regions removed with an area are the area's own. Regions of a process don't overlap. All the rest
 * is madvise's: what registering does to a range, and what removing undoes.
 */
#include "user/servers/posix/ksm_device.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/anon.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/ksm_device.h>
#include <merganser/native.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define REGIONS_MAX 4096 /* of one process: the server's memory is everybody's */

struct region {
    struct list area_link;    /* in struct area.regions */
    struct list process_link; /* in struct process.ksm_regions */
    struct process *process;
    u64 start, end;
};

struct area {
    struct list regions;
};

static void region_free(struct region *region)
{
    list_remove(&region->area_link);
    list_remove(&region->process_link);
    free(region);
}

void ksm_device_forget(struct process *process)
{
    struct region *region, *after;

    list_for_each_entry_safe(region, after, &process->ksm_regions, process_link)
        region_free(region);
}

/* ---- Areas ---- */

/* On an error (no memory for the copies) the region stays, and what is left of it can be removed
 * later. */
static long region_remove(struct region *region)
{
    u64 size = region->end - region->start;
    long error = mg_vm_advise(region->process->task, region->start, size, MADV_UNMERGEABLE);

    if (error < 0 && error != -ENOMEM) /* ENOMEM: some of it is not mapped any more */
        return error;
    region_free(region);
    return 0;
}

static long area_remove(struct area *area)
{
    struct region *region, *after;
    long error = 0;

    list_for_each_entry_safe(region, after, &area->regions, area_link) {
        long result = region_remove(region);

        error = error ? error : result;
    }
    return error;
}

static long check_region(const struct process *process, const struct ksm_memory_region *wanted)
{
    u64 end = wanted->addr + wanted->npages * PAGE;
    struct region *region;
    u32 count = 0;

    if (!wanted->npages || wanted->pad || wanted->reserved || wanted->addr % PAGE ||
        end < wanted->addr)
        return -EINVAL;
    list_for_each_entry(region, &process->ksm_regions, process_link) {
        if (wanted->addr < region->end && region->start < end)
            return -EEXIST;
        count++;
    }
    return count < REGIONS_MAX ? 0 : -ENOSPC;
}

static long area_register(struct area *area, struct thread *thread, u64 arg)
{
    struct process *process = thread->process;
    struct ksm_memory_region wanted;
    struct region *region;
    long error = user_get(thread, &wanted, arg, sizeof wanted);

    if (!error)
        error = check_region(process, &wanted);
    if (error)
        return error;
    region = malloc(sizeof *region);
    if (!region)
        return -ENOMEM;
    *region = (struct region){
        .process = process, .start = wanted.addr, .end = wanted.addr + wanted.npages * PAGE};
    list_add_tail(&region->area_link, &area->regions);
    list_add_tail(&region->process_link, &process->ksm_regions);
    error = mg_vm_advise(process->task, region->start, region->end - region->start, MADV_MERGEABLE);
    if (error < 0 && region_remove(region) < 0)
        region_free(region);
    return error < 0 ? error : 0;
}

static long area_ioctl(struct file *file, struct thread *thread, u64 request, u64 arg)
{
    switch (request) {
    case KSM_REGISTER_MEMORY_REGION: return area_register(file->data, thread, arg);
    case KSM_REMOVE_MEMORY_REGION: return area_remove(file->data);
    default: return -ENOTTY;
    }
}

/* Nobody could be told of an error: the pages stay merged, and are only not given back. */
static void area_release(struct file *file)
{
    struct area *area = file->data;
    struct region *region, *after;

    area_remove(area);
    list_for_each_entry_safe(region, after, &area->regions, area_link)
        region_free(region);
    free(area);
}

static const struct file_ops area_ops = {
    .ioctl = area_ioctl,
    .release = area_release,
};

static long area_create(struct thread *thread)
{
    struct area *area = malloc(sizeof *area);
    struct inode *inode = area ? anon_shared() : NULL;
    struct file *file = inode ? file_create(&area_ops, inode, O_RDWR) : NULL;

    if (!file) {
        if (inode)
            inode_put(inode);
        free(area);
        return -ENOMEM;
    }
    list_init(&area->regions);
    file->data = area;
    return fd_install(thread->process, file, 0, false);
}

/* ---- The scanner ---- */

static long get_figure(const char *name, u64 *value)
{
    char text[32] = "";
    long length = mg_tunable_read(POSIX_HANDLE_SYSTEM, name, text, sizeof text - 1);

    *value = strtoul(text, NULL, 10);
    return length < 0 ? length : 0;
}

static long set_figure(const char *name, u64 value)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lu", (unsigned long)value);
    long error = mg_tunable_write(POSIX_HANDLE_SYSTEM, name, text, (usize)length);

    return error < 0 ? error : 0;
}

static long get_info(struct thread *thread, u64 arg)
{
    struct ksm_kthread_info info = {0};
    u64 sleep_ms, pages, run;
    long error = get_figure("ksm.sleep_millisecs", &sleep_ms);

    if (!error)
        error = get_figure("ksm.pages_to_scan", &pages);
    if (!error)
        error = get_figure("ksm.run", &run);
    if (error)
        return error;
    info.sleep = (u32)MIN(sleep_ms * 1000, (u64)UINT32_MAX);
    info.pages_to_scan = (u32)pages;
    info.flags = run == 1 ? KSM_FLAG_RUN : 0;
    return user_put(thread, arg, &info, sizeof info);
}

/* The pages first: they alone may be refused, while an advisor sets them. */
static long set_info(struct thread *thread, u64 arg)
{
    struct ksm_kthread_info info;
    long error;

    if (!has_capability(&thread->process->cred, CAP_SYS_ADMIN))
        return -EPERM;
    error = user_get(thread, &info, arg, sizeof info);
    if (error)
        return error;
    if (info.pad || info.reserved || info.flags & ~(u32)KSM_FLAG_RUN)
        return -EINVAL;
    error = set_figure("ksm.pages_to_scan", info.pages_to_scan);
    if (!error)
        error = set_figure("ksm.sleep_millisecs", DIV_UP(info.sleep, 1000u));
    return error ? error : set_figure("ksm.run", info.flags & KSM_FLAG_RUN);
}

static long device_ioctl(struct file *file, struct thread *thread, u64 request, u64 arg)
{
    (void)file;
    switch (request) {
    case KSM_GET_API_VERSION: return KSM_API_VERSION;
    case KSM_CREATE_SHARED_MEMORY_AREA: return area_create(thread);
    case KSM_START_STOP_KTHREAD: return set_info(thread, arg);
    case KSM_GET_INFO_KTHREAD: return get_info(thread, arg);
    default: return -ENOTTY;
    }
}

const struct file_ops ksm_device_ops = {.ioctl = device_ioctl};
