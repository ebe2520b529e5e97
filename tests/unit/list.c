/* The intrusive list, against an array of what its order should be. */
#include "lib/list.h"
#include "tests/unit/tap.h"

#define ITEMS 32

struct item {
    int number;
    struct list link;
};

static struct item items[ITEMS];

/* Is the list, forward and backward, the numbers given, ended by -1? */
static bool list_is(struct list *head, const int *numbers)
{
    struct list *back = head;

    list_for_each(node, head) {
        if (list_entry(node, struct item, link)->number != *numbers++ || node->prev != back)
            return false;
        back = node;
    }
    return *numbers == -1 && head->prev == back;
}

#define LIST_IS(head, ...) CHECK(list_is(head, (const int[]){__VA_ARGS__ __VA_OPT__(, ) - 1}))

static void reset(void)
{
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        list_init(&items[i].link);
    }
}

static void test_ends(void)
{
    struct list head = LIST_INIT(head);

    reset();
    CHECK(list_empty(&head));
    CHECK(!list_pop(&head));
    list_add(&items[2].link, &head);
    CHECK(list_is_single(&head));
    list_add(&items[1].link, &head);
    list_add_tail(&items[3].link, &head);
    CHECK(!list_is_single(&head));
    LIST_IS(&head, 1, 2, 3);
    CHECK_EQ(list_length(&head), 3);
    CHECK_EQ(list_first_entry(&head, struct item, link)->number, 1);
    CHECK_EQ(list_next_entry(&items[1], link)->number, 2);
    CHECK(list_pop(&head) == &items[1].link && list_empty(&items[1].link));
    LIST_IS(&head, 2, 3);
}

static void test_moves(void)
{
    struct list head = LIST_INIT(head);

    reset();
    for (int i = 0; i < 5; i++)
        list_add_tail(&items[i].link, &head);
    list_remove(&items[2].link);
    CHECK(list_empty(&items[2].link));
    list_remove(&items[2].link);
    LIST_IS(&head, 0, 1, 3, 4);
    list_move_tail(&items[0].link, &head);
    LIST_IS(&head, 1, 3, 4, 0);
    list_move_tail(&items[4].link, &items[3].link);
    LIST_IS(&head, 1, 4, 3, 0);
}

static void test_splice(void)
{
    struct list a = LIST_INIT(a), b = LIST_INIT(b);

    reset();
    list_splice_tail(&a, &b);
    CHECK(list_empty(&a) && list_empty(&b));
    for (int i = 0; i < 3; i++) {
        list_add_tail(&items[i].link, &a);
        list_add_tail(&items[10 + i].link, &b);
    }
    list_splice_tail(&a, &b);
    CHECK(list_empty(&a));
    LIST_IS(&b, 10, 11, 12, 0, 1, 2);
    list_splice_tail(&b, &a);
    LIST_IS(&a, 10, 11, 12, 0, 1, 2);
    LIST_IS(&b);
}

static void test_loops(void)
{
    struct list head = LIST_INIT(head);
    struct item *item, *after;
    int sum = 0;

    reset();
    for (int i = 0; i < ITEMS; i++)
        list_add_tail(&items[i].link, &head);
    list_for_each_entry(item, &head, link)
        sum += item->number;
    CHECK_EQ(sum, ITEMS * (ITEMS - 1) / 2);
    list_for_each_entry_safe(item, after, &head, link) {
        if (item->number % 2)
            list_remove(&item->link);
    }
    CHECK_EQ(list_length(&head), ITEMS / 2);
}

int main(void)
{
    tap_run("nodes go to and come from both ends", test_ends);
    tap_run("nodes are removed and moved", test_moves);
    tap_run("splicing keeps the order and empties the source", test_splice);
    tap_run("loops visit all, and survive removal", test_loops);
    return tap_done();
}
