/*
 * memmap: draws every frame of physical memory as a coloured cell, live.
 *
 *     memmap [--once] [--seconds S] [--width COLUMNS] [--height LINES] [--file FILE]
 *
 * The kernel tells the state of each frame as a byte of /proc/merganser/frames. Frames that do not
 * exist are left out. Where memory has more frames than the screen has cells, a cell stands for
 * several: a rare state that is worth seeing (merged, pinned, in the swap cache) wins with an
 * eighth of them, otherwise the most frequent one does. Only cells that have changed are drawn
 * again. q leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "user/include/merganser/abi.h"

#define HEAD_LINES 1
#define LEGEND_LINES 3
#define NO_CELL 255

static const struct {
    const char *name;
    int colour; /* of the 256 */
    bool rare;
} states[MG_FRAME_STATES] = {
    [MG_FRAME_ABSENT] = {"absent", 0, false},
    [MG_FRAME_RESERVED] = {"reserved", 240, false},
    [MG_FRAME_FREE] = {"free", 234, false},
    [MG_FRAME_KERNEL] = {"kernel", 25, false},
    [MG_FRAME_PAGETABLE] = {"page table", 37, false},
    [MG_FRAME_SLAB] = {"slab", 32, false},
    [MG_FRAME_PRIVATE] = {"private", 178, false},
    [MG_FRAME_SHARED] = {"files, shared", 97, false},
    [MG_FRAME_ZERO] = {"zero page", 255, true},
    [MG_FRAME_MERGED] = {"merged", 46, true},
    [MG_FRAME_PINNED] = {"pinned", 196, true},
    [MG_FRAME_SWAPCACHE] = {"swap cache", 213, true},
};

static const char *path = "/proc/merganser/frames";
static unsigned char *frames; /* the states of the frames that exist */
static size_t frame_count, frame_capacity;
static unsigned char *cells, *drawn; /* as they are to be, and as the screen shows them */
static int width, height;
static volatile sig_atomic_t stop, resized;

static void on_signal(int number)
{
    if (number == SIGWINCH) {
        resized = 1;
    } else {
        stop = 1;
    }
}

