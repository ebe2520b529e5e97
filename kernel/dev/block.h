/*
 * block.h: what every block device is to the floors above, whatever drives it.
 *
 * A device moves whole blocks between its medium and a list of pieces of frames. It is asked by a
 * request, which belongs to the device from `submit` until its `done` is called; until then the
 * frames must stay where they are and be used for nothing else, since the device may be writing to
 * them. There is no way to have them back early. A device that does not answer is reset by its
 * driver, which ends all its requests with EIO.
 *
 * A driver fills in a struct block_device with its operations and registers it. Devices stay.
 */
#pragma once

#include "kernel/base/frame.h"
#include "lib/list.h"
#include "lib/types.h"

#define BLOCK_SECTOR 512u /* the unit of addresses, whatever the size of a device's blocks */
#define BLOCK_NAME 16

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

/* Within one frame; offset and bytes are multiples of BLOCK_SECTOR. */
struct block_segment {
    struct frame *frame;
    u32 offset, bytes;
};

struct block_request {
    enum block_op op;
    u64 sector; /* of the medium, where the first segment goes */
    const struct block_segment *segments;
    u32 segment_count; /* 0 for BLOCK_FLUSH, else 1 .. device->segments_max */
    s64 status;        /* when done: 0, -EIO, -EOPNOTSUPP */
    /* Called once, in interrupt context with interrupts off and no lock held. The request is the
     * caller's again. */
    void (*done)(struct block_request *request);

    /* the driver's, from submit to done */
    struct list link;
    u64 deadline; /* time_ns at which the device counts as hung */
};

#define BLOCK_SEGMENTS_LEAST 32u /* every device takes so many in a request */

struct block_device {
    char name[BLOCK_NAME];
    u64 sectors;
    u32 block_bytes; /* what it can address: requests are multiples of it */
    u32 segments_max;
    bool read_only;
    /* Starts the request, or keeps it until there is room. Any context, no lock held that ranks
     * above LOCK_DEVICE. Fails by calling done. */
    void (*submit)(struct block_device *device, struct block_request *request);
};

/* Names the device `prefix` and a letter, and makes it findable. False: there are too many. */
bool block_register(struct block_device *device, const char *prefix);
/* By number, in the order they were found; NULL after the last. */
struct block_device *block_at(u64 index);
/* Whether a transfer of so many bytes from `sector` on is one of whole blocks on the medium. */
bool block_range_ok(const struct block_device *device, u64 sector, u64 bytes);
/* How long a driver waits for its device: ns. */
u64 block_timeout(void);
