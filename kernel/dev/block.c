/*
 * block.c: the list of block devices. It only grows, at start-up, so it needs no lock: an entry is
 * published by the count.
 */
#include "kernel/dev/block.h"
#include "kernel/base/log.h"
#include "kernel/base/tunable.h"
#include "lib/format.h"

#define DEVICES_MAX 26 /* letters */

static struct block_device *devices[DEVICES_MAX];
static _Atomic u32 device_count;
static _Atomic u64 timeout_ms = 30000;

TUNABLE_U64(block_timeout, "block.timeout_ms", timeout_ms, 10, 600000,
            "a disk that has not answered for so long is reset");

bool block_register(struct block_device *device, const char *prefix)
{
    u32 index = atomic_load(&device_count);

    if (index == DEVICES_MAX) {
        log_line("block: no letter left for another %s device", prefix);
        return false;
    }
    format(device->name, sizeof(device->name), "%s%c", prefix, 'a' + (int)index);
    devices[index] = device;
    atomic_store(&device_count, index + 1);
    log_line("%s: %lu MiB, blocks of %u bytes%s", device->name,
             device->sectors / ((1u << 20) / BLOCK_SECTOR), device->block_bytes,
             device->read_only ? ", read only" : "");
    return true;
}

struct block_device *block_at(u64 index)
{
    return index < atomic_load(&device_count) ? devices[index] : NULL;
}

bool block_range_ok(const struct block_device *device, u64 sector, u64 bytes)
{
    return bytes && bytes % device->block_bytes == 0 &&
           sector % (device->block_bytes / BLOCK_SECTOR) == 0 && sector <= device->sectors &&
           bytes / BLOCK_SECTOR <= device->sectors - sector;
}

u64 block_timeout(void)
{
    return atomic_load_explicit(&timeout_ms, memory_order_relaxed) * 1000000;
}
