/*
 * ksm_advisor.c: how many pages to scan at a time, so that a pass takes about as long as wanted.
 *
 * After each pass the number is multiplied by how much too long the pass took, and by a running
 * mean of how much longer passes become from one to the next; then it is kept within what a share
 * of one CPU can do, judged by what this pass has cost. Integers throughout, as Linux 6.12 computes
 * it, so that both arrive at the same numbers.
 *
 * These numbers alone don't keep ksmd to its share: a pass that takes less than a second counts as
 * one second long. So it also rests after each batch, in proportion to what the batch has used:
 * that nobody loses more than advisor_max_cpu of a CPU to it holds for a pass of any length.
 */
#include "kernel/base/errno.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/ksm_internal.h"
#include "kernel/task/thread.h"
#include "lib/format.h"
#include "lib/string.h"

#define CPU_LEAST 10  /* percent of a CPU that ksmd may always use */
#define WEIGHT_NEW 30 /* percent: of the latest pass in the mean */
#define PAGES_TO_SCAN_DEFAULT 100

enum { ADVISOR_NONE, ADVISOR_SCAN_TIME };
static const char *const mode_names[] = {"none", "scan-time"};

_Atomic u64 ksm_advisor;
static _Atomic u64 max_cpu = 70; /* percent */
static _Atomic u64 min_pages = 500, max_pages = 30000;
static _Atomic u64 target_seconds = 200;

static struct wait_queue rest_queue; /* ksmd, until a limit or the mode changes */

/* Since the mode was set; guarded by ksm_scan_mutex. */
static struct {
    u64 start_ns, start_cpu_ns; /* of this pass; 0 = it began before */
    u64 last_seconds;           /* what the pass before took; 0 = there was none */
    u64 change;                 /* mean, percent */
} history;

static u64 cpu_ns(void)
{
    struct cpu_times times;

    thread_times(current_thread(), &times);
    return times.total_ns;
}

static u64 at_least_1(u64 value)
{
    return MAX(value, 1ul);
}

/* The next number, from this one and what the pass took. */
static u64 advise(u64 pages, u64 seconds, u64 percent)
{
    u64 factor = at_least_1(atomic_load(&target_seconds) * 100 / seconds);
    u64 change =
        at_least_1(100 * seconds / (history.last_seconds ? history.last_seconds : seconds));
    u64 per_percent = at_least_1(pages / percent);

    history.change = ((100 - WEIGHT_NEW) * history.change + WEIGHT_NEW * change) / 100;
    history.last_seconds = seconds;
    pages = pages * 100 / factor * history.change / 100;
    pages = MIN(pages, per_percent * atomic_load(&max_cpu));
    pages = MAX(pages, per_percent * CPU_LEAST);
    return MIN(pages, atomic_load(&max_pages));
}

void ksm_advisor_pass_begins(void)
{
    if (atomic_load(&ksm_advisor) == ADVISOR_NONE)
        return;
    history.start_ns = time_ns();
    history.start_cpu_ns = cpu_ns();
}

void ksm_advisor_pass_ended(void)
{
    if (atomic_load(&ksm_advisor) == ADVISOR_NONE || !history.start_ns)
        return;
    u64 seconds = at_least_1((time_ns() - history.start_ns) / 1000000000);
    u64 percent = at_least_1((cpu_ns() - history.start_cpu_ns) / 1000000 * 100 / (1000 * seconds));

    atomic_store(&ksm_pages_to_scan, advise(atomic_load(&ksm_pages_to_scan), seconds, percent));
}

/* How long ksmd rests for so much of a CPU. */
static u64 rest_for(u64 used)
{
    u64 share = at_least_1(atomic_load(&max_cpu));

    return atomic_load(&ksm_advisor) == ADVISOR_NONE || share >= 100 ? 0
                                                                     : used * (100 - share) / share;
}

void ksm_advisor_rest(u64 since)
{
    static u64 rested; /* ksmd's CPU time when it last did */
    u64 used = cpu_ns() - rested;

    rested += used;
    for (;;) {
        wait_prepare(&rest_queue);
        u64 until = since + rest_for(used);
        if (time_ns() >= until)
            break;
        wait_sleep(&rest_queue, false, until);
    }
    wait_cancel(&rest_queue);
}

void ksm_advisor_init(void)
{
    wait_queue_init(&rest_queue);
}

/* --- knobs --- */

static s64 mode_read(const struct tunable *t, char *buffer, usize size)
{
    (void)t;
    return (s64)format(buffer, size, atomic_load(&ksm_advisor) ? "%s [%s]\n" : "[%s] %s\n",
                       mode_names[ADVISOR_NONE], mode_names[ADVISOR_SCAN_TIME]);
}

static void set_mode(u64 mode)
{
    ksm_scan_hold();
    if (mode != atomic_load(&ksm_advisor)) {
        memset(&history, 0, sizeof(history));
        atomic_store(&ksm_pages_to_scan,
                     mode == ADVISOR_NONE ? PAGES_TO_SCAN_DEFAULT : atomic_load(&min_pages));
        atomic_store(&ksm_advisor, mode);
    }
    ksm_scan_release();
    wait_wake_all(&rest_queue);
}

static s64 mode_write(const struct tunable *t, const char *text, usize length)
{
    (void)t;
    for (u64 mode = 0; mode < ARRAY_LEN(mode_names); mode++)
        if (tunable_is_word(text, length, mode_names[mode])) {
            set_mode(mode);
            return 0;
        }
    return -EINVAL;
}

static s64 limit_write(const struct tunable *t, const char *text, usize length)
{
    u64 value;

    if (ksm_parse(text, length, ~0ul, &value) || value < t->min)
        return -EINVAL;
    atomic_store((_Atomic u64 *)t->value, value);
    wait_wake_all(&rest_queue);
    return 0;
}

#define ADVISOR_LIMIT(file, variable, min_, help_)                                                 \
    TUNABLE(ksm_advisor_##file, .name = "ksm.advisor_" #file, .help = (help_),                     \
            .read = tunable_read_u64, .write = limit_write, .value = &(variable), .min = (min_))

TUNABLE(ksm_advisor_mode, .name = "ksm.advisor_mode", .help = "who sets pages_to_scan",
        .read = mode_read, .write = mode_write);
ADVISOR_LIMIT(max_cpu, max_cpu, 0, "percent of a CPU at most");
ADVISOR_LIMIT(min_pages_to_scan, min_pages, 0, "pages_to_scan to begin with");
ADVISOR_LIMIT(max_pages_to_scan, max_pages, 0, "pages_to_scan at most");
ADVISOR_LIMIT(target_scan_time, target_seconds, 1, "seconds that a pass should take");
