/*
 * Helpers for tests of block devices: the disks of tools/vm's --test-disk, known by their sizes,
 * and transfers that are still under way while the test goes on.
 */
#pragma once

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <time.h>

#include "memory.h"
#include "tunable.h"

#define MIB (1l << 20)
#define SECTOR 512l
enum { PLAIN = 32, SLOW = 16, BAD = 8 }; /* MiB */
#define BAD_SECTOR 1024
#define LATE_NS 500000000l /* a request to the slow disk right behind another waits longer */

/* The path of the disk of a size in a static buffer, or NULL. */
static inline const char *disk_path(long mib)
{
    static _Thread_local char path[300];
    struct dirent *entry;
    DIR *dir = opendir("/sys/block");
    bool found = false;
    while (!found && dir && (entry = readdir(dir))) {
        snprintf(path, sizeof path, "/sys/block/%s/size", entry->d_name);
        found = read_number(path) * SECTOR == mib * MIB;
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
    }
    closedir(dir);
    return found ? path : NULL;
}

static inline int disk_open(long mib, int flags)
{
    const char *path = disk_path(mib);
    int fd = path ? open(path, flags | O_CLOEXEC) : -1;
    if (fd < 0) {
        bail("the disk of %ld MiB", mib);
    }
    return fd;
}

static inline void sleep_ns(long ns)
{
    nanosleep(&(struct timespec){ns / 1000000000, ns % 1000000000}, NULL);
}

/* A transfer by a thread of its own. */
struct flight {
    pthread_t thread;
    int fd;
    bool write;
    byte *memory;
    size_t bytes;
    long position, result;
    int error;
    atomic_bool begun, ended;
};

static inline void *flight_run(void *argument)
{
    struct flight *flight = argument;
    flight->begun = true;
    flight->result = flight->write
                         ? pwrite(flight->fd, flight->memory, flight->bytes, flight->position)
                         : pread(flight->fd, flight->memory, flight->bytes, flight->position);
    flight->error = errno;
    flight->ended = true;
    return NULL;
}

/* Starts a transfer on the slow disk, and returns when it is under way: a first one, of a single
 * sector, makes the disk keep this one waiting. */
static inline void flight_start(struct flight *flight)
{
    byte *first = map_pages(1, RW);
    if (pread(flight->fd, first, SECTOR, 0) != SECTOR) {
        bail("a read of the slow disk");
    }
    munmap(first, PAGE);
    flight->begun = flight->ended = false;
    if (pthread_create(&flight->thread, NULL, flight_run, flight)) {
        bail("a thread");
    }
    while (!flight->begun) {
        sleep_ns(1000000);
    }
    sleep_ns(LATE_NS / 10);
}

/* What the transfer has moved, or -1 with errno. */
static inline long flight_end(struct flight *flight)
{
    pthread_join(flight->thread, NULL);
    errno = flight->error;
    return flight->result;
}
