/*
 * Do pages merge only within their domain, wherever the domain came from, and is nothing shared
 * across the border when it moves?
 *
 * linux: no
 */
#define _GNU_SOURCE
#include "ksm.h"
#include "proc.h"

#define PAGES 32

static long domain_of(pid_t pid)
{
    const char *text = slurp(proc_path(pid, "merge_domain"));
    return text ? atol(text) : -1;
}

static int set_domain(pid_t pid, const char *domain)
{
    return spill(proc_path(pid, "merge_domain"), domain);
}

static void as_another(void)
{
    if (setuid(1000) < 0) {
        _exit(9);
    }
    /* our own file is ours to open; the domain is not ours to choose */
    _exit(set_domain(getpid(), "3") < 0 && (errno == EPERM || errno == EACCES) ? 0 : 1);
}

static void knob(void)
{
    ok_equal(domain_of(getpid()), 0, "the domain of all, unless told otherwise");
    ok_errno(set_domain(getpid(), "-1"), EINVAL, "below 0");
    ok_errno(set_domain(getpid(), "4294967296"), EINVAL, "above 32 bits");
    ok_errno(set_domain(getpid(), "x"), EINVAL, "no number");
    ok_equal(set_domain(getpid(), "4294967295"), 0, "the last one");
    ok_equal(domain_of(getpid()), 4294967295, "is kept");
    ok_equal(set_domain(getpid(), "0\n"), 0, "a newline does not matter");
    ok_equal(tap_child(as_another), 0, "only root chooses it");
}

static void show_domain_by_exec(void)
{
    set_domain(getpid(), "77");
    execl("/bin/busybox", "sh", "-c", "test $(cat /proc/$$/merge_domain) = 77", NULL);
    _exit(9);
}

static void exit_with_domain(void)
{
    _exit((int)domain_of(getpid()));
}

static void handed_down(void)
{
    set_domain(getpid(), "5");
    ok_equal(tap_child(exit_with_domain), exited(5), "fork hands it down");
    set_domain(getpid(), "0");
    ok_equal(tap_child(show_domain_by_exec), 0, "execve too");
}

/* A child that has equal pages in its domain, and tells when they are merged. */
static const char *child_domain;
static volatile int *told; /* 1: merged; 2: every page still holds what it should */

static void have_pages(void)
{
    set_domain(getpid(), child_domain);
    byte *area = mergeable(PAGES, 300);
    *told = ksm_wait_pages(area, PAGES) ? 1 : -1;
    while (*told == 1) {
        pause_ms(2);
    }
    *told = all_hold(area, PAGES, 300) ? 2 : -2;
    sleep_forever();
}

static pid_t neighbour(const char *domain)
{
    child_domain = domain;
    *told = 0;
    pid_t pid = start(have_pages);
    while (!*told) {
        pause_ms(2);
    }
    return pid;
}

static void borders(void)
{
    told = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    byte *area = mergeable(PAGES, 300);
    madvise(area, PAGES * PAGE, MADV_DONTFORK);
    ok(ksm_wait_pages(area, PAGES), "pages of one domain are merged");
    ok_equal(ksm_get("pages_shared"), 1, "to one");
    pid_t pid = neighbour("9");
    ok_equal(*told, 1, "so are equal ones of another domain");
    ksm_scan(3);
    ok_equal(ksm_get("pages_shared"), 2, "to one of its own");
    ok_equal(ksm_get("pages_sharing"), 2 * PAGES - 2, "and no page crosses the border");

    ok_equal(set_domain(pid, "0"), 0, "the neighbour is let in");
    bool joined = eventually(ksm_get("pages_sharing") == 2 * PAGES - 1, 20000);
    ok(joined && ksm_get("pages_shared") == 1, "then there is one page for both");

    ok_equal(set_domain(getpid(), "4"), 0, "we go");
    ok_equal(ksm_kb(area), 0, "and take private copies with us");
    ok(ksm_wait_pages(area, PAGES), "which merge again");
    ok_equal(ksm_get("pages_shared"), 2, "on our side");
    ok(all_hold(area, PAGES, 300), "all hold what they held");
    *told = 3;
    ok(eventually(*told == 2 || *told == -2, 5000) && *told == 2, "the neighbour's too");
    finish(pid);
    set_domain(getpid(), "0");
}

static void by_tree(void)
{
    ok_equal(ksm_set("run", 0), 0, "the scanner stands");
    ok_equal(ksm_choose_index("tree"), 0, "the other index");
    borders();
    ok_equal(ksm_choose_index("hash"), 0, "back to the first");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(knob),
        TAP_CASE(handed_down),
        TAP_CASE(borders),
        TAP_CASE(by_tree),
    };
    return KSM_MAIN(cases);
}
