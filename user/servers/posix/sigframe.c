/*
 * The signal frame: what a handler finds on its stack, byte for byte as Linux lays it out.
 *
 *     higher   FPU state, from a multiple of 64   <- uc.fpstate
 *              siginfo
 *              ucontext: registers, mask, alternate stack
 *     lower    address of the restorer            <- rsp on entry, 8 below a multiple of 16
 *
 * The handler returns into the restorer, which calls rt_sigreturn; rsp then points behind the first
 * word. What comes back is the program's word: only registers of user mode are taken from it.
 */
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>

#define SA_HAS_RESTORER 0x04000000ul
#define STACK_AUTODISARM 0x80000000u
#define RED_ZONE 128
#define USER_FLAGS 0x40dd5ul /* AC OF DF TF SF ZF AF PF CF: what a program may change */
#define FLAG_TF 0x100ul
#define FLAG_DF 0x400ul
#define FLAG_RF 0x10000ul

#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4

#define FXSAVE_BYTES 512
#define FXSAVE_MXCSR 24
#define FXSAVE_SOFTWARE 464
#define XSAVE_BYTES 576 /* legacy area and header */
#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u
#define MXCSR_DEFAULT 0x1f80u

struct context { /* struct sigcontext */
    u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags;
    u16 cs, gs, fs, ss;
    u64 error, trap, old_mask, address, fpstate, reserved[8];
};

struct frame {
    u64 restorer;
    u64 uc_flags, uc_link;
    u64 stack_address;
    u32 stack_flags, stack_pad;
    u64 stack_size;
    struct context context;
    u64 mask;
    siginfo_t info;
};

struct software { /* in the reserved bytes of the FXSAVE area: tells that XSAVE state follows */
    u32 magic1, extended_size;
    u64 features;
    u32 size, pad[7];
};

static_assert(sizeof(struct context) == 256, "struct sigcontext");
static_assert(sizeof(struct frame) == 8 + 304 + 128, "struct rt_sigframe");
static_assert(sizeof(struct software) == 48, "sw_reserved");

/* The frame with the FPU state behind it, as one block. */
static u8 block[sizeof(struct frame) + 128 + MG_FPU_MAX + sizeof(u32)] aligned_to(64);

static u64 xsave_features(void)
{
    u32 low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (u64)high << 32 | low;
}

/* Adds to `size` bytes of FPU state what Linux puts into and behind them; the size it has then. */
static usize seal_fpu(u8 *state, usize size)
{
    struct software software = {
        .magic1 = XSTATE_MAGIC1,
        .extended_size = (u32)(size + sizeof(u32)),
        .size = (u32)size,
    };
    const u32 magic2 = XSTATE_MAGIC2;

    if (size < XSAVE_BYTES)
        return size;
    software.features = xsave_features();
    memcpy(state + FXSAVE_SOFTWARE, &software, sizeof software);
    memcpy(state + size, &magic2, sizeof magic2);
    return size + sizeof magic2;
}

static bool on_altstack(const struct alternate_stack *stack, u64 sp)
{
    return !(stack->flags & (SS_DISABLE | STACK_AUTODISARM)) && sp > stack->address &&
           sp - stack->address <= stack->size;
}

/* Where the frame's stack ends, and whether that is the alternate stack just entered. */
static u64 stack_top(const struct alternate_stack *stack, u64 sp, u64 flags, bool *entered)
{
    *entered = flags & SA_ONSTACK && stack->size && !(stack->flags & SS_DISABLE) &&
               !on_altstack(stack, sp);
    return *entered ? stack->address + stack->size : sp - RED_ZONE;
}

static void save_registers(struct context *context, const struct mg_regs *regs)
{
    *context = (struct context){
        .r8 = regs->r8,
        .r9 = regs->r9,
        .r10 = regs->r10,
        .r11 = regs->r11,
        .r12 = regs->r12,
        .r13 = regs->r13,
        .r14 = regs->r14,
        .r15 = regs->r15,
        .rdi = regs->rdi,
        .rsi = regs->rsi,
        .rbp = regs->rbp,
        .rbx = regs->rbx,
        .rdx = regs->rdx,
        .rax = regs->rax,
        .rcx = regs->rcx,
        .rsp = regs->rsp,
        .rip = regs->rip,
        .flags = regs->rflags,
        .cs = (u16)regs->cs,
        .ss = (u16)regs->ss,
    };
}

static void restore_registers(struct mg_regs *regs, const struct context *context)
{
    regs->r8 = context->r8, regs->r9 = context->r9;
    regs->r10 = context->r10, regs->r11 = context->r11;
    regs->r12 = context->r12, regs->r13 = context->r13;
    regs->r14 = context->r14, regs->r15 = context->r15;
    regs->rdi = context->rdi, regs->rsi = context->rsi;
    regs->rbp = context->rbp, regs->rbx = context->rbx;
    regs->rdx = context->rdx, regs->rax = context->rax;
    regs->rcx = context->rcx, regs->rsp = context->rsp;
    regs->rip = context->rip;
    regs->rflags = (regs->rflags & ~USER_FLAGS) | (context->flags & USER_FLAGS);
    regs->orig_rax = ~0ul;
}

