/*
 * The console server: what merganser/console.h promises.
 *
 * One thread, one port: calls of the client, interrupts of the devices and the timer all arrive
 * there, and each is served to its end before the next. What goes out is given to the serial line's
 * buffer and, as far as that took it, to the screen; so nobody waits for the line but a client that
 * asks to (CONSOLE_DRAIN). What comes in waits in one ring, whether typed at the keyboard or at the
 * other end of the line.
 */
#include "lib/page.h"
#include "lib/ring.h"
#include "user/servers/console/clock.h"
#include "user/servers/console/input.h"
#include "user/servers/console/keyboard.h"
#include "user/servers/console/screen.h"
#include "user/servers/console/serial.h"
#include <errno.h>
#include <merganser/console.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PORT CONSOLE_HANDLE_PORT
#define BIT_SERIAL 1
#define BIT_KEYBOARD 2
#define INPUT_BYTES 4096
#define WAITING_MAX 16
#define DEFAULT_ROWS 24
#define DEFAULT_COLUMNS 80
#define ROOM_TO_TELL 16384       /* so much must be free before a client is told of room */
#define FRAME (40 * MILLISECOND) /* the screen is painted no more often than that */
#define SOON (2 * MILLISECOND)
#define LAST_BITS MILLISECOND /* how often to look whether the port's last byte is out */

static struct {
    mg_handle port; /* 0 = nobody is attached */
    u64 input_bit, room_bit;
    bool refused; /* not all of its output was taken: it waits for room */
    const u8 *shared;
    u64 shared_bytes;
} client;

static u8 input_bytes[INPUT_BYTES];
static struct ring input;

static u64 waiting[WAITING_MAX]; /* whom to answer when everything is out */
static u32 waiting_count;

static bool have_serial, have_keyboard, have_screen;
static enum input_source speaker; /* who typed last */
static u64 timer_when;            /* 0 = off */

/* --- time --- */

/* Lets the message loop come round at that time at the latest. */
static void timer_at(u64 when)
{
    if (timer_when && timer_when <= when)
        return;
    timer_when = when;
    mg_port_timer(PORT, when);
}

/* --- input --- */

u32 input_room(void)
{
    return INPUT_BYTES - ring_used(&input);
}

void input_add(enum input_source source, const u8 *bytes, u32 length)
{
    bool first = ring_used(&input) == 0;

    if (length)
        speaker = source;
    ring_write(&input, bytes, length);
    if (first && ring_used(&input) && client.port)
        mg_port_notify(client.port, client.input_bit);
}

/* --- output --- */

static u32 output_write(const u8 *bytes, u32 length)
{
    u32 taken = have_serial ? serial_write(bytes, length) : length;

    client.refused |= taken < length;
    if (have_screen)
        screen_write(bytes, taken, speaker == INPUT_KEYBOARD || !have_serial);
    return taken;
}

static void tell_of_room(void)
{
    if (!client.refused || (have_serial && serial_room() < ROOM_TO_TELL))
        return;
    client.refused = false;
    if (client.port)
        mg_port_notify(client.port, client.room_bit);
}

/* Painting waits until a frame is due, so that it delays no answer and fast output is not painted
 * line by line. */
static void paint_when_due(void)
{
    static u64 due, last; /* due: 0 = nothing to paint */

    if (!have_screen || (!due && !screen_changed()))
        return;
    if (!due)
        due = MAX(clock_now() + SOON, last + FRAME);
    timer_at(due);
    if (clock_now() < due)
        return;
    screen_paint();
    last = clock_now();
    due = 0;
}

/* Answers those who wait for the line. Its last byte makes no interrupt: the timer looks again. */
static void answer_waiting(void)
{
    if (!waiting_count || (have_serial && !serial_handed_over()))
        return;
    if (have_serial && !serial_sent()) {
        timer_at(clock_now() + LAST_BITS);
        return;
    }
    while (waiting_count) {
        struct mg_msg answer = {.token = waiting[--waiting_count]};

        mg_ipc_reply(&answer);
    }
}

/* --- calls --- */

/* A reply is made of the message itself: label, words and handle are set by each call. */
static void reply(struct mg_msg *msg, long error)
{
    memset(msg->word, 0, sizeof(msg->word));
    msg->label = (u64)error;
    msg->handle = 0;
}

static void call_attach(struct mg_msg *msg)
{
    if (client.port)
        mg_handle_close(client.port);
    client.port = msg->handle;
    client.input_bit = msg->word[0];
    client.room_bit = msg->word[1];
    reply(msg, client.port ? 0 : -EINVAL);
    if (client.port && ring_used(&input))
        mg_port_notify(client.port, client.input_bit);
}

