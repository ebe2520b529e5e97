/*
 * execve: a new program in the place of the old one.
 *
 *     prepare   find the file, follow #! lines, check the ELF headers, take the strings from the
 *               old address space: everything that can be refused is refused here
 *     commit    other threads end, the address space is emptied, segments are mapped, the stack is
 *               built, and what must not survive is dropped; a failure now kills the process
 *
 * Segments are private mappings of the file's object: nothing is copied but the page where the
 * zeroed data begins. The stack, from its top downwards: 8 zero bytes, the file name, environment
 * and argument strings, platform name, random bytes; then the vectors and, at rsp, argc.
 */
#define _GNU_SOURCE
#include "user/servers/posix/exec.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/ksm_device.h"
#include "user/servers/posix/limits.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_TOP 0x7ffffffff000ul
#define STACK_START (132ul << 10) /* mapped at once, before it grows */
#define PLATFORM "x86_64"
#define RANDOM_BYTES 16
#define AT_MINSIGSTKSZ 51
#define SIGNAL_STACK_MIN 3632
#define USER_CS 0x33
#define USER_SS 0x2b
#define FLAG_IF 0x200

struct auxv {
    u64 *words;
    usize count;
};

static void aux(struct auxv *auxv, u64 type, u64 value)
{
    auxv->words[auxv->count++] = type;
    auxv->words[auxv->count++] = value;
}

static u32 cpu_features(void)
{
    u32 eax = 1, ebx, ecx = 0, edx;

    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return edx;
}

static void fill_auxv(struct auxv *auxv, const struct thread *thread, const struct image *image,
                      const struct image *interpreter, u64 random, u64 platform, u64 name)
{
    const struct credentials *cred = &thread->process->cred;

    aux(auxv, AT_HWCAP, cpu_features());
    aux(auxv, AT_PAGESZ, 4096);
    aux(auxv, AT_CLKTCK, 100);
    aux(auxv, AT_PHDR, image->headers);
    aux(auxv, AT_PHENT, sizeof(struct elf_segment));
    aux(auxv, AT_PHNUM, image->header.segment_count);
    aux(auxv, AT_BASE, interpreter ? interpreter->bias : 0);
    aux(auxv, AT_FLAGS, 0);
    aux(auxv, AT_ENTRY, image->entry);
    aux(auxv, AT_UID, cred->uid);
    aux(auxv, AT_EUID, cred->euid);
    aux(auxv, AT_GID, cred->gid);
    aux(auxv, AT_EGID, cred->egid);
    aux(auxv, AT_SECURE, cred->uid != cred->euid || cred->gid != cred->egid);
    aux(auxv, AT_RANDOM, random);
    aux(auxv, AT_HWCAP2, 0);
    aux(auxv, AT_EXECFN, name);
    aux(auxv, AT_PLATFORM, platform);
    aux(auxv, AT_MINSIGSTKSZ, SIGNAL_STACK_MIN);
    aux(auxv, AT_NULL, 0);
}

/* Writes the addresses of `count` strings that stand one behind the other; where they end. */
static u64 fill_vector(u64 **to, const char *strings, u32 count, u64 address)
{
    for (u32 i = 0; i < count; i++) {
        usize length = strlen(strings) + 1;

        *(*to)++ = address;
        strings += length;
        address += length;
    }
    *(*to)++ = 0;
    return address;
}

/* Lays out the stack in a buffer and copies it out as one piece. */
static long build_stack(struct thread *thread, const struct exec *exec, u64 *stack)
{
    struct program *program = &thread->process->program;
    usize name = strlen(exec->name) + 1;
    u64 name_at = STACK_TOP - 8 - name, env_at = name_at - exec->env.used;
    u64 arg_at = env_at - exec->args.used, platform_at = arg_at - sizeof PLATFORM;
    u64 random_at = ALIGN_DOWN(platform_at - RANDOM_BYTES, 16);
    struct auxv auxv = {program->auxv, 0};
    usize vectors, size;
    u64 bottom, *word;
    u8 *buffer;
    long error;

    fill_auxv(&auxv, thread, &exec->image, exec->has_interpreter ? &exec->interpreter : NULL,
              random_at, platform_at, name_at);
    vectors = (1 + exec->args.count + 1 + exec->env.count + 1 + auxv.count) * sizeof(u64);
    bottom = ALIGN_DOWN(random_at - vectors, 16);
    size = STACK_TOP - bottom;
    buffer = calloc(1, size);
    if (!buffer)
        return -ENOMEM;
    word = (u64 *)buffer;
    *word++ = exec->args.count;
    program->arg_start = arg_at;
    program->arg_end = fill_vector(&word, exec->args.bytes, exec->args.count, arg_at);
    program->env_start = env_at;
    program->env_end = fill_vector(&word, exec->env.bytes, exec->env.count, env_at);
    program->auxv_bytes = auxv.count * sizeof(u64);
    memcpy(word, auxv.words, program->auxv_bytes);
    random_bytes(buffer + (random_at - bottom), RANDOM_BYTES);
    memcpy(buffer + (platform_at - bottom), PLATFORM, sizeof PLATFORM);
    memcpy(buffer + (arg_at - bottom), exec->args.bytes, exec->args.used);
    memcpy(buffer + (env_at - bottom), exec->env.bytes, exec->env.used);
    memcpy(buffer + (name_at - bottom), exec->name, name);
    error = user_put(thread, bottom, buffer, size);
    free(buffer);
    program->stack = *stack = bottom;
    return error;
}

