/*
 * Do the native calls keep what abi.h promises? The program is a system server itself: it makes
 * tasks whose calls and faults come to a port of its own, looks into them, stops them and ends
 * them.
 *
 * linux: no
 */
#define _GNU_SOURCE
#include <merganser/native.h>
#include <time.h>

#include "tap.h"

#define STACK_BYTES 16384
#define COOKIE 0x77ul
#define NO_SUCH_CALL 500

/* --- a task of our own: a copy of this one, with one thread and an empty table of handles --- */

struct pupil {
    mg_handle port, task, thread;
};

static char pupil_stack[STACK_BYTES] __attribute__((aligned(16)));

/* Its thread does not run yet. */
static struct pupil make_pupil(void (*entry)(void))
{
    struct pupil pupil = {.port = (mg_handle)mg_port_create()};
    struct mg_regs regs = {
        .rip = (uint64_t)entry,
        .rsp = (uint64_t)(pupil_stack + STACK_BYTES - 8),
        .rflags = 0x200,
        .orig_rax = ~0ul,
        .fs_base = (uint64_t)__builtin_thread_pointer(),
    };

    pupil.task = (mg_handle)mg_task_fork(MG_HANDLE_SELF, pupil.port, 1, 0);
    pupil.thread = (mg_handle)mg_thread_create(pupil.task, COOKIE);
    ok_equal(mg_thread_set_state(pupil.thread, MG_STATE_REGS, &regs, sizeof regs), sizeof regs,
             "a new thread gets registers");
    return pupil;
}

static void end_pupil(const struct pupil *pupil)
{
    struct mg_task_info info;

    ok_equal(mg_task_kill(pupil->task), 0, "the task is ended");
    ok_equal(mg_task_info(pupil->task, &info), 0, "its figures are still there");
    ok(info.total == 0 && info.threads == 0, "but nothing of it");
}

static uint32_t state_of(mg_handle thread)
{
    struct mg_thread_info info = {0};

    return mg_thread_info(thread, &info) == 0 ? info.state : ~0u;
}

static void be_busy(void)
{
    for (;;)
        __asm__ volatile("pause");
}

/* An instruction that does not exist, a call that does not, and a write to where nothing is. */
void be_bad(void);
void be_bad_call(void);
__asm__("be_bad: ud2\n"
        "be_bad_call: mov $500, %eax\n"
        "mov $1, %edi\n mov $2, %esi\n mov $3, %edx\n mov $4, %r10d\n mov $5, %r8d\n mov $6, %r9d\n"
        "syscall\n"
        "movb $1, 0x1000(%rax)\n");

/* --- the cases --- */

static void handles(void)
{
    long port = mg_port_create(), reader = mg_handle_dup(port, MG_RIGHT_READ);

    ok_equal(mg_null(), 0, "the null call");
    ok(port > MG_HANDLE_SELF && reader > port, "handles are numbers above that of the task");
    ok_equal(mg_handle_dup(reader, MG_RIGHT_WRITE), -EACCES, "rights can't be gained");
    ok_equal(mg_handle_dup(port, 0x10), -EINVAL, "there are four of them");
    ok_equal(mg_port_notify(reader, 1), -EACCES, "a right that is missing");
    ok_equal(mg_object_resize(port, 1), -EBADF, "a handle of another type");
    ok_equal(mg_handle_close(reader), 0, "close");
    ok_equal(mg_handle_close(reader), -EBADF, "closed is closed");
    ok_equal(mg_handle_close(MG_HANDLE_SELF), -EBADF, "the task's own is not for closing");
    ok_equal(mg_syscall(MG_SYS_handle_close, port | 1l << 32, 0, 0, 0, 0, 0), -EBADF,
             "handles have 32 bits");
    ok_equal(mg_stats(port, MG_STATS_EVENTS, 0, 0, 0), -EBADF,
             "who has no machine sees no figures");
}

