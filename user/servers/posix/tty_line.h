/*
 * The terminal from the inside: what its files share and nobody else sees.
 *
 *     console server --input--> tty_line.c: edits, echoes, signals --> ring --> tty.c: read
 *                   <--ring---- tty_output.c <----- echo, tty.c: write
 *
 * tty_job.c knows whose terminal it is, tty_ioctl.c lets programs ask and change all of it.
 */
#pragma once

#include "user/servers/posix/file.h"
#include "user/servers/posix/process.h"
#include <sys/ioctl.h>

/* The modes as TCGETS shows them; with the two speeds behind, as TCGETS2 does. */
#define CONTROL_CHARS 19
struct tty_modes {
    u32 input, output, control, local;
    u8 line;
    u8 chars[CONTROL_CHARS];
    u32 input_speed, output_speed;
};
#define TTY_MODES_BYTES 36  /* without the speeds */
#define TTY_MODES2_BYTES 44 /* all */

#define INPUT_BYTES 8192u

/* What a byte of input means to a read in canonical mode. */
enum mark { MARK_NONE, MARK_LINE_END, MARK_EOF };

/*
 * Counters of bytes that only grow; byte n stands at n % INPUT_BYTES.
 *
 *     head ..... ready    complete lines, or in raw mode everything: what read may take
 *     ready .... tail     the line that is still edited
 */
struct tty_input {
    u8 bytes[INPUT_BYTES];
    u8 marks[INPUT_BYTES];
    u32 head, ready, tail;
    u32 start_column; /* where the echo of the edited line began */
    bool literal;     /* VLNEXT was typed: the next byte has no meaning */
    bool more;        /* the console server may hold more */
    u64 last;         /* when the latest byte came, for VTIME */
};

struct tty {
    struct tty_modes modes;
    struct winsize size;
    u32 session, foreground; /* 0 = none */
    u32 generation;          /* of open files: counts hang-ups */
    struct wait_queue queue; /* woken by input, room, and all else a call may wait for */
    struct tty_input input;
};

extern struct tty tty;

static inline bool tty_has(u32 local_mode)
{
    return tty.modes.local & local_mode;
}

/* ---- tty_output.c ---- */

/* Bytes of text that can be written now whatever they become by output processing. */
usize tty_output_room(void);

/* Processes text and puts it on the way; what tty_output_room does not allow is dropped. */
void tty_output_text(const void *text, usize size);

/* The same without processing. */
void tty_output_raw(const void *text, usize size);

/* Hands over to the console server what it takes. */
void tty_output_push(void);

/* ^S and ^Q. */
void tty_output_stop(bool stop);
bool tty_output_is_stopped(void);

/* The console server has room again. */
void tty_output_resume(void);

/* Drops what was not handed over. */
void tty_output_flush(void);

/* Bytes not handed over. */
u32 tty_output_used(void);

/* Where the cursor stands, as far as the text tells. */
u32 tty_output_column(void);

/* Waits until all is out: 0, or what wait_on returns. */
long tty_output_drain(struct thread *thread);

/* Attaches to the console server and asks for the window's size. */
void tty_output_init(void);

/* ---- tty_line.c ---- */

/* Takes from the console server all there is room for. */
void tty_input_take(void);

/* A byte as if it had been typed. False: no room. */
bool tty_input_type(u8 byte);

/* Bytes that a read can take; in canonical mode 0 at the end of an empty line's EOF, too. */
u32 tty_input_available(void);

/* Is there something for read: in canonical mode a line or an end of file? */
bool tty_input_is_ready(void);

/* Moves a line, or in raw mode what is there, to the reader. */
long tty_input_read(struct uio *io);

void tty_input_flush(void);

/* After a change between canonical and raw mode. */
void tty_input_mode_changed(bool was_canonical);

/* ---- tty_job.c ---- */

/* May the thread read (true), or write or change modes (false)? 0, -EIO, or after having stopped
 * its group -ERESTARTSYS. */
long tty_check_background(struct thread *thread, bool reading);

long tty_set_foreground(struct thread *thread, u64 address);
long tty_get_foreground(struct thread *thread, u64 address);
long tty_get_session(struct thread *thread, u64 address);
long tty_make_controlling(struct thread *thread, u64 arg);
long tty_give_up(struct thread *thread);

/* ---- tty_ioctl.c ---- */

/* The modes and size a terminal starts with. */
void tty_modes_init(void);
long tty_ioctl(struct thread *thread, u64 request, u64 arg);
