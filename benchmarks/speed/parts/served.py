"""The memory of one call of the SavedModel of FA, 48 kHz stereo: 10 minutes against 1 minute.

The memory of a call depends on how its threads meet, so it is the median of several calls, each in
a process of its own.
"""

import statistics
from collections.abc import Iterator
from typing import Any

import served_memory

from speed import tables, trained
from speed.setup import Setup

MINUTES = (1, 10)
CALLS = 5


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each number of minutes with the medians "call_bytes" and "seconds", and the range."""
    model = trained.export(setup).saved_model
    for minutes in MINUTES:
        usages = []
        for _ in range(1 if setup.short else CALLS):
            usages.append(served_memory.call(str(model), "waveform", 60 * minutes, 48000))
        mebibytes = [usage.call_mebibytes for usage in usages]
        yield (
            str(minutes),
            {
                "call_bytes": 2**20 * statistics.median(mebibytes),
                "least_bytes": 2**20 * min(mebibytes),
                "most_bytes": 2**20 * max(mebibytes),
                "seconds": statistics.median(usage.seconds for usage in usages),
            },
        )


def growth(figures: tables.Figures) -> float:
    """Returns the memory of the longest recording divided by that of the shortest."""
    calls = [of_length["call_bytes"] for of_length in figures.values()]
    return calls[-1] / calls[0]


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    rows = []
    for minutes, of_length in figures.items():
        least = tables.mebibytes(of_length["least_bytes"])
        most = tables.mebibytes(of_length["most_bytes"])
        memory = f"{tables.mebibytes(of_length['call_bytes'])} ({least} to {most})"
        rows.append([minutes, memory, tables.duration(of_length["seconds"])])
    return tables.table(["minutes", "memory of the call", "time"], rows)
