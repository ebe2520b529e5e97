/*
 * console.c: the kernel log's way out: the second serial port, so that the first is free for the
 * console server, and the screen until that server takes it (screen_release) or again after a panic
 * (screen_take).
 */
#include "arch/x86_64/console.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/log.h"
#include "lib/string.h"

enum { COM1 = 0x3f8, COM2 = 0x2f8 };

static u16 log_port; /* 0 = none */
static bool screen_ours;

static void console_write(const char *text, usize length)
{
    if (log_port)
        serial_write(log_port, text, length);
    if (screen_ours)
        screen_write(text, length);
}

void console_init_serial(void)
{
    if (serial_init(COM2))
        log_port = COM2;
    log_sink = console_write;
}

void console_init(void)
{
    char value[8];

    if (boot_argument("log", value, sizeof(value)) && strcmp(value, "com1") == 0)
        log_port = serial_init(COM1) ? COM1 : 0;
    screen_init();
    screen_ours = true;
}

void screen_release(void)
{
    screen_ours = false;
}

void screen_take(void)
{
    if (screen_ours)
        return;
    screen_init();
    screen_ours = true;
}
