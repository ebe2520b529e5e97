/*
 * keyboard.c: the i8042 controller and the keyboard behind it.
 *
 * The controller takes commands at one port and moves bytes to and from the keyboard at the other,
 * one at a time each way. It can be missing, and so can the keyboard: every wait ends after a
 * while, measured by the clock. The controller translates what keyboards send today into scancode
 * set 1.
 */
#include "user/servers/console/keyboard.h"
#include "user/servers/console/clock.h"
#include "user/servers/console/input.h"
#include "user/servers/console/keymap.h"
#include <merganser/native.h>

enum { KEYBOARD_LINE = 1 };
enum { PORT_DATA = 0x60, PORT_STATUS = 0x64, PORT_COMMAND = 0x64 };
enum { STATUS_OUTPUT = 1, STATUS_BUSY = 2, STATUS_MOUSE = 0x20 };
enum { /* commands to the controller */
       COMMAND_READ_MODE = 0x20,
       COMMAND_WRITE_MODE = 0x60,
       COMMAND_MOUSE_OFF = 0xa7,
       COMMAND_SELF_TEST = 0xaa,
       COMMAND_KEYBOARD_OFF = 0xad,
       COMMAND_KEYBOARD_ON = 0xae,
};
enum { SELF_TEST_PASSED = 0x55 };
enum { MODE_INTERRUPT = 1, MODE_MOUSE_INTERRUPT = 2, MODE_CLOCK_OFF = 0x10, MODE_TRANSLATE = 0x40 };
enum { KEYBOARD_LEDS = 0xed, KEYBOARD_SCAN = 0xf4, KEYBOARD_ACK = 0xfa, KEYBOARD_RESEND = 0xfe };

#define PATIENCE (100 * MILLISECOND)
#define NOTHING (-1)

static struct keymap map;
static u32 interrupt_handle;

static u8 status(void)
{
    return (u8)mg_io_in(MG_HANDLE_SYSTEM, PORT_STATUS, 1);
}

/* Sends a byte when the controller can take it; false: it can't. */
static bool send(u16 port, u8 byte)
{
    u64 end = clock_now() + PATIENCE;

    while (status() & STATUS_BUSY)
        if (clock_now() > end)
            return false;
    mg_io_out(MG_HANDLE_SYSTEM, port, 1, byte);
    return true;
}

/* The next byte that comes, or NOTHING. */
static int receive(void)
{
    u64 end = clock_now() + PATIENCE;

    while (!(status() & STATUS_OUTPUT))
        if (clock_now() > end)
            return NOTHING;
    return (int)(mg_io_in(MG_HANDLE_SYSTEM, PORT_DATA, 1) & 0xff);
}

static int ask(u8 command)
{
    return send(PORT_COMMAND, command) ? receive() : NOTHING;
}

/* Sends a byte to the keyboard; true when it has said that it understood. Keys in between are
 * lost. */
static bool tell_keyboard(u8 byte)
{
    u64 end = clock_now() + PATIENCE;
    int answer;

    if (!send(PORT_DATA, byte))
        return false;
    while ((answer = receive()) != KEYBOARD_ACK)
        if (answer == NOTHING || answer == KEYBOARD_RESEND || clock_now() > end)
            return false;
    return true;
}

static void show_locks(void)
{
    if (tell_keyboard(KEYBOARD_LEDS))
        tell_keyboard(map.leds);
}

static bool controller_start(void)
{
    int mode;

    if (status() == 0xff) /* what is read where nothing is */
        return false;
    if (!send(PORT_COMMAND, COMMAND_KEYBOARD_OFF) || !send(PORT_COMMAND, COMMAND_MOUSE_OFF))
        return false;
    for (int i = 0; i < 16 && status() & STATUS_OUTPUT; i++)
        receive();
    if (ask(COMMAND_SELF_TEST) != SELF_TEST_PASSED)
        return false;
    mode = ask(COMMAND_READ_MODE);
    if (mode == NOTHING)
        return false;
    mode &= ~(MODE_MOUSE_INTERRUPT | MODE_CLOCK_OFF);
    mode |= MODE_INTERRUPT | MODE_TRANSLATE;
    return send(PORT_COMMAND, COMMAND_WRITE_MODE) && send(PORT_DATA, (u8)mode) &&
           send(PORT_COMMAND, COMMAND_KEYBOARD_ON);
}

bool keyboard_start(u32 port, u64 bit)
{
    long irq;

    keymap_init(&map);
    if (!controller_start() || !tell_keyboard(KEYBOARD_SCAN))
        return false;
    show_locks();
    irq = mg_irq_bind(MG_HANDLE_SYSTEM, KEYBOARD_LINE, port, bit);
    if (irq < 0)
        return false;
    interrupt_handle = (u32)irq;
    keyboard_serve();
    return true;
}

void keyboard_serve(void)
{
    u8 leds = map.leds, typed[KEYMAP_MAX], now;

    while ((now = status()) & STATUS_OUTPUT) {
        u8 code = (u8)mg_io_in(MG_HANDLE_SYSTEM, PORT_DATA, 1);

        if (!(now & STATUS_MOUSE))
            input_add(INPUT_KEYBOARD, typed, keymap_decode(&map, code, typed));
    }
    if (map.leds != leds)
        show_locks();
    mg_irq_ack(interrupt_handle);
}
