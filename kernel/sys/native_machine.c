/*
 * native_machine.c: the native calls on the machine: interrupt lines, I/O ports, power, what the
 * boot loader told. All of them need the system handle.
 *
 * A bound interrupt is an object of its own: the line is attached as long as a handle of it exists.
 * Its interrupt becomes notification bits at a port, and a level line stays masked until it is
 * acknowledged.
 */
#include "arch/x86_64/arch.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/machine.h"
#include "kernel/sys/native.h"
#include "kernel/task/port.h"

#define IO_PORTS 0x10000ul
#define IO_CHUNK 256ul

struct irq {
    _Atomic u32 refs;
    u32 gsi;
    struct port *port;
    u64 bits;
};

/* --- handle classes --- */

/* There is one machine, for ever. */
static void system_get(void *object)
{
    (void)object;
}

static void system_put(void *object)
{
    (void)object;
}

static void irq_get(void *object)
{
    struct irq *irq = object;

    atomic_fetch_add_explicit(&irq->refs, 1, memory_order_relaxed);
}

static void irq_put(void *object)
{
    struct irq *irq = object;

    if (atomic_fetch_sub(&irq->refs, 1) != 1)
        return;
    irq_line_detach(irq->gsi);
    port_put(irq->port);
    kfree(irq);
}

void machine_init(void)
{
    static const struct handle_class system_class = {.get = system_get, .put = system_put};
    static const struct handle_class irq_class = {.get = irq_get, .put = irq_put};

    handle_class_register(HANDLE_SYSTEM, &system_class);
    handle_class_register(HANDLE_IRQ, &irq_class);
}

/* Whether the handle is that of the machine, with the right: 0, -EBADF, -EACCES. */
s64 machine_check(u64 handle, u32 rights)
{
    struct handle_ref system;
    s64 status = native_lookup(handle, HANDLE_SYSTEM, rights, &system);

    handle_ref_put(&system);
    return status;
}

/* --- interrupts --- */

static void irq_fired(void *context)
{
    struct irq *irq = context;

    port_notify(irq->port, irq->bits);
}

s64 native_irq_bind(struct trap_frame *frame)
{
    u64 gsi = SYSCALL_ARG1(frame);
    struct handle_ref port;
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_MANAGE);

    if (status == 0)
        status = gsi > ~0u ? -EINVAL
                           : native_lookup(SYSCALL_ARG2(frame), HANDLE_PORT, MG_RIGHT_WRITE, &port);
    if (status < 0)
        return status;
    struct irq *irq = kmalloc(sizeof(*irq));

    if (irq) {
        *irq = (struct irq){1, (u32)gsi, port_get(port.object), SYSCALL_ARG3(frame)};
        status = irq_line_attach(irq->gsi, irq_fired, irq);
    }
    handle_ref_put(&port);
    if (irq && status == 0)
        return native_install(HANDLE_IRQ, irq);
    if (!irq)
        return -ENOMEM;
    port_put(irq->port);
    kfree(irq);
    return status;
}

s64 native_irq_ack(struct trap_frame *frame)
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_IRQ, MG_RIGHT_WRITE, &ref);

    if (status < 0)
        return status;
    irq_line_unmask(((struct irq *)ref.object)->gsi);
    handle_ref_put(&ref);
    return 0;
}

/* --- I/O ports --- */

static s64 check_ports(u64 system, u64 port, u64 width)
{
    s64 status = machine_check(system, MG_RIGHT_MANAGE);

    if (status < 0)
        return status;
    if ((width != 1 && width != 2 && width != 4) || port > IO_PORTS - width)
        return -EINVAL;
    return 0;
}

s64 native_io_in(struct trap_frame *frame)
{
    u64 port = SYSCALL_ARG1(frame), width = SYSCALL_ARG2(frame);
    s64 status = check_ports(SYSCALL_ARG0(frame), port, width);

    if (status < 0)
        return status;
    if (width == 1)
        return io_in8((u16)port);
    return width == 2 ? io_in16((u16)port) : io_in32((u16)port);
}

s64 native_io_out(struct trap_frame *frame)
{
    u64 port = SYSCALL_ARG1(frame), width = SYSCALL_ARG2(frame), value = SYSCALL_ARG3(frame);
    s64 status = check_ports(SYSCALL_ARG0(frame), port, width);

    if (status < 0)
        return status;
    if (width == 1)
        io_out8((u16)port, (u8)value);
    else if (width == 2)
        io_out16((u16)port, (u16)value);
    else
        io_out32((u16)port, (u32)value);
    return 0;
}

/* Bytes written; -EFAULT when the first is not there. */
s64 native_io_out_bytes(struct trap_frame *frame)
{
    u64 port = SYSCALL_ARG1(frame), from = SYSCALL_ARG2(frame), len = SYSCALL_ARG3(frame), done = 0;
    s64 status = check_ports(SYSCALL_ARG0(frame), port, 1);
    u8 bytes[IO_CHUNK];

    if (status < 0)
        return status;
    if (!user_range_ok(from, len))
        return -EFAULT;
    while (done < len) {
        u64 chunk = MIN(len - done, IO_CHUNK);

        if (user_read(bytes, from + done, chunk))
            return done ? (s64)done : -EFAULT;
        for (u64 i = 0; i < chunk; i++)
            io_out8((u16)port, bytes[i]);
        done += chunk;
        sched_point();
    }
    return (s64)done;
}

/* --- the whole --- */

s64 native_power(struct trap_frame *frame)
{
    u64 how = SYSCALL_ARG1(frame);
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_MANAGE);

    if (status < 0)
        return status;
    if (how == MG_POWER_OFF)
        machine_power_off();
    if (how == MG_POWER_REBOOT)
        machine_reboot();
    if (how == MG_POWER_PANIC)
        panic("asked for by %.16s", current_thread()->task->name);
    return -EINVAL;
}

s64 native_boot_info(struct trap_frame *frame)
{
    struct mg_boot_info *info;
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_READ);

    if (status < 0)
        return status;
    info = kmalloc(sizeof(*info));
    if (!info)
        return -ENOMEM;
    *info = boot_info;
    info->boot_ns = time_ns();
    info->realtime_offset = time_realtime_offset;
    info->cpus = cpu_count;
    info->nodes = node_count;
    info->tsc_hz = tsc_hz;
    status = user_write(SYSCALL_ARG1(frame), info, sizeof(*info));
    kfree(info);
    return status;
}
