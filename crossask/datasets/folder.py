"""Any collection of sound files as a corpus: a sub-folder for each scene, or a CSV with labels."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import text_tables
from crossask.audio import notices, reading
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError

MOST_FOLDS = 5


def read(data_dir: str | Path, need_audio: bool = True, name: str = "folder") -> Corpus:
    """Reads a collection of sound files.

    `data_dir` is one of
      * a folder with one sub-folder for each scene, which may contain further folders: each file
        is a location of its own. One log line counts the files that are left out;
      * a CSV, or a folder with a file clips.csv, with the columns `filename` (absolute, or relative
        to the CSV) and `scene`, and optionally `location`, `city`, `device` and `fold`.

    With a column `fold`, each fold is evaluated after training on the others. Without it, the
    locations of each scene are distributed over at most five folds, so that no two folds share a
    location.

    Args:
      data_dir: The folder or the CSV.
      need_audio: Whether the files that a CSV lists must exist.
      name: Name of the data set.

    Raises:
      DataError: There is no sound file, a column or a file is missing, a scene has fewer than two
        locations, or a location is in two folds.
    """
    path = Path(data_dir)
    table_path = path if path.is_file() else path / "clips.csv"
    fold_of = {}
    if table_path.is_file():
        table = _read_table(table_path)
        clips = _clips_of_table(table, need_audio)
        if "fold" in table.columns:
            fold_of = _folds_of_table(table)
    elif path.is_dir():
        clips = _clips_of_folders(path)
    else:
        raise DataError(
            f"There is no folder or CSV {str(path)!r}.",
            "Point --data_dir at a folder with one sub-folder for each scene, or at a CSV.",
        )
    if not clips:
        raise DataError(f"{table_path} lists no clips.", "Add a line for each clip.")
    return corpus_of(clips, fold_of, name)


def corpus_of(
    clips: Sequence[Clip], fold_of: Mapping[str, str] | None = None, name: str = "folder"
) -> Corpus:
    """Returns the corpus of some clips.

    Args:
      clips: The clips.
      fold_of: Clip id -> name of its fold; empty: the locations are distributed over folds.
      name: Name of the data set.

    Raises:
      DataError: A scene has fewer than two locations, or a location is in two folds.
    """
    scenes = sorted({clip.scene for clip in clips})
    folds = _folds(clips, fold_of or _distribute(clips))
    return Corpus(name, tuple(scenes), tuple(clips), folds)


def _clips_of_folders(folder: Path) -> list[Clip]:
    """Returns the sound files in the sub-folders, and logs how many files are left out."""
    clips = []
    searched = reading.FolderContent()
    outside = []
    without_sound = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            if reading.is_sound_file(path):
                outside.append(path)
            continue
        content = reading.folder_content(path)
        if not content.files:
            # For example the folder of the features.
            without_sound.append(path)
            continue
        searched += content
        clips += [_clip_in_folder(file, folder) for file in content.files]
    reasons = []
    if outside:
        reasons.append(f"{len(outside)} sound files outside of the folders of the scenes")
    if without_sound:
        reasons.append(f"{len(without_sound)} folders without sound files")
    if searched.left_out:
        reasons.append(searched.left_out)
    left_out = ", ".join(reasons)
    if not clips:
        found = f" It contains {left_out}." if left_out else ""
        raise DataError(
            f"{folder} contains no sound files in sub-folders.{found}",
            f"Put {' '.join(reading.SUFFIXES)} files into one sub-folder for each scene.",
        )
    if left_out:
        notices.log_once(
            f"left out of {folder}", logging.INFO, "Left out of %s: %s.", folder, left_out
        )
    return clips


def _clip_in_folder(file: Path, folder: Path) -> Clip:
    """Returns a sound file in the folder of a scene, or in a folder below that."""
    name = file.relative_to(folder)
    location = name.with_suffix("").as_posix()
    return Clip(name.as_posix(), str(file), name.parts[0], location)


def _read_table(path: Path) -> text_tables.Table:
    """Returns the CSV; every line has a file name and a scene."""
    table = text_tables.read_csv(path)
    table.require(("filename", "scene"), "Give a header with filename and scene.")
    for number, row in table.numbered_rows():
        if not row["filename"] or not row["scene"]:
            raise table.line_error(
                number,
                "lacks its filename or its scene",
                "Complete the line, or remove it.",
            )
    return table


def _clips_of_table(table: text_tables.Table, need_audio: bool) -> list[Clip]:
    clips = []
    missing = []
    for number, row in table.numbered_rows():
        name = row["filename"]
        # An absolute path remains as it is.
        path = table.path.parent / name
        if need_audio and not path.is_file():
            missing.append(f"{name!r} in line {number}")
        location = row.get("location") or name
        clip = Clip(
            name,
            str(path),
            row["scene"],
            location,
            city=row.get("city", ""),
            device=row.get("device", ""),
        )
        clips.append(clip)
    if missing:
        raise DataError(
            f"{len(missing)} of {len(table.rows)} files that {table.path} lists do not exist, the "
            f"first is {missing[0]}.",
            "Correct the paths (they start at the folder of the table) or remove the lines.",
        )
    return clips


def _folds_of_table(table: text_tables.Table) -> dict[str, str]:
    """Returns {clip id: name of its fold} from the column `fold`."""
    fold_of = {}
    for number, row in table.numbered_rows():
        if not row["fold"]:
            raise table.line_error(
                number, "has no fold", "Fill the column for every file, or remove it."
            )
        fold_of[row["filename"]] = row["fold"]
    return fold_of


def _distribute(clips: Iterable[Clip]) -> dict[str, str]:
    """Returns {clip id: name of its fold}: each scene's locations in turn, in a seeded order.

    A location that was recorded for several scenes counts as one of the first of them.
    """
    scenes_at: dict[str, set[str]] = {}
    for clip in clips:
        scenes_at.setdefault(clip.location, set()).add(clip.scene)
    locations_of: dict[str, list[str]] = {}
    for location in sorted(scenes_at):
        first_scene = min(scenes_at[location])
        locations_of.setdefault(first_scene, []).append(location)
    smallest = min(locations_of, key=lambda scene: len(locations_of[scene]))
    fewest = len(locations_of[smallest])
    if fewest < 2:
        raise DataError(
            f"Scene {smallest!r} has {fewest} location: it cannot be split.",
            "Add recordings from other places.",
        )
    folds = min(MOST_FOLDS, fewest)
    rng = np.random.default_rng(0)
    fold_at = {}
    for scene in sorted(locations_of):
        for position, location in enumerate(rng.permutation(locations_of[scene])):
            fold_at[location] = str(position % folds + 1)
    return {clip.id: fold_at[clip.location] for clip in clips}


def _folds(clips: Sequence[Clip], fold_of: Mapping[str, str]) -> tuple[Fold, ...]:
    """Returns one fold for each name, evaluated on its clips and trained on the others."""
    folds = []
    # Shorter names first, so that fold 10 follows fold 9.
    for name in sorted(set(fold_of.values()), key=lambda name: (len(name), name)):
        train = tuple(clip.id for clip in clips if fold_of[clip.id] != name)
        evaluation = tuple(clip.id for clip in clips if fold_of[clip.id] == name)
        folds.append(Fold(name, train, evaluation))
    return tuple(folds)
