/*
 * virtio_blk.c: virtio's block device on PCI, through the registers of virtio 1.0 (transitional
 * devices have them too).
 *
 * There is one queue: a table of descriptors and two rings, in memory that we and the device share.
 * A request is a chain of descriptors:
 *
 *     header (type, sector) --> segment --> ... --> segment --> status byte
 *     \__ in `slots`, at the index of the chain's first descriptor __/
 *
 * Free descriptors are chained as well. We put a chain's first index into the available ring and
 * ring the bell; the device puts it into the used ring and interrupts. A request that finds too few
 * descriptors waits in a list.
 *
 * Locking: `lock` guards everything, interrupts off. Requests that end are taken off under the lock
 * and their `done` called after it.
 *
 * Time: while requests run, a timer looks for one past its deadline. Then the device is reset,
 * which is the only way to make sure that it lets go of memory; all that ran ends with EIO; and the
 * device is started anew. One that can't even be reset keeps the memory it was given, for ever; one
 * that is gone (its registers read as ones) can't write any more, so its requests end.
 */
#include "kernel/dev/virtio_blk.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/dev/block.h"
#include "kernel/task/timer.h"
#include "lib/string.h"

enum { VENDOR = 0x1af4, PRODUCT_TRANSITIONAL = 0x1001, PRODUCT = 0x1042 };
enum { PART_COMMON = 1, PART_NOTIFY = 2, PART_INTERRUPT = 3, PART_DEVICE = 4, PART_KINDS };

struct common { /* registers */
    u32 device_feature_select, device_feature;
    u32 driver_feature_select, driver_feature;
    u16 config_vector, queues;
    u8 status, generation;
    u16 queue_select, queue_size, queue_vector, queue_enable, queue_notify_offset;
    u32 table[2], available[2], used[2];
};
static_assert(offsetof(struct common, table) == 32, "virtio's registers");

enum { STATUS_FOUND = 1, STATUS_DRIVER = 2, STATUS_RUNNING = 4, STATUS_FEATURES = 8 };
#define STATUS_ABSENT 0xff
#define NO_VECTOR 0xffff
#define FEATURE_SEGMENTS_MAX BIT(2)
#define FEATURE_READ_ONLY BIT(5)
#define FEATURE_BLOCK_SIZE BIT(6)
#define FEATURE_FLUSH BIT(9)
#define FEATURE_VERSION_1 BIT(32)
#define FEATURES_WANTED                                                                            \
    (FEATURE_SEGMENTS_MAX | FEATURE_READ_ONLY | FEATURE_BLOCK_SIZE | FEATURE_FLUSH |               \
     FEATURE_VERSION_1)

/* Offsets of the device's own registers. */
enum { CONFIG_CAPACITY = 0, CONFIG_SEGMENTS_MAX = 12, CONFIG_BLOCK_SIZE = 20, CONFIG_BYTES = 24 };

enum { TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FLUSH = 4 };
enum { RESULT_OK = 0, RESULT_UNSUPPORTED = 2, RESULT_NONE = 0xff };
enum { DESCRIPTOR_NEXT = 1, DESCRIPTOR_DEVICE_WRITES = 2 };

#define QUEUE_MAX 256u        /* each part of the queue fits a page */
#define CHAIN_EXTRA 2u        /* descriptors beside those of segments */
#define RESET_NS 1000000000ul /* a reset takes longer only if the device is broken */

struct descriptor {
    u64 address;
    u32 bytes;
    u16 flags, next;
};
struct available {
    u16 flags, index, ring[QUEUE_MAX];
};
struct used {
    u16 flags, index;
    struct {
        u32 first, bytes;
    } ring[QUEUE_MAX];
};
struct slot { /* what a request says and hears beside its data */
    u32 type, reserved;
    u64 sector;
    u8 result, pad[15];
};

struct virtio_blk {
    struct block_device block; /* first */
    struct pci_function function;
    volatile struct common *common;
    volatile u8 *config, *interrupt;
    volatile u16 *bell; /* where to tell the device of new requests */
    u32 bell_bytes;     /* per step of a queue's offset */
    volatile u8 *bells;
    enum pci_interrupt interrupt_kind;
    u32 line;
    u64 features;

