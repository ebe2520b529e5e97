/*
 * Can an ordinary program get hold of what is not its own? It tries instructions it must not use,
 * addresses of the kernel in every place an address can stand, flags and segments as nobody would
 * set them, and the memory of others. Each attempt may end the process that makes it, and nothing
 * else. See privilege_registers.c too.
 *
 *     privilege [CASE]
 *
 * vm: --smp 2 --mem 256
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "files.h"
#include "hostile.h"
#include "privilege.h"

/* --- instructions --- */

/* Not IRET and far returns: QEMU 7.2 takes their stack for the kernel's, which SMAP forbids for
 * ever. */
#define TRIES(X)                                                                                   \
    X(hlt, "hlt")                                                                                  \
    X(cli, "cli")                                                                                  \
    X(in, "mov $0x64, %dx\n in %dx, %al")                                                          \
    X(out, "mov $0x64, %dx\n mov $0xfe, %al\n out %al, %dx")                                       \
    X(cr3, "mov %cr3, %rax")                                                                       \
    X(cr0, "xor %eax, %eax\n mov %rax, %cr0")                                                      \
    X(cr4, "xor %eax, %eax\n mov %rax, %cr4")                                                      \
    X(dr7, "mov $0x401, %eax\n mov %rax, %dr7")                                                    \
    X(rdmsr, "mov $0xc0000082, %ecx\n rdmsr")                                                      \
    X(wrmsr, "mov $0xc0000082, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr")                    \
    X(lgdt, "sub $16, %rsp\n lgdt (%rsp)\n add $16, %rsp")                                         \
    X(lidt, "sub $16, %rsp\n lidt (%rsp)\n add $16, %rsp")                                         \
    X(ltr, "mov $0x40, %ax\n ltr %ax")                                                             \
    X(lldt, "mov $0x28, %ax\n lldt %ax")                                                           \
    X(swapgs, "swapgs")                                                                            \
    X(sysret, "xor %ecx, %ecx\n mov $0x3202, %r11\n sysretq")                                      \
    X(invlpg, "invlpg (%rsp)")                                                                     \
    X(wbinvd, "wbinvd")                                                                            \
    X(clts, "clts")                                                                                \
    X(xsetbv, "xor %ecx, %ecx\n mov $7, %eax\n xor %edx, %edx\n xsetbv")                           \
    X(int_80, "mov $20, %eax\n int $0x80")                                                         \
    X(int_page_fault, "int $14")                                                                   \
    X(int_double, "int $8")                                                                        \
    X(int_timer, "int $0x20")                                                                      \
    X(int_last, "int $0xff")                                                                       \
    X(int3, "int3")                                                                                \
    X(icebp, ".byte 0xf1")                                                                         \
    X(ud2, "ud2")                                                                                  \
    X(sysenter, "mov %rsp, %rcx\n sysenter")                                                       \
    X(ds_kernel, "mov $0x10, %ax\n mov %ax, %ds")                                                  \
    X(ss_null, "xor %eax, %eax\n mov %ax, %ss")                                                    \
    X(fs_tss, "mov $0x40, %ax\n mov %ax, %fs")                                                     \
    X(iopl, "pushfq\n orq $0x3000, (%rsp)\n popfq\n in $0x64, %al")                                \
    X(stac, "stac")                                                                                \
    X(sgdt, "sub $16, %rsp\n sgdt (%rsp)\n add $16, %rsp\n ud2")                                   \
    X(monitor, "mov %rsp, %rax\n xor %ecx, %ecx\n xor %edx, %edx\n monitor")                       \
    X(vmcall, "vmcall")                                                                            \
    X(jump_kernel, "mov $0xffffffff80200000, %rax\n jmp *%rax")                                    \
    X(jump_hole, "mov $0x0000800000000000, %rax\n jmp *%rax")                                      \
    X(jump_minus, "mov $-16, %rax\n jmp *%rax")                                                    \
    X(stack_hole, "mov $0x0000800000000000, %rsp\n push %rax")                                     \
    X(stack_kernel, "mov $0xffff800000100000, %rsp\n push %rax")                                   \
    X(call_stack_0, "xor %esp, %esp\n mov $39, %eax\n syscall\n push %rax")                        \
    X(call_stack_kernel, "mov $0xffff800000100000, %rsp\n mov $39, %eax\n syscall\n push %rax")    \
    X(unknown_call_stack_kernel,                                                                   \
      "mov $0xffff800000100000, %rsp\n mov $1000, %eax\n syscall\n push %rax")

