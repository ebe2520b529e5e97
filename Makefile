# The build of Merganser: kernel, user programs, initramfs and ISO, by wildcard over the source tree.
#
#   make            everything into build/ (first installs what the build needs, by tools/setup)
#   make DEBUG=1    the same with run-time checks, into build-debug/
#   make O=DIR      the same into DIR
#   make help       the other targets
#
# A new source file needs no change here. An object stands at $(O)/ plus its source's path, so
# `make build/kernel/mm/fault.o` compiles one file.

DEBUG ?= 0
O     ?= $(if $(filter 1,$(DEBUG)),build-debug,build)

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# ---- Tools ----------------------------------------------------------------------------------------

CROSS_COMPILE ?= $(if $(shell command -v x86_64-elf-gcc 2>/dev/null),x86_64-elf-)
KCC     := $(CROSS_COMPILE)gcc
KLD     := $(CROSS_COMPILE)ld
OBJCOPY := $(CROSS_COMPILE)objcopy
NASM    := nasm
MUSLCC  := musl-gcc
HOSTCC  := gcc
PYTHON  := python3
GRUB_MKRESCUE := grub-mkrescue
BUSYBOX := $(firstword $(wildcard /bin/busybox /usr/bin/busybox))
JOBS    := -j$(shell nproc 2>/dev/null || echo 1)

# ---- Flags ----------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wold-style-definition -Wundef -Wwrite-strings -Wpointer-arith
COMMON   := -std=gnu11 -O2 -g -fno-omit-frame-pointer -fno-strict-aliasing -fcf-protection=none $(WARNINGS)
DEBUGDEF := $(if $(filter 1,$(DEBUG)),-DMG_DEBUG)

KCFLAGS := $(COMMON) -ffreestanding -nostdlib -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
           -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fno-common \
           -U_FORTIFY_SOURCE -DMG_KERNEL $(DEBUGDEF) -I. -Iuser/include
KLDFLAGS := -nostdlib -static -z max-page-size=0x1000 -z noexecstack --build-id=none
NASMFLAGS := -f elf64 -g -F dwarf -I. $(DEBUGDEF)
UCFLAGS := $(COMMON) -static -no-pie -fno-pie -pthread $(DEBUGDEF) -Iuser/include -I.
GCFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -static -no-pie -fno-pie -pthread -Iuser/include -I.
# Host unit tests: pure C of the kernel, with the sanitizers watching.
TCFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing $(WARNINGS) \
           -fsanitize=address,undefined -fno-sanitize-recover=undefined -DMG_HOST_TEST -DMG_DEBUG \
           -I. -Iuser/include

# ---- Sources --------------------------------------------------------------------------------------

KERNEL_C   := $(sort $(wildcard kernel/*/*.c arch/x86_64/*.c lib/*.c))
KERNEL_ASM := $(sort $(wildcard boot/*.asm arch/x86_64/*.asm))
LIB_C      := $(sort $(wildcard lib/*.c))
USERLIB_C  := $(sort $(wildcard user/lib/*.c))
UNIT_C     := $(sort $(wildcard tests/unit/*.c))
GLIBC_C    := $(sort $(wildcard tests/guest/glibc_*.c))

object = $(patsubst %,$(O)/%.o,$(basename $(filter %.c,$(1))) $(filter %.asm,$(1)))

# The programs of folder $(1), installed to guest folder $(2): each NAME.c is one, and each NAME/*.c.
# PROGRAM_C collects their sources; the objects of program P are in OBJECTS_P.
PROGRAM_C :=
PROGRAMS  :=
define programs
$(foreach c,$(filter-out $(GLIBC_C),$(wildcard $(1)/*.c)),$(call program,$(notdir $(basename $c)),$c,$(2)))
$(foreach d,$(sort $(dir $(wildcard $(1)/*/*.c))),$(call program,$(notdir $(d:/=)),$(wildcard $d*.c),$(2)))
endef
define program
PROGRAM_C += $(2)
PROGRAMS  += $(O)/root/$(3)/$(1)
OBJECTS_$(O)/root/$(3)/$(1) := $(call object,$(2))

