/*
 * The merging engine under fire, in the simulated machine of ksm_machine.h. Nobody may ever read
 * anything but what he stored; counts are exact; no translation outlives a flush that should have
 * ended it; and when the users rest, equal pages of a domain end up in one frame. All of it with
 * each index, and with other settings of the knobs.
 */
#include "tests/unit/ksm_check.h"

static void storm(int steps)
{
    users_interfere = true;
    for (int at = 0; at < steps; at++) {
        for (u64 i = random_below(60); i; i--)
            user_acts();
        for (u32 i = 0; i < 2; i++) {
            if (!atomic_load(&spaces[i].mm.users)) {
                space_start(&spaces[i], 1 + i);
                CHECK_EQ(ksm_register(&spaces[i].mm), 0);
            }
        }
        scan_batch(1 + random_below(300));
        if (at % 20 == 0) {
            check_counts();
            check_contents();
        }
    }
    users_interfere = false;
}

static void test_storm(void)
{
    u64 merged = host_counter(COUNT_ksm_merge), pinned = host_counter(COUNT_ksm_refused_pinned);
    u64 changed = host_counter(COUNT_ksm_refused_changed);
    u64 reused = host_counter(COUNT_cow_ksm_reuse);

    storm(1000);
    CHECK(host_counter(COUNT_ksm_merge) > merged + 1000);
    CHECK(host_counter(COUNT_ksm_refused_pinned) > pinned + 100);
    CHECK(host_counter(COUNT_ksm_refused_changed) > changed + 100);
    CHECK(host_counter(COUNT_cow_ksm_reuse) > reused + 10);
}

static void test_rest(void)
{
    for (int round = 0; round < 8; round++) {
        storm(150);
        for (u32 i = 0; i < SPACES; i++)
            if (spaces[i].alive)
                unpin_all(&spaces[i]);
        pass(ksm_smart_scan ? 40 : 6);
        check_counts();
        check_contents();
        check_merged();
        CHECK(ksm_stats.shared > 0 && ksm_stats.shared <= 4 * CONTENTS);
        CHECK(!ksm_use_zero_pages || ksm_stats.zero > 0);
    }
}

/* A pass over pages that nobody stores to hashes nothing. */
static void test_idle(void)
{
    pass(20);
    u64 hashed = host_counter(COUNT_ksm_hashed), merged = host_counter(COUNT_ksm_merge);

    pass(3);
    CHECK_EQ(host_counter(COUNT_ksm_hashed), hashed);
    CHECK_EQ(host_counter(COUNT_ksm_merge), merged);
}

static void test_unmerge(void)
{
    CHECK_EQ(ksm_unmerge_all(), 0);
    CHECK_EQ(ksm_stats.shared, 0);
    CHECK_EQ(ksm_stats.zero, 0);
    CHECK_EQ(ksm_stats.mappings, 0);
    CHECK_EQ(ksm_stats.items, 0);
    check_counts();
    check_contents();
    pass(ksm_smart_scan ? 40 : 6);
    check_merged();
}

static const struct setting settings[] = {
    {"hash", "", 0, 0, 1, 256, true},
    {"hash", ", zero pages, nodes apart", 1, 0, 0, 256, true},
    {"hash", ", smart scan", 0, 1, 1, 256, true},
    {"hash", ", at most 3 mappings, nodes apart", 0, 0, 0, 3, false},
    {"tree", "", 0, 0, 1, 256, true},
    {"tree", ", zero pages, nodes apart", 1, 0, 0, 256, true},
    {"tree", ", at most 3 mappings, smart scan", 1, 1, 1, 3, false},
};

static void run_setting(const struct setting *setting)
{
    set_knobs(setting);
    run(setting, "users who store, fork, pin and leave notice nothing", test_storm);
    if (setting->merges_all) {
        run(setting, "at rest, equal pages of a domain are one frame", test_rest);
        if (!ksm_index_ops->overwrites_hash)
            run(setting, "an idle machine is not hashed", test_idle);
        run(setting, "everything can be made private again", test_unmerge);
    }
    run(setting, "when all have left, nothing is left", test_end);
}

int main(void)
{
    machine_init();
    for (u32 i = 0; i < ARRAY_LEN(settings); i++)
        run_setting(&settings[i]);
    return tap_done();
}
