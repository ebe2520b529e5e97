/*
 * Does a fault become the right signal, with the right code and address, and can a handler look at
 * and change the registers it came from?
 */
#define _GNU_SOURCE
#include <ucontext.h>

#include "memory.h"

static volatile struct {
    int signal, code, count;
    void *address;
    long error, trap, rip, rsp;
} seen;

static byte *volatile nowhere = NULL; /* volatile: the compiler must not see where it points */

static void touch_nowhere(void)
{
    nowhere[8] = 1;
}

static int skip_bytes; /* how long the faulting instruction is; 0: return by longjmp */

static void on_fault(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;
    seen.signal = number;
    seen.code = info->si_code;
    seen.address = info->si_addr;
    seen.count++;
    seen.error = registers[REG_ERR];
    seen.trap = registers[REG_TRAPNO];
    seen.rip = registers[REG_RIP];
    seen.rsp = registers[REG_RSP];
    if (skip_bytes) {
        registers[REG_RIP] += skip_bytes;
        registers[REG_RAX] = 4711;
    } else {
        siglongjmp(fault_return, 1);
    }
}

static void catch_with(int signal, int skipped)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(signal, &action, NULL);
    skip_bytes = skipped;
    seen.signal = 0;
}

static void nothing_mapped(void)
{
    byte *area = map_pages(1, RW);
    munmap(area, PAGE);
    catch_with(SIGSEGV, 0);
    if (sigsetjmp(fault_return, 1) == 0) {
        (void)*(volatile byte *)(area + 123);
    }
    ok_equal(seen.signal, SIGSEGV, "reading where nothing is mapped");
    ok_equal(seen.code, SEGV_MAPERR, "SEGV_MAPERR");
    ok(seen.address == area + 123, "the address, to the byte");
    ok_equal(seen.trap, 14, "the trap number is the page fault's");
    ok_equal(seen.error & 7, 4, "the error code says: read, by the user, not present");
    if (sigsetjmp(fault_return, 1) == 0) {
        *(volatile byte *)(area + 5) = 1;
    }
    ok_equal(seen.error & 7, 6, "and for a write: write");
    if (sigsetjmp(fault_return, 1) == 0) {
        *(volatile int *)nowhere = 1;
    }
    ok(seen.address == NULL && seen.code == SEGV_MAPERR, "the null pointer");
}

static void not_allowed(void)
{
    byte *area = map_island(1, PROT_READ);
    catch_with(SIGSEGV, 0);
    if (sigsetjmp(fault_return, 1) == 0) {
        *(volatile byte *)(area + 77) = 1;
    }
    ok_equal(seen.code, SEGV_ACCERR, "writing to read-only memory: SEGV_ACCERR");
    ok(seen.address == area + 77, "the address");
    (void)*(volatile byte *)area;
    if (sigsetjmp(fault_return, 1) == 0) {
        *(volatile byte *)area = 1;
    }
    ok_equal(seen.error & 7, 7, "present, write, user");
}

static void no_such_address(void)
{
    catch_with(SIGSEGV, 0);
    volatile byte *hole = (byte *)0x800000000000;
    if (sigsetjmp(fault_return, 1) == 0) {
        (void)*hole;
    }
    ok_equal(seen.signal, SIGSEGV, "an address that is not canonical");
    ok_equal(seen.code, SI_KERNEL, "SI_KERNEL");
    ok(seen.address == NULL, "without an address");
    if (sigsetjmp(fault_return, 1) == 0) {
        (void)*(volatile byte *)0xffffffff80000000;
    }
    ok(seen.code == SEGV_MAPERR && seen.address == (void *)0xffffffff80000000,
       "an address of the kernel's");
}

static void privileged(void)
{
    catch_with(SIGSEGV, 1);
    __asm__ volatile("hlt" ::: "rax");
    ok_equal(seen.signal, SIGSEGV, "a privileged instruction");
    ok_equal(seen.code, SI_KERNEL, "SI_KERNEL");
    catch_with(SIGSEGV, 1);
    __asm__ volatile("cli" ::: "rax");
    ok_equal(seen.signal, SIGSEGV, "cli");
}

static void arithmetic(void)
{
    catch_with(SIGFPE, 2);
    long result = 0;
    __asm__ volatile("xor %%edx, %%edx; mov $7, %%eax; xor %%ecx, %%ecx; div %%ecx; mov %%rax, %0"
                     : "=r"(result)
                     :
                     : "rax", "rcx", "rdx");
    ok_equal(seen.signal, SIGFPE, "a division by zero");
    ok_equal(seen.code, FPE_INTDIV, "FPE_INTDIV");
    ok((long)seen.address == seen.rip, "the address is the instruction's");
    ok_equal(result, 4711, "a handler may skip the instruction and set a register");
}

static void undefined(void)
{
    catch_with(SIGILL, 2);
    __asm__ volatile("ud2" ::: "rax");
    ok_equal(seen.signal, SIGILL, "an undefined instruction");
    ok_equal(seen.code, ILL_ILLOPN, "ILL_ILLOPN");
    ok((long)seen.address == seen.rip, "the address is the instruction's");
}

