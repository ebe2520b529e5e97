; trampoline.asm: how the other CPUs start: in 16-bit real mode, at a page below 1 MiB to which
; smp.c copies this code.
;
; The parameters at its end are filled in by smp.c before each start. The first page tables are
; those of boot.asm, which map low addresses too; the final ones are loaded once the code runs in
; the kernel's half. The page's place is unknown to the assembler: the code finds itself by its
; segment, and keeps the base in ebx.

%include "boot/layout.inc"

global trampoline_start, trampoline_end, trampoline_parameters
extern boot_pml4, smp_entry

section .rodata.trampoline progbits alloc noexec nowrite align=16
bits 16
trampoline_start:
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4                          ; where this page is
    lea eax, [ebx + gdt - trampoline_start]
    mov [gdt_pointer - trampoline_start + 2], eax
    lea eax, [ebx + long_mode - trampoline_start]
    mov [long_mode_pointer - trampoline_start], eax

    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, boot_pml4 - KERNEL_BASE
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME | EFER_NXE
    wrmsr
    lgdt [gdt_pointer - trampoline_start]
    mov eax, CR0_BOOT
    mov cr0, eax                        ; straight to long mode, compatibility submode
    jmp dword far [long_mode_pointer - trampoline_start]

bits 64
long_mode:
    mov ebx, ebx
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    add rbx, trampoline_parameters - trampoline_start
    mov rax, high
    jmp rax

align 16
gdt:
    dq 0
    dq 0x00209b0000000000
gdt_pointer:
    dw $ - gdt - 1
    dd 0
align 8
long_mode_pointer:
    dd 0
    dw BOOT_CODE64
align 8
trampoline_parameters:
    dq 0, 0, 0
trampoline_end:

section .text
high:                                   ; mapped by both page tables; rbx: the parameters
    mov rdx, [rbx + TRAMPOLINE_STACK]
    mov rdi, [rbx + TRAMPOLINE_CPU]
    mov rax, [rbx + TRAMPOLINE_CR3]
    mov cr3, rax
    mov rsp, rdx
    xor ebp, ebp
    call smp_entry
