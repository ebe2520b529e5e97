/*
 * What does /proc tell about a process, and in which form?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "proc.h"

static void names_itself(void)
{
    char text[64];
    snprintf(text, sizeof text, "%d", getpid());
    ok(strcmp(link_text("/proc/self"), text) == 0, "self leads to the reader");
    snprintf(text, sizeof text, "%d/task/%d", getpid(), getpid());
    ok(strcmp(link_text("/proc/thread-self"), text) == 0, "thread-self to its thread");
    ok(strcmp(link_text("/proc/mounts"), "self/mounts") == 0, "mounts to the reader's mounts");
}

static void links_lead_to_files(void)
{
    struct stat by_link, direct;
    char exe[256];
    keep(exe, sizeof exe, link_text("/proc/self/exe"));
    ok(exe[0] == '/' && stat(exe, &direct) == 0, "exe has an absolute path: %s", exe);
    ok(stat("/proc/self/exe", &by_link) == 0 && by_link.st_ino == direct.st_ino,
       "exe can be followed");
    ok(chdir("/proc/self/fd") == 0 && strstr(link_text("/proc/self/cwd"), "/fd") != NULL,
       "cwd follows chdir: %s", link_text("/proc/self/cwd"));
    ok(chdir("/tmp") == 0 && strcmp(link_text("/proc/self/cwd"), "/tmp") == 0, "cwd again");
    ok(stat("/proc/self/cwd", &by_link) == 0 && stat("/tmp", &direct) == 0 &&
           by_link.st_ino == direct.st_ino,
       "cwd can be followed");
    ok(strcmp(link_text("/proc/self/root"), "/") == 0, "root");
    ok(lstat("/proc/self/exe", &by_link) == 0 && S_ISLNK(by_link.st_mode), "they are links");
}

static void stat_has_52_fields(void)
{
    const char *text = slurp("/proc/self/stat");
    int blanks = 0;
    prctl(PR_SET_NAME, "a b) c (d");
    text = slurp("/proc/self/stat");
    ok(text && strstr(text, " (a b) c (d) R ") != NULL, "the name is in brackets, as it is");
    for (const char *at = text ? strrchr(text, ')') : ""; *at; at++) {
        blanks += *at == ' ';
    }
    ok_equal(blanks, 50, "50 fields follow the name");
    ok(text && text[strlen(text) - 1] == '\n', "and a newline");
    const char *path = "/proc/self/stat";
    ok_equal(atol(text), getpid(), "pid");
    ok_equal(stat_field(path, 4), getppid(), "parent");
    ok_equal(stat_field(path, 5), getpgrp(), "group");
    ok_equal(stat_field(path, 6), getsid(0), "session");
    ok_equal(stat_field(path, 18), 20, "priority");
    ok_equal(stat_field(path, 20), 1, "threads");
    ok(stat_field(path, 23) >= PAGE && stat_field(path, 23) % PAGE == 0, "size in bytes");
    ok(stat_field(path, 24) <= stat_field(path, 23) / PAGE, "resident pages");
    ok_equal(stat_field(path, 38), SIGCHLD, "exit signal");
    ok(stat_field(path, 48) < stat_field(path, 49), "arguments have a place");
    ok_equal(stat_field(path, 49), stat_field(path, 50), "the environment follows them");
}

static void start_times_are_ordered(void)
{
    pid_t first = start(sleep_forever);
    pause_ms(30);
    pid_t second = start(sleep_forever);
    unsigned long long one = stat_field(proc_path(first, "stat"), 22);
    unsigned long long two = stat_field(proc_path(second, "stat"), 22);
    ok(one + 2 <= two && two < one + 1000, "in ticks of 10 ms since boot: %llu, %llu", one, two);
    finish(first);
    finish(second);
}

static void status_has_its_lines(void)
{
    char line[64];
    const char *path = "/proc/self/status";
    prctl(PR_SET_NAME, "back\\slash\n");
    ok(strcmp(field_of(path, "Name"), "back\\\\slash\\n") == 0, "the name keeps to its line");
    ok(strcmp(field_of(path, "State"), "R (running)") == 0, "state");
    ok_equal(number_of(path, "Pid"), getpid(), "pid");
    ok_equal(number_of(path, "Tgid"), getpid(), "group of threads");
    ok_equal(number_of(path, "PPid"), getppid(), "parent");
    ok_equal(number_of(path, "TracerPid"), 0, "nobody traces");
    snprintf(line, sizeof line, "%u\t%u\t%u\t%u", getuid(), geteuid(), geteuid(), geteuid());
    ok(strcmp(field_of(path, "Uid"), line) == 0, "user: %s", field_of(path, "Uid"));
    ok_equal(number_of(path, "Threads"), 1, "threads");
    umask(027);
    ok(strcmp(field_of(path, "Umask"), "0027") == 0, "umask");
    ok(number_of(path, "VmSize") >= number_of(path, "VmRSS"), "size");
    ok(number_of(path, "VmHWM") >= number_of(path, "VmRSS"), "peak");
    ok(strstr(slurp(path), "\nVmSize:\t") && strstr(field_of(path, "VmSize"), " kB"), "unit");
    ok_equal(number_of(path, "VmRSS"),
             number_of(path, "RssAnon") + number_of(path, "RssFile") + number_of(path, "RssShmem"),
             "the resident pages are of three kinds");
}

static void nothing(int number)
{
    (void)number;
}

static unsigned long long mask_of(const char *name)
{
    return strtoull(field_of("/proc/self/status", name), NULL, 16);
}

static void signal_masks_are_shown(void)
{
    sigset_t set;
    signal(SIGUSR1, nothing);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGTERM);
    syscall(SYS_tkill, getpid(), SIGHUP);
    ok_equal(mask_of("SigBlk"), 1ull << (SIGTERM - 1) | 1ull << (SIGHUP - 1), "blocked");
    ok_equal(mask_of("ShdPnd"), 1ull << (SIGTERM - 1), "pending for the process");
    ok_equal(mask_of("SigPnd"), 1ull << (SIGHUP - 1), "pending for the thread");
    ok(mask_of("SigIgn") & 1ull << (SIGUSR2 - 1), "ignored");
    ok(!(mask_of("SigIgn") & 1ull << (SIGUSR1 - 1)), "and not what is caught");
    ok(mask_of("SigCgt") & 1ull << (SIGUSR1 - 1), "caught");
    ok_equal(stat_field("/proc/self/stat", 32), 1 << (SIGTERM - 1) | 1 << (SIGHUP - 1),
             "blocked, in stat");
}

static void states_change(void)
{
    pid_t pid = start(sleep_forever);
    ok(eventually(state_of(pid) == 'S', 5000), "a sleeper is in S");
    const char *where = slurp(proc_path(pid, "wchan"));
    ok(where && (strcmp(where, "0") == 0 || strstr(where, "pause")), "where: %s", where);
    kill(pid, SIGSTOP);
    ok(eventually(state_of(pid) == 'T', 5000), "a stopped process in T");
    kill(pid, SIGCONT);
    ok(eventually(state_of(pid) == 'S', 5000), "and goes on");
    kill(pid, SIGKILL);
    ok(eventually(state_of(pid) == 'Z', 5000), "killed, it is a zombie");
    size_t length = 1;
    ok(slurp_into(0, proc_path(pid, "cmdline"), &length) && length == 0, "without arguments");
    length = 1;
    ok(slurp_into(0, proc_path(pid, "maps"), &length) && length == 0, "without memory");
    ok(strcmp(slurp(proc_path(pid, "statm")), "0 0 0 0 0 0 0\n") == 0, "none at all");
    ok_errno(readlink(proc_path(pid, "exe"), (char[9]){0}, 8), ENOENT, "without a program");
    ok_equal(number_of(proc_path(pid, "status"), "VmSize"), -1, "and without a line about it");
    waitpid(pid, NULL, 0);
    ok_errno(open(proc_path(pid, "stat"), O_RDONLY), ENOENT, "then it is gone");
}

static void a_file_outlives_its_process(void)
{
    char text[64];
    pid_t pid = start(sleep_forever);
    int dir = open(proc_path(pid, ""), O_RDONLY | O_DIRECTORY);
    int file = open(proc_path(pid, "status"), O_RDONLY);
    ok(dir >= 0 && file >= 0, "open");
    finish(pid);
    ok(openat(dir, "stat", O_RDONLY) < 0, "the directory has no names any more");
    ok_errno(read(file, text, sizeof text), ESRCH, "the file no text");
}

static void name_can_be_written(void)
{
    char text[64] = "";
    ok_equal(spill("/proc/self/comm", "a name longer than 15 bytes"), 0, "write");
    prctl(PR_GET_NAME, text);
    ok(strcmp(text, "a name longer t") == 0, "the first 15 bytes are the name: %s", text);
    ok(strcmp(slurp("/proc/self/comm"), "a name longer t\n") == 0, "and are read back");
    pid_t pid = start(sleep_forever);
    ok(spill(proc_path(pid, "comm"), "x") < 0 && errno == EINVAL, "only by the process itself");
    finish(pid);
}

extern char **environ;

static void strings_come_from_memory(void)
{
    size_t length;
    const char *text = slurp_into(0, "/proc/self/cmdline", &length);
    ok(text && length > 0 && text[length - 1] == '\0', "cmdline ends with a NUL");
    ok(text && strstr(text, "proc_process") != NULL, "the program's name is in it: %s", text);
    text = slurp_into(0, "/proc/self/environ", &length);
    ok(text && (!environ[0] || strcmp(text, environ[0]) == 0), "environ starts with the first");
    unsigned long pair[2], page = 0;
    int fd = open("/proc/self/auxv", O_RDONLY);
    while (read(fd, pair, sizeof pair) == sizeof pair && pair[0] != AT_NULL) {
        page = pair[0] == AT_PAGESZ ? pair[1] : page;
    }
    ok_equal(page, getauxval(AT_PAGESZ), "auxv is the program's");
}

static void read_in_pieces_is_the_same(void)
{
    char pieces[8192];
    size_t used = 0;
    ssize_t got;
    const char *whole = slurp_into(2, "/proc/self/limits", NULL);
    int fd = open("/proc/self/limits", O_RDONLY);
    while ((got = read(fd, pieces + used, 7)) > 0) {
        used += (size_t)got;
    }
    pieces[used] = '\0';
    ok(whole && strcmp(pieces, whole) == 0, "seven bytes at a time");
    ok_equal(lseek(fd, 10, SEEK_SET), 10, "seek");
    ok(read(fd, pieces, 20) == 20 && memcmp(pieces, whole + 10, 20) == 0, "from the middle");
    ok(pread(fd, pieces, 20, 5) == 20 && memcmp(pieces, whole + 5, 20) == 0, "by pread");
    close(fd);
    fd = open("/proc/self/comm", O_RDONLY);
    prctl(PR_SET_NAME, "one");
    got = read(fd, pieces, 64);
    prctl(PR_SET_NAME, "two");
    lseek(fd, 0, SEEK_SET);
    got = read(fd, pieces, 64);
    ok(got == 4 && memcmp(pieces, "two\n", 4) == 0, "read again from the start, it is new");
}

static void limits_are_a_table(void)
{
    struct rlimit limit = {77, 99};
    ok_equal(setrlimit(RLIMIT_NOFILE, &limit), 0, "set one");
    ok(strstr(slurp("/proc/self/limits"),
              "Max open files            77                   99                   files     \n"),
       "and it is there, in columns");
    ok(strncmp(slurp("/proc/self/limits"),
               "Limit                     Soft Limit           Hard Limit           Units     \n",
               79) == 0,
       "with a title");
}

static void adjusts_who_goes_first(void)
{
    const char *path = "/proc/self/oom_score_adj";
    ok(strcmp(slurp(path), "0\n") == 0, "as a rule, 0");
    ok_equal(spill(path, "500\n"), 0, "write");
    ok(strcmp(slurp(path), "500\n") == 0, "read");
    ok(spill(path, "1001") < 0 && errno == EINVAL, "1000 at most");
    ok(spill(path, "-1001") < 0 && errno == EINVAL, "-1000 at least");
    ok(spill(path, "many") < 0 && errno == EINVAL, "a number");
    pid_t pid = start(sleep_forever);
    ok(strcmp(slurp(proc_path(pid, "oom_score_adj")), "500\n") == 0, "a child has its parent's");
    finish(pid);
    long high = atol(slurp("/proc/self/oom_score"));
    spill(path, "0");
    long low = atol(slurp("/proc/self/oom_score"));
    ok(low > 600 && low < high, "the score follows: %ld, %ld", low, high);
}

static pthread_barrier_t barrier;

static void *wait_for_others(void *tid)
{
    *(int *)tid = (int)syscall(SYS_gettid);
    prctl(PR_SET_NAME, "second");
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void threads_have_directories(void)
{
    pthread_t thread;
    int tid = 0, found = 0, others = 0;
    char path[64];
    pthread_barrier_init(&barrier, NULL, 2);
    ok_equal(pthread_create(&thread, NULL, wait_for_others, &tid), 0, "a second thread");
    pthread_barrier_wait(&barrier);
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        found += atoi(entry->d_name) == tid || atoi(entry->d_name) == getpid();
        others += entry->d_name[0] != '.' && atoi(entry->d_name) != tid &&
                  atoi(entry->d_name) != getpid();
    }
    ok(found == 2 && others == 0, "task names both");
    ok_equal(number_of("/proc/self/status", "Threads"), 2, "two threads");
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    ok(strcmp(slurp(path), "second\n") == 0, "the thread has its own name");
    snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
    ok_equal(number_of(path, "Pid"), tid, "its number");
    ok_equal(number_of(path, "Tgid"), getpid(), "and its process's");
    snprintf(path, sizeof path, "/proc/self/task/%d", getppid());
    ok_errno(access(path, F_OK), ENOENT, "strangers are not there");
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

static void processes_are_listed(void)
{
    pid_t pid = start(sleep_forever);
    int self = 0, child = 0, init = 0, last = 0, ordered = 1;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int number = atoi(entry->d_name);
        self += number == getpid();
        child += number == pid;
        init += number == 1;
        ordered &= !number || number > last;
        last = number ? number : last;
    }
    ok(self == 1 && child == 1 && init == 1, "each once");
    ok(ordered, "in the order of their numbers");
    finish(pid);
    ok_errno(access("/proc/01", F_OK), ENOENT, "numbers have one spelling");
    ok_errno(access("/proc/0", F_OK), ENOENT, "0 is nobody");
}

static void strangers_may_not_look(void)
{
    if (geteuid() != 0) {
        skip("needs root to become somebody else");
        return;
    }
    pid_t pid = start(sleep_forever);
    if (setresuid(1234, 1234, 1234) != 0) {
        bail("setresuid");
    }
    ok_errno(open(proc_path(pid, "environ"), O_RDONLY), EACCES, "environment");
    ok_errno(open(proc_path(pid, "mem"), O_RDONLY), EACCES, "memory");
    ok_errno(open(proc_path(pid, "maps"), O_RDONLY), EACCES, "mappings");
    ok_errno(open(proc_path(pid, "fd"), O_RDONLY), EACCES, "files");
    ok_errno(readlink(proc_path(pid, "exe"), (char[9]){0}, 8), EACCES, "program");
    ok(slurp(proc_path(pid, "stat")) != NULL, "but stat is for all");
    ok_equal(stat_field(proc_path(pid, "stat"), 28), 0, "with no address");
    ok(slurp(proc_path(pid, "cmdline")) != NULL, "and cmdline");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(names_itself),
        TAP_CASE(links_lead_to_files),
        TAP_CASE(stat_has_52_fields),
        TAP_CASE(start_times_are_ordered),
        TAP_CASE(status_has_its_lines),
        TAP_CASE(signal_masks_are_shown),
        TAP_CASE(states_change),
        TAP_CASE(a_file_outlives_its_process),
        TAP_CASE(name_can_be_written),
        TAP_CASE(strings_come_from_memory),
        TAP_CASE(read_in_pieces_is_the_same),
        TAP_CASE(limits_are_a_table),
        TAP_CASE(adjusts_who_goes_first),
        TAP_CASE(threads_have_directories),
        TAP_CASE(processes_are_listed),
        TAP_CASE(strangers_may_not_look),
    };
    return TAP_MAIN(cases);
}
