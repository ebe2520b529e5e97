/*
 * input.h: where serial line, keyboard and screen put what was typed; main.c keeps it for the
 * client.
 */
#pragma once

#include "lib/types.h"

/* Who said something last: the screen answers a program's questions only while its own keyboard is
 * in use, otherwise the terminal at the end of the serial line does. */
enum input_source { INPUT_SERIAL, INPUT_KEYBOARD };

/* Bytes that input_add would take now. */
u32 input_room(void);

/* Adds what was typed; what there is no room for is lost. */
void input_add(enum input_source source, const u8 *bytes, u32 length);
