"""`crossask prepare` for more and more clips of 10 s on all cores: time and peak memory.

The clips are copies of eight recordings. The features are those of FA. 10,000 clips are measured
with `CLIPS=10000` and need 35 GB on disk.
"""

from collections.abc import Iterator
from typing import Any

from speed import commands, rows, tables, trained
from speed.setup import Setup

SIZES = (100, 1000, 10000)
SHORT_SIZES = (10, 20)


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each number of clips with {"seconds", "peak_bytes"}."""
    for clips in SHORT_SIZES if setup.short else SIZES:
        if clips > setup.clips:
            break
        folder = setup.folder(f"growth_{clips}")
        table = trained.write_corpus(folder / "clips", clips)
        words = [
            "prepare",
            f"--experiment={rows.PAPER}:fa",
            f"--data_dir={table}",
            f"--features_dir={folder / 'features'}",
            "--dataset=folder",
            "--params_override=dataset=folder",
        ]
        usage = commands.run(commands.crossask(*words), setup.all_cores)
        yield str(clips), {"seconds": usage.seconds, "peak_bytes": usage.peak_bytes}


def memory_growth(figures: tables.Figures) -> float:
    """Returns the peak memory for most clips divided by that for fewest."""
    peaks = [of_size["peak_bytes"] for of_size in figures.values()]
    return peaks[-1] / peaks[0]


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    rows = []
    for clips, of_size in figures.items():
        speed = int(clips) / of_size["seconds"]
        rows.append(
            [
                f"{int(clips):,}",
                f"{of_size['seconds']:.1f} s",
                f"{speed:.1f}",
                tables.mebibytes(of_size["peak_bytes"]),
            ]
        )
    return tables.table(["clips", "time", "files a second", "peak memory"], rows)