endef
$(eval $(call programs,user/bin,bin))
$(eval $(call programs,user/servers,sbin))
$(eval $(call programs,tests/guest,tests))

# The benchmark is one program; init.c starts it on the Linux it is compared with.
BENCH_C := $(filter-out tests/bench/init.c,$(wildcard tests/bench/*.c))
$(if $(BENCH_C),$(eval $(call program,bench,$(BENCH_C),bench)))
BENCH_INIT := $(patsubst tests/bench/init.c,$(O)/bench-init,$(wildcard tests/bench/init.c))
OBJECTS_$(BENCH_INIT) := $(O)/tests/bench/init.o

# Programs of the experiments: each experiments/NAME/*.c is one.
EXPERIMENT_C := $(sort $(wildcard experiments/*/*.c))
EXPERIMENTS  := $(EXPERIMENT_C:%.c=$(O)/%)

MUSL_C   := $(sort $(USERLIB_C) $(PROGRAM_C) $(EXPERIMENT_C) $(wildcard tests/bench/init.c))
KERNEL_O := $(call object,$(KERNEL_C) $(KERNEL_ASM))
USERLIB  := $(O)/user/libmerganser.a
GLIBC    := $(GLIBC_C:tests/guest/%.c=$(O)/root/tests/%)
UNIT     := $(UNIT_C:%.c=$(O)/%)
UNITLIB  := $(O)/tests/unit/lib.a

# ---- Targets a person names -----------------------------------------------------------------------

.PHONY: all build image setup needs-build needs-test needs-experiment \
        run test test-linux unit guest bench model soak experiment gdb lint format compile_commands.json clean help
.DEFAULT_GOAL := all

# Sub-makes build: the packages must be there before the wildcard tools above are looked up again.
submake = +@$(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,$(JOBS))

all: needs-build
	$(submake) build

build: $(O)/merganser.iso $(O)/compile_commands.json $(UNIT) $(BENCH_INIT) $(EXPERIMENTS)

image: $(O)/merganser.iso $(O)/compile_commands.json
	@:

setup:
	@tools/setup

needs-build needs-test needs-experiment:
	@tools/setup $(@:needs-%=%)

run: needs-build
	$(submake) image
	@tools/vm --iso $(O)/merganser.iso $(VMFLAGS)

# T=name runs only the tests whose names contain it.
test: needs-test
	$(submake) build
	$(submake) build DEBUG=1 O=$(O)-debug
	+@tools/run-tests --build $(O) --debug-build $(O)-debug $(if $(T),--only '$(T)')

test-linux: needs-build
	$(submake) build
	@tools/run-tests --build $(O) --linux $(if $(T),--only '$(T)')

unit: $(UNIT)
guest: $(PROGRAMS) $(GLIBC) $(BENCH_INIT)

# Spin searches every state of the protocols in tests/models.
model: needs-test
	@tests/models/check

# Random work on four CPUs for so long, every page checked, on both builds.
MINUTES ?= 60
soak: needs-build
	$(submake) build
	$(submake) build DEBUG=1 O=$(O)-debug
	@for build in $(O) $(O)-debug; do \
	    tools/vm --iso $$build/merganser.iso --smp 4 --mem 512 --test-disk plain \
	        --timeout $$(($(MINUTES) * 60 + 300)) -- /tests/soak $(MINUTES) $(SEED) || exit 1; \
	done

# NAME=cow-reuse answers a question of experiments/ with figures and a plot.
experiment: needs-experiment
	$(submake) build
	@tools/experiment --build $(O) $(NAME) $(EXPERIMENTFLAGS)

bench: all
	@tools/bench --build $(O) $(BENCHFLAGS)

gdb: needs-test
	@[ -e $(O)/merganser.elf ] || { echo 'No $(O)/merganser.elf: `make` builds it.'; exit 1; }
	@$(PYTHON) -c 'import socket; socket.create_connection(("127.0.0.1", 1234))' 2> /dev/null || \
	    { echo 'No machine waits for the debugger: start `tools/vm --gdb` in another terminal.'; exit 1; }
	@gdb -q -ex 'set confirm off' -x tools/gdb/merganser.py -ex 'target remote :1234' $(O)/merganser.elf

