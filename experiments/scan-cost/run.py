"""What a pass of the scanner costs a page: by memory, by change, by duplicates; by index; on Linux."""

PAGES_A_MB = 256
DIFFERENCE = {"sizes": "MB", "changed": "% changed", "duplicate": "% duplicate"}
WHAT = ("instructions", "reads", "writes", "empty")
ALIKE = 1.05  # passes of one run that differ by more were disturbed, and the page says so
WITHIN = 1.1  # the aim: the dearest size costs at most so much more than the cheapest


def mean(windows, column, pages):
    return sum(window[column] for window in windows) / len(windows) / pages


def machine_mb(mb):
    """Memory for a machine of which so much will be registered."""
    return mb + mb // 4 + 192


def measure(lab, side, index, mb, changed=0, duplicate=0, mem=None):
    """Instructions, reads and writes, a page of a pass, and the instructions of an empty
    measurement; None where a kernel is left out."""
    words = ["--pages", str(mb * PAGES_A_MB), "--changed", str(changed),
             "--duplicate", str(duplicate), "--index", index]
    result = side("scan", words, counts=True, mem=mem or machine_mb(mb))
    if result is None:
        return None
    rows, windows = result
    pages, passes, empty = (int(rows[0][column]) for column in (2, 5, 6))
    if len(windows) != passes + empty:
        lab.fail(f"{len(windows)} measurements counted, not {passes + empty}")
    least, most = (choose(window[0] for window in windows[:passes]) for choose in (min, max))
    if most > least * ALIKE:
        lab.tell(f"{' '.join(words)}: passes differ, {least / pages:,.1f} to {most / pages:,.1f}")
    whole = [mean(windows[:passes], column, pages) for column in range(3)]
    return [*whole, mean(windows[passes:], 0, pages)]


def scale(lab, name, points, sides, fixed, limits):
    """One scale: a table, a plot, and the lines of the page. Returns {index: {point: figures}}."""
    table, found = [], {index: {} for index, _ in sides}
    for point in points:
        values = {**fixed, name: point}
        cells = []
        for index, side in sides:
            got = None
            if values["sizes"] <= limits.get(index, values["sizes"]):
                got = measure(lab, side, index, values["sizes"], values["changed"],
                              values["duplicate"])
            if got:
                found[index][point] = got
            cells += [f"{figure:.2f}" for figure in got] if got else [""] * len(WHAT)
        table.append([point, *cells])
        lab.table(name, [name, *(f"{index} {what}" for index, _ in sides for what in WHAT)], table)
    held = ", ".join(f"{value} {DIFFERENCE[key]}" for key, value in fixed.items() if key != name)
    lab.tell(f"\nA page of a pass, instructions (and reads of memory), held still: {held}\n")
    lab.tell(f"{DIFFERENCE[name]:>12}" + "".join(f"{index:>22}" for index, _ in sides))
    for point in points:
        shown = [f"{found[index][point][0]:,.1f} ({found[index][point][1]:,.1f})"
                 if point in found[index] else "-" for index, _ in sides]
        lab.tell(f"{point:>12}" + "".join(f"{text:>22}" for text in shown))
    lines = ", ".join(f"'{name}.csv' using 1:{len(WHAT) * i + 2} with linespoints title '{index}'"
                      for i, (index, _) in enumerate(sides))
    axis = f"set xtics ({', '.join(map(str, points))})\nset xrange "
    if name == "sizes":
        axis += f"[{min(points) * 0.8}:{max(points) * 1.25}]\nset logscale x 2\n"
    else:
        axis += "[-5:105]\n"
    lab.plot(name, f"{axis}set logscale y\nset xlabel '{DIFFERENCE[name]}'\n"
                   f"set ylabel 'instructions a page of a pass'\nset grid\nset key outside\nplot {lines}")
    return found


def judge(lab, sides, sizes):
    """Is unchanging memory as cheap a page, however much of it there is, and whatever the rest?"""
    lab.tell()
    for index, side in sides:
        figures = sizes[index]
        if len(figures) < 2:
            continue
        least, most = min(figures), max(figures)
        ratio = figures[most][0] / figures[least][0]
        spread = (max(figure[0] for figure in figures.values()) /
                  min(figure[0] for figure in figures.values()))
        lab.tell(f"{index}: a page at {most} MB costs {ratio:.3f} of what it does at {least} MB; "
                 f"dearest to cheapest {spread:.3f}, "
                 f"{'within' if spread <= WITHIN else 'more than'} a tenth")
        big = machine_mb(most)
        lab.tell(f"{'':{len(index)}}  {least} MB of a machine with {big} MB: "
                 f"{measure(lab, side, index, least, mem=big)[0]:,.1f} a page")


def run(lab):
    indexes = lab.setting("indexes", None) or lab.indexes()
    sides = [(index, lab.merganser) for index in indexes]
    if lab.options.linux:
        sides.append(("linux", lab.linux))
    fixed = {"sizes": lab.setting("size", [16 if lab.quick else 64])[0], "changed": 0, "duplicate": 0}
    few = [0, 100] if lab.quick else [0, 10, 50, 100]
    # Beyond these one boot takes many minutes, nearly all of it comparing pages.
    limits = {"tree": lab.setting("tree_max", [4096])[0], "linux": lab.setting("linux_max", [256])[0]}
    sizes = scale(lab, "sizes", lab.setting("sizes", [16, 64] if lab.quick else [64, 256, 1024, 4096]),
                  sides, fixed, limits)
    judge(lab, sides, sizes)
    others = [scale(lab, name, lab.setting(name, few), sides, fixed, limits)
              for name in ("changed", "duplicate")]
    lab.tell("\nCounted along with each pass, by an empty measurement, instructions a page (at most):")
    for index, _ in sides:
        empty = [(figures[3], figures[3] / figures[0]) for found in (sizes, *others)
                 for figures in found[index].values()]
        if empty:
            lab.tell(f"{index:>12}: {max(empty)[0]:.2f}, which is "
                     f"{max(share for _, share in empty):.1%} of a pass or less")
