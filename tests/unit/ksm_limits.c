/*
 * Each limit of merging by itself, with each index, in the simulated machine of ksm_machine.h; and
 * the advisor and what the knobs take.
 */
#include "tests/unit/ksm_check.h"

/* The space has `count` equal pages, and nothing else. */
static struct space *fill_equal(u64 count)
{
    struct space *space = spaces;

    space_start(space, 1);
    CHECK_EQ(ksm_register(&space->mm), 0);
    for (u64 page = 0; page < count; page++)
        user_store(space, page, 3);
    return space;
}

static void drop_pages(struct space *space, u64 first, u64 last)
{
    ksm_forget_range(&space->mm, page_va(first), page_va(last));
    for (u64 page = first; page < last; page++)
        unmap_page(space, page);
}

static u32 most_sharers(void)
{
    u32 most = 0;

    for (u64 pfn = 0; pfn < frame_table_end; pfn++)
        if (frame_kind(&frame_table[pfn]) == FRAME_KIND_MERGED)
            most = MAX(most, atomic_load(&frame_table[pfn].maps));
    return most;
}

/* No merged frame gets more mappings than allowed; the others form a chain. */
static void test_sharing_limit(void)
{
    CHECK_EQ(max_sharing_write(NULL, "7\n", 2), 0);
    struct space *space = fill_equal(PAGES);

    pass(12);
    check_counts();
    check_contents();
    CHECK_EQ(most_sharers(), 7);
    CHECK_EQ(ksm_stats.mappings, PAGES);
    CHECK(ksm_stats.shared >= DIV_UP(PAGES, 7) && ksm_stats.shared <= DIV_UP(PAGES, 7) + 2);
    CHECK_EQ(ksm_stats.chains, 1);
    CHECK_EQ(ksm_stats.dups, ksm_stats.shared);
    CHECK_EQ(max_sharing_write(NULL, "7", 1), 0);
    CHECK_EQ(max_sharing_write(NULL, "8", 1), -EBUSY);
    CHECK_EQ(across_nodes_write(NULL, "0", 1), -EBUSY);

    /* Frames that lost mappings are filled up again, and nobody needs new ones. */
    u64 frames = ksm_stats.shared;
    now_ns += 3000000000;
    for (u64 page = 0; page < PAGES; page += 5)
        user_store(space, page, 4);
    for (u64 page = 0; page < PAGES; page += 5)
        user_store(space, page, 3);
    pass(12);
    check_counts();
    CHECK(ksm_stats.mappings >= PAGES - 2 && ksm_stats.shared <= frames);
    drop_pages(space, 7, PAGES);
    check_counts();
    user_exit(space);
    CHECK_EQ(ksm_stats.chains, 0);
    CHECK_EQ(ksm_stats.dups, 0);
    CHECK_EQ(max_sharing_write(NULL, "256", 3), 0);
}

static u32 sharers_of(struct space *space, u64 page)
{
    return sharers(pte_frame(pte_read(pt_walk(&space->mm.pt, page_va(page))))->owner);
}

/* Takes pages of this page's frame away until so many are left. */
static void thin_out(struct space *space, u64 page, u32 left)
{
    struct frame *frame = pte_frame(pte_read(pt_walk(&space->mm.pt, page_va(page))));

    for (u64 other = page + 1; other < 12 && atomic_load(&frame->refs) > left; other++)
        if (pte_frame(pte_read(pt_walk(&space->mm.pt, page_va(other)))) == frame)
            drop_pages(space, other, other + 1);
    CHECK_EQ(atomic_load(&frame->refs), left);
}

/* Of a chain's frames that have room the fullest gets the next page, when all are looked at. */
static void test_fullest_first(void)
{
    CHECK_EQ(max_sharing_write(NULL, "4", 1), 0);
    struct space *space = fill_equal(12);
    u64 first[3], frames = 0;

    pass(12);
    CHECK_EQ(ksm_stats.shared, 3);
    CHECK_EQ(ksm_stats.dups, 3);
    for (u64 page = 0; page < 12; page++) {
        bool seen = false;

        for (u64 i = 0; i < frames; i++)
            seen |= pte_read(pt_walk(&space->mm.pt, page_va(first[i]))).raw >> PAGE_SHIFT ==
                    pte_read(pt_walk(&space->mm.pt, page_va(page))).raw >> PAGE_SHIFT;
        if (!seen)
            first[frames++] = page;
    }
    CHECK_EQ(frames, 3);
    for (u64 i = 0; i < 3; i++)
        thin_out(space, first[i], i == 1 ? 3 : 1);
    now_ns += 3000000000;
    user_store(space, 20, 3);
    pass(4);
    CHECK_EQ(sharers_of(space, first[1]), 4);
    CHECK_EQ(ksm_stats.dups, 3);
    drop_pages(space, first[0], first[0] + 1);
    CHECK_EQ(ksm_stats.dups, 2);
    drop_pages(space, first[2], first[2] + 1);
    CHECK_EQ(ksm_stats.chains, 0); /* one alone is none */
    CHECK_EQ(ksm_stats.dups, 0);
    check_counts();
    user_exit(space);
    CHECK_EQ(max_sharing_write(NULL, "256", 3), 0);
}