static void own_task(void)
{
    long port = mg_port_create();

    ok_equal(mg_thread_create(MG_HANDLE_SELF, 0), -EACCES, "a process can't forge threads");
    ok_equal(mg_task_set(MG_HANDLE_SELF, MG_TASK_PID, 1), -EACCES, "nor take another number");
    ok_equal(mg_task_set(MG_HANDLE_SELF, MG_TASK_SERVER, port), -EACCES, "nor leave its server");
    ok_equal(mg_handle_dup(MG_HANDLE_SELF, MG_RIGHT_ALL), -EACCES, "by another handle neither");

    long task = mg_task_create(port, 1);

    ok_equal(mg_task_set(task, MG_TASK_SERVER, port), -EBUSY, "a server is for ever");
    ok_equal(mg_task_set(task, MG_TASK_MERGE_DOMAIN, 5), -EACCES, "a merge domain is given");
    ok_equal(mg_task_set(task, MG_TASK_SPACE_LIMIT, -1l), -EACCES, "so are limits");
    ok_equal(mg_task_set(task, 99, 0), -EINVAL, "no such setting");
    ok_equal(mg_task_set(task, MG_TASK_NAME, -1l), -EFAULT, "a bad name");
    ok_equal(mg_task_set(task, MG_TASK_NAME, "a name that is too long"), 0, "a long one is cut");
}

static void notifications(void)
{
    long port = mg_port_create();
    struct timespec now;
    struct mg_msg msg = {0};

    mg_port_notify(port, 5);
    mg_port_notify(port, 2);
    ok_equal(mg_ipc_recv((mg_handle)port, &msg), 0, "notifications wait");
    ok(msg.label == MG_LABEL_NOTIFY && msg.word[0] == 7, "and collect");
    clock_gettime(CLOCK_MONOTONIC, &now);
    mg_port_timer(port, now.tv_sec * 1000000000l + now.tv_nsec + 20000000);
    ok_equal(mg_ipc_recv((mg_handle)port, &msg), 0, "a port's timer");
    ok(msg.word[0] == MG_NOTIFY_TIMER, "is a notification");
    msg.token = 0x100000001;
    ok_equal(mg_ipc_reply(&msg), -ESRCH, "a reply that nobody awaits");
}

#define PUPIL_PORT 2 /* the first handle it gets */

static void call_teacher(void)
{
    struct mg_msg msg = {.label = 1, .word = {10, 20, 30, 40, 50, 60}};

    msg.label = mg_ipc_call(PUPIL_PORT, &msg) == 0 && msg.word[5] == 61 ? 2 : 3;
    for (;;)
        mg_ipc_call(PUPIL_PORT, &msg);
}

static void messages(void)
{
    mg_handle port = (mg_handle)mg_port_create();
    long object = mg_object_create(4096, 9), minted;
    struct pupil pupil = make_pupil(call_teacher);
    struct mg_object_info info;
    struct mg_msg msg = {0};

    minted = mg_port_mint(port, 0x1234, MG_RIGHT_WRITE);
    ok_equal(mg_task_give(pupil.task, minted, MG_RIGHT_WRITE), -EACCES, "PASS is needed to give");
    minted = mg_port_mint(port, 0x1234, MG_RIGHT_WRITE | MG_RIGHT_PASS);
    ok_equal(mg_task_give(pupil.task, minted, MG_RIGHT_WRITE), PUPIL_PORT, "a handle is given");
    ok_equal(mg_thread_resume(pupil.thread), 0, "a thread starts");
    ok_equal(mg_ipc_recv(port, &msg), 0, "its call comes");
    ok(msg.cookie == 0x1234 && msg.label == 1, "with the cookie of the handle");
    ok(msg.word[0] == 10 && msg.word[5] == 60 && msg.handle == 0, "and its words");
    ok_equal(state_of(pupil.thread), MG_THREAD_WAITING_REPLY, "its caller waits");
    msg.word[5]++;
    msg.handle = (mg_handle)object;
    ok_equal(mg_ipc_reply_recv(port, &msg), 0, "reply, and take the next");
    ok(msg.label == 2, "the reply had come, with its words");
    ok(msg.handle != 0, "and the handle comes back");
    ok_equal(mg_object_info(msg.handle, &info), 0, "it names an object");
    ok(info.cookie == 9 && info.bytes == 4096, "the same one");
    end_pupil(&pupil);
}

