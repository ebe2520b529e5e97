"""GDB commands that print Merganser's state; `make gdb` loads them.

  mg-threads            every thread: its task, state, CPU, and where it is
  mg-maps [TASK|PID]    the address space of the current task, or of another
  mg-frame ADDR         the physical page behind a user address of the current space, a kernel address,
                        a `struct frame *`, or (with -p) a physical address, and who maps it
  mg-ksm                what merging has done
  mg-counters [WORD]    the event counters whose names contain WORD
  mg-log [LINES]        the end of the kernel log
  mg-program NAME       loads the symbols of a program, such as /bin/mergedemo, for breakpoints in it

They read the stopped machine's memory and change nothing.
"""

import itertools
import os
import re
import struct

import gdb

PAGE = 4096
USER_END = 0x00007FFFFFFFF000
DIRECT_MAP = 0xFFFF800000000000
FRAME_TABLE = 0xFFFFC00000000000
PTE_PRESENT, PTE_WRITE, PTE_DIRTY, PTE_LARGE, PTE_PROTNONE = 1 << 0, 1 << 1, 1 << 6, 1 << 7, 1 << 9
TRAP_SYSCALL, OWN_CALLS = 256, 0x1000
PTE_ADDRESS = 0x000FFFFFFFFFF000
VMA_FLAGS = ["shared", "growsdown", "locked", "lockonfault", "mergeable", "physical", "dontfork",
             "wipeonfork", "noreserve", "dontdump", "sequential", "random", "moved"]
FRAME_FLAGS = {4: "locked", 5: "dirty", 6: "referenced", 7: "active", 8: "on-list", 9: "swapcache",
               10: "writeback"}

# ---- Reading structures -----------------------------------------------------------------------------


def number(expression):
    """The value of an expression or gdb.Value as an unsigned 64-bit integer."""
    value = gdb.parse_and_eval(expression) if isinstance(expression, str) else expression
    return int(value) & 0xFFFFFFFFFFFFFFFF


def plain(value):
    """Reads a field that may be _Atomic, which not every debugger can convert."""
    try:
        return int(value)
    except gdb.error:
        return int(value.cast(gdb.lookup_type("unsigned long")))


def pointer(address, kind):
    return gdb.Value(address).cast(gdb.lookup_type(kind).pointer())


def read_words(address, count):
    """So many unsigned 64-bit integers from memory."""
    memory = gdb.selected_inferior().read_memory(address, 8 * count).tobytes()
    return struct.unpack(f"<{count}Q", memory)


