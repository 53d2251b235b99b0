"""Tables of predictions: reading and checking them, and their columns as arrays.

A table has one row for each clip, with the columns clip, location, city and device (these three are
optional), truth, and one probability for each scene. It may come from any program: nothing here
depends on a model.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crossask import text_tables
from crossask.errors import DataError

# Every other column is a scene.
CLIP_COLUMNS = ("clip", "location", "city", "device", "truth")
OPTIONAL_COLUMNS = ("location", "city", "device")
LAYOUT = (
    "clip, location, city, device, truth, then one probability column for each scene "
    "(location, city and device may be left out)"
)
SUM_TOLERANCE = 1e-3
DECIMAL_COMMA = r"^(\d),(\d+(?:[eE]-?\d+)?)$"


class Predictions:
    """A checked table of predictions as arrays, sorted by clip.

    Sorting makes every score independent of the order of the table's rows.

    Attributes:
      scenes: Names of the scenes, in the order of the table's columns.
      clips: Names of the clips, [clips].
      labels: Names of the true scenes, [clips].
      location: Names of the locations, [clips]; None if the table has none.
      city: Names of the cities, [clips]; None if the table has none.
      device: Names of the devices, [clips]; None if the table has none.
      probabilities: Predicted probabilities, 0..1, [clips, scenes].
      truth: Indices of the true scenes in `scenes`, [clips].
      predicted: Indices of the predicted scenes in `scenes`, [clips]; the first one by name if
        several have the same probability, so that the order of the columns changes nothing.
      correct: 1.0 for a correct prediction, 0.0 for another one, [clips].
    """

    def __init__(self, table: pd.DataFrame):
        """Checks a table.

        Raises:
          DataError: See `check`.
        """
        table = table.rename(columns=str)
        check(table, "the table of predictions")
        table = sorted_by_clip(table)
        self.scenes = tuple(scenes_of(table))
        self.clips = table["clip"].to_numpy(str)
        self.labels = table["truth"].to_numpy(str)
        self.location = _names(table, "location")
        self.city = _names(table, "city")
        self.device = _names(table, "device")
        self.probabilities = table[list(self.scenes)].to_numpy(float)
        index_of = {scene: index for index, scene in enumerate(self.scenes)}
        self.truth = np.array([index_of[label] for label in self.labels])
        by_name = np.argsort(self.scenes, kind="stable")
        self.predicted = by_name[self.probabilities[:, by_name].argmax(axis=1)]
        self.correct = (self.predicted == self.truth).astype(float)

    @property
    def macro_accuracy(self) -> float:
        """Mean of the class-wise accuracies."""
        return macro_accuracy(self.correct, self.truth)

    @property
    def unit(self) -> str:
        """What the bootstrap draws: "location", or "clip" if the locations are unknown."""
        return "clip" if self.location is None else "location"

    @property
    def units(self) -> np.ndarray:
        """The location of each clip, or its name if the locations are unknown, [clips]."""
        return self.clips if self.location is None else self.location

    @property
    def has_clips(self) -> np.ndarray:
        """Whether there are clips of each scene, [scenes]."""
        return np.bincount(self.truth, minlength=len(self.scenes)) > 0

    def location_count(self, selected: np.ndarray | slice = slice(None)) -> int | None:
        """Returns the number of locations of the selected clips; None if they are unknown."""
        if self.location is None:
            return None
        return len(set(self.location[selected]))

    def confusion(self, scenes: tuple[str, ...]) -> np.ndarray:
        """Counts clips by true scene (rows) and predicted scene (columns), in order of `scenes`."""
        position = np.array([scenes.index(scene) for scene in self.scenes])
        counts = np.zeros((len(scenes), len(scenes)))
        np.add.at(counts, (position[self.truth], position[self.predicted]), 1)
        return counts

    def single_unit_scenes(self, selected: np.ndarray | slice = slice(None)) -> list[str]:
        """Returns the scenes whose selected clips all come from one location."""
        units = self.units[selected]
        truth = self.truth[selected]
        single = []
        for index, scene in enumerate(self.scenes):
            if len(set(units[truth == index])) == 1:
                single.append(scene)
        return single

    def notes(self) -> list[str]:
        """Returns sentences on how far the intervals of this table can be trusted."""
        notes = []
        if self.location is None:
            notes.append(
                "No locations are given: the interval resamples clips, which makes it too narrow "
                "where clips share a location."
            )
        single = self.single_unit_scenes()
        if single:
            notes.append(
                f"Scenes with a single {self.unit}: {', '.join(single)}. The interval is too "
                "narrow, and every verdict is “cannot tell”."
            )
        absent = [
            scene for scene, present in zip(self.scenes, self.has_clips, strict=True) if not present
        ]
        if absent:
            notes.append(
                f"No clip of {', '.join(absent)}: macro accuracy is the mean over the other scenes."
            )
        is_used = self.probabilities.any(axis=0)
        unused = [scene for scene in absent if not is_used[self.scenes.index(scene)]]
        if unused:
            notes.append(
                f"The column {', '.join(unused)} is 0 for every clip. If it is no scene, leave it "
                "out of the table."
            )
        highest = self.probabilities.max(axis=1, keepdims=True)
        ties = int(((self.probabilities == highest).sum(axis=1) > 1).sum())
        if ties:
            notes.append(
                f"In {ties} clips, several scenes have the same highest probability; the first one "
                "by name counts as predicted."
            )
        pairs = set(zip(self.units, self.truth, strict=True))
        if len(pairs) > len(set(self.units)):
            notes.append(
                "Some locations have clips of several scenes; the locations of each scene are "
                "drawn independently."
            )
        return notes


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Reads and checks a table of predictions.

    Args:
      path: A CSV file, or one with tabs between its cells.

    Returns:
      The table, without the columns `location`, `city` and `device` if they are empty. Without
      locations, `score` resamples clips.

    Raises:
      DataError: The file is missing or is not such a table (see `check`); the message contains the
        file, the row and the value.
    """
    path = Path(path)
    header, *rows = _read_cells(path)
    columns: dict[str, list[str] | np.ndarray] = {}
    for name, cells in zip(header, zip(*rows, strict=True), strict=True):
        if name not in CLIP_COLUMNS:
            columns[name] = _probabilities(cells, name, str(path))
        elif name not in OPTIONAL_COLUMNS or any(cells):
            columns[name] = list(cells)
    table = pd.DataFrame(columns)
    check(table, str(path))
    return table