static void objects(void)
{
    long object = mg_object_create(10000, 42), reader = mg_handle_dup(object, MG_RIGHT_READ);
    struct mg_map map = {.len = 12288, .prot = PROT_READ | PROT_WRITE, .flags = MAP_SHARED};
    char text[8] = {0}, *at;
    struct mg_vma vma;

    map.object = (mg_handle)object;
    at = (char *)mg_vm_map(MG_HANDLE_SELF, &map);
    strcpy(at, "object");
    ok_equal(mg_vm_copy(MG_HANDLE_SELF, text, object, 0, 7), 7, "an object's content");
    ok(!strcmp(text, "object"), "is what its mapping shows");
    ok_equal(mg_vm_copy(object, 9000, MG_HANDLE_SELF, "here", 5), 5, "the other way round");
    ok(!strcmp(at + 9000, "here"), "too");
    ok_equal(mg_vm_copy(object, 50000, MG_HANDLE_SELF, "far", 4), -EFAULT, "beyond the end");
    ok_equal(mg_vm_copy(reader, 0, MG_HANDLE_SELF, "no", 3), -EACCES, "without the right");
    ok_equal(mg_vm_copy(object, 0, MG_HANDLE_SELF, 16, 4), -EFAULT, "from nowhere");
    ok_equal(mg_vm_query(MG_HANDLE_SELF, at, &vma), 0, "the mapping is listed");
    ok(vma.cookie == 42 && vma.flags & MG_VMA_SHARED, "with its object's cookie");
    map.object = (mg_handle)reader;
    ok_equal(mg_vm_map(MG_HANDLE_SELF, &map), -EACCES, "no writing through a reader's handle");
    map.prot = PROT_READ;
    at = (char *)mg_vm_map(MG_HANDLE_SELF, &map);
    ok_equal(mg_vm_protect(MG_HANDLE_SELF, at, 4096, PROT_READ | PROT_WRITE), -EACCES, "nor later");
    ok_equal(mg_object_resize(object, 1ul << 63), -EINVAL, "too large");
    ok_equal(mg_object_physical(object, 0, 4096, 0), -EBADF, "no physical memory without machine");
}

static void registers(void)
{
    struct pupil pupil = make_pupil(be_busy);
    static char fpu[MG_FPU_MAX];
    struct mg_regs regs = {0};
    long size;

    ok_equal(mg_thread_resume(pupil.thread), 0, "a thread starts");
    ok_equal(mg_thread_set_state(pupil.thread, MG_STATE_REGS, &regs, sizeof regs), -EBUSY,
             "not while it runs");
    ok_equal(mg_thread_suspend(pupil.thread), 0, "suspend");
    ok_equal(state_of(pupil.thread), MG_THREAD_SUSPENDED, "it is");
    ok_equal(mg_thread_get_state(pupil.thread, MG_STATE_REGS, &regs, sizeof regs), sizeof regs,
             "now they can be read");
    ok(regs.cs == 0x33 && regs.orig_rax == ~0ul, "of user mode, in no call");
    regs.rip = -1ul;
    ok_equal(mg_thread_set_state(pupil.thread, MG_STATE_REGS, &regs, sizeof regs), -EINVAL,
             "an address of the kernel's");
    size = mg_thread_get_state(pupil.thread, MG_STATE_FPU, fpu, sizeof fpu);
    ok(size >= 512, "FPU state");
    ok_equal(mg_thread_set_state(pupil.thread, MG_STATE_FPU, fpu, size), size, "goes back");
    memset(fpu + 24, 0xff, 4);
    ok_equal(mg_thread_set_state(pupil.thread, MG_STATE_FPU, fpu, size), -EINVAL,
             "a MXCSR that would be a fault");
    ok_equal(mg_thread_set(pupil.thread, MG_THREAD_NICE, 20), -EINVAL, "too nice");
    ok_equal(mg_thread_set(pupil.thread, MG_THREAD_NICE, 5), 0, "nice");
    ok_equal(mg_thread_set(pupil.thread, MG_THREAD_NICE, 0), -EACCES, "not less so again");
    ok_equal(mg_thread_kill(pupil.thread), 0, "a stopped thread can be ended");
    end_pupil(&pupil);
}

