"""What a pass of the scanner costs a page: by memory, by change, by duplicates; by index; on Linux."""

PAGES_A_MB = 256
SIZES = [64, 256, 1024]
DIFFERENCE = {"sizes": "MB", "changed": "% changed", "duplicate": "% duplicate"}


def measure(lab, side, index, mb, changed, duplicate):
    """Instructions and accesses to memory, a page of a pass; None where a kernel is left out."""
    words = ["--pages", str(mb * PAGES_A_MB), "--changed", str(changed),
             "--duplicate", str(duplicate), "--index", index]
    result = side("scan", words, counts=True, mem=mb + mb // 4 + 192)
    if result is None:
        return None
    rows, windows = result
    pages = int(rows[0][2])
    return [sum(window[i] for window in windows) / len(windows) / pages for i in range(2)]


def scale(lab, name, points, sides, fixed):
    """One scale: a table, a plot, and the lines of the page."""
    table = []
    for point in points:
        values = {**fixed, name: point}
        cells = []
        for index, side in sides:
            if index == "linux" and values["sizes"] > lab.setting("linux_max", [64])[0]:
                got = None  # it would take minutes a pass
            else:
                got = measure(lab, side, index, values["sizes"], values["changed"],
                              values["duplicate"])
            cells += [f"{got[0]:.1f}", f"{got[1]:.1f}"] if got else ["", ""]
        table.append([point, *cells])
    header = [name] + [f"{index} {what}" for index, _ in sides for what in ("instructions", "accesses")]
    lab.table(name, header, table)
    held = ", ".join(f"{value} {DIFFERENCE[key]}" for key, value in fixed.items() if key != name)
    lab.tell(f"\nA page of a pass, instructions (and accesses to memory), held still: {held}\n")
    lab.tell(f"{DIFFERENCE[name]:>12}" + "".join(f"{index:>22}" for index, _ in sides))
    for point, *cells in table:
        shown = [f"{float(cells[i]):,.0f} ({float(cells[i + 1]):,.0f})" if cells[i] else "-"
                 for i in range(0, len(cells), 2)]
        lab.tell(f"{point:>12}" + "".join(f"{text:>22}" for text in shown))
    lines = ", ".join(f"'{name}.csv' using 1:{2 * i + 2} with linespoints title '{index}'"
                      for i, (index, _) in enumerate(sides))
    scaled = "set logscale x 2\n" if name == "sizes" else ""
    lab.plot(name, f"{scaled}set logscale y\nset xlabel '{DIFFERENCE[name]}'\n"
                   f"set ylabel 'instructions a page of a pass'\nset grid\nset key outside\nplot {lines}")


def run(lab):
    indexes = lab.setting("indexes", None) or lab.indexes()
    sides = [(index, lab.merganser) for index in indexes]
    if lab.options.linux:
        sides.append(("linux", lab.linux))
    size = lab.setting("size", [16])[0]
    fixed = {"sizes": size, "changed": 0, "duplicate": 0}
    few = [0, 100] if lab.quick else [0, 10, 50, 100]
    scale(lab, "sizes", lab.setting("sizes", [8, 32] if lab.quick else SIZES), sides, fixed)
    scale(lab, "changed", lab.setting("changed", few), sides, fixed)
    scale(lab, "duplicate", lab.setting("duplicate", few), sides, fixed)
