/*
 * Does prctl(PR_SET_MEMORY_MERGE) offer all of a process's memory, now and later, for its children
 * and its next program too, and take the offer back?
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "ksm.h"

static void calls(void)
{
    ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 0, "off at first");
    ok_errno(prctl(PR_SET_MEMORY_MERGE, 1, 1, 0, 0), EINVAL, "third argument");
    ok_errno(prctl(PR_SET_MEMORY_MERGE, 1, 0, 1, 0), EINVAL, "fourth argument");
    ok_errno(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 1), EINVAL, "fifth argument");
    ok_errno(prctl(PR_GET_MEMORY_MERGE, 1, 0, 0, 0), EINVAL, "second argument of the question");
    ok_errno(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 1), EINVAL, "fifth argument of the question");
    ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 0, "still off");
    ok_equal(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0), 0, "on");
    ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1, "and says so");
    ok_equal(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0), 0, "on again");
    ok_equal(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0), 0, "off");
    ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 0, "and says so");
}

static void marks_everything(void)
{
    int on_stack = 0;
    byte *before = map_island(4, RW),
         *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok(!smaps_flag(before, "mg"), "not mergeable before");
    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    ok(smaps_flag(before, "mg"), "what there is, is mergeable");
    ok(smaps_flag(&on_stack, "mg"), "the stack too");
    ok(!smaps_flag(shared, "mg"), "shared memory is not");
    byte *after = map_island(4, RW);
    ok(smaps_flag(after, "mg"), "what comes later, is");
    long end = syscall(SYS_brk, 0);
    byte *heap = (byte *)end;
    syscall(SYS_brk, end + 4 * (long)PAGE);
    heap[2 * PAGE] = 1;
    ok(smaps_flag(heap + 2 * PAGE, "mg"), "the heap too");
    ok_equal(madvise(after, PAGE, MADV_UNMERGEABLE), 0, "one page less");
    ok(!smaps_flag(after, "mg") && smaps_flag(after + PAGE, "mg"), "by madvise");
    prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0);
    ok(!smaps_flag(before, "mg") && !smaps_flag(after + PAGE, "mg") && !smaps_flag(&on_stack, "mg"),
       "off: nothing is");
    ok(!smaps_flag(map_island(1, RW), "mg"), "nor is what comes");
}

static void merges_and_parts(void)
{
    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    byte *area = map_equal(16, 201);
    ok(ksm_wait_pages(area, 16), "equal pages merge without madvise");
    ok_equal(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0), 0, "off");
    ok_equal(ksm_kb(area), 0, "parts them");
    ok(all_hold(area, 16, 201), "with their content");
    byte *own = map_island(4, RW);
    madvise(own, 4 * PAGE, MADV_MERGEABLE);
    ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 0, "madvise does not change the answer");
    prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0);
    ok(smaps_flag(own, "mg"), "off when it is off changes nothing");
    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0);
    ok(!smaps_flag(own, "mg"), "off takes back what madvise offered as well");
}

static void forked(void)
{
    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool good =
            prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1 && smaps_flag(map_island(2, RW), "mg");
        _exit(!(good && prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0) == 0));
    }
    ok_equal(reap(pid), 0, "a child inherits it, and may end it");
    ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1, "for itself");
}

static char program[256];

static void executed(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
        execl(program, program, "--after-exec", (char *)NULL);
        _exit(99);
    }
    int status = reap(pid);
    ok(WIFEXITED(status) && WEXITSTATUS(status) < 99, "a new program starts");
    ok(WEXITSTATUS(status) & 1, "it still is on");
    ok(WEXITSTATUS(status) & 2, "new memory is mergeable");
    ok(WEXITSTATUS(status) & 4, "the program's data is mergeable");
    ok(!!(WEXITSTATUS(status) & 8) == on_merganser(), "the new stack is, but on Linux");
}

static int after_exec(void)
{
    static int data = 1;
    int seen = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1 ? 1 : 0;
    seen |= smaps_flag(map_island(2, RW), "mg") ? 2 : 0;
    seen |= smaps_flag(&data, "mg") ? 4 : 0;
    seen |= smaps_flag(&seen, "mg") ? 8 : 0;
    return seen;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(calls),  TAP_CASE(marks_everything), TAP_CASE(merges_and_parts),
        TAP_CASE(forked), TAP_CASE(executed),
    };
    if (argc > 1 && strcmp(argv[1], "--after-exec") == 0) {
        return after_exec();
    }
    tap_begin();
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) {
        bail("/proc/self/exe");
    }
    if (!ksm_take() || prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) < 0) {
        skip("no PR_SET_MEMORY_MERGE in this kernel");
        return tap_end();
    }
    int status = TAP_MAIN(cases);
    ksm_give_back();
    return status;
}
