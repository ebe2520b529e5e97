/*
 * Does an unmodified BusyBox run: its shell, pipelines, and the tools people reach for first? Each
 * script's complete output must be what is expected, byte for byte.
 */
#define _GNU_SOURCE
#include "files.h"
#include "process.h"

static const char *busybox;

/* Runs a script by BusyBox's shell, where $B is BusyBox; returns its output and sets its status. */
static const char *run_script(const char *script, int *status)
{
    static char output[65536];
    int ends[2];
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("B", busybox, 1);
        execl(busybox, "busybox", "sh", "-c", script, "script", "first", "second", NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], output + used, sizeof output - 1 - used)) > 0) {
        used += (size_t)got;
    }
    output[used] = '\0';
    close(ends[0]);
    *status = reap(pid);
    return output;
}

/* Two tests in one: the script's output, and that it ends with 0. */
static void expect(const char *script, const char *wanted, const char *what)
{
    int status;
    const char *output = run_script(script, &status);
    if (!ok(strcmp(output, wanted) == 0 && status == 0, "%s", what)) {
        note("script '%s'", script);
        note("status %#x, output '%.500s'", (unsigned)status, output);
        note("wanted '%.500s'", wanted);
    }
}

/* Each case has a folder of its own. */
static void enter(const char *name)
{
    if (mkdir(name, 0755) < 0 || chdir(name) < 0) {
        bail("folder %s", name);
    }
}

static void the_shell(void)
{
    int status;
    enter("shell");
    expect("echo hello", "hello\n", "echo");
    expect("echo $0 $1 $2 $#", "script first second 2\n", "arguments");
    expect("a=3; b=$((a * 14)); echo \"$b\" ${a:-x} ${c:-none}", "42 3 none\n", "variables");
    expect("for i in 1 2 3; do case $i in 2) continue;; esac; echo -n $i; done", "13", "loops");
    expect("f() { local x=in; echo $x $1; return 3; }; f arg || echo $?", "in arg\n3\n",
           "functions");
    expect("echo \"$(echo inner; echo two)\"", "inner\ntwo\n", "command substitution");
    expect("cat_() { while read -r line; do echo \"<$line>\"; done; }; cat_ <<END\na b\n\\n\nEND\n",
           "<a b>\n<\\n>\n", "here documents and read");
    expect("(cd /; pwd); x=1; (x=2); echo $x", "/\n1\n", "subshells");
    expect("trap 'echo trapped' EXIT; trap 'echo usr1' USR1; kill -USR1 $$; echo on",
           "usr1\non\ntrapped\n", "traps");
    expect("true && echo yes; false || echo no; ! true; echo $?", "yes\nno\n1\n", "statuses");
    expect("set -- a 'b c'; for x; do echo \"[$x]\"; done", "[a]\n[b c]\n", "quoting");
    run_script("exit 9", &status);
    ok_equal(status, exited(9), "exit");
    run_script("kill -TERM $$", &status);
    ok_equal(status, SIGTERM, "death by a signal");
    run_script("exec /no/such/thing", &status);
    ok_equal(status, exited(127), "no such command");
}

static void pipelines(void)
{
    enter("pipelines");
    expect("$B seq 1 100000 | $B tail -n 1", "100000\n", "a hundred thousand lines");
    expect("$B seq 1 20000 | $B sort -rn | $B head -n 3", "20000\n19999\n19998\n",
           "sort, and a reader that leaves");
    expect("echo c a b a | $B tr ' ' '\\n' | $B sort | $B uniq -c | $B sed 's/^ *//'",
           "2 a\n1 b\n1 c\n", "tr, sort, uniq, sed");
    expect("$B yes | $B head -n 20000 | $B wc -l", "20000\n", "yes is ended by SIGPIPE");
    expect("echo text | $B tee one two | $B cat - one two", "text\ntext\ntext\n", "tee");
    expect("$B printf '%s\\n' x y z | while read l; do echo \"-$l\"; done", "-x\n-y\n-z\n",
           "into a loop");
    expect("{ echo out; echo err >&2; } 2>/dev/null", "out\n", "standard error to /dev/null");
    expect("{ echo out; echo err >&2; } 2>&1 >/dev/null", "err\n", "swapped");
    expect("echo a > f; echo b >> f; $B cat < f", "a\nb\n", "redirections");
    expect("$B mkfifo p; echo through > p & $B cat p; wait", "through\n", "a FIFO");
    expect("for i in 1 2 3 4 5 6 7 8; do ($B sleep 0.0$i; exit $i) & done; wait; echo done",
           "done\n", "eight jobs at once");
    expect("(exit 5) & wait $!; echo $?", "5\n", "wait for one");
    expect("$B sleep 10 & kill $!; wait $! 2>/dev/null; echo $?", "143\n", "kill a job");
    expect("$B timeout 1 $B sleep 20 2>/dev/null; echo $?", "143\n", "timeout");
}

