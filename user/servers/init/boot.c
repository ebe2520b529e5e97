/*
 * The loader and supervisor: see init.h.
 *
 * Each server is looked up first among the files added for this boot, then in the initramfs, and
 * gets exactly the handles it needs; the order in which they are given is the numbers they have.
 * Faults and foreign calls of the servers come to this task's port. A server has no business with
 * foreign calls, so they get ENOSYS and a line in the log; a server that faults or exits is the end
 * of the system, which the last line in the log explains.
 */
#include "lib/cpio.h"
#include "lib/page.h"
#include "user/lib/spawn.h"
#include "user/servers/init/init.h"
#include <errno.h>
#include <merganser/console.h>
#include <merganser/native.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { CONSOLE, POSIX, SERVERS };

static const char *const names[SERVERS] = {"console", "posix"};

struct archive {
    const void *bytes;
    usize size;
};

static struct mg_boot_info info;
static mg_handle supervisor, ports[SERVERS];

printf_like(1, 2) static void say(const char *template, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, template);
    vsnprintf(line, sizeof line, template, arguments);
    va_end(arguments);
    mg_log_write(MG_HANDLE_SYSTEM, line, strlen(line));
}

/* The machine can't go on: tools/vm knows the word, a person reads the rest. */
static noreturn_fn void give_up(const char *what, const char *why, long error)
{
    say("PANIC: init: %s: %s (%ld)", what, why, error);
    for (;;) {
        struct mg_msg msg = {0};

        mg_ipc_recv(supervisor, &msg);
    }
}

static struct archive map_archive(mg_handle object, usize size)
{
    struct mg_map map = {
        .len = ALIGN_UP(size, PAGE_BYTES),
        .prot = PROT_READ,
        .flags = MAP_PRIVATE,
        .object = object,
    };
    long address = size ? mg_vm_map(MG_HANDLE_SELF, &map) : 0;

    if (address < 0)
        give_up("initramfs", "can't be mapped", address);
    return (struct archive){(const void *)address, size};
}

static bool find_program(const struct archive *archives, const char *path, struct spawn *spawn)
{
    struct cpio_entry entry;

    for (int i = 0; i < 2; i++) {
        if (!archives[i].size || !cpio_find(archives[i].bytes, archives[i].size, path, &entry))
            continue;
        spawn->image = entry.data;
        spawn->size = entry.size;
        return true;
    }
    return false;
}

/* Gives a handle, which must get the number the server expects. */
static void give(const struct spawned *server, const char *name, mg_handle handle, u32 rights,
                 mg_handle expected)
{
    long given = mg_task_give(server->task, handle, rights);

    if (given != expected)
        give_up(name, "can't be given a handle", given);
}

static void give_handles(int which, const struct spawned *server)
{
    const char *name = names[which];

    give(server, name, MG_HANDLE_SYSTEM, MG_RIGHT_ALL, POSIX_HANDLE_SYSTEM);
    give(server, name, ports[which], MG_RIGHT_ALL, POSIX_HANDLE_PORT);
    if (which != POSIX)
        return;
    give(server, name, ports[CONSOLE], MG_RIGHT_WRITE | MG_RIGHT_PASS, POSIX_HANDLE_CONSOLE);
    give(server, name, MG_HANDLE_INITRD, MG_RIGHT_READ | MG_RIGHT_PASS, POSIX_HANDLE_INITRD);
    if (info.overlay_bytes)
        give(server, name, MG_HANDLE_OVERLAY, MG_RIGHT_READ | MG_RIGHT_PASS, POSIX_HANDLE_OVERLAY);
}

static void start_server(int which, const struct archive *archives)
{
    struct spawn spawn = {.name = names[which], .server = supervisor, .cookie = (u64)which};
    struct spawned server;
    char path[32];
    long error;

    snprintf(path, sizeof path, "sbin/%s", names[which]);
    if (!find_program(archives, path, &spawn))
        give_up(path, "not in the initramfs", -ENOENT);
    error = spawn_task(&spawn, &server);
    if (error)
        give_up(path, "can't be started", error);
    give_handles(which, &server);
    mg_task_set(server.task, MG_TASK_RESERVE, 1);
    mg_thread_resume(server.thread);
    mg_handle_close(server.thread);
}

static void refuse_call(const char *name, struct mg_msg *msg)
{
    u64 number = msg->label & ~MG_LABEL_MASK;

    if (number == SYS_exit || number == SYS_exit_group)
        give_up(name, "has exited", (long)msg->word[0]);
    say("init: server %s: system call %lu is not for servers", name, number);
    msg->label = MG_REPLY_RETURN;
    msg->word[0] = (u64)-ENOSYS;
}

static noreturn_fn void supervise(void)
{
    struct mg_msg msg = {0};

    mg_ipc_recv(supervisor, &msg);
    for (;;) {
        const char *name = msg.cookie < SERVERS ? names[msg.cookie] : "?";

        if ((msg.label & MG_LABEL_MASK) == MG_LABEL_FAULT) {
            say("init: server %s: fault %lu at address %#lx, trap %lu, error %#lx, rip %#lx", name,
                msg.label & ~MG_LABEL_MASK, msg.word[0], msg.word[1], msg.word[2], msg.word[3]);
            give_up(name, "has crashed", 0);
        }
        refuse_call(name, &msg);
        mg_ipc_reply_recv(supervisor, &msg);
    }
}

void boot_run(void)
{
    struct archive archives[2];

    if (mg_boot_info(MG_HANDLE_SYSTEM, &info) < 0)
        return;
    mg_task_set(MG_HANDLE_SELF, MG_TASK_RESERVE, 1);
    supervisor = (mg_handle)mg_port_create();
    ports[CONSOLE] = (mg_handle)mg_port_create();
    ports[POSIX] = (mg_handle)mg_port_create();
    archives[0] = map_archive(MG_HANDLE_OVERLAY, info.overlay_bytes);
    archives[1] = map_archive(MG_HANDLE_INITRD, info.initrd_bytes);
    for (int which = 0; which < SERVERS; which++)
        start_server(which, archives);
    for (int which = 0; which < SERVERS; which++)
        mg_handle_close(ports[which]); /* a port must die with its server */
    supervise();
}