/* Only for a process that is not to go on. */
#define TRY_FUNCTION(name, code)                                                                   \
    static void try_##name(void)                                                                   \
    {                                                                                              \
        __asm__ volatile(code);                                                                    \
    }
TRIES(TRY_FUNCTION)

static const struct {
    const char *name;
    void (*run)(void);
} tries[] = {
#define TRY_ENTRY(name, code) {#name, try_##name},
    TRIES(TRY_ENTRY)};

static void instructions(void)
{
    for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
        int signal = tap_child_signal(tries[i].run);
        ok(signal == SIGSEGV || signal == SIGILL || signal == SIGTRAP || signal == SIGBUS,
           "%s: signal %d", tries[i].name, signal);
    }
}

/* --- flags and segments that stay while the kernel is entered in every way --- */

static void enter_kernel(void)
{
    static volatile char page[3 * PAGE];
    page[PAGE] = 1;
    syscall(SYS_getpid);
    syscall(1000);
    madvise((void *)((uint64_t)(page + PAGE) & ~(PAGE - 1)), PAGE, MADV_DONTNEED);
    page[PAGE] = 1;
    for (volatile int i = 0; i < 20000000; i++) { /* some ticks */
    }
    sched_yield();
}

static uint64_t odd_flags;

static void with_flags(void)
{
    signal(SIGTRAP, SIG_IGN);
    __asm__ volatile("pushfq\n orq %0, (%%rsp)\n popfq" ::"r"(odd_flags) : "memory", "cc");
    enter_kernel();
    _exit(0);
}

static void with_odd_bases(void)
{
    __asm__ volatile("wrgsbase %0" ::"r"(KERNEL + 0x1000));
    enter_kernel();
    __asm__ volatile("wrgsbase %0" ::"r"(~0ul - 7));
    enter_kernel();
    _exit(0);
}

static void with_odd_segments(void)
{
    __asm__ volatile("mov %0, %%ds\n mov %0, %%es\n mov %0, %%gs" ::"r"(0) : "memory");
    enter_kernel();
    __asm__ volatile("mov %0, %%ds\n mov %0, %%es\n mov %0, %%gs" ::"r"(0x2b) : "memory");
    enter_kernel();
    _exit(0);
}

static void flags(void)
{
    static const uint64_t bits[] = {1ul << 18, 1ul << 14, 1ul << 10,
                                    3ul << 12, 1ul << 21, 1ul << 16};
    for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++) {
        odd_flags = bits[i];
        int status = tap_child(with_flags);
        ok(status == 0 || WIFSIGNALED(status), "flags %#lx are no trouble (%#x)",
           (unsigned long)bits[i], status);
    }
    ok_equal(tap_child(with_odd_bases), 0, "a GS base in the kernel");
    ok_equal(tap_child(with_odd_segments), 0, "odd segment registers");
}

/* --- kernel addresses in calls --- */

/* The call with a bad address as each of its arguments in turn, the others being harmless. */
static void call_badly(long number)
{
    static char buffer[4096];
    for (unsigned bad = 0; bad < BAD; bad++) {
        for (int at = 0; at < 6; at++) {
            long args[6] = {0, (long)buffer, 8, (long)buffer, 0, 0};
            args[at] = (long)bad_addresses[bad];
            syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
            long others[6] = {(long)buffer, 8, 1, (long)buffer, (long)buffer, 8};
            others[at] = (long)bad_addresses[bad];
            syscall(number, others[0], others[1], others[2], others[3], others[4], others[5]);
        }
    }
}

