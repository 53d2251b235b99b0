"""Tables of predictions, read and checked: anybody's, for nothing here knows a model."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from crossask.errors import DataError

DESCRIBING = ("clip", "location", "city", "truth")  # every other column is a scene
LAYOUT = "clip, location, city, truth, then one probability column a scene (location and city may be left out)"
SUM_TOLERANCE = 1e-3


def read_predictions(path) -> pd.DataFrame:
    """A checked table of predictions from a CSV (or tab-separated) file.

    Columns `location` and `city` that are missing or wholly blank are left out of the table; `score` then resamples clips.

    Raises:
      DataError: no such file; a missing or repeated column; a repeated clip; a probability outside 0..1; a row whose
        probabilities do not sum to 1 within 1e-3; a truth that is no scene. It names the file, the row and the value.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"There is no file of predictions {str(path)!r}.",
            "Run crossask-evaluate first, or give the path of a CSV file.",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error}).", f"Give a CSV file: {LAYOUT}."
        ) from error
    rows = list(
        csv.reader(text.splitlines(), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
    )
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise DataError(
            f"{path} holds no predictions.", f"Give a header and one row a clip: {LAYOUT}."
        )
    header = rows[0]
    bad = [name for name in header if not name or header.count(name) > 1]
    if bad:
        raise DataError(
            f"The header of {path} names a column {bad[0]!r}, blank or twice.",
            "Name each column once.",
        )
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise DataError(
                f"Row {number} of {path} has {len(row)} cells, its header {len(header)}.",
                "Complete the row.",
            )
    table = pd.DataFrame(rows[1:], columns=header)
    blank = [
        name
        for name in ("location", "city")
        if name in table and not table[name].astype(bool).any()
    ]
    table = table.drop(columns=blank)
    for scene in scenes_of(table):
        table[scene] = _numbers(table, scene, str(path))
    check(table, str(path))
    return table


def scenes_of(table) -> list[str]:
    return [str(name) for name in table.columns if name not in DESCRIBING]


def filled(column) -> bool:
    return bool(column.notna().all() and column.astype(str).str.strip().astype(bool).all())


def _numbers(table, scene: str, where: str) -> np.ndarray:
    try:
        return table[scene].to_numpy(float)
    except (TypeError, ValueError):
        for row, value in enumerate(table[scene], start=1):
            try:
                float(value)
            except (TypeError, ValueError):
                raise DataError(
                    f"Row {row} of {where} has {value!r} in column {scene!r}, not a probability.",
                    f"Columns: {LAYOUT}; leave any other out.",
                ) from None
        raise


def check(table, where: str):
    """Raises DataError unless the table is one: the first row at fault is named with its value."""
    for name in ("clip", "truth"):
        if name not in table:
            raise DataError(
                f"{where} has no column {name!r}; it has {', '.join(map(str, table.columns))}.",
                f"Columns: {LAYOUT}.",
            )
    scenes = scenes_of(table)
    if len(scenes) < 2 or not len(table):
        raise DataError(
            f"{where} has {len(table)} rows and {len(scenes)} scenes.", f"Columns: {LAYOUT}."
        )

    def fail(at, what: str, fix: str):
        row = int(np.flatnonzero(at)[0])
        raise DataError(
            f"Row {row + 1} of {where} (clip {table['clip'].iloc[row]!r}) {what(row)}.", fix
        )

    duplicated = table["clip"].duplicated().to_numpy()
    if duplicated.any():
        fail(duplicated, lambda row: "repeats a clip named above", "Give each clip one row.")
    unknown = ~table["truth"].isin(scenes).to_numpy()
    if unknown.any():
        fail(
            unknown,
            lambda row: f"has the truth {table['truth'].iloc[row]!r}",
            f"Its scenes are {', '.join(scenes)}.",
        )
    for name in ("location", "city"):
        blank = (
            ~(table[name].notna() & table[name].astype(str).str.strip().astype(bool)).to_numpy()
            if name in table
            else np.zeros(1, bool)
        )
        if blank.any() and not blank.all():
            fail(
                blank,
                lambda row, name=name: f"has no {name}, other rows have",
                f"Give every clip its {name}, or none.",
            )
    values = np.stack([_numbers(table, scene, where) for scene in scenes], axis=1)
    outside = ~((values >= 0) & (values <= 1))  # catches NaN too
    if outside.any():
        column = int(np.flatnonzero(outside.any(axis=0))[0])
        fail(
            outside[:, column],
            lambda row: f"has {values[row, column]} in column {scenes[column]!r}",
            "Give probabilities from 0 to 1.",
        )
    off = np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE
    if off.any():
        fail(
            off,
            lambda row: f"has probabilities that sum to {values[row].sum():.6g}",
            "Give probabilities that sum to 1.",
        )
