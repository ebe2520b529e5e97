/*
 * Does merging keep its counts, its pages and its borders when everybody works against it?
 * Processes that offer memory in every way there is, and take it back, fork, become other programs,
 * change domains and are killed, while all that can be set is set to something else.
 *
 *     hostile_ksm [CASE]               HOSTILE_SEED, HOSTILE_SECONDS in the environment
 *
 * vm: --smp 4 --mem 256
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include <merganser/ksm_device.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "frames.h"
#include "hostile.h"
#include "ksm.h"

#define WORKERS 6
#define BLOCK 16 /* pages */
#define BLOCKS 16
#define PAGES (BLOCK * BLOCKS)
#define DOMAINS 3
#define CONTENTS 5 /* so that many are equal; 0 are zeros */

/* --- what all processes see --- */

static struct shared {
    volatile bool stop, held;
    volatile long steps, wrong;
    struct seat {
        volatile pid_t pid;
        volatile uint32_t domain;
        volatile bool ready;
        uint64_t pfn[PAGES]; /* of pages that are not zeros; 0 = none */
    } seats[WORKERS];
} * shared;

static uint64_t random_state;

static uint64_t roll(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % limit;
}

static long environment(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

/* --- a worker's memory: every page has a content that is known --- */

static byte *block_of[BLOCKS];
static byte content[PAGES];
static int area = -1; /* of /dev/ksm; everybody's */

static byte *page_at(size_t page)
{
    return block_of[page / BLOCK] + page % BLOCK * PAGE;
}

static void set_content(size_t page, byte value)
{
    content[page] = value;
    if (value) {
        fill_page(page_at(page), value);
    } else {
        memset(page_at(page), 0, PAGE);
    }
}

static bool content_is_right(size_t page)
{
    return content[page] ? page_holds(page_at(page), content[page]) : page_is_zero(page_at(page));
}

static void check(size_t page)
{
    if (!content_is_right(page)) {
        __atomic_add_fetch(&shared->wrong, 1, __ATOMIC_RELAXED);
        note("pid %d: page %zu at %p is not of content %d but begins %#lx", (int)getpid(), page,
             (void *)page_at(page), content[page], *(unsigned long *)page_at(page));
    }
}

static void check_all(void)
{
    for (size_t page = 0; page < PAGES; page++) {
        check(page);
    }
}

/* --- what a worker does --- */

static void write_pages(void)
{
    size_t page = roll(PAGES), count = 1 + roll(BLOCK);
    byte value = (byte)roll(CONTENTS);
    for (; count && page < PAGES; count--, page++) {
        check(page);
        set_content(page, value);
    }
}

/* Not a store of ours, but by the frame: through a pin. */
static void write_by_call(void)
{
    static byte from[PAGE];
    size_t page = roll(PAGES);
    byte value = (byte)(1 + roll(CONTENTS - 1));
    fill_page(from, value);
    struct iovec local = {from, PAGE}, remote = {page_at(page), PAGE};
    if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)PAGE) {
        content[page] = value;
    }
}

