#!/usr/bin/env python3
"""Stops a machine with the debugger and looks whether tools/gdb/merganser.py tells the truth.

    tests/host/debugger.py BUILD

One machine runs mergedemo under gdb. It is stopped twice: in the program, when its four workers have
merged their memory and wait for what to do, and in the kernel, at the write fault of a worker that
breaks a merged page. What the commands print is compared with what the program itself has said.
Prints TAP.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SECONDS = 150
WORKERS = 4

# Commands for gdb, and the name under which the test finds what each has printed.
IN_PROGRAM = [("stop", "continue"), ("where", "backtrace"), ("threads", "mg-threads"), ("maps", "mg-maps"),
              ("worker", "mg-maps 3"), ("stack", "mg-frame $rsp"), ("code", "mg-frame $rip"),
              ("ksm", "mg-ksm"), ("counters", "mg-counters ksm_merge"), ("log", "mg-log")]
IN_KERNEL = [("fault", "continue"), ("decision", "backtrace"), ("broken", "mg-frame fault->va"),
             ("frame", "mg-frame frame"), ("variable", "mg-frame &ksm_run"),
             ("nowhere", "mg-frame 0x900000000000")]

count = failures = 0


def check(good, name, said):
    global count, failures
    count += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        print("\n".join("# " + line for line in said.splitlines()[-25:]))


def debug(build):
    """Runs machine and debugger: what each command printed by its name, and the program's output."""
    with tempfile.TemporaryDirectory() as folder:
        line, script = os.path.join(folder, "gdb"), os.path.join(folder, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write("mg-program /bin/mergedemo\nhbreak demonstrate_parting\n")
            for number, (name, command) in enumerate(IN_PROGRAM + IN_KERNEL):
                if number == len(IN_PROGRAM):
                    file.write("delete\nhbreak cow_decide\n")
                file.write(f"echo \\n@{name}\\n\n")
                # an error would end the script
                file.write(f"python\ntry: gdb.execute({command!r})\n"
                           "except gdb.error as error: print(error)\nend\n")
        vm = subprocess.Popen(
            [f"{ROOT}/tools/vm", "--iso", f"{build}/merganser.iso", "--smp", "2", "--timeout", str(SECONDS),
             "--qemu", f"-S -gdb unix:{line},server=on,wait=off", "--", "/bin/mergedemo"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        end = time.monotonic() + 20
        while not os.path.exists(line) and time.monotonic() < end:
            time.sleep(0.1)
        try:
            gdb = subprocess.run(
                ["gdb", "-q", "-nx", "-batch", "-x", f"{ROOT}/tools/gdb/merganser.py",
                 "-ex", f"target remote {line}", "-x", script, f"{build}/merganser.elf"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", timeout=SECONDS, check=False).stdout
        except subprocess.TimeoutExpired as expired:
            gdb = (expired.stdout or b"").decode("utf-8", "replace")
        vm.terminate()
        output = vm.communicate()[0]
    parts = re.split(r"\n@(\w+)\n", gdb)
    return dict(zip(parts[1::2], parts[2::2])), output, gdb


def figure(pattern, text):
    """The number that the pattern's last match holds, -1 if there is none."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else -1


def look_at_program(said, output):
    check("demonstrate_parting" in said["stop"], "a breakpoint in a program", said["stop"])
    check(re.search(r"#\d.* main \(", said["where"]), "its backtrace", said["where"])
    threads = said["threads"]
    check(len(re.findall(r" mergedemo +\w+ +\d  (?:awaiting reply, )?in (?:read|write), .*call_port",
                         threads)) == WORKERS, "mg-threads: the workers are with their pipes", threads)
    check(re.search(r" 2 +2 mergedemo +running", threads), "mg-threads: the program runs", threads)
    check(re.search(r" console +blocked +\d  receiving, in ipc_\w+, receive <", threads),
          "mg-threads: a server waits for messages", threads)
    check(re.search(r" ksmd +\w+ +\d  .*ksmd|ksmd +running", threads), "mg-threads: the scanner", threads)
    check(said["maps"].startswith("mergedemo (pid 2)") and re.search(r"r-x +(\d+)/\1 mapped", said["maps"]),
          "mg-maps: the program's code", said["maps"])
    pages = figure(r"of (\d+) pages are merged", output) // WORKERS
    check(f"{pages}/{pages} mapped, {pages} merged" in said["worker"] and
          f" {pages} merged pages" in said["worker"], "mg-maps 3: a worker's merged memory", said["worker"])
    check(re.search(r"anon on node 0, 1 references, 1 mappings", said["stack"]) and
          re.search(r"mapped by pid 2 mergedemo at 0x7f\w+, writable, dirty", said["stack"]),
          "mg-frame: the program's stack", said["stack"])
    check(len(re.findall(r"mapped by pid \d mergedemo at 0x40\w+, read-only", said["code"])) >= WORKERS,
          "mg-frame: code that all share", said["code"])
    contents = figure(r"contents need only (\d+)", output)
    check(figure(r"(?m)^shared +(\d+)", said["ksm"]) == contents and
          figure(r"(?m)^mappings +(\d+)", said["ksm"]) == pages * WORKERS and
          len(re.findall(rf"mergedemo +{pages} records", said["ksm"])) == WORKERS,
          "mg-ksm: what the program has found merged", said["ksm"])
    check(figure(r"ksm_merge +(\d+)", said["counters"]) >= pages * WORKERS - contents,
          "mg-counters: merged pages", said["counters"])
    check("Merganser" in said["log"] and "2 CPUs" in said["log"], "mg-log: the boot", said["log"])


def look_at_kernel(said):
    check("cow_decide (" in said["fault"], "a breakpoint in the kernel", said["fault"])
    check("mm_fault (" in said["decision"], "the kernel's backtrace", said["decision"])
    check("merged on node 0, 4 references, 4 mappings" in said["broken"] and
          len(re.findall(r"mapped by pid [3-6] mergedemo at 0x2\w+, read-only", said["broken"])) == WORKERS,
          "mg-frame: the page of a write fault", said["broken"])
    check(said["frame"].strip() and said["frame"].strip() in said["broken"], "mg-frame: its struct frame",
          said["frame"])
    check("reserved on node 0" in said["variable"], "mg-frame: a variable of the kernel", said["variable"])
    check("neither a user nor a kernel address" in said["nowhere"], "mg-frame: a wrong address",
          said["nowhere"])


def main():
    said, output, everything = debug(os.path.abspath(sys.argv[1]))
    missing = [name for name, _ in IN_PROGRAM + IN_KERNEL if name not in said]
    if missing:
        check(False, "the debugger gets through", everything + "\n" + output)
    else:
        look_at_program(said, output)
        look_at_kernel(said)
    print(f"1..{count}")
    return 1 if failures else 0


sys.exit(main())
