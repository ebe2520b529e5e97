; entry.asm: the ways into the kernel and out of it.
;
; All of them build a struct trap_frame at the top of the current thread's kernel stack and leave by
; return_to_user, where pending work is looked at with interrupts off. Only a system call whose
; frame still says TRAP_SYSCALL may leave by the short way, SYSRET: rcx and r11 are then what
; SYSCALL put there. arch_set_regs clears the mark. SYSRET gets rip and rflags from their own
; places, which hold only what arch_set_regs has checked, and not from those of rcx and r11: another
; CPU may be setting registers at this moment, and a non-canonical rip would fault here, on the
; user's stack. The user's rip is below USER_END (the last page is never mapped, so SYSCALL can't
; leave one beyond).
;
; Entries on stacks of their own (NMI, double fault, machine check) may come at any instruction,
; with the user's GS base or the kernel's; they take the kernel's from the top of their stack and
; put back what was there.

%include "boot/layout.inc"

global syscall_entry, trap_stubs, arch_return_to_user, return_to_user, thread_start
extern syscall_dispatch, syscall_finish_special, ipc_entries, thread_before_user, trap_dispatch

; An IST stack's last 16 bytes hold the CPU: address relative to rsp with its low bits set.
IST_CPU equ 15

%macro SAVE_REGISTERS 0
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
%endmacro

%macro RESTORE_REGISTERS 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
%endmacro

%define HAS_ERROR_CODE(v) (v = 8 || (v >= 10 && v <= 14) || v = 17 || v = 21 || v = 29 || v = 30)

section .text
bits 64

; SYSCALL comes here: rip in rcx, rflags in r11, interrupts off, the user's stack.
align 16
syscall_entry:
    swapgs
    mov [gs:CPU_USER_RSP], rsp
    mov rsp, [gs:CPU_KERNEL_STACK]
    push SELECTOR_USER_DATA
    push qword [gs:CPU_USER_RSP]
    push r11
    push SELECTOR_USER_CODE
    push rcx
    push rax
    push TRAP_SYSCALL
    SAVE_REGISTERS
    mov rdi, rsp
    sti
    lea rcx, [rax - IPC_FIRST]
    cmp rcx, IPC_END - IPC_FIRST
    jb .ipc
    call syscall_dispatch

return_to_user:                         ; rsp: the frame
    cli
    mov rax, [gs:CPU_CURRENT]
    mov ecx, [gs:CPU_RESCHED]
    or ecx, [rax + THREAD_WORK]
    jnz .work
    cmp dword [rsp + FRAME_VECTOR], TRAP_SYSCALL
    jne .by_iret
    RESTORE_REGISTERS
    mov rcx, [rsp + TAIL_RIP]
    mov r11, [rsp + TAIL_RFLAGS]
    mov rsp, [rsp + TAIL_RSP]
    swapgs
    o64 sysret
.by_iret:
    RESTORE_REGISTERS
    add rsp, 16                         ; vector and error code
    swapgs
    iretq
.work:
    sti
    mov rdi, rsp
    call thread_before_user
    jmp return_to_user

syscall_entry.ipc:
    call [ipc_entries + rcx * 8]
    test rax, rax
    js .special
    mov [rsp + FRAME_RAX], rax
    jmp return_to_user
.special:
    mov rdi, rsp
    mov rsi, rax
    call syscall_finish_special
    jmp return_to_user

arch_return_to_user:
    mov rsp, [gs:CPU_KERNEL_STACK]
    sub rsp, FRAME_SIZE
    jmp return_to_user

trap_common:                            ; rsp: vector, error code, rip, cs, ...
    test byte [rsp + 24], 3
    jz .from_kernel
    swapgs
    SAVE_REGISTERS
    cld
    SMAP_CLOSE
    mov rdi, rsp
    call trap_dispatch
    jmp return_to_user
.from_kernel:
    SAVE_REGISTERS
    cld
    SMAP_CLOSE
    mov rdi, rsp
    call trap_dispatch
    RESTORE_REGISTERS
    add rsp, 16
    iretq

trap_own_stack:
    SAVE_REGISTERS
    cld
    SMAP_CLOSE
    mov ecx, MSR_GS_BASE
    rdmsr
    mov ebx, eax                        ; r12:rbx are kept by trap_dispatch
    mov r12d, edx
    mov rax, rsp
    or rax, KERNEL_STACK_SIZE - 1
    mov rax, [rax - IST_CPU]
    mov rdx, rax
    shr rdx, 32
    wrmsr
    mov rdi, rsp
    call trap_dispatch
    mov ecx, MSR_GS_BASE
    mov eax, ebx
    mov edx, r12d
    wrmsr
    RESTORE_REGISTERS
    add rsp, 16
    iretq

; One stub of 16 bytes for each vector; the processor pushes an error code for some, the stub a zero
; for the rest.
align 16
trap_stubs:
%assign vector 0
%rep 256
    align 16
%if !HAS_ERROR_CODE(vector)
    push 0
%endif
    push vector
%if vector = 2 || vector = 8 || vector = 18
    jmp trap_own_stack
%else
    jmp trap_common
%endif
%assign vector vector + 1
%endrep

; Where a new thread's first switch goes: arch_thread_prepare has laid out the stack.
thread_start:
    pop rbp
    pop rax                             ; entry
    pop rdi                             ; its argument
    call rax
    ud2
