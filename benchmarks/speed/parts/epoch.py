"""Training steps on batches of the feature cache against steps on one batch that is repeated.

The ratio is the time with the cache divided by the time without; at 1, reading costs nothing.
"""

from collections.abc import Iterator
from typing import Any

from speed import rounds, rows, tables, trained
from speed.setup import Setup

ROWS = ("fa", "vem_feature_based", "cmam_feature_based")
SYNTHETIC = "one batch, repeated"
CACHE = "feature cache"


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each row with its figures on one core and on all cores."""
    folder = setup.folder("epoch")
    table = trained.write_corpus(folder / "clips", 16 if setup.short else 96)
    for row in ROWS:
        options = {
            **rows.options(
                row,
                setup.short,
                "dataset=folder",
                "event_model.weights=",
                f"training.batch_size={4 if setup.short else 8}",
            ),
            "data_dir": str(table),
            "features_dir": str(folder / "features"),
        }
        sides = [
            setup.ours("epoch", options | {"reads_cache": False}, name=SYNTHETIC),
            setup.ours("epoch", options | {"reads_cache": True}, name=CACHE),
        ]
        yield row, setup.compare(sides, {})


def worst_row(figures: tables.Figures) -> float | None:
    """Returns the largest ratio on one core."""
    ratios = [rounds.ratio_on_one_core(of_row, CACHE) for of_row in figures.values()]
    return None if None in ratios else max(ratios)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    rows = []
    for row, of_cores in figures.items():
        for cores, measured in of_cores.items():
            synthetic = measured["sides"][SYNTHETIC]
            cache = measured["sides"][CACHE]
            times = [tables.duration(synthetic["seconds"]), tables.duration(cache["seconds"])]
            rows.append([row, cores, *times, tables.ratio(cache)])
    return tables.table(["row", "cores", SYNTHETIC, CACHE, "ratio"], rows)