static void *must(void *memory)
{
    if (!memory) {
        fputs("memmap: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* Reads the states of all frames that exist; false with errno set. */
static bool read_frames(void)
{
    unsigned char buffer[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd;
    frame_count = 0;
    while (fd >= 0 && (got = read(fd, buffer, sizeof buffer)) > 0) {
        if (frame_count + (size_t)got > frame_capacity) {
            frame_capacity = 2 * frame_capacity + sizeof buffer;
            frames = must(realloc(frames, frame_capacity));
        }
        for (ssize_t i = 0; i < got; i++) {
            if (buffer[i] != MG_FRAME_ABSENT && buffer[i] < MG_FRAME_STATES) {
                frames[frame_count++] = buffer[i];
            }
        }
    }
    if (fd >= 0) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return got == 0 && frame_count > 0;
}

static size_t frames_per_cell(void)
{
    size_t room = (size_t)width * (size_t)height;
    return (frame_count + room - 1) / room;
}

/* The state that a cell shows for count frames. */
static unsigned char cell_state(const unsigned char *group, size_t count)
{
    size_t counts[MG_FRAME_STATES] = {0}, best = 0;
    for (size_t i = 0; i < count; i++) {
        counts[group[i]]++;
    }
    size_t rare = 0;
    for (size_t s = 0; s < MG_FRAME_STATES; s++) {
        best = counts[s] > counts[best] ? s : best;
        if (states[s].rare && counts[s] * 8 >= count && counts[s] > counts[rare]) {
            rare = s;
        }
    }
    return (unsigned char)(rare ? rare : best);
}

static void compute_cells(void)
{
    size_t each = frames_per_cell(), total = (size_t)width * (size_t)height;
    for (size_t cell = 0; cell < total; cell++) {
        size_t first = cell * each, left = first < frame_count ? frame_count - first : 0;
        cells[cell] = left == 0 ? NO_CELL : cell_state(frames + first, left < each ? left : each);
    }
}

static void measure_screen(int wanted_width, int wanted_height)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    width = wanted_width > 0 ? wanted_width : size.ws_col >= 20 ? size.ws_col : 80;
    int lines = size.ws_row >= 8 ? size.ws_row : 24;
    height = wanted_height > 0 ? wanted_height : lines - HEAD_LINES - LEGEND_LINES - 1;
    size_t total = (size_t)width * (size_t)height;
    cells = must(realloc(cells, total));
    drawn = must(realloc(drawn, total));
    memset(drawn, NO_CELL, total);
}

static void print_cell(unsigned char state)
{
    if (state == NO_CELL) {
        fputs("\033[0m ", stdout);
    } else {
        printf("\033[48;5;%dm ", states[state].colour);
    }
}

/* One shot, top to bottom, without moving the cursor. */
static void print_cells(void)
{
    for (int line = 0; line < height; line++) {
        if (cells[(size_t)line * (size_t)width] == NO_CELL) {
            break;
        }
        for (int column = 0; column < width; column++) {
            size_t at = (size_t)line * (size_t)width + (size_t)column;
            if (column > 0 && cells[at] == cells[at - 1]) {
                putchar(' ');
            } else {
                print_cell(cells[at]);
            }
        }
        puts("\033[0m");
    }
}

/* Draws the cells that are not as the screen shows them. */
static void update_cells(void)
{
    size_t total = (size_t)width * (size_t)height, cursor = total;
    unsigned char colour = NO_CELL;
    for (size_t at = 0; at < total; at++) {
        if (cells[at] == drawn[at]) {
            continue;
        }
        if (at != cursor || at % (size_t)width == 0) {
            printf("\033[%zu;%zuH", at / (size_t)width + 1 + HEAD_LINES, at % (size_t)width + 1);
            colour = NO_CELL;
        }
        if (colour != NO_CELL && colour == cells[at]) {
            putchar(' ');
        } else {
            print_cell(cells[at]);
        }
        colour = cells[at];
        cursor = at + 1;
        drawn[at] = cells[at];
    }
    fputs("\033[0m", stdout);
}

static void print_head(void)
{
    printf("\033[0m%zu frames, %zu MB; %zu a cell\033[K\n", frame_count, frame_count / 256,
           frames_per_cell());
}

static void print_legend(void)
{
    size_t counts[MG_FRAME_STATES] = {0};
    int column = 0;
    for (size_t i = 0; i < frame_count; i++) {
        counts[frames[i]]++;
    }
    for (int s = MG_FRAME_RESERVED; s < MG_FRAME_STATES; s++) {
        char text[40];
        int length = snprintf(text, sizeof text, " %s %zu", states[s].name, counts[s]);
        int cell = length < 16 ? 19 : length + 4;
        if (column + cell > width) {
            fputs("\033[K\n", stdout);
            column = 0;
        }
        printf("\033[48;5;%dm  \033[0m%-*s", states[s].colour, cell - 2, text);
        column += cell;
    }
    fputs("\033[K\n\033[J", stdout);
}

static int show_once(void)
{
    compute_cells();
    print_head();
    print_cells();
    print_legend();
    return 0;
}

/* Waits; true if the key q was pressed. */
static bool wait_for_key(double seconds)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char key = 0;
    if (poll(&input, 1, (int)(seconds * 1000)) > 0 && read(STDIN_FILENO, &key, 1) != 1) {
        return true;
    }
    return key == 'q' || key == 3 || key == 4;
}

static void show_live(double seconds, int wanted_width, int wanted_height)
{
    struct termios before, raw;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        raw = before;
        raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    fputs("\033[?25l\033[0m\033[2J", stdout);
    bool leave = false;
    while (!stop && !leave && read_frames()) {
        if (resized) {
            resized = 0;
            measure_screen(wanted_width, wanted_height);
            fputs("\033[0m\033[2J", stdout);
        }
        compute_cells();
        fputs("\033[H", stdout);
        print_head();
        update_cells();
        printf("\033[%d;1H", height + HEAD_LINES + 1);
        print_legend();
        fflush(stdout);
        leave = wait_for_key(seconds);
    }
    fputs("\033[?25h\033[0m", stdout);
    fflush(stdout);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    }
}

static int usage(FILE *out, int status)
{
    fputs("usage: memmap [--once] [--seconds S] [--width COLUMNS] [--height LINES] [--file FILE]\n"
          "Draws the state of every frame of memory; q leaves.\n",
          out);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"once", no_argument, NULL, 'o'},
        {"seconds", required_argument, NULL, 's'},
        {"width", required_argument, NULL, 'w'},
        {"height", required_argument, NULL, 'l'},
        {"file", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool once = !isatty(STDOUT_FILENO);
    double seconds = 0.5;
    int wanted_width = 0, wanted_height = 0;
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) >= 0;) {
        if (c == 'o') {
            once = true;
        } else if (c == 's') {
            seconds = atof(optarg);
        } else if (c == 'w') {
            wanted_width = atoi(optarg);
        } else if (c == 'l') {
            wanted_height = atoi(optarg);
        } else if (c == 'f') {
            path = optarg;
        } else {
            return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
        }
    }
    if (!read_frames()) {
        fprintf(stderr, "memmap: %s: %s\n", path, strerror(errno));
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGWINCH, on_signal);
    measure_screen(wanted_width, wanted_height);
    if (once) {
        return show_once();
    }
    show_live(seconds, wanted_width, wanted_height);
    return 0;
}
