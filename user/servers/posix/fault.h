/*
 * What a program did that the processor or the memory manager could not go along with.
 */
#pragma once

#include <merganser/abi.h>

struct thread;

/* Turns the kernel's message about a fault into a signal, or makes room if memory ran out. */
void fault_received(struct thread *thread, const struct mg_msg *msg);
