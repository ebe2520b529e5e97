/*
 * The terminal's output: processing, the ring, and handing it to the console server.
 *
 * The ring is a memory object that the console server maps, too, so that text is copied once. The
 * server takes at once what it has room for; if that is not all, it tells later when to go on. A
 * program that writes sleeps only while the ring is full.
 *
 * To wait until everything is out, somebody has to sleep in a call to the console server, and that
 * can't be the one thread that serves all processes. A second thread does, here and nowhere else:
 * it uses native calls only and shares two counters with the first.
 */
#define _GNU_SOURCE
#include "lib/page.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/tty.h"
#include "user/servers/posix/tty_line.h"
#include <errno.h>
#include <merganser/console.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>

#define RING_BYTES 65536u
#define TAB 8u
#define STACK_BYTES 16384
#define USER_CS 0x33
#define USER_SS 0x2b
#define FLAG_IF 0x202

static struct {
    u8 *ring;
    u32 head, used;
    u32 column;   /* of the cursor */
    bool stopped; /* by VSTOP */
    bool refused; /* the console server will tell when it has room */
} out;

static struct {
    mg_handle port; /* wakes the second thread; 0 = it does not exist */
    u64 wanted;     /* drains asked for, counted */
    u64 done;       /* how many of them are answered */
    u8 stack[STACK_BYTES] aligned_to(16);
} drain;

/* ---- Processing ---- */

/* How many bytes one may become. */
static u32 growth(void)
{
    if (!(tty.modes.output & OPOST))
        return 1;
    return (tty.modes.output & TABDLY) == XTABS ? TAB : 2;
}

usize tty_output_room(void)
{
    return (RING_BYTES - out.used) / growth();
}

static void emit(u8 byte)
{
    if (out.used == RING_BYTES)
        return;
    out.ring[(out.head + out.used++) % RING_BYTES] = byte;
}

static void emit_tab(void)
{
    u32 spaces = TAB - out.column % TAB;

    out.column += spaces;
    if ((tty.modes.output & TABDLY) != XTABS) {
        emit('\t');
        return;
    }
    while (spaces--)
        emit(' ');
}

static void emit_return(void)
{
    if (tty.modes.output & ONOCR && !out.column)
        return;
    emit(tty.modes.output & OCRNL ? '\n' : '\r');
    out.column = 0;
}

static void emit_newline(void)
{
    if (tty.modes.output & ONLCR)
        emit('\r');
    if (tty.modes.output & (ONLCR | ONLRET))
        out.column = 0;
    emit('\n');
}

/* Bytes inside a character of UTF-8 don't move the cursor. */
static void emit_plain(u8 byte)
{
    if (byte == '\b')
        out.column -= out.column > 0;
    else if (byte >= ' ' && byte != 0x7f && (byte & 0xc0) != 0x80)
        out.column++;
    emit(byte);
}

void tty_output_text(const void *text, usize size)
{
    const u8 *bytes = text;

    if (!(tty.modes.output & OPOST)) {
        tty_output_raw(text, size);
        return;
    }
    for (usize i = 0; i < size && RING_BYTES - out.used >= growth(); i++) {
        switch (bytes[i]) {
        case '\n': emit_newline(); break;
        case '\r': emit_return(); break;
        case '\t': emit_tab(); break;
        default: emit_plain(bytes[i]);
        }
    }
}

void tty_output_raw(const void *text, usize size)
{
    const u8 *bytes = text;

    for (usize i = 0; i < size; i++) {
        if (bytes[i] == '\r')
            out.column = 0;
        emit_plain(bytes[i]);
    }
}

/* ---- The way out ---- */

/* Offers bytes at an offset of the ring: how many the console server took. */
static u32 offer(u32 offset, u32 size)
{
    struct mg_msg msg = {.label = CONSOLE_WRITE_SHARED, .word = {size, offset}};

    if (size <= CONSOLE_INLINE) {
        msg.label = CONSOLE_WRITE;
        memcpy(&msg.word[1], out.ring + offset, size);
    }
    if (mg_ipc_call(POSIX_HANDLE_CONSOLE, &msg) < 0 || msg.label)
        return 0;
    return (u32)MIN(msg.word[0], (u64)size);
}

void tty_output_push(void)
{
    u32 before = out.used;

    while (out.used && !out.stopped && !out.refused) {
        u32 offset = out.head % RING_BYTES, size = MIN(out.used, RING_BYTES - offset);
        u32 taken = offer(offset, size);

        out.head += taken;
        out.used -= taken;
        out.refused = taken < size;
    }
    if (out.used != before)
        wait_wake(&tty.queue);
}

void tty_output_stop(bool stop)
{
    out.stopped = stop;
    tty_output_push();
}