def offset_of(kind, field):
    return next(f.bitpos // 8 for f in gdb.lookup_type(kind).fields() if f.name == field)


def text(array):
    return array.string(errors="replace").split("\0")[0]


def list_entries(head, kind, field):
    """The structures on an intrusive list (lib/list.h)."""
    end, offset = number(head.address), offset_of(kind, field)
    node = head["next"]
    while node and number(node) != end:
        yield pointer(number(node) - offset, kind)
        node = node["next"]


def tree_entries(node, kind, field):
    """The structures of an intrusive tree (lib/rbtree.h), in order."""
    if node:
        yield from tree_entries(node["left"], kind, field)
        yield pointer(number(node) - offset_of(kind, field), kind)
        yield from tree_entries(node["right"], kind, field)


def enum_name(kind, value, prefix):
    for field in gdb.lookup_type(kind).fields():
        if field.enumval == value:
            return field.name.removeprefix(prefix).lower()
    return str(value)


# ---- CPUs, threads, tasks ---------------------------------------------------------------------------


def current_cpu():
    """The `struct cpu` of the virtual CPU that is selected: its address is in one of the GS bases."""
    for register in ("$gs_base", "$k_gs_base"):
        base = number(register)
        if base > USER_END:
            return pointer(base, "struct cpu")
    raise gdb.GdbError("The kernel's per-CPU data is not set up yet.")


def current_task():
    thread = current_cpu()["current"]
    if not thread:
        raise gdb.GdbError("No thread runs on this CPU yet.")
    return thread["task"]


def all_threads():
    """Every thread that exists, by the kernel's thread table; a slot without references is unused."""
    table = gdb.parse_and_eval("thread_table")
    for index in range(1, plain(gdb.parse_and_eval("thread_table_size"))):
        if plain(table[index]["refs"]):
            yield table[index]


def all_tasks():
    tasks = {}
    for thread in all_threads():
        tasks[number(thread["task"])] = thread["task"]
    return list(tasks.values())


def find_task(words):
    """The task that a command's argument names: a pid, a `struct task *`, or nothing for the current."""
    if not words:
        return current_task()
    value = number(words)
    for task in all_tasks():
        if number(task) == value or (value and plain(task["pid"]) == value):
            return task
    raise gdb.GdbError(f"No task {words}.")


# ---- Page tables ------------------------------------------------------------------------------------


def root_of(mm):
    return number(mm["pt"]["root"]["raw"])


def read_entry(table, index):
    return read_words(DIRECT_MAP + table + index * 8, 1)[0]


def page_table_entry(root, address):
    """The entry for an address, or 0, and how many bytes it maps."""
    table = root
    for shift in (39, 30, 21):
        entry = read_entry(table & PTE_ADDRESS, address >> shift & 511)
        if not entry & PTE_PRESENT:
            return 0, 1 << shift
        if entry & PTE_LARGE:
            return entry, 1 << shift
        table = entry
    return read_entry(table & PTE_ADDRESS, address >> 12 & 511), PAGE


def mapped_pages(table, start, end, shift=39):
    """(address, entry) for everything mapped in a range, a table at a time."""
    entries, span = read_words(DIRECT_MAP + (table & PTE_ADDRESS), 512), 1 << shift
    for address in range(start & -span, end, span):
        entry = entries[address >> shift & 511]
        if not entry & (PTE_PRESENT | PTE_PROTNONE):
            continue
        if shift == 12 or entry & PTE_LARGE:
            yield address, entry
        else:
            yield from mapped_pages(entry, max(start, address), min(end, address + span), shift - 9)


# ---- Commands ---------------------------------------------------------------------------------------


class Command(gdb.Command):
    """A command named by its class: MgThreads is mg-threads."""

    def __init__(self):
        super().__init__("mg-" + type(self).__name__[2:].lower(), gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        self.show(argument.strip())


class MgThreads(Command):
    """Every thread: its task, state, CPU, and where it is."""

    def show(self, _):
        print(f"{'thread':<18} {'id':>4} {'pid':>5} {'tid':>5} {'task':<15} {'state':<9} {'cpu':>3}  where")
        for thread in all_threads():
            task = thread["task"]
            state = self.state(thread)
            name = text(thread["name"]) or text(task["name"])
            print(f"{number(thread):#018x} {plain(thread['id']):>4} {plain(task['pid']):>5} "
                  f"{plain(thread['tid']):>5} {name:<15.15} {state:<9} {plain(thread['cpu']):>3}  "
                  f"{self.place(thread, state)}")

    @staticmethod
    def state(thread):
        """A CPU's idle thread is never in a queue: it is running also while another has its CPU."""
        state = enum_name("enum thread_state", plain(thread["state"]) & 0xFF, "THREAD_")
        current = gdb.parse_and_eval("cpus")[plain(thread["cpu"])]["current"]
        return "stand-by" if state == "running" and current != thread else state

    @staticmethod
    def place(thread, state):
        """What it waits for: its IPC, its system call, and the kernel functions it is in."""
        if state == "running":
            return "on its CPU: `info threads` tells"
        if state in ("new", "dead"):
            return ""
        waiting = enum_name("enum ipc_state", plain(thread["ipc"]["state"]), "IPC_").replace("_", " ")
        told = [] if waiting == "idle" else [waiting]
        return ", ".join(told + call_of(thread) + [" < ".join(stack_of(thread))])


def call_of(thread):
    """The system call or trap by which a user thread came into the kernel: it began its stack."""
    if not thread["arch"]["fpu"]:
        return []
    size = gdb.lookup_type("struct trap_frame").sizeof
    frame = pointer(number(thread["stack_top"]) - size, "struct trap_frame")
    vector, code = plain(frame["vector"]), plain(frame["error_code"])
    if vector != TRAP_SYSCALL:
        return [f"trap {vector}"]
    return ["in " + CALLS.get(code, f"call {code:#x}" if code >= OWN_CALLS else f"call {code}")]


def call_names():
    """Names of system calls by number: our own from our header, Linux's from this system's, if there."""
    here = os.path.dirname(os.path.realpath(__file__))
    headers = [(os.path.join(here, "../../user/include/merganser/abi.h"), r"X\((0x\w+), (\w+)"),
               ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"__NR_(\w+) (\d+)")]
    names = {}
    for path, pattern in headers:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for one, other in re.findall(pattern, file.read()):
                    code, name = (one, other) if one[0] == "0" else (other, one)
                    names[int(code, 0)] = name
    return names


CALLS = call_names()


def stack_of(thread, depth=5):
    """Names of the functions a thread that does not run is in, innermost first (see switch.h)."""
    rsp, top = number(thread["arch"]["kernel_rsp"]), number(thread["stack_top"])
    code, frame = read_words(rsp, 2)
    names = functions_at(code)
    while rsp < frame < top - 16:
        rsp = frame
        frame, code = read_words(frame, 2)
        names += functions_at(code - 1)
    names = [name for name in names if not name.startswith(("sched_", "schedule", "arch_switch"))]
    return [name for name, _ in itertools.groupby(names)][:depth]


def functions_at(code):
    """The function a code address is in, and before it those that the compiler built into it."""
    names, block = [], gdb.block_for_pc(code)
    while block and not block.is_global and not block.is_static:
        if block.function:
            names.append(block.function.name)
        block = block.superblock
    return names


class MgMaps(Command):
    """The areas of the current task's address space, or of the task with a pid or address."""

    def show(self, words):
        task = find_task(words)
        mm = task["mm"]
        if not mm:
            print(f"{text(task['name'])} has no address space: a kernel task.")
            return
        print(f"{text(task['name'])} (pid {plain(task['pid'])}), mm {number(mm):#x}: "
              f"{plain(mm['rss_anon'])} anonymous, {plain(mm['rss_object'])} object, "
              f"{plain(mm['rss_merged'])} merged pages")
        for vma in tree_entries(mm["vmas"]["node"], "struct vma", "node"):
            print(self.line(mm, vma))

    @staticmethod
    def line(mm, vma):
        start, end, prot, flags = (number(vma[name]) for name in ("start", "end", "prot", "flags"))
        rights = "".join(letter if prot >> bit & 1 else "-" for bit, letter in enumerate("rwx"))
        words = [name for bit, name in enumerate(VMA_FLAGS) if flags >> bit & 1]
        if vma["object"]:
            words.append(f"object {number(vma['object']):#x} page {number(vma['offset'])}")
        mapped = merged = 0
        for _, entry in mapped_pages(root_of(mm), start, end):
            mapped += 1
            merged += frame_kind(frame_at(entry & PTE_ADDRESS)) == "merged"
        pages = f"{mapped}/{(end - start) // PAGE} mapped" + (f", {merged} merged" if merged else "")
        return f"  {start:#014x}-{end:#014x} {rights}  {pages:<28} {' '.join(words)}"


class MgFrame(Command):
    """The physical page behind an address: user, kernel, `struct frame *`, or -p PHYSICAL."""

    def show(self, words):
        if words.startswith("-p"):
            self.describe(number(words[2:]))
            return
        if not words:
            raise gdb.GdbError("mg-frame ADDR, or mg-frame -p PHYSICAL")
        address = number(words)
        size = gdb.lookup_type("struct frame").sizeof
        if FRAME_TABLE <= address < FRAME_TABLE + number("frame_table_end") * size:
            self.describe((address - FRAME_TABLE) // size * PAGE)
            return
        if USER_END <= address < DIRECT_MAP:
            raise gdb.GdbError(f"{address:#x} is neither a user nor a kernel address.")
        mm = current_task()["mm"]
        entry, size = page_table_entry(root_of(mm) if mm else number("$cr3"), address)
        print(f"{address:#x}: page table entry {entry:#x}")
        if not entry & (PTE_PRESENT | PTE_PROTNONE):
            print("Nothing is mapped there.")
            return
        self.describe((entry & PTE_ADDRESS & -size) + (address & (size - 1)))

    def describe(self, physical):
        if physical // PAGE >= number("frame_table_end"):
            raise gdb.GdbError(f"No memory at {physical:#x}.")
        frame = frame_at(physical)
        flags = plain(frame["flags"])
        words = [name for bit, name in FRAME_FLAGS.items() if flags >> bit & 1]
        print(f"frame {physical // PAGE:#x} at physical {physical & ~(PAGE - 1):#x}, "
              f"struct frame {number(frame):#x}")
        print(f"  {frame_kind(frame)} on node {flags >> 28}, {plain(frame['refs'])} references, "
              f"{plain(frame['maps'])} mappings, {plain(frame['pins'])} pins {' '.join(words)}")
        print(f"  owner {number(frame['owner']):#x}, index {number(frame['index']):#x}")
        self.mappings(physical & ~(PAGE - 1), number(frame["index"]), frame_kind(frame))

    @staticmethod
    def mappings(physical, index, kind):
        """Who maps the frame; all spaces are searched."""
        if kind not in ("anon", "object", "merged"):
            return
        for task in all_tasks():
            if not task["mm"]:
                continue
            for vma in tree_entries(task["mm"]["vmas"]["node"], "struct vma", "node"):
                start, end = number(vma["start"]), number(vma["end"])
                if kind == "anon":  # its index tells the only address it can have
                    address = start + (index - number(vma["pgoff"])) * PAGE
                    if not start <= address < end:
                        continue
                    start, end = address, address + PAGE
                for address, entry in mapped_pages(root_of(task["mm"]), start, end):
                    if entry & PTE_ADDRESS == physical:
                        rights = ("writable" if entry & PTE_WRITE else "read-only") + \
                                 (", dirty" if entry & PTE_DIRTY else "")
                        print(f"  mapped by pid {plain(task['pid'])} {text(task['name'])} "
                              f"at {address:#x}, {rights}")


def frame_at(physical):
    size = gdb.lookup_type("struct frame").sizeof
    return pointer(FRAME_TABLE + physical // PAGE * size, "struct frame")


def frame_kind(frame):
    return enum_name("enum frame_kind", plain(frame["flags"]) & 15, "FRAME_KIND_")


class MgKsm(Command):
    """What merging has done: settings, figures, and the spaces it visits."""

    def show(self, _):
        for name in ("ksm_run", "ksm_pages_to_scan", "ksm_sleep_millisecs"):
            print(f"{name:<22} {plain(gdb.parse_and_eval(name))}")
        stats = gdb.parse_and_eval("ksm_stats")
        for field in stats.type.fields():
            print(f"{field.name:<22} {plain(stats[field.name])}")
        show_counters("ksm")
        spaces = gdb.parse_and_eval("ksm_spaces")
        for space in list_entries(spaces, "struct ksm_mm", "link"):
            names = [f"pid {plain(task['pid'])} {text(task['name'])}" for task in all_tasks()
                     if number(task["mm"]) == number(space["mm"])]
            print(f"space {number(space['mm']):#x} {', '.join(names):<24} "
                  f"{plain(space['item_count'])} records")


def show_counters(word):
    for field in gdb.lookup_type("enum counter").fields():
        name = field.name.removeprefix("COUNT_")
        if word in name and field.name != "COUNTER_END":
            cpus = plain(gdb.parse_and_eval("cpu_count"))
            table = gdb.parse_and_eval("cpus")
            print(f"{name:<22} "
                  f"{sum(plain(table[cpu]['counters'][field.enumval]) for cpu in range(cpus))}")


class MgCounters(Command):
    """The event counters whose names contain a word, summed over the CPUs."""

    def show(self, word):
        show_counters(word)


class MgLog(Command):
    """The end of the kernel log."""

    def show(self, words):
        ring = gdb.parse_and_eval("'log.c'::ring")
        size, written = ring.type.sizeof, number("'log.c'::written")
        held = gdb.selected_inferior().read_memory(number(ring.address), size).tobytes()
        start = written % size
        whole = held[start:] + held[:start] if written > size else held[:written]
        lines = whole.decode("utf-8", "replace").splitlines()
        print("\n".join(lines[-int(words or 40):]))


class MgProgram(Command):
    """Loads the symbols of a program, such as /bin/mergedemo or a host file, for breakpoints in it."""

    def show(self, name):
        kernel = next(f.filename for f in gdb.objfiles() if f.filename.endswith("merganser.elf"))
        inside = os.path.join(os.path.dirname(kernel), "root", name.lstrip("/"))
        path = name if os.path.isfile(name) and not name.startswith("/bin/") else inside
        if not os.path.isfile(path):
            raise gdb.GdbError(f"{path} is not there.")
        gdb.execute(f"add-symbol-file {path}")


for command in (MgThreads, MgMaps, MgFrame, MgKsm, MgCounters, MgLog, MgProgram):
    command()
gdb.execute("set pagination off")
gdb.execute("set print pretty on")
