/*
 * ksm_control.c: the knobs of merging, under the names, with the ranges and errors that Linux gives
 * them in /sys/kernel/mm/ksm; and two of our own: max_kernel_pages and index.
 *
 * What scanning relies on from one step to the next is changed only while ksmd does not scan: with
 * ksm_scan_mutex, for which ksmd lets go after a step.
 */
#include "kernel/base/errno.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/ksm_internal.h"
#include "lib/format.h"
#include "lib/parse.h"
#include "lib/string.h"

_Atomic u64 ksm_run = KSM_RUN_STOP;
_Atomic u64 ksm_pages_to_scan = 100;
_Atomic u64 ksm_sleep_millisecs = 20;
_Atomic u64 ksm_merge_across_nodes = 1;
_Atomic u64 ksm_max_page_sharing = 256;
_Atomic u64 ksm_max_kernel_pages;
_Atomic u64 ksm_use_zero_pages;
_Atomic u64 ksm_smart_scan = 1;
_Atomic u64 ksm_prune_millisecs = 2000;
_Atomic bool ksm_look_again;
_Atomic u64 ksm_waiting;

/* --- values --- */

#define NUMBER_SIZE 32

/* The text with a NUL; false: too long for any number. */
static bool copy_number(char number[NUMBER_SIZE], const char *text, usize length)
{
    if (length >= NUMBER_SIZE)
        return false;
    memcpy(number, text, length);
    number[length] = 0;
    return true;
}

s64 ksm_parse(const char *text, usize length, u64 max, u64 *value)
{
    char number[NUMBER_SIZE];

    if (!copy_number(number, text, length))
        return -EINVAL;
    switch (str_to_u64(number, 10, value)) {
    case PARSE_OK: return *value <= max ? 0 : -ERANGE;
    case PARSE_RANGE: return -ERANGE;
    default: return -EINVAL;
    }
}

/* 1, y, t, on or 0, n, f, off: the first letters decide. */
static s64 parse_bool(const char *text, usize length, u64 *value)
{
    char first = length > 0 ? text[0] | 0x20 : 0, second = length > 1 ? text[1] | 0x20 : 0;

    if (first == 'y' || first == 't' || (length && text[0] == '1') ||
        (first == 'o' && second == 'n'))
        *value = 1;
    else if (first == 'n' || first == 'f' || (length && text[0] == '0') ||
             (first == 'o' && second == 'f'))
        *value = 0;
    else
        return -EINVAL;
    return 0;
}

/* --- changes while nobody scans --- */

void ksm_scan_hold(void)
{
    atomic_fetch_add(&ksm_waiting, 1);
    mutex_lock(&ksm_scan_mutex);
}

void ksm_scan_release(void)
{
    mutex_unlock(&ksm_scan_mutex);
    atomic_fetch_sub(&ksm_waiting, 1);
}

/* And ksmd is to see at once what has changed. */
static void scan_release_and_wake(void)
{
    ksm_scan_release();
    wait_wake_all(&ksm_wake);
}

/* Records made under the old rules are forgotten; there must be no merged pages. Scanning is
 * stopped. */
static s64 forget_everything(void)
{
    if (atomic_load(&ksm_stats.shared))
        return -EBUSY;
    ksm_forget_all();
    return 0;
}

/* A rule that merged pages rely on gets another value. */
static s64 change_rule(_Atomic u64 *rule, u64 value)
{
    s64 error = 0;

    ksm_scan_hold();
    if (value != atomic_load(rule)) {
        error = forget_everything();
        if (!error)
            atomic_store(rule, value);
    }
    scan_release_and_wake();
    return error;
}

/* --- run --- */

/* 2 unmerges before it returns; when memory for the copies runs out, merging stops where it is and
 * the write fails. */
static s64 run_write(const struct tunable *t, const char *text, usize length)
{
    u64 run;
    s64 error = 0;

    (void)t;
    if (ksm_parse(text, length, KSM_RUN_UNMERGE, &run))
        return -EINVAL;
    ksm_scan_hold();
    if (run != atomic_load(&ksm_run)) {
        atomic_store(&ksm_run, run);
        if (run == KSM_RUN_UNMERGE)
            error = ksm_unmerge_all();
        if (error)
            atomic_store(&ksm_run, KSM_RUN_STOP);
        else if (run == KSM_RUN_UNMERGE)
            atomic_store(&ksm_stats.full_scans, 0);
    }
    scan_release_and_wake();
    return error;
}

TUNABLE(ksm_run, .name = "ksm.run",
        .help = "0 stops, 1 merges, 2 stops and makes every page private again",
        .read = tunable_read_u64, .write = run_write, .value = &ksm_run);

/* --- plain numbers and switches --- */

