/*
 * Do the files in /sys/kernel/mm/ksm have the names, defaults, ranges and errors of Linux 6.12?
 *
 * What an older kernel does not have is skipped, and so are the defaults on a machine that is not
 * ours: somebody may have changed them.
 */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "ksm.h"

/* The text of a file without its newline; false when there is none. */
static bool get_text(const char *name, char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, KSM_PATH "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, text, size - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0 && text[got - 1] == '\n' && (text[got - 1] = '\0', true);
}

static bool reads(const char *name, const char *wanted)
{
    char text[128] = "";
    bool right = get_text(name, text, sizeof text) && strcmp(text, wanted) == 0;
    if (!right) {
        note("%s reads '%s'", name, text);
    }
    return right;
}

static const struct {
    const char *name;
    mode_t mode;
    const char *value; /* as it is before anybody changes it; NULL: it changes by itself */
} files[] = {
    {"run", 0644, NULL},
    {"pages_to_scan", 0644, NULL},
    {"sleep_millisecs", 0644, NULL},
    {"merge_across_nodes", 0644, "1"},
    {"max_page_sharing", 0644, "256"},
    {"use_zero_pages", 0644, NULL},
    {"smart_scan", 0644, NULL},
    {"stable_node_chains_prune_millisecs", 0644, "2000"},
    {"advisor_mode", 0644, "[none] scan-time"},
    {"advisor_max_cpu", 0644, "70"},
    {"advisor_min_pages_to_scan", 0644, "500"},
    {"advisor_max_pages_to_scan", 0644, "30000"},
    {"advisor_target_scan_time", 0644, "200"},
    {"pages_scanned", 0444, NULL},
    {"pages_skipped", 0444, NULL},
    {"pages_shared", 0444, NULL},
    {"pages_sharing", 0444, NULL},
    {"pages_unshared", 0444, NULL},
    {"pages_volatile", 0444, NULL},
    {"ksm_zero_pages", 0444, NULL},
    {"general_profit", 0444, NULL},
    {"full_scans", 0444, NULL},
    {"stable_node_chains", 0444, NULL},
    {"stable_node_dups", 0444, NULL},
};

static void names_and_defaults(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        struct stat info;
        snprintf(path, sizeof path, KSM_PATH "%s", files[i].name);
        if (stat(path, &info) < 0) {
            if (on_merganser()) {
                ok(false, "%s is there", files[i].name);
            }
            continue;
        }
        ok_equal(info.st_mode & 07777, files[i].mode, "mode of %s", files[i].name);
        if (files[i].value && on_merganser()) {
            ok(reads(files[i].name, files[i].value), "default of %s", files[i].name);
        }
        if (files[i].mode == 0444) {
            ok_errno(ksm_set_text(files[i].name, "1"), EACCES, "%s is read-only", files[i].name);
        }
    }
    if (on_merganser()) {
        ok_equal(ksm_knobs[0].before, 100, "default of pages_to_scan");
        ok_equal(ksm_knobs[1].before, 20, "default of sleep_millisecs");
        ok_equal(ksm_knobs[2].before, 1, "default of smart_scan");
        ok_equal(ksm_knobs[3].before, 0, "default of use_zero_pages");
        ok_equal(ksm_knobs[4].before, 0, "default of run");
    }
}

