/*
 * /dev/ksm: the interface of the first merging driver, posted to Linux's mailing lists in 2009, as
 * a front on this kernel's engine. Numbers and structures are that driver's; what its posted
 * defects became is told in docs/merging.md.
 *
 *     int ksm = open("/dev/ksm", O_RDWR);
 *     int area = ioctl(ksm, KSM_CREATE_SHARED_MEMORY_AREA);
 *     ioctl(area, KSM_REGISTER_MEMORY_REGION, &region);    that memory of the caller may be merged
 *     ioctl(ksm, KSM_START_STOP_KTHREAD, &info);           the scanner runs or stands
 *     close(area);                                         its regions become private again
 */
#pragma once

#include <stdint.h>

#define KSM_API_VERSION 1

/* On /dev/ksm. */
#define KSM_GET_API_VERSION 0xab00           /* () -> KSM_API_VERSION */
#define KSM_CREATE_SHARED_MEMORY_AREA 0xab01 /* () -> descriptor of an area without regions */
#define KSM_START_STOP_KTHREAD 0x4018ab02    /* (const struct ksm_kthread_info *): for root */
#define KSM_GET_INFO_KTHREAD 0x4018ab03      /* (struct ksm_kthread_info *) */

/* On an area. */
#define KSM_REGISTER_MEMORY_REGION 0x4018ab20 /* (const struct ksm_memory_region *) */
#define KSM_REMOVE_MEMORY_REGION 0xab21       /* (): all regions of the area */

struct ksm_memory_region {
    uint32_t npages;   /* 1 and more */
    uint32_t pad;      /* 0 */
    uint64_t addr;     /* of the caller's memory, on a page's boundary */
    uint64_t reserved; /* 0 */
};

#define KSM_FLAG_RUN 1

struct ksm_kthread_info {
    uint32_t sleep;         /* between two batches, in microseconds; kept in milliseconds */
    uint32_t pages_to_scan; /* in a batch */
    uint32_t flags;         /* KSM_FLAG_RUN or 0 */
    uint32_t pad;           /* 0 */
    uint64_t reserved;      /* 0 */
};
