"""The limits of the machine: products of large matrices, and copies of memory.

A step or an embedding can reach at most the rate of a product.
"""

from collections.abc import Iterator
from typing import Any

from speed import tables
from speed.setup import Setup

SIZE = 2048
PRODUCTS = ("float32", "bfloat16")
COPY = "copy"


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each work with its figures on one core and on all cores."""
    for work in PRODUCTS:
        options = {"work": work, "size": SIZE // 8 if setup.short else SIZE}
        sides = [
            setup.ours("rates", options, name="TensorFlow"),
            setup.peer("PyTorch", "torch_rates", options),
        ]
        yield work, setup.compare(sides, {})
    copy = setup.ours("rates", {"work": COPY}, name="NumPy")
    yield COPY, setup.compare([copy], {})


def best(figures: tables.Figures, work: str, cores: str) -> float | None:
    """Returns the operations (for copies: bytes) a second of the fastest side."""
    found = []
    for side in figures.get(work, {}).get(cores, {}).get("sides", {}).values():
        if side["seconds"]:
            found.append((side["operations"] or 1) / side["seconds"])
    return max(found, default=None)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    rows = []
    for work, of_cores in figures.items():
        for cores in of_cores:
            rate = best(figures, work, cores)
            unit = "GB/s" if work == COPY else "GFLOP/s"
            title = "copy" if work == COPY else f"product of matrices, {work}"
            cell = f"{rate / 1e9:.1f} {unit}" if rate else tables.NOT_MEASURED
            rows.append([title, cores, cell])
    return tables.table(["work", "cores", "rate of the fastest program"], rows)
