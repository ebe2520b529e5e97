; usercopy.asm: the only instructions of the kernel that touch user memory by its user address.
;
; Each such instruction is listed with the place to go on at when it faults (section .user_access:
; trap.c looks there). Its callers have checked that the addresses lie in the user half. SMAP is
; open only around the access.

%include "boot/layout.inc"

global arch_copy_user, arch_load_user_u32, arch_cas_user_u32, arch_string_user

EFAULT equ 14

%macro MAY_FAULT 2                      ; instruction, where to go on
    [section .user_access]
    dq %1, %2
    __?SECT?__
%endmacro

section .text
bits 64

; usize arch_copy_user(void *to, const void *from, usize bytes)
align 16
arch_copy_user:
    MAY_FAULT .words, .words_left
    MAY_FAULT .bytes, .bytes_left
    mov rcx, rdx
    shr rcx, 3
    and edx, 7
    SMAP_OPEN
.words:
    rep movsq
    mov ecx, edx
.bytes:
    rep movsb
    SMAP_CLOSE
    xor eax, eax
    ret
.words_left:                            ; rcx words, rdx bytes are left: bytes may still go
    lea rcx, [rcx * 8 + rdx]
    jmp .bytes
.bytes_left:
    SMAP_CLOSE
    mov rax, rcx
    ret

; s64 arch_load_user_u32(const u32 *from, u32 *value)
align 16
arch_load_user_u32:
    MAY_FAULT .load, bad_address
    SMAP_OPEN
.load:
    mov eax, [rdi]
    SMAP_CLOSE
    mov [rsi], eax
    xor eax, eax
    ret

; s64 arch_cas_user_u32(u32 *at, u32 expected, u32 desired, u32 *seen)
align 16
arch_cas_user_u32:
    MAY_FAULT .exchange, bad_address
    mov eax, esi
    SMAP_OPEN
.exchange:
    lock cmpxchg [rdi], edx
    SMAP_CLOSE
    mov [rcx], eax
    xor eax, eax
    ret

; s64 arch_string_user(char *to, const char *from, usize size)
align 16
arch_string_user:
    MAY_FAULT .load, bad_address
    xor eax, eax
    SMAP_OPEN
.next:
    cmp rax, rdx
    jae .done
.load:
    mov cl, [rsi + rax]
    mov [rdi + rax], cl
    test cl, cl
    jz .done
    inc rax
    jmp .next
.done:
    SMAP_CLOSE
    ret

bad_address:
    SMAP_CLOSE
    mov rax, -EFAULT
    ret
