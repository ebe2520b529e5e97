/*
 * keyboard.h: the PS/2 keyboard.
 */
#pragma once

#include "lib/types.h"

/* Sets the controller and the keyboard up and binds the interrupt to notification `bit` of `port`.
 * False: there is no keyboard. */
bool keyboard_start(u32 port, u64 bit);

/* After the interrupt: gives what was typed to input_add. */
void keyboard_serve(void);
