/*
 * The vocabulary every file shares: fixed-width integers, arithmetic on alignments, and the
 * compiler's attributes under readable names. No functions with state, no dependencies; a file
 * that needs nothing else of lib/ includes this one alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
typedef size_t usize;

#ifndef static_assert
#define static_assert _Static_assert
#endif

/* What the compiler should know of a function or a variable. */
#define noreturn_fn __attribute__((noreturn))
#define nodiscard __attribute__((warn_unused_result))
#define noinline_fn __attribute__((noinline))
#define always_inline inline __attribute__((always_inline))
#define packed_struct __attribute__((packed))
#define aligned_to(bytes) __attribute__((aligned(bytes)))
#define printf_like(pattern, first) __attribute__((format(printf, pattern, first)))

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#define BIT(n) (1ull << (n))

/* The number of elements of an array; refuses a pointer. */
#define ARRAY_LEN(array)                                                                         \
    (sizeof(array) / sizeof((array)[0]) +                                                        \
     0 * sizeof(char[1 - 2 * __builtin_types_compatible_p(__typeof__(array),                     \
                                                          __typeof__(&(array)[0]))]))

/* The structure around a member; a pointer to anything but that member's type is refused. */
#define container_of(pointer, type, member)                                                      \
    ((type *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

/* Alignments are powers of two; the result has the value's type. */
#define ALIGN_DOWN(value, align) ((value) & ~((__typeof__(value))(align) - 1))
#define ALIGN_UP(value, align) ALIGN_DOWN((value) + ((__typeof__(value))(align) - 1), align)
#define IS_ALIGNED(value, align) (((value) & ((__typeof__(value))(align) - 1)) == 0)
#define IS_POWER_OF_TWO(value) ((value) != 0 && ((value) & ((value) - 1)) == 0)
#define DIV_UP(value, by) (((value) + (by) - 1) / (by))

/*
 * MIN and MAX evaluate each argument once and refuse to compare a signed with an unsigned value,
 * unless one of them is a constant that is not negative. They nest.
 */
#define MIN(a, b) PICK_(a, b, <, __COUNTER__)
#define MAX(a, b) PICK_(a, b, >, __COUNTER__)
#define CLAMP(value, low, high) MIN(MAX(value, low), high)

#define PICK_(a, b, op, id) PICK_NAMED_(a, b, op, id)
#define PICK_NAMED_(a, b, op, id)                                                                \
    ({                                                                                           \
        __auto_type pick_a_##id = (a);                                                           \
        __auto_type pick_b_##id = (b);                                                           \
        _Static_assert(IS_SIGNED_(pick_a_##id) == IS_SIGNED_(pick_b_##id) ||                     \
                           IS_NATURAL_(a) || IS_NATURAL_(b),                                     \
                       "MIN/MAX of a signed and an unsigned value");                             \
        __typeof__(1 ? pick_a_##id : pick_b_##id) pick_x_##id = pick_a_##id;                     \
        __typeof__(pick_x_##id) pick_y_##id = pick_b_##id;                                       \
        pick_x_##id op pick_y_##id ? pick_x_##id : pick_y_##id;                                  \
    })
#define IS_SIGNED_(value) ((__typeof__(value))-1 < (__typeof__(value))1)
#define IS_NATURAL_(value)                                                                       \
    __builtin_choose_expr(__builtin_constant_p(value), !((u64)(value) >> 63), 0)
