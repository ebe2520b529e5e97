/*
 * native.h: the handlers of the native calls, declared from the one list in abi.h.
 *
 * native_NAME(frame) takes its arguments with SYSCALL_ARGn and returns what goes into rax. A call
 * that passes a message in registers works on the frame; SYSCALL_NO_RESULT says that rax is set as
 * well.
 */
#pragma once

#include "kernel/sys/syscall.h"
#include <merganser/abi.h>

#define NATIVE_DECLARE(number, name) s64 native_##name(struct trap_frame *frame);
MG_NATIVE_CALLS(NATIVE_DECLARE)
#undef NATIVE_DECLARE