static long map_stack(struct thread *thread, const struct exec *exec)
{
    usize strings = exec->args.used + exec->env.used +
                    (exec->args.count + exec->env.count) * sizeof(u64) + PATH_MAX;
    struct mg_map map = {
        .len = ALIGN_UP(strings + STACK_START, 4096ul),
        .prot = PROT_READ | PROT_WRITE | (exec->image.executable_stack ? PROT_EXEC : 0),
        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN | MAP_STACK,
    };
    long result;

    map.addr = STACK_TOP - map.len;
    result = mg_vm_map(thread->process->task, &map);
    return result < 0 ? result : 0;
}

/* The program and its interpreter into the new, empty space. */
static long load(struct thread *thread, struct exec *exec, u64 *stack)
{
    struct process *process = thread->process;
    long error = map_stack(thread, exec);

    if (!error)
        error = image_load(thread, &exec->image);
    if (!error && exec->has_interpreter)
        error = image_load(thread, &exec->interpreter);
    if (!error)
        error = mg_task_set(process->task, MG_TASK_BRK, exec->image.end);
    process->program.code_start = exec->image.code_start;
    process->program.code_end = exec->image.code_end;
    process->program.data_start = exec->image.data_start;
    process->program.data_end = exec->image.data_end;
    return error ? error : build_stack(thread, exec, stack);
}

/* What of the old program must not be seen by the new one. */
static void forget_old_program(struct thread *thread, struct exec *exec)
{
    struct process *process = thread->process;
    const char *name = strrchr(exec->name, '/');

    ksm_device_forget(process);
    fd_close_on_exec(process);
    ptimers_delete(process);
    signal_reset_for_exec(thread);
    process->executed = true;
    process->dumpable = 1;
    process->exit_signal = SIGCHLD;
    process->keep_capabilities = false;
    if (process->program.exe)
        inode_put_running(process->program.exe);
    process->program.exe = inode_get_running(exec->inode);
    name = name ? name + 1 : exec->name;
    memset(thread->name, 0, NAME_BYTES);
    memcpy(thread->name, name, MIN(strlen(name), (usize)NAME_BYTES - 1));
    mg_task_set(process->task, MG_TASK_NAME, thread->name);
    mg_thread_set(thread->handle, MG_THREAD_CLEAR_TID, 0);
}

/* Set-user-ID and set-group-ID files. */
static void take_identity(struct process *process, const struct inode *inode)
{
    struct credentials *cred = &process->cred;

    if (process->no_new_privileges)
        return;
    if (inode->mode & S_ISUID)
        cred->euid = inode->uid;
    if ((inode->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        cred->egid = inode->gid;
    cred->suid = cred->fsuid = cred->euid;
    cred->sgid = cred->fsgid = cred->egid;
    cred->cap_effective = cred->cap_permitted = cred->euid ? 0 : CAP_ALL;
    limits_tell(process);
}

static long start(struct thread *thread, const struct exec *exec, u64 stack)
{
    struct mg_regs regs = {
        .rip = exec->has_interpreter ? exec->interpreter.entry : exec->image.entry,
        .rsp = stack,
        .cs = USER_CS,
        .ss = USER_SS,
        .rflags = FLAG_IF,
        .orig_rax = ~0ul,
    };
    long error = signal_fpu_reset(thread);

    if (!error)
        error = mg_thread_set_state(thread->handle, MG_STATE_REGS, &regs, sizeof regs);
    return error < 0 ? error : 0;
}

/* From here there is no way back. */
static long commit(struct thread *thread, struct exec *exec)
{
    struct process *process = thread->process;
    u64 stack = 0;
    long error;

    process_kill_others(thread);
    error = mg_task_reset_space(process->task);
    if (error < 0)
        return error;
    process->vfork_parent = NULL;
    wait_wake(&process->vfork_wait);
    take_identity(process, exec->inode);
    forget_old_program(thread, exec);
    error = load(thread, exec, &stack);
    if (!error)
        error = start(thread, exec, stack);
    if (!error)
        return RESTORED;
    log_line("%s[%u]: ended, for it can't be loaded (%ld)", thread->name, process->pid, error);
    process_exit(process, SIGKILL);
    return GONE;
}

long exec_run(struct thread *thread, struct exec *exec)
{
    long result = exec_resolve(thread, exec);

    return result ? result : commit(thread, exec);
}

void exec_release(struct exec *exec)
{
    if (exec->inode)
        inode_put(exec->inode);
    if (exec->interpreter.inode)
        inode_put(exec->interpreter.inode);
    free(exec->args.bytes);
    free(exec->env.bytes);
}

static long exec_at(struct thread *thread, int dirfd, u64 name, u64 args, u64 env, u32 flags)
{
    struct exec exec = {.dirfd = dirfd};
    long result;

    if (flags & ~(u32)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    exec.walk =
        (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
    result = path_get_string(thread, exec.name, name);
    if (!result)
        result = strings_get(thread, args, &exec.args);
    if (!result)
        result = strings_get(thread, env, &exec.env);
    if (!result)
        result = exec_run(thread, &exec);
    exec_release(&exec);
    return result;
}

long call_execve(struct thread *thread, const u64 *args)
{
    return exec_at(thread, AT_FDCWD, args[0], args[1], args[2], 0);
}

long call_execveat(struct thread *thread, const u64 *args)
{
    return exec_at(thread, (int)args[0], args[1], args[2], args[3], (u32)args[4]);
}