bool tty_output_is_stopped(void)
{
    return out.stopped;
}

void tty_output_resume(void)
{
    out.refused = false;
    tty_output_push();
}

void tty_output_flush(void)
{
    out.used = 0;
    wait_wake(&tty.queue);
}

u32 tty_output_used(void)
{
    return out.used;
}

u32 tty_output_column(void)
{
    return out.column;
}

/* ---- Draining ---- */

/* The second thread: each time it is notified, all drains asked for till then become one call. */
static noreturn_fn void drain_loop(void)
{
    for (;;) {
        struct mg_msg msg = {0};
        u64 wanted;

        mg_ipc_recv(drain.port, &msg);
        wanted = __atomic_load_n(&drain.wanted, __ATOMIC_ACQUIRE);
        msg = (struct mg_msg){.label = CONSOLE_DRAIN};
        mg_ipc_call(POSIX_HANDLE_CONSOLE, &msg);
        __atomic_store_n(&drain.done, wanted, __ATOMIC_RELEASE);
        mg_port_notify(server_port, TTY_NOTIFY_DRAINED);
    }
}

static long drain_start(void)
{
    struct mg_regs regs = {
        .rip = (u64)drain_loop,
        .rsp = (u64)(drain.stack + STACK_BYTES) - 8, /* as after a call */
        .cs = USER_CS,
        .ss = USER_SS,
        .rflags = FLAG_IF,
        .orig_rax = ~0ul,
    };
    long port = mg_port_create(), thread = mg_thread_create(MG_HANDLE_SELF, 0), error;

    if (port < 0 || thread < 0)
        return port < 0 ? port : thread;
    error = mg_thread_set_state(thread, MG_STATE_REGS, &regs, sizeof regs);
    if (error < 0)
        return error;
    drain.port = (mg_handle)port;
    return mg_thread_resume(thread);
}

/* The call keeps the number of its drain in thread->done. */
long tty_output_drain(struct thread *thread)
{
    if (!drain.port)
        return -EIO;
    if (!thread->done) {
        tty_output_push();
        if (out.used)
            return wait_on(thread, &tty.queue);
        thread->done = __atomic_add_fetch(&drain.wanted, 1, __ATOMIC_RELEASE);
        mg_port_notify(drain.port, 1);
    }
    if (__atomic_load_n(&drain.done, __ATOMIC_ACQUIRE) < thread->done)
        return wait_on(thread, &tty.queue);
    thread->done = 0;
    return 0;
}

/* ---- Start ---- */

/* The console server gets a port it may notify, and only that. */
static long attach(void)
{
    long port = mg_handle_dup(server_port, MG_RIGHT_WRITE | MG_RIGHT_PASS);
    struct mg_msg msg = {
        .label = CONSOLE_ATTACH,
        .word = {TTY_NOTIFY_INPUT, TTY_NOTIFY_ROOM},
        .handle = (mg_handle)port,
    };
    long error = port < 0 ? port : mg_ipc_call(POSIX_HANDLE_CONSOLE, &msg);

    if (port >= 0)
        mg_handle_close((mg_handle)port);
    return error ? error : (long)msg.label;
}

static long share_ring(void)
{
    long object = mg_object_create(RING_BYTES, 0), address, error;
    struct mg_map map = {
        .len = RING_BYTES,
        .prot = PROT_READ | PROT_WRITE,
        .flags = MAP_SHARED,
        .object = (mg_handle)object,
    };
    struct mg_msg msg = {.label = CONSOLE_SHARE, .word = {RING_BYTES}, .handle = (mg_handle)object};

    if (object < 0)
        return object;
    address = mg_vm_map(MG_HANDLE_SELF, &map);
    if (address < 0)
        return address;
    out.ring = (u8 *)address;
    error = mg_ipc_call(POSIX_HANDLE_CONSOLE, &msg);
    mg_handle_close((mg_handle)object);
    return error ? error : (long)msg.label;
}

static void ask_size(void)
{
    struct mg_msg msg = {.label = CONSOLE_SIZE};

    if (mg_ipc_call(POSIX_HANDLE_CONSOLE, &msg) || msg.label || !msg.word[0] || !msg.word[1])
        return;
    tty.size = (struct winsize){
        .ws_row = (u16)msg.word[0],
        .ws_col = (u16)msg.word[1],
        .ws_xpixel = (u16)msg.word[2],
        .ws_ypixel = (u16)msg.word[3],
    };
}

void tty_output_init(void)
{
    long error = share_ring();

    if (!error)
        error = attach();
    if (error)
        log_line("no console: %ld", error);
    error = drain_start();
    if (error)
        log_line("nobody can wait for the console's output: %ld", error);
    ask_size();
}
