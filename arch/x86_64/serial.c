/*
 * serial.c: a 16550 UART written to by polling, for the kernel log.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/console.h"

/* Registers, from the port's base. */
enum {
    UART_DATA = 0,
    UART_INTERRUPT = 1,
    UART_DIVISOR_LOW = 0, /* these two while LINE_DIVISOR is set */
    UART_DIVISOR_HIGH = 1,
    UART_FIFO = 2,
    UART_LINE = 3,
    UART_MODEM = 4,
    UART_STATUS = 5,
    UART_SCRATCH = 7,
};
enum { LINE_8N1 = 3, LINE_DIVISOR = 0x80 };
enum { FIFO_ON = 7, MODEM_READY = 3, STATUS_EMPTY = 0x20 };
enum { BAUD_115200 = 1 };

#define PATIENCE 100000 /* polls for a character to leave, about 100 ms on a real port */

bool serial_init(u16 port)
{
    io_out8(port + UART_SCRATCH, 0x5a);
    if (io_in8(port + UART_SCRATCH) != 0x5a)
        return false;
    io_out8(port + UART_INTERRUPT, 0);
    io_out8(port + UART_LINE, LINE_DIVISOR);
    io_out8(port + UART_DIVISOR_LOW, BAUD_115200);
    io_out8(port + UART_DIVISOR_HIGH, 0);
    io_out8(port + UART_LINE, LINE_8N1);
    io_out8(port + UART_FIFO, FIFO_ON);
    io_out8(port + UART_MODEM, MODEM_READY);
    return true;
}

static void serial_put(u16 port, char character)
{
    for (u32 i = 0; i < PATIENCE && !(io_in8(port + UART_STATUS) & STATUS_EMPTY); i++)
        cpu_relax();
    io_out8(port + UART_DATA, (u8)character);
}

void serial_write(u16 port, const char *text, usize length)
{
    for (usize i = 0; i < length; i++) {
        if (text[i] == '\n')
            serial_put(port, '\r');
        serial_put(port, text[i]);
    }
}