static void faults(void)
{
    struct pupil pupil = make_pupil(be_bad);
    struct mg_msg msg = {0};
    struct mg_regs regs;

    mg_thread_resume(pupil.thread);
    ok_equal(mg_ipc_recv(pupil.port, &msg), 0, "its fault comes");
    ok(msg.cookie == COOKIE && msg.label == MG_LABEL_FAULT + MG_FAULT_TRAP && msg.word[1] == 6,
       "with cookie, kind and vector");
    ok_equal(mg_thread_get_state(pupil.thread, MG_STATE_REGS, &regs, sizeof regs), sizeof regs,
             "it waits with its registers");
    ok(regs.rip == (uint64_t)be_bad, "at the instruction");
    regs.rip = (uint64_t)be_bad_call;
    mg_thread_set_state(pupil.thread, MG_STATE_REGS, &regs, sizeof regs);
    msg.label = MG_REPLY_RESUME;
    ok_equal(mg_ipc_reply_recv(pupil.port, &msg), 0, "it goes on elsewhere, to a call");
    ok(msg.label == MG_LABEL_SYSCALL + NO_SUCH_CALL, "which has its number");
    ok(msg.word[0] == 1 && msg.word[3] == 4 && msg.word[5] == 6, "and arguments");
    msg.label = MG_REPLY_RETURN;
    msg.word[0] = 99;
    ok_equal(mg_ipc_reply_recv(pupil.port, &msg), 0, "and returns");
    ok(msg.label == MG_LABEL_FAULT + MG_FAULT_MAPERR && msg.word[0] == 99 + 0x1000,
       "what it was told");
    end_pupil(&pupil);
}

static void spaces(void)
{
    long port = mg_port_create(), task = mg_task_create(port, 1), thread, other;
    struct mg_map map = {.len = 8192, .prot = PROT_READ, .flags = MAP_PRIVATE | MAP_ANONYMOUS};
    struct mg_task_info info;

    ok_equal(mg_task_info(task, &info), 0, "a new task");
    ok(info.total == 0, "has no memory");
    ok(mg_vm_map(task, &map) > 0, "until somebody maps some");
    mg_task_info(task, &info);
    ok(info.total == 2, "for it");
    thread = mg_thread_create(task, 1);
    other = mg_thread_create(task, 2);
    ok_equal(mg_task_reset_space(task), -EBUSY, "a space is exchanged for one thread");
    ok_equal(mg_thread_kill(other), 0, "so the others go");
    ok_equal(mg_task_reset_space(task), 0, "and it is empty");
    mg_task_info(task, &info);
    ok(info.total == 0 && info.threads == 1, "with one thread left");
    ok_equal(mg_task_kill(task), 0, "the end");
    ok_equal(state_of((mg_handle)thread), MG_THREAD_DEAD, "of that one too");
    ok_equal(mg_vm_map(task, &map), -ESRCH, "nothing can be mapped any more");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(handles), TAP_CASE(own_task),  TAP_CASE(notifications), TAP_CASE(messages),
        TAP_CASE(objects), TAP_CASE(registers), TAP_CASE(faults),        TAP_CASE(spaces),
    };

    return TAP_MAIN(cases);
}