/* A cap on merged frames holds, and when it is lifted what had waited merges. */
static void test_frame_limit(void)
{
    struct space *space = spaces;

    space_start(space, 1);
    CHECK_EQ(ksm_register(&space->mm), 0);
    for (u64 page = 0; page < 40; page++)
        user_store(space, page, 1 + page % 10);
    atomic_store(&ksm_max_kernel_pages, 4);
    pass(8);
    CHECK_EQ(ksm_stats.shared, 4);
    CHECK_EQ(ksm_stats.mappings, 16);
    atomic_store(&ksm_max_kernel_pages, 0);
    pass(4);
    CHECK_EQ(ksm_stats.shared, 10);
    CHECK_EQ(ksm_stats.mappings, 40);
    check_counts();
    user_exit(space);
}

/* use_zero_pages can be switched on and off; what is merged stays what it is. */
static void test_zero_switch(void)
{
    struct space *space = spaces;

    atomic_store(&ksm_use_zero_pages, 0);
    space_start(space, 1);
    CHECK_EQ(ksm_register(&space->mm), 0);
    user_store(space, 0, CONTENTS);
    user_store(space, 1, CONTENTS);
    pass(4);
    CHECK_EQ(ksm_stats.mappings, 2);
    user_store(space, 50, 1);
    drop_pages(space, 1, 2);
    user_store(space, 0, 1);
    user_store(space, 50, CONTENTS);
    pass(4); /* one page of zeros, alone */
    CHECK(switch_write(&tunable_ksm_use_zero_pages, "Yes", 3) == 0 && ksm_use_zero_pages == 1);
    pass(3);
    CHECK_EQ(ksm_stats.zero, 1);
    CHECK_EQ(space->mm.ksm_zero, 1);
    CHECK(switch_write(&tunable_ksm_use_zero_pages, "off", 3) == 0 && ksm_use_zero_pages == 0);
    pass(3);
    CHECK_EQ(ksm_stats.zero, 1);
    user_store(space, 50, 2);
    CHECK_EQ(ksm_stats.zero, 0);
    check_counts();
    user_exit(space);
}

/* A page that changes all the time is hashed in visits 1, 2, 3, 4, 6, 9, 14, 23, every ninth. */
static void test_smart_scan(void)
{
    static const u8 hashed_at[] = {1, 2, 3, 4, 6, 9, 14, 23, 32, 41};
    struct space *space = spaces;
    u32 next = 0;

    atomic_store(&ksm_smart_scan, 1);
    space_start(space, 1);
    CHECK_EQ(ksm_register(&space->mm), 0);
    u64 skipped = ksm_stats.skipped, scanned = ksm_stats.scanned;
    for (u32 visit = 1; visit <= 41; visit++) {
        u64 before = host_counter(COUNT_ksm_hashed);

        user_store(space, 0, 1 + visit % 2);
        pass(1);
        bool hashed = host_counter(COUNT_ksm_hashed) > before;
        CHECK_EQ(hashed, next < ARRAY_LEN(hashed_at) && hashed_at[next] == visit);
        next += hashed;
    }
    CHECK_EQ(ksm_stats.skipped - skipped, 31);
    CHECK_EQ(ksm_stats.scanned - scanned, 10);
    user_exit(space);
    atomic_store(&ksm_smart_scan, 0);
}

/* The advisor's numbers, by hand from the formula. */
static void test_advisor(void)
{
    CHECK_EQ(mode_write(NULL, "scan-time\n", 10), 0);
    CHECK_EQ(ksm_pages_to_scan, 500);
    CHECK_EQ(pages_to_scan_write(&tunable_ksm_pages_to_scan, "9", 1), -EINVAL);
    now_ns = 1000000000;
    ksm_advisor_pass_begins();
    now_ns += 400000000000, busy_ns += 8000000000; /* twice the time, 2 percent */
    ksm_advisor_pass_ended();
    /* 500 * 100 / 50 * 30 / 100 = 300; per percent 250: at most 17500, at least 2500 */
    CHECK_EQ(ksm_pages_to_scan, 2500);
    ksm_advisor_pass_begins();
    now_ns += 100000000000, busy_ns += 20000000000; /* half the time, 20 percent */
    ksm_advisor_pass_ended();
    /* change: 25, mean (70 * 30 + 30 * 25) / 100 = 28; 2500 * 100 / 200 * 28 / 100 = 350; 125 */
    CHECK_EQ(ksm_pages_to_scan, 1250);
    CHECK_EQ(rest_for(70000000), 30000000); /* 70 percent, unless told otherwise */
    CHECK_EQ(mode_write(NULL, "none", 4), 0);
    CHECK_EQ(rest_for(70000000), 0);
    CHECK_EQ(ksm_pages_to_scan, 100);
    CHECK_EQ(mode_write(NULL, "some", 4), -EINVAL);
}

