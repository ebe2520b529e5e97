/*
 * native.h: the native calls as C functions for user space, made from the one list in abi.h.
 *
 * Each returns the kernel's result: a value, or -errno. mg_ipc_* pass a message in registers, both
 * ways.
 */
#pragma once

#include <merganser/abi.h>

static inline long mg_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* mg_NAME(a, ...): missing arguments are 0. */
#define MG_ARGS(n, a, b, c, d, e, f, ...) \
    (n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)
#define MG_CALL(name, ...) mg_syscall(MG_ARGS(MG_SYS_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0))
#define mg_null() MG_CALL(null)
#define mg_handle_close(h) MG_CALL(handle_close, h)
#define mg_handle_dup(h, rights) MG_CALL(handle_dup, h, rights)
#define mg_port_create() MG_CALL(port_create)
#define mg_port_mint(port, cookie, rights) MG_CALL(port_mint, port, cookie, rights)
#define mg_port_notify(port, bits) MG_CALL(port_notify, port, bits)
#define mg_port_timer(port, when) MG_CALL(port_timer, port, when)
#define mg_task_create(port, cookie) MG_CALL(task_create, port, cookie)
#define mg_task_fork(task, port, cookie, flags) MG_CALL(task_fork, task, port, cookie, flags)
#define mg_task_kill(task) MG_CALL(task_kill, task)
#define mg_task_info(task, info) MG_CALL(task_info, task, info)
#define mg_task_set(task, what, value) MG_CALL(task_set, task, what, value)
#define mg_task_reset_space(task) MG_CALL(task_reset_space, task)
#define mg_task_give(task, h, rights) MG_CALL(task_give, task, h, rights)
#define mg_thread_create(task, cookie) MG_CALL(thread_create, task, cookie)
#define mg_thread_resume(thread) MG_CALL(thread_resume, thread)
#define mg_thread_suspend(thread) MG_CALL(thread_suspend, thread)
#define mg_thread_interrupt(thread) MG_CALL(thread_interrupt, thread)
#define mg_thread_kill(thread) MG_CALL(thread_kill, thread)
#define mg_thread_get_state(thread, kind, buf, size) \
    MG_CALL(thread_get_state, thread, kind, buf, size)
#define mg_thread_set_state(thread, kind, buf, size) \
    MG_CALL(thread_set_state, thread, kind, buf, size)
#define mg_thread_info(thread, info) MG_CALL(thread_info, thread, info)
#define mg_thread_set(thread, what, value) MG_CALL(thread_set, thread, what, value)
#define mg_vm_map(task, map) MG_CALL(vm_map, task, map)
#define mg_vm_unmap(task, addr, len) MG_CALL(vm_unmap, task, addr, len)
#define mg_vm_protect(task, addr, len, prot) MG_CALL(vm_protect, task, addr, len, prot)
#define mg_vm_advise(task, addr, len, advice) MG_CALL(vm_advise, task, addr, len, advice)
#define mg_vm_query(task, addr, vma) MG_CALL(vm_query, task, addr, vma)
#define mg_vm_pagemap(task, addr, pages, buf) MG_CALL(vm_pagemap, task, addr, pages, buf)
#define mg_vm_copy(to, to_off, from, from_off, len) \
    MG_CALL(vm_copy, to, to_off, from, from_off, len)
#define mg_object_create(bytes, cookie) MG_CALL(object_create, bytes, cookie)
#define mg_object_resize(object, bytes) MG_CALL(object_resize, object, bytes)
#define mg_object_info(object, info) MG_CALL(object_info, object, info)
#define mg_object_seek(object, offset, what) MG_CALL(object_seek, object, offset, what)
#define mg_object_punch(object, offset, bytes) MG_CALL(object_punch, object, offset, bytes)
#define mg_object_physical(system, addr, bytes, flags) \
    MG_CALL(object_physical, system, addr, bytes, flags)
