; panic.asm: panic(), as its caller sees it.
;
; Keeps the registers as they are at the call, in panic_registers, a struct trap_frame; then
; panic_speak gets the arguments, whatever their number, because nothing has been changed.

global panic
extern panic_registers, panic_speak

%macro KEEP 1-*
%assign %%at 0
%rep %0
    mov [panic_registers + %%at], %1
%rotate 1
%assign %%at %%at + 8
%endrep
%endmacro

FRAME_RIP equ 17 * 8
FRAME_RFLAGS equ 19 * 8
FRAME_RSP equ 20 * 8

section .text
bits 64

panic:
    KEEP r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi
    pushfq
    pop qword [panic_registers + FRAME_RFLAGS]
    mov rax, [rsp]
    mov [panic_registers + FRAME_RIP], rax
    lea rax, [rsp + 8]
    mov [panic_registers + FRAME_RSP], rax
    jmp panic_speak