def scenes_of(table: pd.DataFrame) -> list[str]:
    """Returns the names of the scenes of a table, in the order of its columns."""
    return [str(name) for name in table.columns if name not in CLIP_COLUMNS]


def check(table: pd.DataFrame, where: str) -> None:
    """Checks a table of predictions.

    Args:
      table: The table.
      where: Its file, for messages.

    Raises:
      DataError: A column is missing, a clip is repeated, a truth is not one of the scenes, a
        location, city or device is missing in some rows only, two of them differ only in blanks or
        case, a probability is outside 0..1, or the probabilities of a clip do not sum to 1 within
        1e-3. The message contains the first such row and its value.
    """
    scenes = scenes_of(table)
    _check_columns(table, where, scenes)

    row = _first(table["clip"].duplicated())
    if row is not None:
        raise _row_error(
            table, where, row, "repeats a clip of an earlier row", "Give each clip one row."
        )
    row = _first(~table["truth"].astype(str).isin(scenes))
    if row is not None:
        problem = f"has the truth {table['truth'].iloc[row]!r}"
        raise _row_error(table, where, row, problem, f"Its scenes are {', '.join(scenes)}.")
    for name in OPTIONAL_COLUMNS:
        if name not in table:
            continue
        is_filled = _is_filled(table[name])
        if not is_filled.any():
            continue
        row = _first(~is_filled)
        if row is not None:
            problem = f"has no {name}, other rows have"
            raise _row_error(table, where, row, problem, f"Give every clip its {name}, or none.")
        _check_spelling(table, where, name)
    _check_probabilities(table, where, scenes)


