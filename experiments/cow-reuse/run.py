"""What the last writer of a page pays under each policy, and how often there is one."""

POLICIES = ["exact", "count", "mapcount", "copy"]
CASES = {
    "fork_shared": "a child still shares the page",
    "fork_last": "the child that shared it has ended",
    "merge_shared": "merged, another mapping is left",
    "merge_last": "merged, no other mapping is left",
}
# Name, whether merging is on for the whole process tree, and the command.
WORKLOADS = [
    ("commands", False, "i=0; while [ $i -lt 60 ]; do /bin/busybox true; i=$((i+1)); done"),
    ("subshells", False, "i=0; while [ $i -lt 60 ]; do (x=$i; y=$x$x); i=$((i+1)); done"),
    ("substitutions", False, "i=0; while [ $i -lt 60 ]; do x=$(echo $i); i=$((i+1)); done"),
    ("pipelines", False, "i=0; while [ $i -lt 15 ]; do busybox seq 200 | busybox sort -r | "
                         "busybox uniq | busybox wc -l; i=$((i+1)); done"),
    ("text", False, "busybox find /usr/share/texts -name '*.h' | busybox head -n 40 | "
                    "busybox xargs busybox grep -h define | busybox awk '{n[$2]++} END "
                    "{for (k in n) print k}' | busybox sort | busybox wc -l"),
    # Eight shells that work and rest, and end one after the other; merged meanwhile.
    ("merged shells", True, "for n in 1 2 3 4 5 6 7 8; do busybox sh -c 'i=0; while [ $i -lt '$n'0 "
                            "]; do x=$(echo $i); y=$x$y; busybox usleep 20000; i=$((i+1)); done' & "
                            "done; wait"),
]
COUNTED = ["pgfault", "fork", "cow_copy", "cow_reuse", "cow_ksm", "cow_ksm_reuse", "cow_retry"]


def one_write(lab):
    rows = []
    for policy in POLICIES:
        rows += lab.merganser("writer", ["--cases", policy])
    rows += lab.linux("writer", ["--cases", "linux"]) or []
    figures = {(policy, case): float(value) for _, policy, case, value in rows}
    names = sorted({policy for policy, _ in figures}, key=[*POLICIES, "linux"].index)
    lab.table("cases", ["case", *names],
              [[case, *(figures[name, case] for name in names)] for case in CASES])
    lab.tell("Instructions for a write, by what the page is:\n")
    lab.tell(f"{'':38}" + "".join(f"{name:>10}" for name in names))
    for case, text in CASES.items():
        lab.tell(f"{text:38}" + "".join(f"{figures[name, case]:10,.0f}" for name in names))
    columns = ", ".join(f"'cases.csv' every ::1 using {i + 2}:xtic(1) title '{name}'"
                        for i, name in enumerate(names))
    lab.plot("cases", "set termoption noenhanced\nset xrange [-0.6:3.6]\n"
                      "set style data histogram\nset style fill solid 0.8\nset yrange [0:*]\n"
                      "set ylabel 'instructions a write'\nset key outside\nset grid y\n"
                      f"plot {columns}")
    return figures


def programs(lab):
    rows, table = {}, []
    workloads = WORKLOADS[:2] if lab.quick else WORKLOADS
    for name, merge, command in workloads:
        for policy in ["exact"] if merge else POLICIES:
            (row,) = lab.merganser("writer", ["--run", policy, name, "1" if merge else "0", command])
            rows[name, policy] = [int(cell) for cell in row[3:]]
            table.append([name, policy, *rows[name, policy]])
    lab.table("programs", ["workload", "policy", "instructions", *COUNTED], table)
    lab.tell("\nWrite faults on shared pages in real programs (BusyBox, under `exact`), and what the"
             "\nother policies make of the same commands, in instructions for all of it:\n")
    lab.tell(f"{'':18}{'copied':>8}{'reused':>8}{'share':>8}{'merged:':>10}{'copied':>8}{'reused':>8}"
             f"{'exact':>14}" + "".join(f"{policy:>10}" for policy in POLICIES[1:]))
    for name, merge, _ in workloads:
        total, _, _, copy, reuse, ksm_copy, ksm_reuse, _ = rows[name, "exact"]
        reuse -= ksm_reuse  # which counts as both
        share = reuse / (copy + reuse) if copy + reuse else 0
        line = f"{name:18}{copy:8,}{reuse:8,}{share:8.0%}{'':10}{ksm_copy:8,}{ksm_reuse:8,}"
        if not merge:  # where programs rest, instructions are not what passes
            line += f"{total:14,}" + "".join(f"{rows[name, policy][0] / total - 1:+10.2%}"
                                             for policy in POLICIES[1:])
        lab.tell(line)


def at_once(lab):
    rounds = 10 if lab.quick else 40
    rows = lab.merganser("writer", ["--together", "exact,count,copy", str(rounds)], smp=2)
    rows += lab.linux("writer", ["--together", "linux", str(rounds)], smp=2) or []
    rows = [row[1:] for row in rows]
    lab.table("together", ["policy", "how", "round", "parent_ns", "child_ns", "copies"], rows)
    lab.tell("\nParent and child write to the pages they share, on two CPUs. The time of a write is"
             f"\nreal time in an emulator: the quickest of {rounds} rounds, and the first quarter.\n")
    lab.tell(f"{'':10}{'at once: slower side':>26}{'copies':>8}"
             f"{'in turn: first':>22}{'second':>20}{'copies':>8}")
    for policy in dict.fromkeys(row[0] for row in rows):
        cells = []
        for how, sides in (("at_once", (max,)), ("in_turn", (lambda *t: t[0], lambda *t: t[1]))):
            mine = [row for row in rows if row[:2] == [policy, how]]
            for side in sides:
                times = sorted(side(float(row[3]), float(row[4])) for row in mine)
                cells.append(f"{times[0]:,.0f} / {times[len(times) // 4]:,.0f} ns")
            copies = sorted(float(row[5]) for row in mine)[len(mine) // 2]
            cells.append(f"{copies:.2f}" if policy != "linux" else "-")
        lab.tell(f"{policy:10}{cells[0]:>26}{cells[1]:>8}{cells[2]:>22}{cells[3]:>20}{cells[4]:>8}")


def run(lab):
    figures = one_write(lab)
    slower = [case for case in CASES if figures["exact", case] > figures["count", case]]
    lab.tell("\nexact costs more than count in: " + (", ".join(
        f"{case} (by {figures['exact', case] - figures['count', case]:,.0f})" for case in slower)
        or "no case"))
    programs(lab)
    at_once(lab)