static void advise(void)
{
    size_t block = roll(BLOCKS);
    madvise(block_of[block], BLOCK * PAGE, roll(4) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

static void forget_pages(void)
{
    size_t page = roll(PAGES);
    check(page);
    madvise(page_at(page), PAGE, MADV_DONTNEED);
    content[page] = 0;
}

static void move_block(void)
{
    size_t block = roll(BLOCKS);
    byte *to = mmap(NULL, BLOCK * PAGE, PROT_NONE, ANON, -1, 0);
    if (to == MAP_FAILED) {
        return;
    }
    byte *got =
        mremap(block_of[block], BLOCK * PAGE, BLOCK * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    if (got == MAP_FAILED) {
        munmap(to, BLOCK * PAGE);
    } else {
        block_of[block] = got;
    }
}

static void protect_block(void)
{
    size_t block = roll(BLOCKS);
    mprotect(block_of[block], BLOCK * PAGE, PROT_READ);
    check(block * BLOCK);
    mprotect(block_of[block], BLOCK * PAGE, PROT_NONE);
    mprotect(block_of[block], BLOCK * PAGE, RW);
}

static void renew_block(void)
{
    size_t block = roll(BLOCKS);
    if (mmap(block_of[block], BLOCK * PAGE, RW, ANON | MAP_FIXED, -1, 0) == block_of[block]) {
        memset(content + block * BLOCK, 0, BLOCK);
    }
}

static void use_device(void)
{
    struct ksm_memory_region region = {.npages = (uint32_t)(1 + roll(BLOCK)),
                                       .addr = (uint64_t)block_of[roll(BLOCKS)]};
    int device = open("/dev/ksm", O_RDWR | O_CLOEXEC);
    int own = ioctl(device, KSM_CREATE_SHARED_MEMORY_AREA);
    close(device);
    ioctl(roll(2) ? own : area, KSM_REGISTER_MEMORY_REGION, &region);
    if (!roll(8)) {
        ioctl(area, KSM_REMOVE_MEMORY_REGION);
    }
    close(own);
}

static void merge_any(void)
{
    prctl(PR_SET_MEMORY_MERGE, roll(2), 0, 0, 0);
}

/* Somebody's domain; who it is says so itself. */
static void change_domain(void)
{
    struct seat *seat = &shared->seats[roll(WORKERS)];
    char text[32];
    if (seat->pid > 0) {
        snprintf(text, sizeof text, "%lu", (unsigned long)roll(DOMAINS));
        spill(proc_path(seat->pid, "merge_domain"), text);
    }
}

static void as_child(void)
{
    random_state ^= (uint64_t)getpid() << 20;
    for (int i = 0; i < 4; i++) {
        write_pages();
    }
    if (roll(2)) {
        spill("/proc/self/merge_domain", roll(2) ? "1" : "2");
    }
    if (!roll(3)) {
        move_block();
        merge_any();
    }
    check_all();
    if (!roll(3)) {
        execl("/bin/busybox", "true", NULL);
    }
    _exit(0);
}

static void fork_child(void)
{
    pid_t pid = roll(4) ? fork() : -1;
    if (pid == 0) {
        as_child();
    }
    if (pid > 0 && !roll(4)) {
        kill(pid, SIGKILL);
    }
    while (waitpid(-1, NULL, roll(2) ? WNOHANG : 0) > 0) {
    }
}

static void become_another(char **arguments)
{
    if (!roll(12)) {
        execv("/proc/self/exe", arguments);
    }
}

/* Which frames this process has, and in what domain, for all to compare. */
static void show_frames(struct seat *seat)
{
    const char *text = slurp("/proc/self/merge_domain");
    check_all();
    seat->domain = text ? (uint32_t)atol(text) : 0;
    for (size_t page = 0; page < PAGES; page++) {
        seat->pfn[page] = content[page] ? frame_of(page_at(page)) : 0;
    }
    seat->ready = true;
}

static void worker(int number, char **arguments)
{
    static void (*const steps[])(void) = {write_pages,  write_pages,   write_by_call, advise,
                                          forget_pages, move_block,    protect_block, renew_block,
                                          use_device,   change_domain, fork_child,    merge_any};
    struct seat *seat = &shared->seats[number];
    random_state = (uint64_t)now_ns(CLOCK_MONOTONIC) * 1000003 + (uint64_t)number + 1;
    for (size_t block = 0; block < BLOCKS; block++) {
        block_of[block] = map_pages(BLOCK, RW);
    }
    seat->pid = getpid();
    while (!shared->stop) {
        steps[roll(sizeof steps / sizeof *steps)]();
        __atomic_add_fetch(&shared->steps, 1, __ATOMIC_RELAXED);
        check(roll(PAGES));
        become_another(arguments);
    }
    for (size_t block = 0; block < BLOCKS; block++) {
        madvise(block_of[block], BLOCK * PAGE, MADV_MERGEABLE);
    }
    while (waitpid(-1, NULL, 0) > 0) {
    }
    while (!shared->held) {
        pause_ms(10);
    }
    show_frames(seat);
    sleep_forever();
}

/* --- what is set meanwhile --- */

static void turn_knobs(void)
{
    static const struct {
        const char *name, *values[4];
    } knobs[] = {
        {"run", {"0", "1", "2", "1"}},
        {"max_kernel_pages", {"0", "3", "40", "0"}},
        {"max_page_sharing", {"2", "3", "256", "256"}},
        {"merge_across_nodes", {"0", "1", "1", "1"}},
        {"use_zero_pages", {"0", "1", "1", "1"}},
        {"smart_scan", {"0", "1", "0", "0"}},
        {"advisor_mode", {"none", "scan-time", "none", "none"}},
        {"index", {"hash", "tree", "hash", "tree"}},
        {"stable_node_chains_prune_millisecs", {"0", "2000", "1", "0"}},
    };
    size_t knob = roll(sizeof knobs / sizeof *knobs);
    if (knob == 7) { /* is changed while nothing runs or is merged */
        ksm_set("run", roll(2) ? 2 : 0);
    }
    ksm_set_text(knobs[knob].name, knobs[knob].values[roll(4)]);
    ksm_set("pages_to_scan", 5000);
    if (roll(3)) {
        ksm_set("run", 1);
    }
    pause_ms((long)roll(60));
}

static void restore_knobs(void)
{
    ksm_set_text("advisor_mode", "none");
    ksm_set("max_kernel_pages", 0);
    ksm_set("run", 2);
    ksm_set("max_page_sharing", 256);
    ksm_set("merge_across_nodes", 1);
    ksm_set_text("index", "hash");
    ksm_set("stable_node_chains_prune_millisecs", 2000);
    ksm_set("use_zero_pages", 0);
    ksm_set("run", 1);
}

/* --- anything at all --- */

static pid_t start_worker(int number)
{
    pid_t pid = fork();
    if (pid == 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", number);
        execl("/proc/self/exe", "hostile_ksm", "--worker", text, NULL);
        _exit(1);
    }
    return pid;
}

/* Frames that two domains have: there must be none. */
static long across_borders(void)
{
    long found = 0, equal = 0;
    for (size_t a = 0; a < WORKERS * PAGES; a++) {
        const struct seat *one = &shared->seats[a / PAGES];
        for (size_t b = a + 1; one->pfn[a % PAGES] && b < WORKERS * PAGES; b++) {
            const struct seat *two = &shared->seats[b / PAGES];
            if (one->pfn[a % PAGES] == two->pfn[b % PAGES]) {
                found += one->domain != two->domain;
                equal++;
            }
        }
    }
    note("%ld pairs of pages have one frame", equal);
    return found;
}

static bool all_ready(void)
{
    for (int i = 0; i < WORKERS; i++) {
        if (!shared->seats[i].ready) {
            return false;
        }
    }
    return true;
}

static void anything(void)
{
    long before = free_bytes(), ended = 0;
    pid_t pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = start_worker(i);
    }
    long end = now_ns(CLOCK_MONOTONIC) + environment("HOSTILE_SECONDS", 12) * 1000000000l;
    while (now_ns(CLOCK_MONOTONIC) < end) {
        turn_knobs();
    }
    restore_knobs();
    shared->stop = true;
    pause_ms(500);
    ksm_scan(4);
    shared->held = true;
    ok(eventually(all_ready(), 15000), "all processes are there (%ld steps)", shared->steps);
    ok_equal(shared->wrong, 0, "every page holds what was written to it");
    ok_equal(across_borders(), 0, "no frame is in two domains");
    for (int i = 0; i < WORKERS; i++) {
        ended += waitpid(pids[i], NULL, WNOHANG) != 0;
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    ok_equal(ended, 0, "none ended early");
    close(area);
    ok(eventually(ksm_get("pages_shared") == 0, 5000), "no merged frame is left");
    ok_equal(ksm_get("pages_sharing"), 0, "nor a mapping of one");
    ok_equal(ksm_get("ksm_zero_pages"), 0, "nor of the zero page");
    ok_equal(ksm_get("pages_unshared") + ksm_get("pages_volatile"), 0, "nor a record");
    ok_equal(ksm_get("stable_node_chains") + ksm_get("stable_node_dups"), 0, "nor a chain");
    ok_equal(ksm_get("general_profit"), 0, "nor bookkeeping");
    all_is_well(before);
}

/* --- the index changes while a process ends --- */

#define UNIQUE_PAGES 12000

/* A task that has no thread and is nobody's process holds the pages: who kills it ends its space,
 * and the POSIX server, which changes the index, doesn't wait for that. */
static void end_a_space(void)
{
    uint64_t *words = (void *)map_pages(UNIQUE_PAGES, RW);
    for (uint64_t page = 0; page < UNIQUE_PAGES; page++) {
        words[page * PAGE / sizeof *words] = page + 1;
    }
    madvise(words, UNIQUE_PAGES * PAGE, MADV_MERGEABLE);
    long task = mg_task_fork(MG_HANDLE_SELF, 0, 0, 0);
    munmap(words, UNIQUE_PAGES * PAGE);
    if (task < 0 || !eventually(ksm_get("pages_unshared") >= UNIQUE_PAGES, 15000)) {
        _exit(1);
    }
    ksm_set("run", 0);
    shared->held = true;
    long end = now_ns(CLOCK_MONOTONIC) + (long)roll(2000000);
    while (now_ns(CLOCK_MONOTONIC) < end) {
    }
    _exit(mg_task_kill(task) < 0);
}

static void index_of_the_dying(void)
{
    long before = free_bytes(), changed = 0;
    bool right = true;
    for (int turn = 0; turn < 16 && right; turn++) {
        ksm_set("run", 1);
        shared->held = false;
        pid_t pid = start(end_a_space);
        while (!shared->held && waitpid(pid, NULL, WNOHANG) == 0) {
            pause_ms(1);
        }
        for (int i = 0; i < 20; i++) {
            int status = ksm_set_text("index", i % 2 ? "hash" : "tree");
            changed += status == 0;
            right = (status == 0 || errno == EBUSY) && right;
        }
        right = reap(pid) == 0 && ksm_set_text("index", "hash") == 0 && right;
    }
    ok(right && changed, "the index is another, %ld times", changed);
    ok_equal(ksm_get("pages_unshared"), 0, "nothing is in it");
    all_is_well(before);
}

/* --- a long rest ends when nobody wants it any more --- */

static void rest_is_over(void)
{
    const size_t count = 30000;
    long share = ksm_get("advisor_max_cpu"), least = ksm_get("advisor_min_pages_to_scan");
    byte *pages = map_pages(count, RW);
    for (size_t page = 0; page < count; page++) {
        memcpy(pages + page * PAGE, &page, sizeof page);
    }
    ksm_set("advisor_max_cpu", 1);
    ksm_set("advisor_min_pages_to_scan", (long)count);
    ksm_set_text("advisor_mode", "scan-time");
    long before = ksm_get("pages_scanned");
    madvise(pages, count * PAGE, MADV_MERGEABLE);
    bool batch = eventually(ksm_get("pages_scanned") >= before + (long)count, 20000);
    pause_ms(100);
    ksm_set_text("advisor_mode", "none");
    before = ksm_get("pages_scanned");
    long begin = now_ns(CLOCK_MONOTONIC);
    bool over = eventually(ksm_get("pages_scanned") != before, 20000);
    long took = (now_ns(CLOCK_MONOTONIC) - begin) / 1000000;
    ok(batch && over && took < 1500, "without an advisor ksmd goes on at once (%ld ms)", took);
    ksm_set("advisor_max_cpu", share);
    ksm_set("advisor_min_pages_to_scan", least);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_SLOW_CASE(index_of_the_dying, 100),
                                            TAP_SLOW_CASE(anything, 100),
                                            TAP_SLOW_CASE(rest_is_over, 100)};
    bool is_worker = argc == 3 && strcmp(argv[1], "--worker") == 0;
    int file = open("/tmp/hostile-ksm", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *shared) < 0) {
        return 1;
    }
    shared = mmap(NULL, sizeof *shared, RW, MAP_SHARED, file, 0);
    if (is_worker) {
        static struct tap_counters none;
        tap = &none;
        area = 9;
        worker(atoi(argv[2]), argv);
    }
    memset(shared, 0, sizeof *shared);
    int device = open("/dev/ksm", O_RDWR | O_CLOEXEC);
    int made = ioctl(device, KSM_CREATE_SHARED_MEMORY_AREA);
    area = dup2(made, 9);
    close(made);
    random_state = (uint64_t)environment("HOSTILE_SEED", now_ns(CLOCK_REALTIME) / 1000 % 1000000);
    random_state = random_state * 1000003 + 1;
    return KSM_MAIN(cases);
}