    struct spinlock lock; /* LOCK_DEVICE, interrupts off: guards all below */
    struct descriptor *table;
    struct available *available;
    struct used *used;
    struct slot *slots;
    u32 size; /* of the queue */
    u16 free, free_count, used_seen;
    struct block_request *running_at[QUEUE_MAX]; /* by first descriptor */
    struct list running, waiting;                /* block_request.link */
    bool lost;                                   /* everything fails from now on */
    struct timer timer;
    u64 timer_at; /* 0 = not armed */
};

static struct virtio_blk *of_block(struct block_device *block)
{
    return container_of(block, struct virtio_blk, block);
}

/* --- starting the device --- */

static bool reset(struct virtio_blk *disk)
{
    u64 end = time_ns() + RESET_NS;

    disk->common->status = 0;
    while (disk->common->status != 0) {
        if (disk->common->status == STATUS_ABSENT || time_ns() > end)
            return false;
        spin_wait();
    }
    return true;
}

static void add_status(struct virtio_blk *disk, u8 bits)
{
    disk->common->status |= bits;
}

static bool agree_on_features(struct virtio_blk *disk)
{
    volatile struct common *common = disk->common;

    disk->features = 0;
    for (u32 half = 0; half < 2; half++) {
        common->device_feature_select = half;
        disk->features |= (u64)common->device_feature << 32 * half;
    }
    disk->features &= FEATURES_WANTED;
    if (!(disk->features & FEATURE_VERSION_1))
        return false;
    for (u32 half = 0; half < 2; half++) {
        common->driver_feature_select = half;
        common->driver_feature = (u32)(disk->features >> 32 * half);
    }
    add_status(disk, STATUS_FEATURES);
    return common->status & STATUS_FEATURES;
}

static void tell_address(volatile u32 *registers, const void *memory)
{
    u64 address = virt_pa(memory).raw;

    registers[0] = (u32)address;
    registers[1] = (u32)(address >> 32);
}

/* An empty queue, all descriptors free. */
static void clear_queue(struct virtio_blk *disk)
{
    memset(disk->available, 0, sizeof(*disk->available));
    memset(disk->used, 0, sizeof(*disk->used));
    memset(disk->running_at, 0, sizeof(disk->running_at));
    for (u32 i = 0; i < disk->size; i++)
        disk->table[i] = (struct descriptor){.next = (u16)(i + 1)};
    disk->free = 0;
    disk->free_count = (u16)disk->size;
    disk->used_seen = 0;
}

static bool start_queue(struct virtio_blk *disk)
{
    volatile struct common *common = disk->common;

    common->queue_select = 0;
    disk->size = MIN((u32)common->queue_size, QUEUE_MAX);
    if (disk->size < CHAIN_EXTRA + 1 || common->queue_enable)
        return false;
    common->queue_size = (u16)disk->size;
    clear_queue(disk);
    tell_address(common->table, disk->table);
    tell_address(common->available, disk->available);
    tell_address(common->used, disk->used);
    if (disk->interrupt_kind == PCI_INTERRUPT_MSIX) {
        common->config_vector = NO_VECTOR;
        common->queue_vector = 0;
        if (common->queue_vector != 0)
            return false;
    }
    disk->bell = (volatile u16 *)(disk->bells + common->queue_notify_offset * disk->bell_bytes);
    common->queue_enable = 1;
    return true;
}

static bool start(struct virtio_blk *disk)
{
    if (!reset(disk))
        return false;
    add_status(disk, STATUS_FOUND);
    add_status(disk, STATUS_DRIVER);
    if (!agree_on_features(disk) || !start_queue(disk))
        return false;
    add_status(disk, STATUS_RUNNING);
    return true;
}

/* --- requests --- */