static void fill_frame(struct frame *frame, struct thread *thread, const struct mg_regs *regs,
                       const struct action *action, u64 mask)
{
    frame->restorer = action->restorer;
    frame->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    frame->uc_link = 0;
    frame->stack_address = thread->altstack.address;
    frame->stack_flags = thread->altstack.flags;
    frame->stack_pad = 0;
    frame->stack_size = thread->altstack.size;
    save_registers(&frame->context, regs);
    frame->context.trap = thread->trap;
    frame->context.error = thread->trap_error;
    frame->context.address = thread->trap_address;
    frame->context.old_mask = mask;
    frame->mask = mask;
}

/* The registers with which the handler starts. */
static void enter_handler(struct mg_regs *regs, u64 frame, int number, const struct action *action)
{
    regs->rdi = (u64)number;
    regs->rsi = frame + offsetof(struct frame, info);
    regs->rdx = frame + offsetof(struct frame, uc_flags);
    regs->rax = 0;
    regs->rsp = frame;
    regs->rip = action->handler;
    regs->rflags &= ~(FLAG_TF | FLAG_DF | FLAG_RF);
    regs->orig_rax = ~0ul;
}

long signal_frame_push(struct thread *thread, struct mg_regs *regs, int number,
                       const siginfo_t *info, const struct action *action, u64 mask)
{
    static u8 fpu[MG_FPU_MAX + sizeof(u32)];
    long size = mg_thread_get_state(thread->handle, MG_STATE_FPU, fpu, MG_FPU_MAX);
    struct frame *frame = (struct frame *)block;
    bool entered;
    usize fpu_size;
    u64 top, fpu_at, frame_at;

    if (size < FXSAVE_BYTES || !(action->flags & SA_HAS_RESTORER))
        return -EFAULT;
    fpu_size = seal_fpu(fpu, (usize)size);
    top = stack_top(&thread->altstack, regs->rsp, action->flags, &entered);
    fpu_at = ALIGN_DOWN(top - fpu_size, 64);
    frame_at = ALIGN_DOWN(fpu_at - sizeof *frame, 16) - 8;
    if (entered && frame_at < thread->altstack.address)
        return -EFAULT;
    memset(block, 0, fpu_at - frame_at);
    fill_frame(frame, thread, regs, action, mask);
    frame->context.fpstate = fpu_at;
    frame->info = *info;
    memcpy(block + (fpu_at - frame_at), fpu, fpu_size);
    if (user_put(thread, frame_at, block, fpu_at + fpu_size - frame_at) || signal_fpu_reset(thread))
        return -EFAULT;
    if (entered && thread->altstack.flags & STACK_AUTODISARM)
        thread->altstack = (struct alternate_stack){.flags = SS_DISABLE};
    enter_handler(regs, frame_at, number, action);
    return 0;
}

/* Gives the thread the FPU state at an address; 0 means the initial one. */
static long restore_fpu(struct thread *thread, u64 address)
{
    static u8 state[MG_FPU_MAX] aligned_to(64);
    struct software software;
    usize size = FXSAVE_BYTES; /* what this leaves out, the kernel puts into its initial state */

    memset(state, 0, FXSAVE_BYTES);
    if (!address) {
        const u32 mxcsr = MXCSR_DEFAULT;

        state[0] = 0x7f, state[1] = 0x03; /* FCW */
        memcpy(state + FXSAVE_MXCSR, &mxcsr, sizeof mxcsr);
    } else {
        if (user_get(thread, state, address, FXSAVE_BYTES))
            return -EFAULT;
        memcpy(&software, state + FXSAVE_SOFTWARE, sizeof software);
        if (software.magic1 == XSTATE_MAGIC1 && software.size >= XSAVE_BYTES &&
            software.size <= sizeof state) {
            size = software.size;
            if (user_get(thread, state, address, size))
                return -EFAULT;
        }
    }
    return mg_thread_set_state(thread->handle, MG_STATE_FPU, state, size) < 0 ? -EFAULT : 0;
}

long signal_frame_pop(struct thread *thread, struct mg_regs *regs)
{
    struct frame frame;

    if (user_get(thread, &frame, regs->rsp - sizeof frame.restorer, sizeof frame))
        return -EFAULT;
    if (restore_fpu(thread, frame.context.fpstate))
        return -EFAULT;
    restore_registers(regs, &frame.context);
    signal_set_blocked(thread, frame.mask);
    thread->altstack.address = frame.stack_address;
    thread->altstack.size = frame.stack_size;
    thread->altstack.flags = frame.stack_flags & (SS_DISABLE | STACK_AUTODISARM);
    return 0;
}

long signal_fpu_reset(struct thread *thread)
{
    return restore_fpu(thread, 0);
}