/* What is written, and the error, or what is read then. */
static const struct {
    const char *name, *text;
    int error;
    const char *value;
} writes[] = {
    {"pages_to_scan", "0", 0, "0"},
    {"pages_to_scan", "4294967295", 0, "4294967295"},
    {"pages_to_scan", "4294967296", EINVAL, NULL},
    {"pages_to_scan", "0x20", EINVAL, NULL},
    {"pages_to_scan", "010", 0, "10"},
    {"pages_to_scan", "+11", 0, "11"},
    {"pages_to_scan", "12 ", EINVAL, NULL},
    {"pages_to_scan", "4000\n", 0, "4000"},
    {"sleep_millisecs", "4294967296", EINVAL, NULL},
    {"sleep_millisecs", "-1", EINVAL, NULL},
    {"sleep_millisecs", "2", 0, "2"},
    {"run", "4294967297", EINVAL, NULL},
    {"merge_across_nodes", "2", EINVAL, NULL},
    {"merge_across_nodes", "no", EINVAL, NULL},
    {"merge_across_nodes", "99999999999999999999", ERANGE, NULL},
    {"merge_across_nodes", "1", 0, "1"},
    {"max_page_sharing", "1", EINVAL, NULL},
    {"max_page_sharing", "0", EINVAL, NULL},
    {"max_page_sharing", "-8", EINVAL, NULL},
    {"max_page_sharing", "2147483648", ERANGE, NULL},
    {"max_page_sharing", "99999999999999999999", ERANGE, NULL},
    {"max_page_sharing", "many", EINVAL, NULL},
    {"use_zero_pages", "1", 0, "1"},
    {"use_zero_pages", "n", 0, "0"},
    {"use_zero_pages", "Y", 0, "1"},
    {"use_zero_pages", "off\n", 0, "0"},
    {"use_zero_pages", "on", 0, "1"},
    {"use_zero_pages", "false", 0, "0"},
    {"use_zero_pages", "2", EINVAL, NULL},
    {"use_zero_pages", "o", EINVAL, NULL},
    {"smart_scan", "t", 0, "1"},
    {"smart_scan", "0", 0, "0"},
    {"smart_scan", "-1", EINVAL, NULL},
    {"stable_node_chains_prune_millisecs", "4294967296", EINVAL, NULL},
    {"stable_node_chains_prune_millisecs", "0", 0, "0"},
    {"stable_node_chains_prune_millisecs", "2000", 0, "2000"},
    {"advisor_mode", "fast", EINVAL, NULL},
    {"advisor_mode", "scan", EINVAL, NULL},
    {"advisor_mode", "none\n", 0, "[none] scan-time"},
    {"advisor_max_cpu", "x", EINVAL, NULL},
    {"advisor_max_cpu", "1000", 0, "1000"},
    {"advisor_max_cpu", "70", 0, "70"},
    {"advisor_min_pages_to_scan", "-1", EINVAL, NULL},
    {"advisor_min_pages_to_scan", "500", 0, "500"},
    {"advisor_max_pages_to_scan", "-1", EINVAL, NULL},
    {"advisor_max_pages_to_scan", "30000", 0, "30000"},
    {"advisor_target_scan_time", "0", EINVAL, NULL},
    {"advisor_target_scan_time", "1", 0, "1"},
    {"advisor_target_scan_time", "200", 0, "200"},
};

static void ranges(void)
{
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        const char *name = writes[i].name;
        char text[128], old[128] = "";
        if (!get_text(name, old, sizeof old)) {
            continue; /* names_and_defaults has complained */
        }
        snprintf(text, sizeof text, "%s", writes[i].text);
        text[strcspn(text, "\n")] = '\0';
        if (writes[i].error) {
            ok_errno(ksm_set_text(name, writes[i].text), writes[i].error, "%s = '%s'", name, text);
            ok(reads(name, old), "and %s keeps its value", name);
        } else {
            ok_equal(ksm_set_text(name, writes[i].text), 0, "%s = '%s'", name, text);
            ok(reads(name, writes[i].value), "and it is %s", writes[i].value);
        }
    }
}

static void advisor(void)
{
    char text[128];
    if (!get_text("advisor_mode", text, sizeof text)) {
        skip("no advisor in this kernel");
        return;
    }
    long before = ksm_get("pages_to_scan");
    ok_equal(ksm_set("advisor_min_pages_to_scan", 777), 0, "where the advisor begins");
    ok_equal(ksm_set_text("advisor_mode", "scan-time\n"), 0, "advisor_mode = scan-time");
    ok(reads("advisor_mode", "none [scan-time]"), "reads back");
    ok_errno(ksm_set("pages_to_scan", 50), EINVAL, "then pages_to_scan can't be set");
    offered(map_unique(16, 300), 16);
    bool scanned = ksm_scan(3);
    long pages = ksm_get("pages_to_scan");
    ok(scanned && pages >= 1 && pages <= 30000, "the advisor sets it (%ld)", pages);
    ok_equal(ksm_set_text("advisor_mode", "none"), 0, "advisor_mode = none");
    ok(reads("pages_to_scan", "100"), "puts it back to the default");
    ok_equal(ksm_set("pages_to_scan", before), 0, "and it can be set");
    ksm_set("advisor_min_pages_to_scan", 500);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(names_and_defaults),
        TAP_CASE(ranges),
        TAP_CASE(advisor),
    };
    return KSM_MAIN(cases);
}