lint: needs-test
	@tools/lint

format: needs-test
	@tools/lint --fix

clean:
	rm -rf build build-debug $(O)

help:
	@echo 'make               build everything into build/ (ISO: build/merganser.iso)'
	@echo 'make run           boot it in QEMU with a shell on this terminal (leave: Ctrl-A x)'
	@echo 'make test          every test, on the normal and the debug build  [T=name: only these]'
	@echo 'make test-linux    the guest tests on this Linux, which is their oracle  [T=name]'
	@echo 'make bench         figures beside Linux in the same virtual machine'
	@echo 'make model         search the models of the protocols for failures'
	@echo 'make soak          random work, every page checked  [MINUTES=60 SEED=N]'
	@echo 'make experiment    NAME=cow-reuse: a question answered by figures and a plot'
	@echo 'make gdb           debugger for a machine started with tools/vm --gdb'
	@echo 'make lint          formatting and static checks      make format   apply the formatting'
	@echo 'make setup         install all packages that any of these needs'
	@echo 'make compile_commands.json   for clangd; part of every build'
	@echo 'make clean         remove the build directories'
	@echo
	@echo 'DEBUG=1 checks locks, frames and counts at run time; O=DIR builds into DIR;'
	@echo 'CROSS_COMPILE=prefix- chooses the compiler; VMFLAGS="--smp 4" reaches tools/vm.'

# ---- Rebuild when the flags change, not only when the sources do -----------------------------------

FLAGS_NOW := $(KCC) $(KCFLAGS) $(NASMFLAGS) $(UCFLAGS) $(GCFLAGS) $(TCFLAGS)
$(O)/.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@
.PHONY: FORCE
FORCE:

quiet = @echo '  $(1)	$(patsubst $(O)/%,%,$@)'; mkdir -p $(@D);

# ---- Kernel ---------------------------------------------------------------------------------------

# The compiler must not turn the loops of memcpy and memset into calls of themselves.
$(O)/lib/string.o: private KCFLAGS += -fno-tree-loop-distribute-patterns

$(call object,$(KERNEL_C)): $(O)/%.o: %.c $(O)/.flags
	$(call quiet,CC) $(KCC) $(KCFLAGS) -MMD -MP -c $< -o $@

$(call object,$(KERNEL_ASM)): $(O)/%.o: % $(O)/.flags
	$(call quiet,NASM) $(NASM) $(NASMFLAGS) -MD $(@:.o=.d) -MP $< -o $@

$(O)/merganser.elf: $(KERNEL_O) linker.ld
	$(call quiet,LD) $(KLD) $(KLDFLAGS) -T linker.ld -Map $(@:.elf=.map) $(KERNEL_O) -o $@

# What GRUB loads: symbols stay for the backtrace of a panic, line tables only cost boot time.
$(O)/iso/boot/merganser.elf: $(O)/merganser.elf
	$(call quiet,STRIP) $(OBJCOPY) --strip-debug $< $@

# ---- User programs --------------------------------------------------------------------------------

# lib/ is part of the user library too: the servers share it with the kernel.
USERLIB_O := $(call object,$(USERLIB_C)) $(LIB_C:%.c=$(O)/user/%.o)

$(call object,$(MUSL_C)): $(O)/%.o: %.c $(O)/.flags
	$(call quiet,MUSL) $(MUSLCC) $(UCFLAGS) -MMD -MP -c $< -o $@

$(LIB_C:%.c=$(O)/user/%.o): $(O)/user/%.o: %.c $(O)/.flags
	$(call quiet,MUSL) $(MUSLCC) $(UCFLAGS) -MMD -MP -c $< -o $@

$(USERLIB): $(USERLIB_O)
	$(call quiet,AR) rm -f $@; ar rcs $@ $^

.SECONDEXPANSION:
$(PROGRAMS) $(BENCH_INIT): $$(OBJECTS_$$@) $(USERLIB)
	$(call quiet,LINK) $(MUSLCC) $(UCFLAGS) $^ -o $@

$(EXPERIMENTS): %: %.o
	$(call quiet,LINK) $(MUSLCC) $(UCFLAGS) $^ -o $@