static long first_call;

/* Not those that would end or stop us, or never return. */
static bool is_left_out(long number)
{
    static const long left_out[] = {
        SYS_exit,      SYS_exit_group, SYS_pause,        SYS_rt_sigreturn,  SYS_vfork,  SYS_fork,
        SYS_clone,     SYS_reboot,     SYS_alarm,        SYS_setitimer,     SYS_execve, SYS_kill,
        SYS_tkill,     SYS_tgkill,     SYS_clone3,       SYS_rt_sigsuspend, SYS_wait4,  SYS_select,
        SYS_poll,      SYS_ppoll,      SYS_pselect6,     SYS_munmap,        SYS_mremap, SYS_brk,
        SYS_setrlimit, SYS_prlimit64,  SYS_rt_sigaction, SYS_sigaltstack};
    for (unsigned i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        if (number == left_out[i]) {
            return true;
        }
    }
    return false;
}

static void call_some_badly(void)
{
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    alarm(5); /* what sleeps is ended */
    for (long number = first_call; number < first_call + 8; number++) {
        if (!is_left_out(number)) {
            call_badly(number);
        }
    }
}

static void addresses(void)
{
    int odd = 0;
    for (first_call = 0; first_call < 460; first_call += 8) {
        int status = tap_child(call_some_badly);
        odd += status != 0 && !WIFSIGNALED(status);
    }
    ok_equal(odd, 0, "kernel addresses as arguments of every call");
    for (first_call = MG_SYS_FIRST; first_call < MG_SYS_END; first_call += 8) {
        int status = tap_child(call_some_badly);
        odd += status != 0 && !WIFSIGNALED(status);
    }
    ok_equal(odd, 0, "and of our own");
}

static void kernel_memory(void)
{
    char byte = 0;
    for (unsigned i = 0; i < BAD; i++) {
        struct iovec local = {&byte, 1}, remote = {(void *)bad_addresses[i], 1};
        int fd = open("/proc/self/mem", O_RDWR);
        bool refused = pread(fd, &byte, 1, (off_t)bad_addresses[i]) <= 0 &&
                       pwrite(fd, &byte, 1, (off_t)bad_addresses[i]) <= 0 &&
                       process_vm_readv(getpid(), &local, 1, &remote, 1, 0) <= 0 &&
                       process_vm_writev(getpid(), &local, 1, &remote, 1, 0) <= 0 &&
                       mg_vm_copy(MG_HANDLE_SELF, &byte, MG_HANDLE_SELF, bad_addresses[i], 1) < 0 &&
                       mg_vm_copy(MG_HANDLE_SELF, bad_addresses[i], MG_HANDLE_SELF, &byte, 1) < 0;
        close(fd);
        ok(refused, "nothing at %#lx", (unsigned long)bad_addresses[i]);
    }
    ok(mmap((void *)KERNEL, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED,
       "nothing can be mapped there");
    for (mg_handle handle = 0; handle < 64; handle++) {
        if (mg_object_physical(handle, 0, PAGE, 0) >= 0 || mg_io_in(handle, 0x64, 1) >= 0 ||
            mg_log_write(handle, "x", 1) >= 0 || mg_irq_ack(handle) >= 0) {
            ok(false, "handle %u is the machine's", handle);
        }
    }
    ok(true, "no handle of the machine");
}

/* What the kernel does with our addresses when a thread ends. */
static void end_badly(void)
{
    static struct {
        uint64_t first, offset, pending;
    } head;
    for (unsigned i = 0; i < 2 * BAD; i++) {
        uint64_t bad = bad_addresses[i / 2];
        pid_t pid = fork();
        if (pid == 0) {
            head.first = bad & ~1ul;
            head.offset = bad_addresses[(i + 2) % BAD];
            head.pending = bad_addresses[(i + 1) % BAD];
            syscall(SYS_set_tid_address, bad);
            syscall(SYS_set_robust_list, i % 2 ? (uint64_t)&head : bad, 24);
            syscall(SYS_exit, 0);
        }
        reap(pid);
    }
    ok(true, "robust lists and clear_tid in the kernel");
}

/* --- the memory of others --- */

static char secret[] = "a secret";

static void as_another(void)
{
    if (setgid(1000) < 0 || setuid(1000) < 0) {
        _exit(9);
    }
}

static pid_t victim;

static void look_at_victim(void)
{
    char seen[sizeof secret] = {0};
    struct iovec local = {seen, sizeof seen}, remote = {secret, sizeof secret};
    as_another();
    const char *files[] = {"mem", "maps", "pagemap", "environ", "fd", "cwd", "exe"};
    int fd = open(proc_path(victim, "mem"), O_RDONLY), open_files = fd >= 0;
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        int one = open(proc_path(victim, files[i]), O_RDONLY);
        char byte;
        open_files += one >= 0 && i < 4 && read(one, &byte, 1) > 0;
    }
    open_files += open("/proc/merganser/tunables/mm.audit", O_RDONLY) >= 0;
    open_files += open("/proc/kpageflags", O_RDONLY) >= 0;
    open_files += open("/proc/sysrq-trigger", O_WRONLY) >= 0;
    if (open_files || process_vm_readv(victim, &local, 1, &remote, 1, 0) >= 0 ||
        process_vm_writev(victim, &local, 1, &remote, 1, 0) >= 0 || kill(victim, SIGTERM) == 0 ||
        syscall(SYS_reboot, 0xfee1dead, 672274793, 0x1234567, 0) == 0 || setuid(0) == 0) {
        note("%d files", open_files);
        _exit(1);
    }
}

static void others(void)
{
    victim = start(sleep_forever);
    ok_equal(tap_child(look_at_victim), 0, "another user sees and does nothing");
    kill(victim, SIGKILL);
    reap(victim);
}

/* --- a program that becomes another one keeps nothing open into itself --- */

static volatile long *answers; /* looks before and after exec, and the last result of each kind */

static void watch(long handle)
{
    struct mg_vma vma;
    for (;;) {
        long result = mg_vm_query(handle, 0, &vma);
        if (result == 0) {
            answers[0]++;
            answers[1] = mg_vm_copy(handle, vma.start, MG_HANDLE_SELF, &vma, 0);
        } else {
            answers[2]++;
            answers[3] = result;
        }
    }
}

static char stack[NATIVE_STACK] __attribute__((aligned(16)));

static void become_another(void)
{
    long self = mg_handle_dup(MG_HANDLE_SELF, MG_RIGHT_READ | MG_RIGHT_WRITE | MG_RIGHT_PASS);
    long task = mg_task_fork(MG_HANDLE_SELF, 0, 0, 0);
    long theirs = mg_task_give(task, self, MG_RIGHT_READ | MG_RIGHT_WRITE);
    native_start(task, 0, watch, theirs, stack);
    while (answers[0] < 100) {
        sched_yield();
    }
    execl("/bin/busybox", "sleep", "100", NULL);
}

static void exec_shuts_out(void)
{
    answers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = start(become_another);
    int mem = -1;
    ok(eventually(answers[0] >= 100, 5000), "a task looks into its maker");
    mem = open(proc_path(pid, "mem"), O_RDWR);
    ok(eventually(answers[2] > 100, 5000), "which becomes another program");
    ok_equal(answers[3], -ESRCH, "and is out of its reach");
    long seen = answers[0];
    pause_ms(100);
    ok_equal(answers[0], seen, "for good");
    char byte;
    if (mem >= 0) { /* opened before or after: who opened it before sees the old memory or none */
        (void)!pread(mem, &byte, 1, 0x400000);
        close(mem);
    }
    kill(pid, SIGKILL);
    reap(pid);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(instructions),   TAP_CASE(flags),     TAP_SLOW_CASE(addresses, 100),
        TAP_CASE(kernel_memory),  TAP_CASE(end_badly), TAP_CASE(others),
        TAP_CASE(exec_shuts_out),
    };

    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