static u16 take_descriptor(struct virtio_blk *disk, u64 address, u32 bytes, u16 flags)
{
    u16 index = disk->free;
    struct descriptor *descriptor = &disk->table[index];

    disk->free = descriptor->next;
    disk->free_count--;
    descriptor->address = address;
    descriptor->bytes = bytes;
    descriptor->flags = flags; /* `next` is the free one taken next */
    return index;
}

static u32 type_of(enum block_op op)
{
    return op == BLOCK_READ ? TYPE_READ : op == BLOCK_WRITE ? TYPE_WRITE : TYPE_FLUSH;
}

/* Watches over the request; the lock is held. */
static void set_timer(struct virtio_blk *disk, u64 deadline)
{
    if (disk->timer_at && disk->timer_at <= deadline)
        return;
    disk->timer_at = deadline;
    timer_arm(&disk->timer, deadline);
}

static bool has_room(const struct virtio_blk *disk, const struct block_request *request)
{
    return disk->free_count >= request->segment_count + CHAIN_EXTRA;
}

/* Builds the chain and puts it into the ring. */
static void run(struct virtio_blk *disk, struct block_request *request)
{
    u16 first = disk->free, data = request->op == BLOCK_READ ? DESCRIPTOR_DEVICE_WRITES : 0;
    struct slot *slot = &disk->slots[first];

    *slot = (struct slot){.type = type_of(request->op), .sector = request->sector};
    slot->result = RESULT_NONE;
    take_descriptor(disk, virt_pa(slot).raw, offsetof(struct slot, result), DESCRIPTOR_NEXT);
    for (u32 i = 0; i < request->segment_count; i++) {
        const struct block_segment *segment = &request->segments[i];

        take_descriptor(disk, pfn_pa(frame_pfn(segment->frame)).raw + segment->offset,
                        segment->bytes, data | DESCRIPTOR_NEXT);
    }
    take_descriptor(disk, virt_pa(&slot->result).raw, 1, DESCRIPTOR_DEVICE_WRITES);

    disk->running_at[first] = request;
    list_add_tail(&request->link, &disk->running);
    request->deadline = time_ns() + block_timeout();
    set_timer(disk, request->deadline);
    disk->available->ring[disk->available->index % disk->size] = first;
    __atomic_store_n(&disk->available->index, (u16)(disk->available->index + 1), __ATOMIC_SEQ_CST);
}

/* Starts what waits, as far as there is room. */
static void run_waiting(struct virtio_blk *disk)
{
    bool any = false;

    while (!list_empty(&disk->waiting)) {
        struct block_request *request =
            list_first_entry(&disk->waiting, struct block_request, link);

        if (!has_room(disk, request))
            break;
        list_remove(&request->link);
        run(disk, request);
        any = true;
    }
    if (any)
        *disk->bell = 0;
}

static void end_all(struct list *ended)
{
    struct block_request *request, *after;

    list_for_each_entry_safe(request, after, ended, link)
        request->done(request);
}

static void submit(struct block_device *block, struct block_request *request)
{
    struct virtio_blk *disk = of_block(block);
    u64 flags = spin_lock_irq(&disk->lock);
    bool nothing = request->op == BLOCK_FLUSH && !(disk->features & FEATURE_FLUSH);
    bool lost = disk->lost;

    if (!lost && !nothing) {
        list_add_tail(&request->link, &disk->waiting);
        run_waiting(disk);
    }
    spin_unlock_irq(&disk->lock, flags);
    if (lost || nothing) {
        request->status = lost ? -EIO : 0;
        flags = irq_save();
        request->done(request);
        irq_restore(flags);
    }
}

/* --- answers --- */

static void free_chain(struct virtio_blk *disk, u16 first)
{
    u16 last = first, count = 1;

    while (disk->table[last].flags & DESCRIPTOR_NEXT) {
        last = disk->table[last].next;
        count++;
    }
    disk->table[last].next = disk->free;
    disk->free = first;
    disk->free_count += count;
}

static s64 status_of(u8 result)
{
    return result == RESULT_OK ? 0 : result == RESULT_UNSUPPORTED ? -EOPNOTSUPP : -EIO;
}