static void text_tools(void)
{
    enter("text_tools");
    expect("$B seq 1 30 | $B grep -c 1", "12\n", "grep");
    expect("$B seq 1 30 | $B grep -E '^(2.|7)$' | $B tr '\\n' ,",
           "7,20,21,22,23,24,25,26,27,28,29,", "grep -E");
    expect("$B seq 1 5 | $B awk '{ s += $1 } END { print s, NR }'", "15 5\n", "awk");
    expect("$B seq 1 9 | $B sed -n '3,5p;7{s/7/seven/;p}'", "3\n4\n5\nseven\n", "sed");
    expect("echo a:b:c | $B cut -d : -f 2-", "b:c\n", "cut");
    expect("$B printf 'b 2\\na 10\\nc 1\\n' | $B sort -k 2 -n", "c 1\nb 2\na 10\n",
           "sort by a field");
    expect("$B printf abc | $B od -An -tx1", " 61 62 63\n", "od");
    expect("$B printf abc | $B md5sum", "900150983cd24fb0d6963f7d28e17f72  -\n", "md5sum");
    expect("$B printf abc | $B sha256sum | $B cut -c 1-16", "ba7816bf8f01cfea\n", "sha256sum");
    expect("$B printf 'one\\ntwo\\n' > l; $B printf 'one\\n2\\n' > r; $B diff l r | $B tail -n 3",
           " one\n-two\n+2\n", "diff");
    expect("$B seq 1 3 | $B xargs echo a", "a 1 2 3\n", "xargs");
    expect("$B expr 6 '*' 7; $B basename /a/b.c .c; $B dirname /a/b", "42\nb\n/a\n", "expr");
    expect("$B date -u -d @86400 '+%F %T'", "1970-01-02 00:00:00\n", "date");
    expect("$B printf '%05d|%x|%s' 42 255 text", "00042|ff|text", "printf");
    expect("echo hello | $B rev; $B seq 3 | $B tac | $B paste -s -d +", "olleh\n3+2+1\n",
           "rev, tac");
}

static void file_tools(void)
{
    enter("file_tools");
    expect("$B mkdir -p d/e/f && echo x > d/e/f/g && $B find d | $B sort",
           "d\nd/e\nd/e/f\nd/e/f/g\n", "mkdir -p and find");
    expect("$B cp -r d c && $B mv c/e c/h && $B ls c c/h", "c:\nh\n\nc/h:\nf\n", "cp -r, mv, ls");
    expect("$B ln -s d/e/f/g s && $B readlink s && $B cat s && $B ln s2 2>/dev/null; $B test -L s",
           "d/e/f/g\nx\n", "symbolic links");
    expect("echo 12345 > n; $B chmod 640 n; $B stat -c '%s %a %F' n", "6 640 regular file\n",
           "stat");
    expect("$B touch -d '2001-02-03 04:05:06' n; TZ=UTC $B ls -l --full-time n | $B cut -c 1-10",
           "-rw-r-----\n", "ls -l");
    expect("$B dd if=/dev/zero of=z bs=4096 count=100 2>/dev/null; $B wc -c z", "409600 z\n", "dd");
    expect("$B head -c 5 z | $B od -An -tu1", "   0   0   0   0   0\n", "zeros");
    expect(
        "$B head -c 1000000 /dev/urandom > u; $B gzip -c u | $B gzip -dc | $B cmp - u && echo same",
        "same\n", "a million random bytes through gzip");
    expect("$B tar cf - d | (mkdir t; cd t; $B tar xf -); $B diff -r d t/d && echo same", "same\n",
           "tar");
    expect("$B rm -r c t && $B ls -d c t 2>/dev/null; $B ls", "d\nn\ns\nu\nz\n", "rm -r");
    expect("$B rm missing 2>/dev/null || echo failed; $B rm -f missing && echo fine",
           "failed\nfine\n", "errors");
    expect("[ -f n ] && [ -d d ] && [ ! -e q ] && [ n -nt d ] || echo old", "old\n", "test");
    expect("$B du -s d | $B wc -l; $B cat n n > m; $B cat m", "1\n12345\n12345\n", "du, cat");
    expect("$B mktemp -d ./xXXXXXX > name; [ -d \"$($B cat name)\" ] && echo made", "made\n",
           "mktemp");
    expect("cd d/e && cd .. && $B pwd | $B sed 's,.*/,,'", "d\n", "cd");
}

