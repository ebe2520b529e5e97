/*
 * serial.c: the driver of the first serial port.
 *
 * Output waits in a ring. Whenever the port's FIFO is empty, a batch goes into it with one call;
 * the interrupt "FIFO empty" is asked for only while the ring holds something. Input is taken byte
 * by byte until the port has no more. When nobody reads what was typed, the bytes stay in the port
 * and its interrupt is off, so that a sender with flow control (an emulator's socket) waits instead
 * of losing them.
 *
 * The interrupt is an edge: one that comes while the port still asks for service is none. So
 * serial_serve goes on until the port asks for nothing.
 *
 * With `log=com1` the kernel sends on this port too, one byte whenever the FIFO is empty. That is
 * why a batch is one byte less than the FIFO holds.
 */
#include "user/servers/console/serial.h"
#include "lib/ring.h"
#include "user/servers/console/input.h"
#include <merganser/native.h>

#define COM1 0x3f8
#define COM1_LINE 4

enum { /* registers, from COM1 */
       UART_DATA = 0,
       UART_INTERRUPT = 1,
       UART_DIVISOR_LOW = 0, /* these two while LINE_DIVISOR is set */
       UART_DIVISOR_HIGH = 1,
       UART_REASON = 2, /* read */
       UART_FIFO = 2,   /* write */
       UART_LINE = 3,
       UART_MODEM = 4,
       UART_STATUS = 5,
       UART_LINES = 6, /* the modem lines coming in */
};
enum { INTERRUPT_INPUT = 1, INTERRUPT_EMPTY = 2 };
enum { REASON_NONE = 1 };
enum { FIFO_ON = 1, FIFO_INPUT_AT_14 = 0xc0 };
enum { LINE_8N1 = 3, LINE_DIVISOR = 0x80 };
enum { MODEM_READY = 3, MODEM_INTERRUPT = 8, MODEM_LOOP = 16 };
enum { STATUS_INPUT = 1, STATUS_BREAK = 0x10, STATUS_EMPTY = 0x20, STATUS_IDLE = 0x40 };
enum { BAUD_115200 = 1 };

#define BATCH 15
#define OUTPUT_BYTES 65536
#define PATIENCE 100000 /* polls until the kernel's last bytes are out */

static u8 output_bytes[OUTPUT_BYTES];
static struct ring output;
static u32 interrupt_handle;
static u8 interrupts_on;

static u8 uart_read(u32 which)
{
    return (u8)mg_io_in(MG_HANDLE_SYSTEM, COM1 + which, 1);
}

static void uart_write(u32 which, u8 value)
{
    mg_io_out(MG_HANDLE_SYSTEM, COM1 + which, 1, value);
}

/* In loop mode the port's own modem lines come back: RTS as CTS (0x10), OUT2 as DCD (0x80). */
static bool uart_exists(void)
{
    u8 lines;

    uart_write(UART_MODEM, MODEM_LOOP | MODEM_INTERRUPT | 2);
    lines = uart_read(UART_LINES) & 0xf0;
    uart_write(UART_MODEM, MODEM_READY);
    return lines == 0x90;
}

static void uart_set_up(void)
{
    for (u32 i = 0; i < PATIENCE && !(uart_read(UART_STATUS) & STATUS_IDLE); i++)
        ;
    uart_write(UART_INTERRUPT, 0);
    uart_write(UART_LINE, LINE_DIVISOR);
    uart_write(UART_DIVISOR_LOW, BAUD_115200);
    uart_write(UART_DIVISOR_HIGH, 0);
    uart_write(UART_LINE, LINE_8N1);
    uart_write(UART_FIFO, FIFO_ON | FIFO_INPUT_AT_14);
    uart_write(UART_MODEM, MODEM_READY | MODEM_INTERRUPT);
}

bool serial_start(u32 port, u64 bit)
{
    long irq;

    if (!uart_exists())
        return false;
    ring_init(&output, output_bytes, OUTPUT_BYTES);
    uart_set_up();
    irq = mg_irq_bind(MG_HANDLE_SYSTEM, COM1_LINE, port, bit);
    if (irq < 0)
        return false;
    interrupt_handle = (u32)irq;
    serial_serve();
    return true;
}

static void send(void)
{
    u8 batch[BATCH];

    while (ring_used(&output) && uart_read(UART_STATUS) & STATUS_EMPTY) {
        u32 length = ring_read(&output, batch, BATCH);

        mg_io_out_bytes(MG_HANDLE_SYSTEM, COM1 + UART_DATA, batch, length);
    }
}

static void receive(void)
{
    while (input_room()) {
        u8 status = uart_read(UART_STATUS), byte;

        if (!(status & STATUS_INPUT))
            return;
        byte = uart_read(UART_DATA);
        if (!(status & STATUS_BREAK))
            input_add(INPUT_SERIAL, &byte, 1);
    }
}

/* Asks for the interrupts that there is something to do for. */
static void choose_interrupts(void)
{
    u8 wanted = 0;

    if (input_room())
        wanted |= INTERRUPT_INPUT;
    if (ring_used(&output))
        wanted |= INTERRUPT_EMPTY;
    if (wanted != interrupts_on)
        uart_write(UART_INTERRUPT, wanted);
    interrupts_on = wanted;
}

void serial_serve(void)
{
    do {
        receive();
        send();
        choose_interrupts();
    } while (!(uart_read(UART_REASON) & REASON_NONE));
    mg_irq_ack(interrupt_handle);
}

u32 serial_write(const u8 *bytes, u32 length)
{
    u32 taken = ring_write(&output, bytes, length);

    send();
    choose_interrupts();
    return taken;
}

u32 serial_room(void)
{
    return OUTPUT_BYTES - ring_used(&output);
}

bool serial_handed_over(void)
{
    return ring_used(&output) == 0;
}

bool serial_sent(void)
{
    return serial_handed_over() && uart_read(UART_STATUS) & STATUS_IDLE;
}
