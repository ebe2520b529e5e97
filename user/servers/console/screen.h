/*
 * screen.h: the terminal on the framebuffer.
 */
#pragma once

#include "lib/types.h"

/*
 * Maps the framebuffer that the kernel tells of, and shows the kernel's log so far. At most `rows`
 * and `columns` are used if they are not 0. False: there is none, or no memory; then nothing else
 * here may be called.
 */
bool screen_start(u32 rows, u32 columns);

/* Writes to the terminal; what changes is seen after screen_paint. Answers to what programs ask go
 * to input_add if `answer`. */
void screen_write(const u8 *bytes, u32 length, bool answer);

/* Is there something to paint? */
bool screen_changed(void);
void screen_paint(void);

struct screen_size {
    u32 rows, columns, width, height; /* of the terminal; of what it covers, in pixels */
};
struct screen_size screen_size(void);
