/*
 * Nodes of radix maps in the tests' own memory.
 */
#pragma once

#include "kernel/base/slab.h"
#include "lib/radix.h"

static void *node_alloc(void *context)
{
    (void)context;
    return kmalloc(sizeof(struct radix_node));
}

static void node_free(void *context, void *node)
{
    (void)context;
    kfree(node);
}

static const struct radix_memory radix_memory = {.alloc = node_alloc, .free = node_free};
