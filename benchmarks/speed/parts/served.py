"""The memory of one call of the SavedModel of FA, 48 kHz stereo: 10 minutes against 1 minute."""

from collections.abc import Iterator
from typing import Any

import served_memory

from speed import tables, trained
from speed.setup import Setup

MINUTES = (1, 10)


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each number of minutes with {"call_bytes", "seconds"}."""
    model = trained.export(setup).saved_model
    for minutes in MINUTES:
        usage = served_memory.call(str(model), "waveform", 60 * minutes, 48000)
        call_bytes = 2**20 * usage.call_mebibytes
        yield str(minutes), {"call_bytes": call_bytes, "seconds": usage.seconds}


def growth(figures: tables.Figures) -> float:
    """Returns the memory of the longest recording divided by that of the shortest."""
    calls = [of_length["call_bytes"] for of_length in figures.values()]
    return calls[-1] / calls[0]


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    rows = []
    for minutes, of_length in figures.items():
        memory = tables.mebibytes(of_length["call_bytes"])
        rows.append([minutes, memory, tables.duration(of_length["seconds"])])
    return tables.table(["minutes", "memory of the call", "time"], rows)