static volatile int traps;

static void on_trap(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    traps++;
    seen.code = info->si_code;
}

static void breakpoint(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    __asm__ volatile("int3");
    ok_equal(traps, 1, "a breakpoint instruction: SIGTRAP, and on with the next");
    ok_equal(seen.code, SI_KERNEL, "SI_KERNEL");
}

enum { MXCSR_ZE = 1 << 2, MXCSR_ZM = 1 << 9 }; /* division by zero: it happened; it is masked */

/* An emulator such as QEMU's TCG notes the division in MXCSR, but raises no exception for it. */
static void floating_point(void)
{
    catch_with(SIGFPE, 0);
    unsigned control = 0x1f80 & ~MXCSR_ZM, noted = 0;
    if (sigsetjmp(fault_return, 1) == 0) {
        volatile double zero = 0, one = 1;
        __asm__ volatile("ldmxcsr %0" : : "m"(control));
        one = one / zero;
        __asm__ volatile("stmxcsr %0" : "=m"(noted));
    }
    control = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
    if ((noted & (MXCSR_ZE | MXCSR_ZM)) == MXCSR_ZE) {
        skip("this processor raises no exception of the vector unit");
        return;
    }
    ok_equal(seen.signal, SIGFPE, "a division by zero of the vector unit");
    ok_equal(seen.code, FPE_FLTDIV, "FPE_FLTDIV");
}

static void beyond_a_file(void)
{
    char name[] = "/tmp/signal_fault-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    ok(fd >= 0 && ftruncate(fd, (off_t)PAGE) == 0, "a file of a page");
    byte *area = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    catch_with(SIGBUS, 0);
    area[0] = 1;
    if (sigsetjmp(fault_return, 1) == 0) {
        area[PAGE + 9] = 1;
    }
    ok_equal(seen.signal, SIGBUS, "beyond its end");
    ok_equal(seen.code, BUS_ADRERR, "BUS_ADRERR");
    ok(seen.address == area + PAGE + 9, "the address");
}

static void default_action(void)
{
    touch_nowhere();
}

static void ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    touch_nowhere();
}

static void blocked(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    catch_with(SIGSEGV, 0);
    touch_nowhere();
}

static void returns_to_it(int number)
{
    (void)number;
    static int count;
    if (++count == 5) {
        _exit(5);
    }
}

static void again_and_again(void)
{
    signal(SIGSEGV, returns_to_it);
    touch_nowhere();
}

static void reset_by_hand(void)
{
    struct sigaction action = {.sa_handler = returns_to_it, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGSEGV, &action, NULL);
    touch_nowhere();
}

static void ends_a_process(void)
{
    ok_equal(tap_child_signal(default_action), SIGSEGV, "without a handler a fault kills");
    ok_equal(tap_child_signal(ignored), SIGSEGV, "ignoring it does not help");
    ok_equal(tap_child_signal(blocked), SIGSEGV, "nor does blocking it");
    int status = tap_child(again_and_again);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 5,
       "a handler that returns meets the fault again");
    ok_equal(tap_child_signal(reset_by_hand), SIGSEGV, "SA_RESETHAND: the second one kills");
}

static byte alternate[65536] __attribute__((aligned(16)));

static void alternate_stack(void)
{
    stack_t mine = {.ss_sp = alternate, .ss_size = sizeof alternate}, old;
    ok_equal(sigaltstack(&mine, &old), 0, "sigaltstack");
    ok(old.ss_flags & SS_DISABLE, "there was none");
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    skip_bytes = 0;
    volatile byte *handler_saw = NULL;
    if (sigsetjmp(fault_return, 1) == 0) {
        touch_nowhere();
    }
    handler_saw = (byte *)seen.rsp;
    ok(!(handler_saw >= alternate && handler_saw < alternate + sizeof alternate),
       "the fault was on the old stack");
    ok_equal(sigaltstack(NULL, &old), 0, "it can be asked for");
    ok(old.ss_sp == alternate && old.ss_size == sizeof alternate && !(old.ss_flags & SS_ONSTACK),
       "and is ours");
    mine.ss_size = 100;
    ok_errno(sigaltstack(&mine, NULL), ENOMEM, "too small a stack");
    mine.ss_size = sizeof alternate;
    mine.ss_flags = 64;
    ok_errno(sigaltstack(&mine, NULL), EINVAL, "unknown flag");
    mine.ss_flags = SS_DISABLE;
    ok_equal(sigaltstack(&mine, NULL), 0, "SS_DISABLE");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(nothing_mapped), TAP_CASE(not_allowed),     TAP_CASE(no_such_address),
        TAP_CASE(privileged),     TAP_CASE(arithmetic),      TAP_CASE(undefined),
        TAP_CASE(breakpoint),     TAP_CASE(floating_point),  TAP_CASE(beyond_a_file),
        TAP_CASE(ends_a_process), TAP_CASE(alternate_stack),
    };
    return TAP_MAIN(cases);
}
