/*
 * The POSIX server: start-up and main loop.
 *
 * The server has one thread. It takes a message, does what can be done at once, and keeps what
 * can't on wait queues (event.h). Everything it knows is in its own memory, without locks.
 *
 *     message -+- a client's call ------> call.c: table, handler, answer
 *              +- a client's fault -----> fault.c: signal
 *              +- notification ---------> terminal, disks, timers
 *     then the threads that these have woken run their handlers again
 *
 * Start-up takes the handles that init gives (user/lib/spawn.h), fills the tree of files, and makes
 * process 1 run /sbin/init.
 */
#include "lib/page.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/block.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/dev.h"
#include "user/servers/posix/exec.h"
#include "user/servers/posix/fault.h"
#include "user/servers/posix/limits.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/procfs.h"
#include "user/servers/posix/reply.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/sysfs.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/tty.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define INIT "/sbin/init"
#define TMPFS_MAGIC 0x01021994

static struct fs shm_fs = {
    .type = "tmpfs",
    .source = "shm",
    .target = "/dev/shm",
    .device = 2,
    .magic = TMPFS_MAGIC,
};

static noreturn_fn void give_up(const char *what, long error)
{
    log_panic("%s (%ld)", what, error);
    exit(1);
}

/* ---- Files ---- */

/* Unpacks the archive behind a handle; it is only mapped for as long as that takes. */
static void unpack(mg_handle object, u64 bytes, bool mapped)
{
    struct mg_map map = {
        .len = ALIGN_UP(bytes, PAGE_BYTES),
        .prot = PROT_READ,
        .flags = MAP_PRIVATE,
        .object = object,
    };
    long address;

    if (!bytes)
        return;
    address = mg_vm_map(MG_HANDLE_SELF, &map);
    if (address < 0)
        give_up("the initramfs can't be mapped", address);
    tmpfs_unpack((const void *)address, bytes, mapped);
    mg_vm_unmap(MG_HANDLE_SELF, address, map.len);
}

static void mount_shm(void)
{
    struct inode *dir = tmpfs_make_path("/dev/shm", 0755), *root = tmpfs_init();

    if (!dir || !root)
        give_up("/dev/shm", -ENOMEM);
    root->mode = S_IFDIR | S_ISVTX | 0777;
    root->fs = &shm_fs;
    fs_mount(dir, root, &shm_fs);
}

static void make_tree(void)
{
    static const char *const places[] = {"/dev", "/proc", "/sys", "/tmp"};

    fs_root = tmpfs_init();
    fs_mount(NULL, fs_root, &tmpfs_root_fs);
    unpack(POSIX_HANDLE_INITRD, boot_info.initrd_bytes, true);
    unpack(POSIX_HANDLE_OVERLAY, boot_info.overlay_bytes, false);
    for (usize i = 0; i < ARRAY_LEN(places); i++)
        inode_put(tmpfs_make_path(places[i], 0755));
    dev_init();
    block_init();
    mount_shm();
    procfs_mount();
    sysfs_mount();
}

/* ---- Process 1 ---- */

/* Its arguments: init itself, and the command that the machine was started for. */
static long init_strings(struct exec *exec)
{
    const char *word = boot_info.command, *end = word + boot_info.command_bytes;
    long error = strings_add(&exec->args, INIT);

    for (; !error && word < end; word += strlen(word) + 1)
        error = strings_add(&exec->args, word);
    return error ? error : strings_add(&exec->env, "TERM=linux");
}

static struct process *make_init(void)
{
    struct process *process = process_create(NULL);
    long task;

    if (!process)
        give_up("process 1", -ENOMEM);
    process->files = fd_table_create();
    process->fs = fs_context_create();
    process->actions = signal_actions_create();
    if (!process->files || !process->fs || !process->actions)
        give_up("process 1", -ENOMEM);
    process->cred.cap_effective = process->cred.cap_permitted = CAP_ALL;
    process->pgid = process->sid = 0;
    task = mg_task_create(server_port, process->pid);
    if (task < 0)
        give_up("process 1 gets no task", task);
    process->task = (mg_handle)task;
    mg_task_set(process->task, MG_TASK_PID, process->pid);
    limits_init(process);
    return process;
}

static void start_init(void)
{
    static struct exec exec = {.name = INIT, .dirfd = AT_FDCWD, .walk = PATH_FOLLOW};
    struct thread *thread;
    long result;

    process_init = make_init();
    result = thread_create(process_init, &thread);
    if (result)
        give_up("process 1 gets no thread", result);
    result = init_strings(&exec);
    if (!result)
        result = exec_run(thread, &exec);
    if (result != RESTORED)
        give_up(INIT " can't be started", result);
    exec_release(&exec);
    mg_thread_resume(thread->handle);
}

/* ---- Messages ---- */

static void notified(u64 bits)
{
    if (bits & MG_NOTIFY_TIMER)
        timer_run();
    if (bits & BLOCK_NOTIFY)
        block_notified();
    if (bits & ~(MG_NOTIFY_TIMER | BLOCK_NOTIFY))
        tty_notified(bits);
}

static void received(const struct mg_msg *msg)
{
    u64 kind = msg->label & MG_LABEL_MASK;
    struct thread *thread;

    if (kind == MG_LABEL_NOTIFY) {
        notified(msg->word[0]);
        return;
    }
    thread = thread_from_cookie(msg->cookie);
    if (!thread) /* it was ended while its message was on its way */
        return;
    if (kind == MG_LABEL_SYSCALL) {
        call_begin(thread, msg->token, (u32)(msg->label & ~MG_LABEL_MASK), msg->word);
        call_run(thread);
    } else if (kind == MG_LABEL_FAULT) {
        call_begin(thread, msg->token, CALL_FAULT, msg->word);
        fault_received(thread, msg);
    }
}

int main(void)
{
    long error = mg_boot_info(POSIX_HANDLE_SYSTEM, &boot_info);
    struct mg_msg msg;

    if (error < 0)
        give_up("no handle of the machine", error);
    make_tree();
    tty_init();
    start_init();
    for (;;) {
        wait_run_ready();
        timer_arm_port();
        reply_and_receive(&msg);
        received(&msg);
    }
}