# Programs of the other libc: the ABI is Linux's, not one library's.
$(GLIBC): $(O)/root/tests/%: tests/guest/%.c $(O)/.flags
	$(call quiet,GLIBC) $(HOSTCC) $(GCFLAGS) -MMD -MP -MF $(O)/tests/$*.d $< -o $@

# ---- Host unit tests ------------------------------------------------------------------------------

$(LIB_C:%.c=$(O)/tests/unit/%.o): $(O)/tests/unit/%.o: %.c $(O)/.flags
	$(call quiet,UNIT) $(HOSTCC) $(TCFLAGS) -MMD -MP -c $< -o $@

$(UNITLIB): $(LIB_C:%.c=$(O)/tests/unit/%.o)
	$(call quiet,AR) rm -f $@; ar rcs $@ $^

# lib/ is there for every test; other sources are named in a line `// with: kernel/base/buddy.c`.
$(UNIT): $(O)/%: %.c $(UNITLIB) $(O)/.flags
	$(call quiet,UNIT) $(HOSTCC) $(TCFLAGS) -MMD -MP -MF $@.d $< \
	    $$(sed -n 's,^// with: ,,p' $<) $(UNITLIB) -o $@

# ---- initramfs and ISO ----------------------------------------------------------------------------

DOCS := $(wildcard README.md LICENSE docs/*)
ETC  := $(wildcard user/etc/*)

$(O)/iso/boot/initramfs.cpio: $(O)/merganser.elf $(PROGRAMS) $(GLIBC) $(DOCS) $(ETC) tools/mkinitramfs tools/newc.py
	$(call quiet,CPIO) $(PYTHON) tools/mkinitramfs --build $(O) --busybox '$(BUSYBOX)' --output $@
	@ln -sf iso/boot/initramfs.cpio $(O)/initramfs.cpio

$(O)/iso/boot/init: $(O)/root/sbin/init
	$(call quiet,STRIP) $(OBJCOPY) --strip-debug $< $@

$(O)/iso/boot/grub/grub.cfg: iso/grub.cfg
	$(call quiet,COPY) cp $< $@

GRUB_MODULES := normal multiboot2 all_video smbios test echo configfile \
    $(addprefix part_,acorn amiga apple bsd dfly dvh gpt msdos plan sun sunpc)
ISO_FILES := $(addprefix $(O)/iso/boot/,merganser.elf init initramfs.cpio grub/grub.cfg)
$(O)/merganser.iso: $(ISO_FILES)
	$(call quiet,ISO) $(GRUB_MKRESCUE) --install-modules='$(GRUB_MODULES)' --fonts= --locales= --themes= \
	    -volid MERGANSER -o $@.tmp $(O)/iso \
	    > $(O)/mkrescue.log 2>&1 || { cat $(O)/mkrescue.log; exit 1; }; mv $@.tmp $@

# ---- compile_commands.json ------------------------------------------------------------------------

comma := ,
entry = {"directory": "$(CURDIR)", "file": "$(1)", "command": "$(subst ",\",$(2)) -c $(1)"}
entries = $(foreach f,$(2),$(call entry,$(f),$(1))@)
ALL_ENTRIES = $(call entries,$(KCC) $(KCFLAGS),$(KERNEL_C)) $(call entries,$(MUSLCC) $(UCFLAGS),$(MUSL_C)) \
              $(call entries,$(HOSTCC) $(GCFLAGS),$(GLIBC_C)) $(call entries,$(HOSTCC) $(TCFLAGS),$(UNIT_C))

compile_commands.json: $(O)/compile_commands.json
$(O)/compile_commands.json: $(O)/.flags $(KERNEL_C) $(MUSL_C) $(GLIBC_C) $(UNIT_C)
	@mkdir -p $(@D)
	$(file >$@.in,$(ALL_ENTRIES))
	@{ echo '['; sed 's/@$$//; s/@/,\n/g' $@.in; echo ']'; } > $@; rm -f $@.in

-include $(wildcard $(O)/*/*.d $(O)/*/*/*.d $(O)/*/*/*/*.d $(O)/*/*/*/*/*.d)