/* Takes what the device has finished off the running ones. */
static void collect(struct virtio_blk *disk, struct list *ended)
{
    while (disk->used_seen != __atomic_load_n(&disk->used->index, __ATOMIC_ACQUIRE)) {
        u32 first = disk->used->ring[disk->used_seen++ % disk->size].first;
        struct block_request *request = first < disk->size ? disk->running_at[first] : NULL;

        if (!request) {
            log_line("%s: it answers what nobody asked (%u)", disk->block.name, first);
            continue;
        }
        disk->running_at[first] = NULL;
        request->status = status_of(*(volatile u8 *)&disk->slots[first].result);
        free_chain(disk, (u16)first);
        list_move_tail(&request->link, ended);
    }
}

static void interrupted(void *context)
{
    struct virtio_blk *disk = context;
    struct list ended = LIST_INIT(ended);

    if (disk->interrupt_kind == PCI_INTERRUPT_LINE) {
        (void)*disk->interrupt; /* reading it takes the line back */
        irq_line_unmask(disk->line);
    }
    u64 flags = spin_lock_irq(&disk->lock);
    collect(disk, &ended);
    run_waiting(disk);
    spin_unlock_irq(&disk->lock, flags);
    end_all(&ended);
}

/* --- a device that does not answer --- */

/* The earliest deadline of those that run, 0 = none runs. */
static u64 first_deadline(const struct virtio_blk *disk)
{
    const struct block_request *request;
    u64 first = 0;

    list_for_each_entry(request, &disk->running, link) {
        if (!first || request->deadline < first)
            first = request->deadline;
    }
    return first;
}

/* The device lets go of all memory, if it can be made to: else false. */
static bool give_up(struct virtio_blk *disk, struct list *ended)
{
    struct block_request *request;
    bool absent = disk->common->status == STATUS_ABSENT;

    if (!absent && !reset(disk)) {
        disk->lost = true;
        log_line("%s: can't be reset; the memory it may still write to stays with it",
                 disk->block.name);
        return false;
    }
    collect(disk, ended); /* it may have finished some on its way out */
    list_for_each_entry(request, &disk->running, link)
        request->status = -EIO;
    list_splice_tail(&disk->running, ended);
    list_init(&disk->running);
    disk->lost = absent || !start(disk);
    return true;
}

/* What has waited for room gets it, or fails. */
static void go_on(struct virtio_blk *disk, struct list *ended)
{
    struct block_request *request;

    if (!disk->lost) {
        run_waiting(disk);
        return;
    }
    list_for_each_entry(request, &disk->waiting, link)
        request->status = -EIO;
    list_splice_tail(&disk->waiting, ended);
    list_init(&disk->waiting);
}

static void timer_fired(struct timer *timer)
{
    struct virtio_blk *disk = container_of(timer, struct virtio_blk, timer);
    struct list ended = LIST_INIT(ended);
    u64 flags = spin_lock_irq(&disk->lock), deadline;

    disk->timer_at = 0;
    collect(disk, &ended); /* an interrupt may be on its way */
    deadline = first_deadline(disk);
    if (deadline && deadline <= time_ns() && !disk->lost) {
        log_line("%s: no answer, resetting it", disk->block.name);
        if (give_up(disk, &ended))
            log_line("%s: %s", disk->block.name, disk->lost ? "it is lost" : "started again");
        go_on(disk, &ended);
    } else if (deadline && !disk->lost) {
        set_timer(disk, deadline);
    }
    spin_unlock_irq(&disk->lock, flags);
    end_all(&ended);
}

/* --- finding it --- */

/* Each part of the registers is told by a capability of the vendor's: the first of a kind counts.
 * NULL: there is none. */
static volatile u8 *map_part(struct virtio_blk *disk, u8 kind, u32 least, u32 *at)
{
    const struct pci_function *function = &disk->function;

    for (*at = 0; (*at = pci_capability(function, PCI_CAPABILITY_VENDOR, *at)) != 0;) {
        u32 bytes = pci_read32(function, *at + 12);

        if (pci_read8(function, *at + 3) != kind)
            continue;
        if (bytes < least)
            return NULL;
        return pci_map(function, pci_read8(function, *at + 4), pci_read32(function, *at + 8),
                       bytes);
    }
    return NULL;
}