def sorted_by_clip(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table sorted by clip; numbers are sorted as the texts that other tables contain."""
    return table.sort_values("clip", kind="stable", key=lambda clips: clips.astype(str))


def pool(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Returns the predictions of several folds as one table.

    Raises:
      DataError: The folds have different scenes, or two of them contain the same clip.
    """
    tables = list(tables)
    scenes = [set(scenes_of(table)) for table in tables]
    if any(other != scenes[0] for other in scenes):
        raise DataError("The folds to pool have different scenes.", "Pool folds of one corpus.")
    # The inner join keeps an optional column only where every fold has it. A column that is
    # filled in part would add a location called "nan".
    pooled = pd.concat(tables, ignore_index=True, join="inner")
    repeated = pooled["clip"][pooled["clip"].duplicated()]
    if len(repeated):
        raise DataError(
            f"Clip {repeated.iloc[0]!r} is in the predictions of two folds.", "Pool each fold once."
        )
    return pooled


def aligned(tables: Iterable[pd.DataFrame | Predictions]) -> list[Predictions]:
    """Returns the predictions of several seeds as arrays.

    Args:
      tables: One table for each seed. `Predictions` are returned as they are, so that tables
        which are read several times are checked and sorted once.

    Raises:
      DataError: There is no table, or their clips or scenes differ.
    """
    seeds = []
    for table in tables:
        seeds.append(table if isinstance(table, Predictions) else Predictions(table))
    if not seeds:
        raise DataError("No table of predictions was given.", "Give at least one table a side.")
    first = seeds[0]
    for number, other in enumerate(seeds[1:], start=2):
        check_same_clips(first, other, "seed 1 of the list", f"seed {number}")
        if set(other.scenes) != set(first.scenes):
            raise DataError(
                "Two seeds of one row have different scenes.", "Compare seeds of one row only."
            )
    return seeds


def check_same_clips(a: Predictions, b: Predictions, name_a: str, name_b: str) -> None:
    """Checks that two tables contain the same clips, with the same truths and locations.

    Args:
      a: One table.
      b: The other table.
      name_a: Name of the first one in messages.
      name_b: Name of the second one in messages.

    Raises:
      DataError: The clips or truths differ, or the locations where both tables have them; the
        message contains the first difference.
    """
    if not np.array_equal(a.clips, b.clips):
        only_a = sorted(set(a.clips) - set(b.clips))
        only_b = sorted(set(b.clips) - set(a.clips))
        if only_a:
            lacking = name_b
            clip = only_a[0]
        else:
            lacking = name_a
            clip = only_b[0]
        raise DataError(
            f"The clips differ: {len(only_a)} only in {name_a}, {len(only_b)} only in {name_b}; "
            f"{lacking} lacks {str(clip)!r}.",
            "Compare predictions of the same clips.",
        )
    for column, left, right in (
        ("truth", a.labels, b.labels),
        ("location", a.location, b.location),
    ):
        if left is None or right is None:
            continue
        row = _first(left != right)
        if row is not None:
            raise DataError(
                f"Clip {str(a.clips[row])!r} has the {column} {str(left[row])!r} in {name_a} and "
                f"{str(right[row])!r} in {name_b}.",
                "Compare predictions of one corpus.",
            )


def macro_accuracy(correct: np.ndarray, truth: np.ndarray) -> float:
    """Computes macro accuracy, the mean of the class-wise accuracies (Section 3.2 of the paper).

    Args:
      correct: Correctness of each clip, 0..1, [clips].
      truth: Index of each clip's scene, [clips]; scenes without clips are left out of the mean.
    """
    clips = np.bincount(truth)
    present = clips > 0
    correct_clips = np.bincount(truth, weights=correct)
    return float(np.mean(correct_clips[present] / clips[present]))


def _read_cells(path: Path) -> list[list[str]]:
    """Returns the header and the rows of a file that are not blank."""
    if not path.is_file():
        raise DataError(
            f"There is no file of predictions {str(path)!r}.",
            "Run crossask-evaluate first, or give the path of a CSV file.",
        )
    rows = [cells for _, cells in text_tables.read_csv_lines(path)]
    if len(rows) < 2:
        raise DataError(
            f"{path} contains no predictions.",
            f"Give a header and one row for each clip: {LAYOUT}.",
        )
    header = rows[0]
    for name in header:
        if not name or header.count(name) > 1:
            raise DataError(
                f"The header of {path} has a column {name!r}, which is blank or repeated.",
                "Give each column a name of its own.",
            )
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise DataError(
                f"Row {number} of {path} has {len(row)} cells, its header {len(header)}.",
                "Complete the row.",
            )
    return rows


def _check_columns(table: pd.DataFrame, where: str, scenes: list[str]) -> None:
    for name in ("clip", "truth"):
        if name not in table:
            raise DataError(
                f"{where} has no column {name!r}; it has {', '.join(map(str, table.columns))}.",
                f"Columns: {LAYOUT}.",
            )
    if len(scenes) < 2 or not len(table):
        raise DataError(
            f"{where} has {len(table)} rows and {len(scenes)} scenes.", f"Columns: {LAYOUT}."
        )


def _check_spelling(table: pd.DataFrame, where: str, column: str) -> None:
    """Raises DataError for two names of a column that differ only in blanks or case."""
    first_of: dict[str, tuple[int, str]] = {}
    rows = np.flatnonzero(~table[column].duplicated()).tolist()
    names = table[column].iloc[rows]
    clips = table["clip"].iloc[rows]
    for row, name, clip in zip(rows, names, clips, strict=True):
        # A location that was made from the name of a file has that name's spelling.
        if text_tables.is_made_from_file(str(name), str(clip)):
            continue
        first_row, first = first_of.setdefault(text_tables.spelling_key(str(name)), (row, name))
        if first != name:
            problem = (
                f"has the {column} {name!r}, row {first_row + 1} the {column} {first!r}; they "
                f"{text_tables.difference_of(str(first), str(name))}"
            )
            raise _row_error(table, where, row, problem, "Write it in one way.")


def _check_probabilities(table: pd.DataFrame, where: str, scenes: list[str]) -> None:
    values = np.stack([_numbers(table[scene], scene, where) for scene in scenes], axis=1)
    # NaN is in no range, so it is outside, too.
    outside = ~((values >= 0) & (values <= 1))
    column = _first(outside.any(axis=0))
    if column is not None:
        row = _first(outside[:, column])
        problem = f"has {values[row, column]} in column {scenes[column]!r}"
        raise _row_error(table, where, row, problem, "Give probabilities from 0 to 1.")
    sums = values.sum(axis=1)
    row = _first(np.abs(sums - 1) > SUM_TOLERANCE)
    if row is not None:
        problem = f"has probabilities that sum to {sums[row]:.6g}"
        raise _row_error(table, where, row, problem, "Give probabilities that sum to 1.")


def _probabilities(cells: Sequence[str], scene: str, where: str) -> np.ndarray:
    """Returns the probabilities of a scene in a file; they may have a decimal comma."""
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        # A decimal comma: a probability has no other one.
        with_points = pd.Series(cells).str.replace(DECIMAL_COMMA, r"\1.\2", regex=True)
        return _numbers(with_points, scene, where)


def _numbers(column: pd.Series, scene: str, where: str) -> np.ndarray:
    """Returns a column of probabilities as numbers; the first cell that is none is an error."""
    try:
        return column.to_numpy(float)
    except (TypeError, ValueError):
        for number, value in enumerate(column, start=1):
            try:
                float(value)
            except (TypeError, ValueError):
                raise DataError(
                    f"Row {number} of {where} has {value!r} in column {scene!r}, which is not a "
                    "probability.",
                    f"Columns: {LAYOUT}. Leave other columns out.",
                ) from None
        raise


def _names(table: pd.DataFrame, column: str) -> np.ndarray | None:
    """Returns a column of names; None if it is missing or not filled in every row."""
    if column not in table or not _is_filled(table[column]).all():
        return None
    return table[column].to_numpy(str)


def _is_filled(column: pd.Series) -> pd.Series:
    """Returns whether each cell contains more than white space."""
    return column.notna() & column.astype(str).str.strip().astype(bool)


def _first(selected: pd.Series | np.ndarray) -> int | None:
    """Returns the position of the first True; None if there is none."""
    positions = np.flatnonzero(selected)
    return int(positions[0]) if len(positions) else None


def _row_error(table: pd.DataFrame, where: str, row: int, problem: str, fix: str) -> DataError:
    clip = table["clip"].iloc[row]
    return DataError(f"Row {row + 1} of {where} (clip {clip!r}) {problem}.", fix)
