; complain.asm: tells a person that this machine can't run the kernel, before there is C, paging or
; a log.
;
; The line goes wherever somebody may look: both serial ports, the VGA text screen, and the
; framebuffer, if GRUB has set one up (then in the kernel's own font). Runs in 32-bit mode at
; physical addresses.

%include "boot/layout.inc"

global boot_complain
extern font_glyphs

COM1 equ 0x3f8
COM2 equ 0x2f8
LINE_STATUS equ 5
LINE_EMPTY equ 0x20
VGA_TEXT equ 0xb8000
VGA_WHITE equ 0x0f00

TAG_END equ 0
TAG_FRAMEBUFFER equ 8
FB_ADDRESS equ 8                        ; offsets in that tag
FB_PITCH equ 16
FB_BITS equ 28
FB_TYPE equ 29
FB_TYPE_RGB equ 1

GLYPH_FIRST equ 32
GLYPH_HEIGHT equ 16
GLYPH_WIDTH equ 8

section .text.boot progbits alloc exec nowrite align=16
bits 32

; esi: message, ebp: Multiboot2 information or 0. Never returns.
boot_complain:
    cld
    mov edi, line - KERNEL_BASE
    push esi
    mov esi, prefix - KERNEL_BASE
    call append
    pop esi
    call append
    mov edx, COM1
    call say_serial
    mov edx, COM2
    call say_serial
    call say_text
    test ebp, ebp
    jz .stop
    call say_framebuffer
.stop:
    cli
    hlt
    jmp .stop

; Copies the string at esi to edi, NUL included, and leaves edi on the NUL.
append:
    lodsb
    stosb
    test al, al
    jnz append
    dec edi
    ret

; Writes the line to the serial port at edx; gives up on a port that does not empty.
say_serial:
    mov esi, line - KERNEL_BASE
.next:
    lodsb
    test al, al
    jz .done
    mov ah, al
    mov ecx, 100000
    add edx, LINE_STATUS
.wait:
    in al, dx
    test al, LINE_EMPTY
    loopz .wait
    sub edx, LINE_STATUS
    mov al, ah
    out dx, al
    jmp .next
.done:
    ret

say_text:
    mov esi, line - KERNEL_BASE
    mov edi, VGA_TEXT
    mov eax, VGA_WHITE
.next:
    lodsb
    test al, al
    jz .done
    stosw
    jmp .next
.done:
    ret

; Finds the framebuffer's tag and draws the line at the top left of a 24 or 32 bit wide one below 4
; GiB.
say_framebuffer:
    lea ebx, [ebp + 8]
.tag:
    mov eax, [ebx]
    cmp ax, TAG_FRAMEBUFFER
    je .found
    test ax, ax                         ; TAG_END
    jz .done
    mov eax, [ebx + 4]
    add eax, 7
    and eax, ~7
    add ebx, eax
    jmp .tag
.found:
    cmp byte [ebx + FB_TYPE], FB_TYPE_RGB
    jne .done
    cmp dword [ebx + FB_ADDRESS + 4], 0
    jne .done
    movzx eax, byte [ebx + FB_BITS]
    shr eax, 3
    cmp eax, 3
    jb .done
    mov [pixel_bytes - KERNEL_BASE], eax
    mov edi, [ebx + FB_ADDRESS]
    mov esi, line - KERNEL_BASE
.character:
    lodsb
    test al, al
    jz .done
    call draw
    imul eax, [pixel_bytes - KERNEL_BASE], GLYPH_WIDTH
    add edi, eax
    jmp .character
.done:
    ret

; Draws the character in al with its corner at edi, white on black; ebx: the framebuffer's tag.
draw:
    pushad
    movzx esi, al
    sub esi, GLYPH_FIRST
    shl esi, 4                          ; GLYPH_HEIGHT bytes each
    add esi, font_glyphs - KERNEL_BASE
    mov ecx, GLYPH_HEIGHT
.row:
    push edi
    lodsb
    mov ah, al
    mov edx, GLYPH_WIDTH
.pixel:
    shl ah, 1
    sbb al, al                          ; 0xff where the bit is set
    push ecx
    mov ecx, [pixel_bytes - KERNEL_BASE]
    rep stosb
    pop ecx
    dec edx
    jnz .pixel
    pop edi
    add edi, [ebx + FB_PITCH]
    loop .row
    popad
    ret

section .rodata.boot progbits alloc noexec nowrite
prefix: db "Merganser can't run here: ", 0

section .bss nobits alloc noexec write
line: resb 160
pixel_bytes: resd 1
