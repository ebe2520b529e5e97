/*
 * What programs ask of the terminal and change about it, by ioctl.
 *
 * The structures are the kernel's of Linux, not the C library's: TCGETS fills 36 bytes.
 */
#define _GNU_SOURCE
#include "user/servers/posix/tty.h"
#include "user/servers/posix/tty_line.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <string.h>
#include <termios.h>

#define GET_MODES2 0x802c542au
#define SET_MODES2 0x402c542bu
#define SET_MODES2_DRAINED 0x402c542cu
#define SET_MODES2_FLUSHED 0x402c542du
#define SEND_BREAK_POSIX 0x5425u /* TCSBRKP */
#define GET_DISCIPLINE 0x5424u   /* TIOCGETD */

static_assert(sizeof(struct tty_modes) == TTY_MODES2_BYTES, "as Linux's struct termios2");

void tty_modes_init(void)
{
    static const u8 chars[CONTROL_CHARS] = {
        [VINTR] = 'C' & 0x1f,    [VQUIT] = '\\' & 0x1f,   [VERASE] = 0x7f,
        [VKILL] = 'U' & 0x1f,    [VEOF] = 'D' & 0x1f,     [VMIN] = 1,
        [VSTART] = 'Q' & 0x1f,   [VSTOP] = 'S' & 0x1f,    [VSUSP] = 'Z' & 0x1f,
        [VREPRINT] = 'R' & 0x1f, [VDISCARD] = 'O' & 0x1f, [VWERASE] = 'W' & 0x1f,
        [VLNEXT] = 'V' & 0x1f,
    };

    tty.modes = (struct tty_modes){
        .input = ICRNL | IXON | IUTF8,
        .output = OPOST | ONLCR,
        .control = B115200 | CS8 | CREAD | HUPCL | CLOCAL,
        .local = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
        .input_speed = 115200,
        .output_speed = 115200,
    };
    memcpy(tty.modes.chars, chars, sizeof chars);
    tty.size = (struct winsize){.ws_row = 24, .ws_col = 80};
}

enum when { NOW, DRAINED, FLUSHED };

static long set_modes(struct thread *thread, u64 address, usize size, enum when when)
{
    struct tty_modes modes = tty.modes;
    bool was_canonical = tty_has(ICANON);
    long error = tty_check_background(thread, false);

    if (!error && user_get(thread, &modes, address, size))
        error = -EFAULT;
    if (!error && when != NOW)
        error = tty_output_drain(thread);
    if (error)
        return error;
    if (when == FLUSHED)
        tty_input_flush();
    tty.modes = modes;
    tty_input_mode_changed(was_canonical);
    if (!(modes.input & IXON) && tty_output_is_stopped())
        tty_output_stop(false);
    wait_wake(&tty.queue);
    return 0;
}

static long set_size(struct thread *thread, u64 address)
{
    struct winsize size;

    if (user_get(thread, &size, address, sizeof size))
        return -EFAULT;
    if (!memcmp(&size, &tty.size, sizeof size))
        return 0;
    tty.size = size;
    if (tty.foreground)
        signal_send_group(tty.foreground, SIGWINCH, NULL);
    return 0;
}

/* TIOCSTI: a program types on its own terminal; root on any. */
static long type_byte(struct thread *thread, u64 address)
{
    const struct process *process = thread->process;
    u8 byte;

    if (process->cred.euid && !tty_is_controlling(process))
        return -EPERM;
    if (user_get(thread, &byte, address, sizeof byte))
        return -EFAULT;
    return tty_input_type(byte) ? 0 : -EAGAIN;
}

static long flush(struct thread *thread, u64 which)
{
    long error = tty_check_background(thread, false);

    if (error || which > TCIOFLUSH)
        return error ? error : -EINVAL;
    if (which != TCOFLUSH)
        tty_input_flush();
    if (which != TCIFLUSH)
        tty_output_flush();
    tty_input_take(); /* what the flush made room for */
    return 0;
}

/* tcflow: our output by hand, or a request to the other side. */
static long control_flow(struct thread *thread, u64 what)
{
    long error = tty_check_background(thread, false);

    if (error)
        return error;
    switch (what) {
    case TCOOFF: tty_output_stop(true); return 0;
    case TCOON: tty_output_stop(false); return 0;
    case TCIOFF: tty_output_raw(&tty.modes.chars[VSTOP], 1); break;
    case TCION: tty_output_raw(&tty.modes.chars[VSTART], 1); break;
    default: return -EINVAL;
    }
    tty_output_push();
    return 0;
}

/* tcdrain and tcsendbreak: the console has no break, but all before it is out. */
static long drain(struct thread *thread)
{
    long error = tty_check_background(thread, false);

    return error ? error : tty_output_drain(thread);
}

static long put_u32(struct thread *thread, u64 address, u32 value)
{
    return user_put(thread, address, &value, sizeof value);
}

static long modes_ioctl(struct thread *thread, u64 request, u64 arg)
{
    switch (request) {
    case TCGETS: return user_put(thread, arg, &tty.modes, TTY_MODES_BYTES);
    case TCSETS: return set_modes(thread, arg, TTY_MODES_BYTES, NOW);
    case TCSETSW: return set_modes(thread, arg, TTY_MODES_BYTES, DRAINED);
    case TCSETSF: return set_modes(thread, arg, TTY_MODES_BYTES, FLUSHED);
    case GET_MODES2: return user_put(thread, arg, &tty.modes, TTY_MODES2_BYTES);
    case SET_MODES2: return set_modes(thread, arg, TTY_MODES2_BYTES, NOW);
    case SET_MODES2_DRAINED: return set_modes(thread, arg, TTY_MODES2_BYTES, DRAINED);
    case SET_MODES2_FLUSHED: return set_modes(thread, arg, TTY_MODES2_BYTES, FLUSHED);
    default: return -ENOTTY;
    }
}

long tty_ioctl(struct thread *thread, u64 request, u64 arg)
{
    switch (request) {
    case TIOCGWINSZ: return user_put(thread, arg, &tty.size, sizeof tty.size);
    case TIOCSWINSZ: return set_size(thread, arg);
    case TIOCGPGRP: return tty_get_foreground(thread, arg);
    case TIOCSPGRP: return tty_set_foreground(thread, arg);
    case TIOCGSID: return tty_get_session(thread, arg);
    case TIOCSCTTY: return tty_make_controlling(thread, arg);
    case TIOCNOTTY: return tty_give_up(thread);
    case FIONREAD: return put_u32(thread, arg, tty_input_available());
    case TIOCOUTQ: return put_u32(thread, arg, tty_output_used());
    case GET_DISCIPLINE: return put_u32(thread, arg, 0);
    case TIOCSTI: return type_byte(thread, arg);
    case TCFLSH: return flush(thread, arg);
    case TCXONC: return control_flow(thread, arg);
    case TCSBRK:
    case SEND_BREAK_POSIX: return drain(thread);
    default: return modes_ioctl(thread, request, arg);
    }
}