static void call_share(struct mg_msg *msg)
{
    u64 bytes = ALIGN_UP(msg->word[0], PAGE_BYTES);
    struct mg_map map = {
        .len = bytes, .prot = PROT_READ, .flags = MAP_SHARED, .object = msg->handle};
    struct mg_object_info info;
    long at = mg_object_info(msg->handle, &info);

    if (at == 0)
        at = bytes && bytes <= ALIGN_UP(info.bytes, PAGE_BYTES) ? mg_vm_map(MG_HANDLE_SELF, &map)
                                                                : -EINVAL;
    if (msg->handle)
        mg_handle_close(msg->handle);
    if (at < 0) {
        reply(msg, at);
        return;
    }
    if (client.shared)
        mg_vm_unmap(MG_HANDLE_SELF, client.shared, ALIGN_UP(client.shared_bytes, PAGE_BYTES));
    client.shared = (const u8 *)at;
    client.shared_bytes = msg->word[0];
    reply(msg, 0);
}

static void call_write(struct mg_msg *msg)
{
    u64 length = msg->word[0];
    u32 taken = 0;

    if (length <= CONSOLE_INLINE)
        taken = output_write((const u8 *)&msg->word[1], (u32)length);
    reply(msg, length <= CONSOLE_INLINE ? 0 : -EINVAL);
    msg->word[0] = taken;
}

static void call_write_shared(struct mg_msg *msg)
{
    u64 length = msg->word[0], offset = msg->word[1];
    bool inside = offset <= client.shared_bytes && length <= client.shared_bytes - offset;
    u32 taken = 0;

    if (inside)
        taken = output_write(client.shared + offset, (u32)MIN(length, 1u << 20));
    reply(msg, inside ? 0 : -EINVAL);
    msg->word[0] = taken;
}

static void call_read(struct mg_msg *msg)
{
    bool was_full = input_room() == 0;

    reply(msg, 0);
    msg->word[0] = ring_read(&input, &msg->word[1], CONSOLE_INLINE);
    if (was_full && have_serial)
        serial_serve();
}

static void call_size(struct mg_msg *msg)
{
    struct screen_size size = {.rows = DEFAULT_ROWS, .columns = DEFAULT_COLUMNS};

    if (have_screen)
        size = screen_size();
    reply(msg, 0);
    msg->word[0] = size.rows;
    msg->word[1] = size.columns;
    msg->word[2] = size.width;
    msg->word[3] = size.height;
}

/* True: answered later. */
static bool call_drain(struct mg_msg *msg)
{
    if (waiting_count < WAITING_MAX) {
        waiting[waiting_count++] = msg->token;
        return true;
    }
    reply(msg, -EBUSY);
    return false;
}

/* Serves one message; true if there is an answer to send. */
static bool serve(struct mg_msg *msg)
{
    if (msg->label == MG_LABEL_NOTIFY) {
        if (msg->word[0] & MG_NOTIFY_TIMER)
            timer_when = 0;
        if (have_serial && msg->word[0] & BIT_SERIAL)
            serial_serve();
        if (have_keyboard && msg->word[0] & BIT_KEYBOARD)
            keyboard_serve();
        return false;
    }
    switch (msg->label) {
    case CONSOLE_ATTACH: call_attach(msg); break;
    case CONSOLE_SHARE: call_share(msg); break;
    case CONSOLE_WRITE: call_write(msg); break;
    case CONSOLE_WRITE_SHARED: call_write_shared(msg); break;
    case CONSOLE_READ: call_read(msg); break;
    case CONSOLE_SIZE: call_size(msg); break;
    case CONSOLE_DRAIN: return !call_drain(msg);
    default: reply(msg, -ENOSYS);
    }
    return true;
}

/* The number after a word of the kernel's command line, or 0. */
static u32 argument(const char *word)
{
    static struct mg_boot_info info;
    const char *at;

    if (mg_boot_info(MG_HANDLE_SYSTEM, &info) < 0)
        return 0;
    at = strstr(info.cmdline, word);
    return at ? (u32)strtoul(at + strlen(word), NULL, 10) : 0;
}

int main(void)
{
    struct mg_msg msg = {0};
    bool answer = false;

    ring_init(&input, input_bytes, INPUT_BYTES);
    have_serial = serial_start(PORT, BIT_SERIAL);
    have_screen = screen_start(argument("rows="), argument("columns="));
    have_keyboard = keyboard_start(PORT, BIT_KEYBOARD);
    for (;;) {
        long error = answer ? mg_ipc_reply_recv(PORT, &msg) : mg_ipc_recv(PORT, &msg);

        if (error && error != -EINTR)
            return 1; /* init tells of it */
        answer = !error && serve(&msg);
        tell_of_room();
        answer_waiting();
        paint_when_due();
    }
}