#define mg_irq_bind(system, gsi, port, bits) MG_CALL(irq_bind, system, gsi, port, bits)
#define mg_irq_ack(irq) MG_CALL(irq_ack, irq)
#define mg_io_in(system, port, width) MG_CALL(io_in, system, port, width)
#define mg_io_out(system, port, width, value) MG_CALL(io_out, system, port, width, value)
#define mg_io_out_bytes(system, port, buf, len) MG_CALL(io_out_bytes, system, port, buf, len)
#define mg_power(system, how) MG_CALL(power, system, how)
#define mg_tunable_read(system, name, buf, size) MG_CALL(tunable_read, system, name, buf, size)
#define mg_tunable_write(system, name, text, len) MG_CALL(tunable_write, system, name, text, len)
#define mg_tunable_name(system, index, buf, size) MG_CALL(tunable_name, system, index, buf, size)
#define mg_stats(system, what, offset, buf, size) MG_CALL(stats, system, what, offset, buf, size)
#define mg_boot_info(system, info) MG_CALL(boot_info, system, info)
#define mg_log_write(system, text, len) MG_CALL(log_write, system, text, len)
#define mg_log_read(system, offset, buf, size) MG_CALL(log_read, system, offset, buf, size)
#define mg_block_info(system, index, info) MG_CALL(block_info, system, index, info)
#define mg_block_open(system, index, rights) MG_CALL(block_open, system, index, rights)
#define mg_block_start(device, task, io) MG_CALL(block_start, device, task, io)
#define mg_block_ended(device, results, count) MG_CALL(block_ended, device, results, count)

/* The registers of a message, see struct mg_msg: `port` goes into rdi, the rest comes from and goes
 * back to *msg. */
static inline long mg_ipc(long number, mg_handle port, struct mg_msg *msg)
{
    register uint64_t r10 __asm__("r10") = msg->word[0];
    register uint64_t r8 __asm__("r8") = msg->word[1];
    register uint64_t r9 __asm__("r9") = msg->word[2];
    register uint64_t r12 __asm__("r12") = msg->word[3];
    register uint64_t r13 __asm__("r13") = msg->word[4];
    register uint64_t r14 __asm__("r14") = msg->word[5];
    uint64_t cookie = port, token = msg->token, label = msg->label, handle = msg->handle;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(cookie), "+S"(token), "+d"(label), "+b"(handle),
                       "+r"(r10), "+r"(r8), "+r"(r9),
                       "+r"(r12), "+r"(r13), "+r"(r14)
                     : "0"(number)
                     : "rcx", "r11", "memory");
    msg->cookie = cookie;
    msg->token = token;
    msg->label = label;
    msg->handle = (mg_handle)handle;
    msg->word[0] = r10;
    msg->word[1] = r8;
    msg->word[2] = r9;
    msg->word[3] = r12;
    msg->word[4] = r13;
    msg->word[5] = r14;
    return result;
}

/* A message that is nothing but its label, below 2^63: the label of the reply, or -errno. */
static inline long mg_ipc_call_label(mg_handle port, uint64_t label)
{
    uint64_t cookie = port, handle = 0;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(cookie), "+d"(label), "+b"(handle)
                     : "0"(MG_SYS_ipc_call)
                     : "rcx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "memory");
    return result < 0 ? result : (long)label;
}

/* Each returns 0 or -errno; msg is replaced by what came back. */
static inline long mg_ipc_call(mg_handle port, struct mg_msg *msg)
{
    return mg_ipc(MG_SYS_ipc_call, port, msg);
}

static inline long mg_ipc_recv(mg_handle port, struct mg_msg *msg)
{
    return mg_ipc(MG_SYS_ipc_recv, port, msg);
}

static inline long mg_ipc_reply(struct mg_msg *msg)
{
    return mg_ipc(MG_SYS_ipc_reply, 0, msg);
}

static inline long mg_ipc_reply_recv(mg_handle port, struct mg_msg *msg)
{
    return mg_ipc(MG_SYS_ipc_reply_recv, port, msg);
}
