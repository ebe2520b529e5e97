/*
 * queue.c: the two arrays of a run queue. All of it is a few instructions, whatever the number of
 * threads.
 *
 *     now    [0] [1] ... [20]─A─B ... [39]─C     this epoch: A runs next
 *     later  [0] [1] ... [20]─D   ... [39]       have had their turn
 *
 * A thread stands in `now` when its epoch is the queue's, in `later` when it is the next one. The
 * queue's lock is held.
 */
#include "kernel/task/sched.h"
#include "lib/bitmap.h"

void runqueue_init(struct runqueue *queue)
{
    spin_init(&queue->lock, "run queue", LOCK_RUNQUEUE);
    for (u32 i = 0; i < ARRAY_LEN(queue->array); i++)
        for (u32 level = 0; level < PRIORITIES; level++)
            list_init(&queue->array[i].list[level]);
}

static struct run_array *array_of(struct runqueue *queue, const struct thread *thread)
{
    return &queue->array[queue->now ^ (thread->epoch != queue->epoch)];
}

void runqueue_add(struct runqueue *queue, struct thread *thread, bool front)
{
    struct run_array *array = array_of(queue, thread);
    struct list *list = &array->list[thread->priority];

    if (front)
        list_add(&thread->run_link, list);
    else
        list_add_tail(&thread->run_link, list);
    array->filled |= BIT(thread->priority);
    atomic_fetch_add_explicit(&queue->count, 1, memory_order_relaxed);
}

void runqueue_remove(struct runqueue *queue, struct thread *thread)
{
    struct run_array *array = array_of(queue, thread);

    list_remove(&thread->run_link);
    if (list_empty(&array->list[thread->priority]))
        array->filled &= ~BIT(thread->priority);
    atomic_fetch_sub_explicit(&queue->count, 1, memory_order_relaxed);
}

struct thread *runqueue_pick(struct runqueue *queue)
{
    if (!atomic_load_explicit(&queue->count, memory_order_relaxed))
        return NULL;
    if (!queue->array[queue->now].filled) {
        queue->now ^= 1;
        queue->epoch++;
    }
    struct run_array *array = &queue->array[queue->now];
    struct list *list = &array->list[bit_lowest(array->filled)];
    struct thread *thread = list_first_entry(list, struct thread, run_link);

    runqueue_remove(queue, thread);
    return thread;
}

static struct thread *array_find_movable(struct run_array *array, u32 to_cpu)
{
    bitmap_for_each_set(level, &array->filled, PRIORITIES) {
        struct thread *thread;

        list_for_each_entry(thread, &array->list[level], run_link) {
            if (thread->affinity >> to_cpu & 1 &&
                !atomic_load_explicit(&thread->on_cpu, memory_order_acquire))
                return thread;
        }
    }
    return NULL;
}

struct thread *runqueue_find_movable(struct runqueue *queue, u32 to_cpu)
{
    struct thread *thread = array_find_movable(&queue->array[queue->now], to_cpu);

    return thread ? thread : array_find_movable(&queue->array[queue->now ^ 1], to_cpu);
}