static s64 number_write(const struct tunable *t, const char *text, usize length)
{
    u64 value;

    if (ksm_parse(text, length, t->max, &value) || value < t->min)
        return -EINVAL;
    atomic_store((_Atomic u64 *)t->value, value);
    wait_wake_all(&ksm_wake);
    return 0;
}

static s64 pages_to_scan_write(const struct tunable *t, const char *text, usize length)
{
    return atomic_load(&ksm_advisor) ? -EINVAL : number_write(t, text, length);
}

/* Pages that have settled may come under it now. */
static s64 switch_write(const struct tunable *t, const char *text, usize length)
{
    u64 value;
    s64 error = parse_bool(text, length, &value);

    if (!error && atomic_exchange((_Atomic u64 *)t->value, value) != value)
        atomic_store(&ksm_look_again, true);
    return error;
}

#define KSM_NUMBER(variable, write_, max_, help_)                                                  \
    TUNABLE(ksm_##variable, .name = "ksm." #variable, .help = (help_), .read = tunable_read_u64,   \
            .write = (write_), .value = &ksm_##variable, .max = (max_))

KSM_NUMBER(pages_to_scan, pages_to_scan_write, 0xffffffff, "pages looked at before ksmd sleeps");
KSM_NUMBER(sleep_millisecs, number_write, 0xffffffff, "how long ksmd sleeps then");
KSM_NUMBER(max_kernel_pages, number_write, ~0ul, "merged frames at most, 0 = no limit");
KSM_NUMBER(use_zero_pages, switch_write, 1, "1: pages of zeros become the zero page");
KSM_NUMBER(smart_scan, switch_write, 1, "1: pages that never merge are looked at less often");
TUNABLE(ksm_prune_millisecs, .name = "ksm.stable_node_chains_prune_millisecs",
        .help = "a chain is put in order at most so often", .read = tunable_read_u64,
        .write = number_write, .value = &ksm_prune_millisecs, .max = 0xffffffff);

/* --- rules --- */

static s64 across_nodes_write(const struct tunable *t, const char *text, usize length)
{
    u64 value;
    s64 error = ksm_parse(text, length, ~0ul, &value);

    (void)t;
    if (error)
        return error;
    return value > 1 ? -EINVAL : change_rule(&ksm_merge_across_nodes, value);
}

#define INT_MAX 0x7fffffffl
#define INT_MIN (-INT_MAX - 1)

static s64 max_sharing_write(const struct tunable *t, const char *text, usize length)
{
    char number[NUMBER_SIZE];
    s64 value;

    (void)t;
    if (!copy_number(number, text, length))
        return -EINVAL;
    enum parse_status status = str_to_s64(number, 10, &value);
    if (status == PARSE_INVALID)
        return -EINVAL;
    if (status == PARSE_RANGE || value > INT_MAX || value < INT_MIN)
        return -ERANGE;
    return value < 2 ? -EINVAL : change_rule(&ksm_max_page_sharing, (u64)value);
}

KSM_NUMBER(merge_across_nodes, across_nodes_write, 1, "0: only pages of one NUMA node merge");
KSM_NUMBER(max_page_sharing, max_sharing_write, INT_MAX, "mappings of one merged frame at most");

/* --- the index --- */

static const struct merge_index_ops *const indexes[] = {&merge_index_hash, &merge_index_tree};

static const struct merge_index_ops *find_index(const char *name, usize length)
{
    for (u32 i = 0; i < ARRAY_LEN(indexes); i++)
        if (tunable_is_word(name, length, indexes[i]->name))
            return indexes[i];
    return NULL;
}

static s64 index_read(const struct tunable *t, char *buffer, usize size)
{
    usize used = 0;

    (void)t;
    for (u32 i = 0; i < ARRAY_LEN(indexes); i++)
        used += format(buffer + used, size - used, indexes[i] == ksm_index_ops ? "%s[%s]" : "%s%s",
                       i ? " " : "", indexes[i]->name);
    return (s64)(used + format(buffer + used, size - used, "\n"));
}

static s64 index_write(const struct tunable *t, const char *text, usize length)
{
    const struct merge_index_ops *ops = find_index(text, length);
    s64 error = 0;

    (void)t;
    if (!ops)
        return -EINVAL;
    ksm_scan_hold();
    if (ops != ksm_index_ops)
        error = atomic_load(&ksm_run) == KSM_RUN_MERGE ? -EBUSY : forget_everything();
    if (!error && ops != ksm_index_ops)
        error = ksm_set_index(ops);
    scan_release_and_wake();
    return error;
}

TUNABLE(ksm_index, .name = "ksm.index",
        .help = "how equal pages are found; changed while nothing runs or is merged",
        .read = index_read, .write = index_write);