/* Passes count from their first batch to their last, however long nothing is done between two. */
static void test_advised_passes(void)
{
    struct space *space = fill_equal(20);

    pass(1);
    CHECK_EQ(mode_write(NULL, "scan-time", 9), 0);
    pass(1);
    CHECK_EQ(ksm_pages_to_scan, 5000);
    now_ns += 1000000000000;
    pass(1);
    CHECK_EQ(ksm_pages_to_scan, 30000);
    now_ns += 1000000000000;
    pass(1);
    CHECK_EQ(history.last_seconds, 1);
    CHECK_EQ(mode_write(NULL, "none", 4), 0);
    user_exit(space);
}

static void test_values(void)
{
    CHECK_EQ(max_sharing_write(NULL, "1", 1), -EINVAL);
    CHECK_EQ(max_sharing_write(NULL, "-3000000000", 11), -ERANGE);
    CHECK_EQ(max_sharing_write(NULL, "2147483648", 10), -ERANGE);
    CHECK_EQ(max_sharing_write(NULL, "0x10", 4), -EINVAL);
    CHECK_EQ(across_nodes_write(NULL, "2", 1), -EINVAL);
    CHECK_EQ(across_nodes_write(NULL, "99999999999999999999", 20), -ERANGE);
    CHECK_EQ(number_write(&tunable_ksm_pages_to_scan, "4294967296", 10), -EINVAL);
    CHECK_EQ(switch_write(&tunable_ksm_use_zero_pages, "2", 1), -EINVAL);
    CHECK_EQ(switch_write(&tunable_ksm_use_zero_pages, "", 0), -EINVAL);
    CHECK_EQ(limit_write(&tunable_ksm_advisor_target_scan_time, "0", 1), -EINVAL);
    CHECK_EQ(run_write(NULL, "3", 1), -EINVAL);
}

/* Spaces of two domains share nothing, nor do children of theirs; who changes the domain takes his
 * pages with him. */
static void test_domains(void)
{
    struct space *space[3] = {&spaces[0], &spaces[1], &spaces[2]};

    for (u32 i = 0; i < 2; i++) {
        space_start(space[i], 1 + i);
        CHECK_EQ(ksm_register(&space[i]->mm), 0);
        for (u64 page = 0; page < 20; page++)
            user_store(space[i], page, 5);
    }
    user_fork(space[1], space[2]);
    CHECK_EQ(space[2]->mm.merge_domain, 2);
    for (u64 page = 0; page < 10; page++)
        user_store(space[2], page, 6);
    for (u64 page = 0; page < 10; page++)
        user_store(space[2], page, 5);
    pass(6);
    CHECK_EQ(ksm_stats.shared, 2);
    CHECK_EQ(ksm_stats.mappings, 60);
    check_merged();
    CHECK_EQ(ksm_set_domain(&space[2]->mm, 1), 0);
    CHECK_EQ(ksm_stats.mappings, 40);
    pass(6);
    CHECK_EQ(ksm_stats.shared, 2);
    CHECK_EQ(ksm_stats.mappings, 60);
    check_merged();
    CHECK_EQ(ksm_set_domain(&space[1]->mm, 3), 0);
    pass(6);
    CHECK_EQ(ksm_stats.shared, 2);
    CHECK_EQ(ksm_set_domain(&space[1]->mm, 1), 0);
    pass(6);
    CHECK_EQ(ksm_stats.shared, 1);
    CHECK_EQ(ksm_stats.mappings, 60);
    check_counts();
    check_contents();
}

static const struct setting settings[] = {
    {"hash", "", 0, 0, 1, 256, true},
    {"tree", "", 0, 0, 1, 256, true},
};

static void run_limits(const struct setting *setting)
{
    set_knobs(setting);
    run(setting, "a merged frame has its most sharers", test_sharing_limit);
    run(setting, "of a chain the fullest is filled first", test_fullest_first);
    run(setting, "there are not more merged frames than allowed", test_frame_limit);
    run(setting, "zero pages can be switched on later", test_zero_switch);
    run(setting, "pages that change are visited less often", test_smart_scan);
    run(setting, "the advisor measures passes", test_advised_passes);
    run(setting, "domains keep their pages apart", test_domains);
    run(setting, "and nothing is left", test_end);
}

int main(void)
{
    machine_init();
    for (u32 i = 0; i < ARRAY_LEN(settings); i++)
        run_limits(&settings[i]);
    tap_run("the advisor follows its formula", test_advisor);
    tap_run("knobs take what Linux takes", test_values);
    return tap_done();
}
