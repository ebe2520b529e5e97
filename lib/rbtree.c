/*
 * Red-black tree: the balancing behind lib/rbtree.h.
 *
 * The rules: (1) the root is black; (2) a red node's children are black; (3) every path from a
 * node down to an absent child (which counts as black) passes the same number of black nodes.
 * An insertion can break only rule 2, a removal only rule 3; both are mended upward from where
 * they happened. Left and right mirror each other, so every case is written once, for a `side`.
 */
#include "lib/rbtree.h"

#define RB_BLACK 1ul

enum side { LEFT, RIGHT };

static struct rb_node **child_link(struct rb_node *node, enum side side)
{
    return side == LEFT ? &node->left : &node->right;
}

static struct rb_node *child(const struct rb_node *node, enum side side)
{
    return side == LEFT ? node->left : node->right;
}

static enum side side_of(const struct rb_node *node, const struct rb_node *parent)
{
    return parent->left == node ? LEFT : RIGHT;
}

static bool is_black(const struct rb_node *node)
{
    return !node || (node->parent_colour & RB_BLACK);
}

static void set_black(struct rb_node *node)
{
    node->parent_colour |= RB_BLACK;
}

static void set_red(struct rb_node *node)
{
    node->parent_colour &= ~RB_BLACK;
}

static void set_parent(struct rb_node *node, struct rb_node *parent)
{
    node->parent_colour = (u64)parent | (node->parent_colour & RB_BLACK);
}

/* The link that points at a node whose parent is given: the parent's, or the root's. */
static struct rb_node **link_to(struct rb_root *root, const struct rb_node *node,
                                struct rb_node *parent)
{
    return parent ? child_link(parent, side_of(node, parent)) : &root->node;
}

/* Turns `top` down to the given side; its child on the other side takes its place. */
static void rotate(struct rb_root *root, struct rb_node *top, enum side side)
{
    struct rb_node *parent = rb_parent(top);
    struct rb_node *riser = child(top, !side);
    struct rb_node *middle = child(riser, side);

    *link_to(root, top, parent) = riser;
    set_parent(riser, parent);
    *child_link(top, !side) = middle;
    if (middle)
        set_parent(middle, top);
    *child_link(riser, side) = top;
    set_parent(top, riser);
}

void rb_insert_fixup(struct rb_root *root, struct rb_node *node)
{
    struct rb_node *parent;

    while ((parent = rb_parent(node)) && !is_black(parent)) {
        struct rb_node *grand = rb_parent(parent); /* exists: a red node is not the root */
        enum side side = side_of(parent, grand);
        struct rb_node *uncle = child(grand, !side);

        if (!is_black(uncle)) {
            set_black(parent);
            set_black(uncle);
            set_red(grand);
            node = grand;
            continue;
        }
        if (side_of(node, parent) != side) {
            rotate(root, parent, side);
            parent = node;
        }
        set_black(parent);
        set_red(grand);
        rotate(root, grand, !side);
        break;
    }
    set_black(root->node);
}

/*
 * The paths through `parent` to its child on `side` are one black node short. Either a red node
 * nearby makes up for it, or the sibling is painted red and the whole of `parent` is short.
 */
static void remove_fixup(struct rb_root *root, struct rb_node *parent, enum side side)
{
    for (;;) {
        struct rb_node *sibling = child(parent, !side); /* exists: its side has a black to spare */

        if (!is_black(sibling)) {
            set_black(sibling);
            set_red(parent);
            rotate(root, parent, side);
            sibling = child(parent, !side);
        }
        if (is_black(sibling->left) && is_black(sibling->right)) {
            struct rb_node *up = rb_parent(parent);

            set_red(sibling);
            if (!is_black(parent) || !up) {
                set_black(parent);
                return;
            }
            side = side_of(parent, up);
            parent = up;
            continue;
        }
        if (is_black(child(sibling, !side))) {
            set_black(child(sibling, side));
            set_red(sibling);
            rotate(root, sibling, !side);
            sibling = child(parent, !side);
        }
        if (is_black(parent))
            set_black(sibling);
        else
            set_red(sibling);
        set_black(parent);
        set_black(child(sibling, !side));
        rotate(root, parent, side);
        return;
    }
}

/* Takes out a node with at most one child, which takes its place. */
static void remove_upper(struct rb_root *root, struct rb_node *node)
{
    struct rb_node *only = node->left ? node->left : node->right;
    struct rb_node *parent = rb_parent(node);
    enum side side = parent ? side_of(node, parent) : LEFT;

    *link_to(root, node, parent) = only;
    if (only) { /* an only child is red and a leaf, so node was black */
        set_parent(only, parent);
        set_black(only);
    } else if (parent && is_black(node)) {
        remove_fixup(root, parent, side);
    }
}

void rb_remove(struct rb_root *root, struct rb_node *node)
{
    if (node->left && node->right) {
        struct rb_node *next = rb_next(node);

        remove_upper(root, next);
        rb_replace(root, node, next);
    } else {
        remove_upper(root, node);
    }
}

void rb_replace(struct rb_root *root, struct rb_node *old, struct rb_node *new)
{
    *link_to(root, old, rb_parent(old)) = new;
    *new = *old;
    if (new->left)
        set_parent(new->left, new);
    if (new->right)
        set_parent(new->right, new);
}

static struct rb_node *outermost(struct rb_node *node, enum side side)
{
    while (node && child(node, side))
        node = child(node, side);
    return node;
}

/* The next node in order toward a side. */
static struct rb_node *neighbour(const struct rb_node *node, enum side side)
{
    struct rb_node *parent;

    if (child(node, side))
        return outermost(child(node, side), !side);
    while ((parent = rb_parent(node)) && side_of(node, parent) == side)
        node = parent;
    return parent;
}

struct rb_node *rb_first(const struct rb_root *root)
{
    return outermost(root->node, LEFT);
}

struct rb_node *rb_last(const struct rb_root *root)
{
    return outermost(root->node, RIGHT);
}

struct rb_node *rb_next(const struct rb_node *node)
{
    return neighbour(node, RIGHT);
}

struct rb_node *rb_prev(const struct rb_node *node)
{
    return neighbour(node, LEFT);
}

/* The number of black nodes on every path down from node, itself included; -1: a rule is broken. */
static int black_height(const struct rb_node *node, const struct rb_node *parent)
{
    if (!node)
        return 0;
    if (rb_parent(node) != parent)
        return -1;
    if (!is_black(node) && !(is_black(node->left) && is_black(node->right)))
        return -1;

    int left = black_height(node->left, node);
    int right = black_height(node->right, node);

    if (left < 0 || left != right)
        return -1;
    return left + is_black(node);
}

bool rb_check(const struct rb_root *root)
{
    return is_black(root->node) && black_height(root->node, NULL) >= 0;
}
