"""Labelled sound files: the events that an event model is pre-trained on."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import text_tables
from crossask.errors import DataError

CATEGORY_COLUMN = "category"
LABEL_COLUMNS = ("labels", "label", CATEGORY_COLUMN)


@dataclasses.dataclass(frozen=True)
class LabelledClip:
    """A sound file and the events in it.

    Attributes:
      path: Path of the file.
      labels: Names of the events.
      fold: Name of the fold; "" without folds.
    """

    path: str
    labels: tuple[str, ...]
    fold: str = ""


def read_labelled_clips(path: str | Path) -> tuple[LabelledClip, ...]:
    """Returns the labelled clips of a CSV with a header.

    Columns: `filename` (relative to the CSV or to its folder `audio`, or absolute) and either
    `category` (one label, as ESC-50) or `labels` (several, separated by commas or semicolons, as
    AudioSet); optionally `fold`. Several lines of one file are one clip with all their labels.

    Raises:
      DataError: The CSV, a column or a file is missing, a line has no label, or a file is in two
        folds.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"There is no CSV {str(path)!r}.",
            "Give a CSV with the columns filename and labels (or category).",
        )
    table = text_tables.read_csv(path)
    label_column = next((name for name in LABEL_COLUMNS if name in table.columns), None)
    if "filename" not in table.columns or label_column is None:
        raise DataError(
            f"{path} has the columns {list(table.columns)}.",
            "Give it a header with filename and labels (or category).",
        )
    table.check_optional((*LABEL_COLUMNS, "fold"))
    clips: dict[str, LabelledClip] = {}
    for number, row in table.numbered_rows():
        name = row["filename"]
        fold = row.get("fold", "")
        audio = _audio_path(table, name, number)
        labels = _labels(row[label_column], label_column)
        if not labels:
            raise table.line_error(
                number, "has no label", "Give at least one event, or remove the line."
            )
        earlier = clips.get(audio, LabelledClip(audio, (), fold))
        if earlier.fold != fold:
            raise DataError(
                f"{name!r} is in fold {earlier.fold!r}, and in line {number} of {path} in "
                f"{fold!r}.",
                "Assign it to one fold.",
            )
        # A dictionary keeps the order and drops repetitions.
        distinct = tuple(dict.fromkeys((*earlier.labels, *labels)))
        clips[audio] = LabelledClip(audio, distinct, fold)
    _check_spelling(path, clips.values())
    _check_files(path, clips.values())
    return tuple(clips.values())


def _check_spelling(path: Path, clips: Iterable[LabelledClip]) -> None:
    """Raises DataError for two labels that differ only in blanks or case."""
    first_of: dict[str, str] = {}
    for clip in clips:
        for label in clip.labels:
            first = first_of.setdefault(text_tables.spelling_key(label), label)
            if first != label:
                raise DataError(
                    f"{path} has the labels {first!r} and {label!r} (of {clip.path}), which "
                    f"{text_tables.difference_of(first, label)}.",
                    "Write the label in one way.",
                )


def _check_files(path: Path, clips: Iterable[LabelledClip]) -> None:
    """Raises DataError for one file by two names, such as a link."""
    first_at: dict[str, LabelledClip] = {}
    for clip in clips:
        first = first_at.setdefault(os.path.realpath(clip.path), clip)
        if first is not clip:
            raise DataError(
                f"{path} lists {first.path} and {clip.path}, which are the same file.",
                "Remove one of them; one file may have several lines and labels.",
            )


def check_apart(
    training: Iterable[LabelledClip],
    test: Iterable[LabelledClip],
    hash_of: Mapping[str, str],
    what: str = "bytes",
) -> None:
    """Raises DataError for a test clip with the same content as a training clip.

    Args:
      training: The clips to train on.
      test: The test clips.
      hash_of: Path of each file -> a hash of its content. Some may have none.
      what: What is hashed, for the message.
    """
    trained = {}
    for clip in training:
        if clip.path in hash_of:
            trained[hash_of[clip.path]] = clip.path
    for clip in test:
        same = trained.get(hash_of.get(clip.path, ""))
        if same is not None:
            raise DataError(
                f"The test clip {clip.path} contains the same {what} as the training clip {same}.",
                "Remove one of them: scores on training clips mean nothing.",
            )


def validation_split(
    clips: Sequence[LabelledClip], share: float, seed: int
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Returns clips to train on and clips to validate on: the same share of each first label."""
    rng = np.random.default_rng(seed)
    by_label: dict[str, list[LabelledClip]] = {}
    for clip in clips:
        by_label.setdefault(clip.labels[0], []).append(clip)
    chosen = set()
    for label in sorted(by_label):
        members = by_label[label]
        count = int(share * len(members))
        for index in rng.permutation(len(members))[:count]:
            chosen.add(members[index])
    training = [clip for clip in clips if clip not in chosen]
    validation = [clip for clip in clips if clip in chosen]
    return training, validation


def _audio_path(table: text_tables.Table, name: str, number: int) -> str:
    """Returns the path of a file, beside the CSV or in its folder `audio`.

    Args:
      table: The CSV.
      name: Name of the file, as the CSV has it.
      number: Number of the line that lists it, for the error.

    Raises:
      DataError: There is no such file.
    """
    folder = table.path.parent
    for place in (folder, folder / "audio"):
        path = place / text_tables.file_name(name, place)
        if os.path.isfile(path):
            return str(path)
    raise table.line_error(
        number,
        f"lists {name!r}, which does not exist",
        "Correct the path or remove the line.",
    )


def _labels(cell: str, column: str) -> list[str]:
    """Returns the labels in a cell; a category is one label, also with a comma in it."""
    if column == CATEGORY_COLUMN:
        cells = [cell]
    else:
        cells = cell.replace(";", ",").split(",")
    labels = [label.strip() for label in cells]
    return [label for label in labels if label]
