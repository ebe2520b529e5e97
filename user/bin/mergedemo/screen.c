/*
 * What a person sees while pages merge: on a terminal a panel that is drawn over itself, elsewhere
 * a line a second.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define BAR_WIDTH 50
#define PANEL_LINES 5
#define GREEN "\033[48;5;34m"
#define GREY "\033[48;5;238m"
#define PLAIN "\033[0m"

static volatile sig_atomic_t interrupt_seen;

static void on_interrupt(int number)
{
    (void)number;
    interrupt_seen = 1;
}

/* From now on Ctrl-C only makes interrupted() true, so that there is time to put things back. */
void interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool interrupted(void)
{
    return interrupt_seen;
}

double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void pause_seconds(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

void view_begin(struct view *view, const char *title)
{
    view->title = title;
    view->drawn = false;
    view->started = now_seconds();
    view->last_line = view->started;
    printf("\n%s\n", title);
    fflush(stdout);
}

static void draw_bar(const struct view *view, double share)
{
    int filled = (int)(share * BAR_WIDTH + 0.5);
    filled = filled < 0 ? 0 : filled > BAR_WIDTH ? BAR_WIDTH : filled;
    if (view->in_place) {
        printf("  " GREEN "%*s" GREY "%*s" PLAIN, filled, "", BAR_WIDTH - filled, "");
        return;
    }
    char bar[BAR_WIDTH + 1];
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    printf(" [%s]", bar);
}

static void draw_panel(struct view *view, long shared, long sharing, double share)
{
    double megabytes = (double)sharing * PAGE_BYTES / MEGABYTE;
    if (view->drawn) {
        printf("\033[%dA", PANEL_LINES);
    }
    view->drawn = true;
    printf("  pages_shared  %9ld   merged pages in use\033[K\n", shared);
    printf("  pages_sharing %9ld   copies given back\033[K\n", sharing);
    printf("  memory back   %6.1f MB   %.1f %% of %.1f MB, after %.1f s\033[K\n", megabytes,
           100 * share, (double)view->total_pages * PAGE_BYTES / MEGABYTE,
           now_seconds() - view->started);
    draw_bar(view, share);
    printf("\033[K\n\033[K\n");
}

/* Draws the present state; final: always, and for the last time in this part. */
void view_update(struct view *view, bool final)
{
    struct ksm_counters now = ksm_read();
    long shared = now.shared - view->base_shared, sharing = now.sharing - view->base_sharing;
    double share = (double)sharing / (double)view->total_pages, time = now_seconds();
    if (view->in_place) {
        draw_panel(view, shared, sharing, share);
    } else if (final || time - view->last_line >= 1) {
        view->last_line = time;
        printf("%6.1f s  shared %7ld  sharing %7ld  back %7.1f MB  %5.1f %%", time - view->started,
               shared, sharing, (double)sharing * PAGE_BYTES / MEGABYTE, 100 * share);
        draw_bar(view, share);
        putchar('\n');
    }
    fflush(stdout);
}
