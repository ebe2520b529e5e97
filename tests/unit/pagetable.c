/* Entries, and page tables that are walked, filled, searched and taken down, in host memory. */
#include "tests/unit/host_frames.h"

#include "arch/x86_64/pagetable.c"

u64 *kernel_root;
static struct pagetable pt;

static void test_entries(void)
{
    pfn_t pfn = {0x12345};
    pte_t pte = pte_make(pfn, PTE_READ);

    CHECK(pte_is_present(pte) && pte_is_mapped(pte) && !pte_is_writable(pte));
    CHECK(pte_is_accessed(pte) && !pte_is_dirty(pte) && !pte_is_executable(pte));
    CHECK_EQ(pte_pfn(pte).raw, pfn.raw);
    pte = pte_make(pfn, PTE_READ | PTE_WRITE | PTE_EXEC);
    CHECK(pte_is_writable(pte) && pte_is_dirty(pte) && pte_is_executable(pte));
    CHECK(pte_is_dirty(pte_readonly(pte)) && !pte_is_writable(pte_readonly(pte)));

    pte_t none = pte_with_prot(pte, 0);
    CHECK(!pte_is_present(none) && pte_is_mapped(none) && !pte_is_entry(none));
    CHECK(pte_is_dirty(none) && pte_pfn(none).raw == pfn.raw);
    pte = pte_with_prot(pte_special(none), PTE_READ);
    CHECK(pte_is_present(pte) && pte_is_special(pte) && pte_is_dirty(pte));
    CHECK(!pte_is_writable(pte));
}

static void test_swap_entries(void)
{
    for (int i = 0; i < 5000; i++) {
        u64 value = random_u64() >> 16 >> random_below(48);
        enum pte_entry_type type = random_below(2) ? PTE_ENTRY_SWAP : PTE_ENTRY_MIGRATION;
        pte_t pte = pte_make_entry(type, value);

        CHECK(pte_is_entry(pte) && !pte_is_present(pte) && !pte_is_mapped(pte));
        CHECK_EQ(pte_entry_type(pte), type);
        CHECK_EQ(pte_entry_value(pte), value);
    }
    CHECK(!pte_is_entry((pte_t){0}) && pte_is_none((pte_t){0}));
}

static void ignore_release(struct frame *table, void *context)
{
    ++*(u64 *)context;
    frame_put(table);
}

static u64 unlink_range(va_t start, va_t end)
{
    u64 released = 0;

    pt_unlink_tables(&pt, start, end, ignore_release, &released);
    return released;
}

static void test_walk(void)
{
    va_t va = 0x7f1234567000;
    u64 free = frames_free();

    CHECK(pt_create(&pt));
    CHECK_EQ(pt.tables, 1);
    CHECK(((u64 *)pa_virt(pt.root))[511] == 0xabcd); /* the kernel's half */
    CHECK(!pt_walk(&pt, va));
    pte_t *slot = pt_walk_alloc(&pt, va);
    CHECK(slot && pt_walk(&pt, va) == slot && pt_walk_alloc(&pt, va) == slot);
    CHECK_EQ(pt.tables, 4);
    CHECK(pt_walk(&pt, va + PAGE_SIZE) == slot + 1);
    CHECK_EQ(frame_kind(pt_table_frame(slot)), FRAME_KIND_PAGETABLE);
    CHECK_EQ(unlink_range(0, USER_END), 3);
    CHECK_EQ(pt.tables, 1);
    CHECK(!pt_walk(&pt, va));
    pt_destroy(&pt);
    CHECK_EQ(pt.tables, 0);
    CHECK_EQ(frames_free(), free);
}

/* Only tables that lie wholly in the range go. */
static void test_unlink(void)
{
    CHECK(pt_create(&pt));
    for (u64 i = 0; i < 4; i++)
        CHECK(pt_walk_alloc(&pt, 0x40000000 + i * PT_LEAF_SPAN));
    CHECK_EQ(pt.tables, 3 + 4);
    CHECK_EQ(unlink_range(0x40000000 + PAGE_SIZE, 0x40000000 + 3 * PT_LEAF_SPAN), 2);
    CHECK(pt_walk(&pt, 0x40000000) && !pt_walk(&pt, 0x40000000 + PT_LEAF_SPAN));
    CHECK(pt_walk(&pt, 0x40000000 + 3 * PT_LEAF_SPAN));
    CHECK_EQ(unlink_range(0x40000000, 0x40000000), 0);
    CHECK_EQ(unlink_range(0x40000000, 0x80000000), 3); /* with the table above: 1 GiB */
    CHECK_EQ(pt.tables, 2);
    CHECK_EQ(unlink_range(0, USER_END), 1);
    CHECK(pt_walk_alloc(&pt, USER_END - PAGE_SIZE));
    CHECK_EQ(unlink_range(0, USER_END), 3);
    CHECK_EQ(pt.tables, 1);
    pt_destroy(&pt);
}

static void test_next_present(void)
{
    static const va_t at[] = {0x1000, 0x600000, 0x40000000, 0x8000000000, 0x7ffffff00000};
    va_t va = 0;

    CHECK(pt_create(&pt));
    CHECK_EQ(pt_next_present(&pt, 0, USER_END), USER_END);
    for (u32 i = 0; i < ARRAY_LEN(at); i++)
        CHECK(pt_walk_alloc(&pt, at[i]));
    for (u32 i = 0; i < ARRAY_LEN(at); i++) {
        va = pt_next_present(&pt, va, USER_END);
        CHECK_EQ(va, ALIGN_DOWN(at[i], PT_LEAF_SPAN));
        CHECK_EQ(pt_next_present(&pt, at[i], USER_END), at[i]);
        va += PT_LEAF_SPAN;
    }
    CHECK_EQ(pt_next_present(&pt, 0x200000, 0x500000), 0x500000);
    CHECK_EQ(pt_next_present(&pt, va, USER_END), USER_END);
    unlink_range(0, USER_END);
    pt_destroy(&pt);
}

/* Random leaves until memory for tables ends. */
static void test_no_memory(void)
{
    u64 free = frames_free();
    u64 made = 0;

    CHECK(pt_create(&pt));
    for (;;) {
        va_t va = ALIGN_DOWN(random_below(USER_END), PAGE_SIZE);
        pte_t *slot = pt_walk_alloc(&pt, va);

        if (!slot)
            break;
        CHECK(pt_walk(&pt, va) == slot);
        made++;
    }
    CHECK(made > 100);
    u64 below_root = pt.tables - 1;
    CHECK_EQ(unlink_range(0, USER_END), below_root);
    pt_destroy(&pt);
    CHECK_EQ(frames_free(), free);
}

int main(void)
{
    static u64 root[512];

    host_frames_init(32ul << 20);
    kernel_root = root;
    root[511] = 0xabcd;
    tap_run("entries keep what they are made of", test_entries);
    tap_run("swap and migration entries", test_swap_entries);
    tap_run("a table is made, walked and taken down", test_walk);
    tap_run("only tables wholly inside a range are unlinked", test_unlink);
    tap_run("holes are skipped", test_next_present);
    tap_run("memory for tables can end, and nothing is lost", test_no_memory);
    return tap_done();
}
