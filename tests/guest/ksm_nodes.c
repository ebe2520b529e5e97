/*
 * Do pages merge only within their NUMA node when told so, with the frame on that node, and across
 * nodes otherwise?
 *
 * vm: --smp 2 --mem 512 --numa 2
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include <sched.h>

#include "frames.h"
#include "ksm.h"
#include "proc.h"

enum { NODES = 2, PAGES = 40, NODE_FRAMES = 256 << 20 >> 12 };

/* What the process on each CPU tells. */
static struct {
    volatile uint64_t pfn[NODES]; /* of its merged pages, all in one frame; ~0: not so */
    volatile int round, wrong;
} * told;

static uint64_t frame_of_all(const byte *area)
{
    uint64_t pfn = frame_of(area);
    return all_in_frame(area, PAGES, pfn) && all_hold(area, PAGES, 8600) ? pfn : ~0ull;
}

static void stay_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        bail("sched_setaffinity");
    }
}

static void have_pages(int node)
{
    stay_on(node);
    byte *area = mergeable(PAGES, 8600);
    for (int round = 1; round <= 2; round++) {
        while (told->round < round) {
            pause_ms(2);
        }
        bool merged = ksm_wait_pages(area, PAGES) && ksm_scan(4);
        told->pfn[node] = merged ? frame_of_all(area) : ~0ull;
    }
    sleep_forever();
}

/* Both processes find their pages merged under the present rule. */
static bool next_round(void)
{
    told->pfn[0] = told->pfn[1] = 0;
    told->round++;
    return eventually(told->pfn[0] && told->pfn[1], 30000) && told->pfn[0] != ~0ull &&
           told->pfn[1] != ~0ull;
}

static void within_nodes(void)
{
    char online[16] = "";
    int fd = open("/sys/devices/system/node/online", O_RDONLY);
    ok(read(fd, online, sizeof online - 1) > 0 && strcmp(online, "0-1\n") == 0, "two nodes");
    told = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ksm_set("run", 2);
    ok_equal(ksm_set("merge_across_nodes", 0), 0, "pages stay on their nodes");
    ksm_set("run", 1);
    pid_t pids[NODES];
    for (int node = 0; node < NODES; node++) {
        pids[node] = fork();
        if (pids[node] == 0) {
            have_pages(node);
        }
    }
    ok(next_round(), "pages on each node are merged");
    ok(told->pfn[0] != told->pfn[1], "into a frame of their own");
    ok_equal(ksm_get("pages_shared"), NODES, "one on each node");
    ok_equal(ksm_get("pages_sharing"), NODES * (PAGES - 1), "for all its pages");
    ok(told->pfn[0] < NODE_FRAMES && told->pfn[1] >= NODE_FRAMES, "each on its node (%lu, %lu)",
       (unsigned long)told->pfn[0], (unsigned long)told->pfn[1]);
    ok_errno(ksm_set("merge_across_nodes", 1), EBUSY, "the rule can't change now");
    ok_equal(ksm_set("merge_across_nodes", 0), 0, "but be set to what it is");
    ok_equal(ksm_set("run", 2), 0, "run = 2");
    ok_equal(ksm_set("merge_across_nodes", 1), 0, "now it can");
    ksm_set("run", 1);
    ok(next_round(), "pages are merged again");
    ok(told->pfn[0] == told->pfn[1], "into one frame");
    ok_equal(ksm_get("pages_shared"), 1, "for both nodes");
    for (int node = 0; node < NODES; node++) {
        finish(pids[node]);
    }
}

static void within_nodes_by_tree(void)
{
    ksm_set("run", 2);
    ok_equal(ksm_set_text("index", "tree"), 0, "with the other index");
    within_nodes();
    ksm_set("run", 2);
    ksm_set_text("index", "hash");
    ksm_set("run", 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_SLOW_CASE(within_nodes, 100),
        TAP_SLOW_CASE(within_nodes_by_tree, 100),
    };
    return KSM_MAIN(cases);
}