static void system_tools(void)
{
    enter("system_tools");
    expect("$B ps -o pid,comm | $B awk -v pid=$$ '$1 == pid { print $2 }'", "busybox\n",
           "ps shows this shell");
    expect("$B free | $B awk '/^Mem:/ { print ($2 > 1000 && $3 > 0 && $4 > 0 && $3 + $4 <= $2) }'",
           "1\n", "free adds up");
    expect("[ \"$($B uname -m)\" = x86_64 ] && echo yes", "yes\n", "uname");
    expect("$B id -u | $B grep -E '^[0-9]+$' > /dev/null && echo yes", "yes\n", "id");
    expect("$B df /dev/shm | $B tail -n 1 | $B awk '{ print $6 }'", "/dev/shm\n", "df");
    expect("$B cat /proc/self/comm; $B cat /proc/$$/comm", "busybox\nbusybox\n", "/proc");
    expect("$B cat /proc/self/cmdline | $B tr '\\000' '|' | $B sed 's/^[^|]*/B/'",
           "B|cat|/proc/self/cmdline|", "a command line in /proc");
    expect("$B env -i A=1 $B env", "A=1\n", "env");
    expect("$B uptime | $B grep -c 'load average'", "1\n", "uptime");
    expect("$B nproc | $B grep -cE '^[1-9][0-9]*$'", "1\n", "nproc");
    expect("$B sleep 0.05 & p=$!; $B kill -0 $p && echo alive; wait; $B kill -0 $p 2>/dev/null || "
           "echo gone",
           "alive\ngone\n", "kill -0");
    expect("$B pidof nothing-of-this-name; echo $?", "1\n", "pidof");
    expect("$B ulimit 2>/dev/null; ulimit -n 77; ulimit -n", "77\n", "ulimit");
    expect("umask 077; $B touch private; $B stat -c %a private", "600\n", "umask");
    expect("$B mount | $B grep -c '^proc on /proc type proc'", "1\n", "mount");
}

/* Many short programs, one after another and at once. */
static void many(void)
{
    enter("many");
    expect("i=0; while [ $i -lt 100 ]; do $B true; i=$((i + 1)); done; echo $i", "100\n",
           "a hundred programs in a row");
    expect(
        "i=0; while [ $i -lt 40 ]; do $B echo $i & i=$((i + 1)); done | $B sort -n | $B tail -n 1",
        "39\n", "forty at once");
    expect("$B seq 1 2000 | $B cat | $B cat | $B cat | $B cat | $B cat | $B cat | $B wc -l",
           "2000\n", "eight in a pipeline");
    expect("x=$($B seq 1 5000); echo ${#x}", "23892\n", "a large variable");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(the_shell),  TAP_CASE(pipelines),    TAP_CASE(text_tools),
        TAP_CASE(file_tools), TAP_CASE(system_tools), TAP_CASE(many),
    };
    static const char *const places[] = {"/bin/busybox", "/usr/bin/busybox"};
    for (int i = 0; i < 2 && !busybox; i++) {
        busybox = access(places[i], X_OK) == 0 ? places[i] : NULL;
    }
    if (!busybox) {
        printf("1..0 # SKIP no busybox\n");
        return 0;
    }
    files_enter();
    signal(SIGPIPE, SIG_DFL);
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