static bool map_registers(struct virtio_blk *disk)
{
    u32 at;

    disk->common =
        (volatile struct common *)map_part(disk, PART_COMMON, sizeof(struct common), &at);
    disk->config = map_part(disk, PART_DEVICE, CONFIG_BYTES, &at);
    disk->interrupt = map_part(disk, PART_INTERRUPT, 1, &at);
    disk->bells = map_part(disk, PART_NOTIFY, sizeof(u16), &at);
    if (disk->bells)
        disk->bell_bytes = pci_read32(&disk->function, at + 16);
    return disk->common && disk->config && disk->interrupt && disk->bells;
}

static void *shared_page(u32 order)
{
    struct frame *frame = frame_alloc(order, ALLOC_ZERO, NODE_ANY);

    return frame ? frame_page(frame) : NULL;
}

static bool make_queue(struct virtio_blk *disk)
{
    static_assert(sizeof(struct available) <= PAGE_SIZE && sizeof(struct used) <= PAGE_SIZE, "");
    static_assert(QUEUE_MAX * sizeof(struct slot) == 2 * PAGE_SIZE, "slots are of order 1");

    disk->table = shared_page(0);
    disk->available = shared_page(0);
    disk->used = shared_page(0);
    disk->slots = shared_page(1);
    spin_init(&disk->lock, "virtio disk", LOCK_DEVICE);
    list_init(&disk->running);
    list_init(&disk->waiting);
    timer_init(&disk->timer, timer_fired);
    return disk->table && disk->available && disk->used && disk->slots;
}

static u32 config_u32(const struct virtio_blk *disk, u32 offset)
{
    return *(volatile u32 *)(disk->config + offset);
}

/* What the device says of itself; false: nothing to work with. */
static bool describe(struct virtio_blk *disk)
{
    struct block_device *block = &disk->block;
    u8 generation;

    do {
        generation = disk->common->generation;
        block->sectors =
            config_u32(disk, CONFIG_CAPACITY) | (u64)config_u32(disk, CONFIG_CAPACITY + 4) << 32;
        block->block_bytes = disk->features & FEATURE_BLOCK_SIZE
                                 ? config_u32(disk, CONFIG_BLOCK_SIZE)
                                 : BLOCK_SECTOR;
        block->segments_max = disk->size - CHAIN_EXTRA;
        if (disk->features & FEATURE_SEGMENTS_MAX)
            block->segments_max = MIN(block->segments_max, config_u32(disk, CONFIG_SEGMENTS_MAX));
    } while (generation != disk->common->generation);
    block->read_only = disk->features & FEATURE_READ_ONLY;
    block->submit = submit;
    return block->sectors && block->segments_max >= BLOCK_SEGMENTS_LEAST &&
           IS_POWER_OF_TWO(block->block_bytes) && block->block_bytes >= BLOCK_SECTOR &&
           block->block_bytes <= PAGE_SIZE;
}

static bool attach(const struct pci_function *function)
{
    if (function->vendor != VENDOR ||
        (function->product != PRODUCT && function->product != PRODUCT_TRANSITIONAL))
        return false;
    struct virtio_blk *disk = kzalloc(sizeof(*disk));

    if (!disk)
        return false;
    disk->function = *function;
    if (!map_registers(disk) || !make_queue(disk)) {
        log_line("virtio: a disk without the registers of version 1.0, or no memory for it");
        return false;
    }
    pci_enable(function);
    reset(disk);
    disk->interrupt_kind = pci_attach_interrupt(function, interrupted, disk, &disk->line);
    if (disk->interrupt_kind == PCI_INTERRUPT_NONE || !start(disk) || !describe(disk)) {
        log_line("virtio: a disk that can't be started");
        reset(disk);
        return false;
    }
    return block_register(&disk->block, "vd");
}

const struct pci_driver virtio_blk_driver = {.name = "virtio-blk", .attach = attach};
