; boot.asm: from the boot loader to C.
;
; GRUB enters boot_entry in 32-bit protected mode without paging, with the physical address of its
; information in ebx. The image is linked at KERNEL_BASE but runs where it was loaded, so every
; symbol is used minus KERNEL_BASE until paging is on. The first page tables map the low 4 GiB three
; times, by 2 MiB pages:
;
;   0                    for the instruction after `mov cr0`, and the other CPUs' trampoline
;   DIRECT_MAP_BASE      so that C can use pa_virt() at once
;   KERNEL_BASE          the image (its first GiB only)
;
; arch/x86_64/kmap.c replaces them by the final ones. A processor that lacks something needed is
; told of by complain.asm.

%include "boot/layout.inc"

global boot_entry, boot_pml4
extern arch_start, boot_complain

MULTIBOOT_HEADER_MAGIC equ 0xe85250d6
MULTIBOOT_LOADER_MAGIC equ 0x36d76289

TAG_INFORMATION equ 1
TAG_FRAMEBUFFER equ 5
TAG_MODULE_ALIGN equ 6
OPTIONAL equ 1

section .multiboot progbits alloc noexec nowrite align=8
header:
    dd MULTIBOOT_HEADER_MAGIC, 0, header_end - header
    dd 0x100000000 - (MULTIBOOT_HEADER_MAGIC + (header_end - header))
align 8
    dw TAG_FRAMEBUFFER, OPTIONAL
    dd 20, 1024, 768, 32
align 8
    dw TAG_MODULE_ALIGN, 0
    dd 8
align 8
    dw 0, 0
    dd 8
header_end:

section .text.boot progbits alloc exec nowrite align=16
bits 32
boot_entry:
    cli
    cld
    mov esp, boot_stack_top - KERNEL_BASE
    mov ebp, ebx                        ; the loader's information, kept for arch_start
    cmp eax, MULTIBOOT_LOADER_MAGIC
    jne wrong_loader
    call check_processor
    call make_page_tables

    mov eax, boot_pml4 - KERNEL_BASE
    mov cr3, eax
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME | EFER_NXE
    wrmsr
    mov eax, CR0_BOOT
    mov cr0, eax
    lgdt [boot_gdt_pointer - KERNEL_BASE]
    jmp BOOT_CODE64:(long_mode - KERNEL_BASE)

wrong_loader:
    mov esi, message_loader - KERNEL_BASE
    xor ebp, ebp                        ; there is no information
complain:
    call boot_complain                  ; message in esi, information in ebp; does not return

; Goes through the table of what is needed; a missing item ends in `complain`.
check_processor:
    mov esi, message_cpuid - KERNEL_BASE
    pushfd
    pop eax
    mov ecx, eax
    xor eax, EFLAGS_ID                  ; CPUID exists if this flag can be changed
    push eax
    popfd
    pushfd
    pop eax
    cmp eax, ecx
    je complain
    mov edi, needed - KERNEL_BASE
.next:
    mov esi, [edi + 8]                  ; what to say if it is missing
    mov eax, [edi]
    and eax, 0x80000000
    cpuid                               ; the highest leaf of this range
    cmp eax, [edi]
    jb complain
    mov eax, [edi]
    cpuid
    test edx, [edi + 4]
    jz complain
    add edi, 12
    cmp edi, needed_end - KERNEL_BASE
    jb .next
    ret

make_page_tables:
    mov edi, boot_pd - KERNEL_BASE
    mov eax, PTE_PRESENT | PTE_WRITABLE | PTE_HUGE
.page:                                  ; 4 x 512 pages; the upper halves of the entries are zero
    mov [edi], eax
    add edi, 8
    add eax, 1 << 21
    jnc .page
    mov eax, boot_pd - KERNEL_BASE + (PTE_PRESENT | PTE_WRITABLE)
    mov [boot_pdpt_high - KERNEL_BASE + 510 * 8], eax
    mov edi, boot_pdpt - KERNEL_BASE
    mov ecx, 4
.directory:
    mov [edi], eax
    add edi, 8
    add eax, 4096
    loop .directory
    mov eax, boot_pdpt - KERNEL_BASE + (PTE_PRESENT | PTE_WRITABLE)
    mov [boot_pml4 - KERNEL_BASE], eax
    mov [boot_pml4 - KERNEL_BASE + 256 * 8], eax
    add eax, boot_pdpt_high - boot_pdpt
    mov [boot_pml4 - KERNEL_BASE + 511 * 8], eax
    ret

bits 64
long_mode:
    mov rax, .high
    jmp rax
.high:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov rsp, boot_stack_top
    mov edi, ebp
    xor ebp, ebp                        ; the end of every backtrace
    call arch_start
    ud2

section .rodata.boot progbits alloc noexec nowrite align=8
boot_gdt:
    dq 0
    dq 0x00209a0000000000               ; BOOT_CODE64
boot_gdt_pointer:
    dw $ - boot_gdt - 1
    dd boot_gdt - KERNEL_BASE

needed:                                 ; CPUID leaf, bit in edx, message
    dd 0x80000001, 1 << 29, message_long - KERNEL_BASE
    dd 0x80000001, 1 << 20, message_nx - KERNEL_BASE
    dd 1, 1 << 4, message_tsc - KERNEL_BASE
    dd 1, 1 << 9, message_apic - KERNEL_BASE
    dd 1, 1 << 13, message_pge - KERNEL_BASE
    dd 1, 1 << 16, message_pat - KERNEL_BASE
    dd 1, 1 << 24, message_fxsr - KERNEL_BASE
    dd 1, 1 << 26, message_sse2 - KERNEL_BASE
needed_end:

message_loader: db "this kernel must be started by a Multiboot2 boot loader such as GRUB 2", 0
message_cpuid: db "this processor is too old: it has no CPUID instruction", 0
message_long: db "this processor has no 64-bit mode", 0
message_nx: db "this processor has no NX bit (or the firmware turned it off)", 0
message_tsc: db "this processor has no time stamp counter", 0
message_apic: db "this processor has no local APIC (or the firmware turned it off)", 0
message_pge: db "this processor has no global pages", 0
message_pat: db "this processor has no page attribute table", 0
message_fxsr: db "this processor has no FXSAVE instruction", 0
message_sse2: db "this processor has no SSE2", 0

section .bss nobits alloc noexec write align=4096
boot_pml4: resb 4096
boot_pdpt: resb 4096
boot_pdpt_high: resb 4096
boot_pd: resb 4 * 4096
boot_stack: resb 4 * 4096
boot_stack_top:
