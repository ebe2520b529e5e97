/*
 * One process of the demonstration: it loads the files into memory of its own, offers that memory
 * for merging, and then does what the parent says, a letter at a time:
 *
 *     v   verify every page               r   rewrite one page in ten, then verify
 *     q   end
 *
 * and answers each with a report. It remembers a checksum for every page, so whatever happens to
 * its memory meanwhile, it knows what must be there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#endif

#define REWRITE_STEPS 20

struct area {
    unsigned char *memory;
    size_t pages;
    uint64_t *checksums; /* one a page: what it should be */
    int index;           /* of this process */
    struct report report;
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

static uint64_t page_checksum(const unsigned char *page)
{
    uint64_t hash = 1, words[8];
    for (size_t at = 0; at < PAGE_BYTES; at += sizeof words) {
        memcpy(words, page + at, sizeof words);
        for (size_t i = 0; i < 8; i++) {
            hash = mix(hash, words[i]);
        }
    }
    return hash;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static size_t count_distinct(const uint64_t *checksums, size_t pages)
{
    uint64_t *sorted = malloc(pages * sizeof *sorted);
    size_t distinct = pages > 0;
    if (!sorted) {
        return pages;
    }
    memcpy(sorted, checksums, pages * sizeof *sorted);
    qsort(sorted, pages, sizeof *sorted, by_value);
    for (size_t i = 1; i < pages; i++) {
        distinct += sorted[i] != sorted[i - 1];
    }
    free(sorted);
    return distinct;
}

static bool load_file(const struct file *file, unsigned char *to)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < file->bytes) {
        ssize_t got = read(fd, to + done, file->bytes - done);
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            break;
        }
        done += (size_t)got;
    }
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return done == file->bytes;
}

static bool load_files(struct area *area, const struct file_set *set)
{
    unsigned char *to = area->memory;
    for (int round = 0; round < set->rounds; round++) {
        for (size_t i = 0; i < set->count; i++) {
            if (!load_file(&set->files[i], to)) {
                return false;
            }
            to += (set->files[i].bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        }
    }
    return true;
}

/* Each process has its memory elsewhere, so that equal pages have different addresses. */
static bool map_and_load(struct area *area, const struct file_set *set)
{
    uintptr_t wish = 0x200000000000u + (uintptr_t)area->index * 0x4000003000u;
    area->pages = set->pages * (size_t)set->rounds;
    area->checksums = calloc(area->pages, sizeof *area->checksums);
    area->memory = mmap((void *)wish, area->pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area->memory == MAP_FAILED || !area->checksums || !load_files(area, set)) {
        return false;
    }
    for (size_t i = 0; i < area->pages; i++) {
        area->checksums[i] = page_checksum(area->memory + i * PAGE_BYTES);
    }
    area->report.pages = area->pages;
    area->report.address = (uintptr_t)area->memory;
    area->report.distinct = count_distinct(area->checksums, area->pages);
    return madvise(area->memory, area->pages * PAGE_BYTES, MADV_MERGEABLE) == 0;
}

static void verify(struct area *area)
{
    area->report.wrong = 0;
    area->report.checksum = 1;
    for (size_t i = 0; i < area->pages; i++) {
        uint64_t checksum = page_checksum(area->memory + i * PAGE_BYTES);
        area->report.wrong += checksum != area->checksums[i];
        area->report.checksum = mix(area->report.checksum, checksum);
    }
}

/* Fills a page with what no other page of any process holds. */
static void rewrite_page(struct area *area, size_t page)
{
    uint64_t state = ((uint64_t)area->index << 48) + page + 1, words[PAGE_BYTES / 8];
    for (size_t i = 0; i < PAGE_BYTES / 8; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        words[i] = state;
    }
    memcpy(area->memory + page * PAGE_BYTES, words, PAGE_BYTES);
    area->checksums[page] = page_checksum((unsigned char *)words);
}

/* In small steps, so that one can watch it; each process takes other pages. */
static void rewrite(struct area *area)
{
    size_t first = (size_t)(area->index * 3 % REWRITE_ONE_IN);
    size_t step = area->pages / REWRITE_STEPS + 1, next_pause = step;
    for (size_t page = first; page < area->pages; page += REWRITE_ONE_IN) {
        rewrite_page(area, page);
        area->report.rewritten++;
        if (page >= next_pause) {
            nanosleep(&(struct timespec){.tv_nsec = 60000000}, NULL);
            next_pause += step;
        }
    }
}

__attribute__((noreturn)) static void serve(int index, const struct file_set *set, int in, int out)
{
    struct area area = {.index = index};
    char command = 'l';
    do {
        if (command == 'l' && !map_and_load(&area, set)) {
            area.report.error = errno ? errno : ENOMEM;
        } else if (command == 'r') {
            rewrite(&area);
        }
        if (area.report.error == 0) {
            verify(&area);
        }
        if (write(out, &area.report, sizeof area.report) != sizeof area.report) {
            break;
        }
    } while (read(in, &command, 1) == 1 && command != 'q');
    _exit(0);
}

/* Starts a process, which loads the files and reports. False with errno set. */
bool worker_start(struct worker *worker, int index, const struct file_set *set)
{
    int commands[2], reports[2];
    if (pipe2(commands, O_CLOEXEC) < 0) {
        return false;
    }
    if (pipe2(reports, O_CLOEXEC) < 0) {
        close(commands[0]);
        close(commands[1]);
        return false;
    }
    worker->pid = fork();
    if (worker->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_IGN); /* the parent ends it */
        close(commands[1]);
        close(reports[0]);
        serve(index, set, commands[0], reports[1]);
    }
    close(commands[0]);
    close(reports[1]);
    worker->commands = commands[1];
    worker->reports = reports[0];
    return worker->pid > 0;
}

void worker_command(const struct worker *worker, char command)
{
    if (write(worker->commands, &command, 1) != 1) {
        return; /* it has died: worker_report will tell */
    }
}

/* Waits for the answer; false if the process has ended without one. */
bool worker_report(const struct worker *worker, struct report *report)
{
    ssize_t got;
    while ((got = read(worker->reports, report, sizeof *report)) < 0 && errno == EINTR) {
    }
    return got == sizeof *report;
}

void worker_end(struct worker *worker)
{
    if (worker->pid > 0) {
        kill(worker->pid, SIGKILL);
        close(worker->commands);
        close(worker->reports);
        while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        worker->pid = 0;
    }
}
