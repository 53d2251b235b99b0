"""Tables of figures in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
NOT_MEASURED = "no quiet round"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def comparisons(figures: Figures, unit: str) -> str:
    """Returns the table of a part that compares sides; see `rounds.summary` for the figures.

    Args:
      figures: Name of the work -> number of cores -> figures.
      unit: What is done in the time, such as "file".
    """
    header = ["work", "cores", "program", f"time a {unit}", "times crossask's"]
    header += ["CPU time, times crossask's", "largest difference"]
    rows = []
    for work, of_cores in figures.items():
        for cores, measured in of_cores.items():
            for name, side in measured["sides"].items():
                differences = measured["differences"].get(name, {})
                row = [work, cores, name, duration(side["seconds"])]
                # The first side is crossask's and has no ratio.
                if "ratio" in side:
                    row += [ratio(side), f"{side['cpu_ratio']:.2f}"]
                else:
                    row += ["", ""]
                row.append(f"{max(differences.values()):.1e}" if differences else "")
                rows.append(row)
    return table(header, rows)


def duration(seconds: float | None) -> str:
    """Returns a time with three digits in a unit that fits."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def ratio(side: Figures) -> str:
    """Returns a ratio and its quartiles."""
    if side["ratio"] is None:
        return NOT_MEASURED
    return f"{side['ratio']:.2f} ({side['ratio_low']:.2f} to {side['ratio_high']:.2f})"


def mebibytes(count: float) -> str:
    """Returns a number of bytes in MiB."""
    return f"{count / 2**20:,.0f} MiB"
