/*
 * The radix tree behind lib/radix.h. An index is read as digits of six bits, the most significant
 * first, one per level; `shift` is the position of the digit that a level looks at.
 *
 * Invariants: a link is NULL exactly where its bit in `used` is clear; no node is empty; the root
 * has a link other than link 0 (so the tree is never taller than it needs); an empty tree has
 * height 0.
 */
#include "lib/radix.h"

#include "lib/bitmap.h"

#define LEVEL_BITS 6
#define HEIGHT_MAX 11 /* 11 digits of 6 bits hold 64 bits */

static unsigned int digit_at(u64 index, unsigned int shift)
{
    return index >> shift & 63;
}

/* Is the index beyond every place of a tree of this height? */
static bool is_beyond(u64 index, unsigned int height)
{
    return height < HEIGHT_MAX && index >> (height * LEVEL_BITS) != 0;
}

static void node_set(struct radix_node *node, unsigned int digit, void *link)
{
    node->link[digit] = link;
    node->used |= BIT(digit);
}

static void node_clear(struct radix_node *node, unsigned int digit)
{
    node->link[digit] = NULL;
    node->used &= ~BIT(digit);
}

static struct radix_node *node_alloc(struct radix *radix)
{
    struct radix_node *node = radix->memory->alloc(radix->memory->context);

    if (node)
        *node = (struct radix_node){0};
    return node;
}

static void node_free(struct radix *radix, struct radix_node *node)
{
    radix->memory->free(radix->memory->context, node);
}

void radix_init(struct radix *radix, const struct radix_memory *memory)
{
    *radix = (struct radix){.memory = memory};
}

void *radix_get(const struct radix *radix, u64 index)
{
    void *at = radix->root;

    if (is_beyond(index, radix->height))
        return NULL;
    for (unsigned int level = radix->height; level && at; level--)
        at = ((struct radix_node *)at)->link[digit_at(index, (level - 1) * LEVEL_BITS)];
    return at;
}

/* Takes levels away while the root has no link but link 0; an empty root goes altogether. */
static void shrink(struct radix *radix)
{
    while (radix->height && radix->root) {
        struct radix_node *root = radix->root;

        if (root->used & ~BIT(0))
            return;
        radix->root = root->link[0];
        radix->height--;
        node_free(radix, root);
    }
    if (!radix->root)
        radix->height = 0;
}

/* Makes the tree so tall that the index has a place; a tall tree has a root. */
static bool grow(struct radix *radix, u64 index)
{
    while (radix->root && is_beyond(index, radix->height)) {
        struct radix_node *root = node_alloc(radix);

        if (!root)
            return false;
        node_set(root, 0, radix->root);
        radix->root = root;
        radix->height++;
    }
    while (is_beyond(index, radix->height))
        radix->height++;
    if (radix->height && !radix->root)
        radix->root = node_alloc(radix);
    return radix->root || !radix->height;
}

/*
 * Removes the value at index, or, where the path to it ends early, nothing but the empty nodes at
 * the path's end. Returns what was there.
 */
static void *prune(struct radix *radix, u64 index)
{
    struct radix_node *path[HEIGHT_MAX];
    unsigned int level = radix->height;
    void *at = radix->root;

    for (; level && at; level--) {
        path[level - 1] = at;
        at = path[level - 1]->link[digit_at(index, (level - 1) * LEVEL_BITS)];
    }
    for (; level < radix->height; level++) {
        node_clear(path[level], digit_at(index, level * LEVEL_BITS));
        if (path[level]->used || level + 1 == radix->height)
            break;
        node_free(radix, path[level]);
    }
    if (radix->height == 0)
        radix->root = NULL;
    shrink(radix);
    return at;
}

bool radix_set(struct radix *radix, u64 index, void *value)
{
    void **link = &radix->root;

    if (!grow(radix, index)) {
        shrink(radix);
        return false;
    }
    for (unsigned int level = radix->height; level; level--) {
        struct radix_node *node = *link;
        unsigned int digit = digit_at(index, (level - 1) * LEVEL_BITS);

        if (!node->link[digit]) {
            void *below = level == 1 ? value : node_alloc(radix);

            if (!below) {
                prune(radix, index);
                return false;
            }
            node_set(node, digit, below);
        }
        link = &node->link[digit];
    }
    *link = value;
    return true;
}

void *radix_remove(struct radix *radix, u64 index)
{
    return radix_get(radix, index) ? prune(radix, index) : NULL;
}

/*
 * The first value below a link at a height, at or after `from`; its index below the link goes to
 * *found. Only the link on the way to `from` can fail to have one, so two links are tried at most.
 */
static void *first_below(void *link, unsigned int height, u64 from, u64 *found)
{
    struct radix_node *node = link;
    unsigned int shift = (height - 1) * LEVEL_BITS;

    if (height == 0) {
        *found = 0;
        return link;
    }

    unsigned int own = digit_at(from, shift);

    for (u64 left = node->used & (~0ull << own); left; left &= left - 1) {
        unsigned int digit = bit_lowest(left);
        void *value = first_below(node->link[digit], height - 1, digit == own ? from : 0, found);

        if (value) {
            *found |= (u64)digit << shift;
            return value;
        }
    }
    return NULL;
}

void *radix_next(const struct radix *radix, u64 *index)
{
    if (!radix->root || is_beyond(*index, radix->height))
        return NULL;
    return first_below(radix->root, radix->height, *index, index);
}

static void free_below(struct radix *radix, void *node, unsigned int height)
{
    if (height == 0)
        return;
    for (u64 left = ((struct radix_node *)node)->used; left; left &= left - 1)
        free_below(radix, ((struct radix_node *)node)->link[bit_lowest(left)], height - 1);
    node_free(radix, node);
}

void radix_clear(struct radix *radix)
{
    free_below(radix, radix->root, radix->height);
    radix->root = NULL;
    radix->height = 0;
}
