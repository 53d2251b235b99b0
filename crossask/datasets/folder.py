"""Any collection of sound files as a corpus: a sub-folder for each scene, or a CSV with labels."""

import collections
import dataclasses
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import text_tables
from crossask.audio import notices, reading
from crossask.datasets import leaks
from crossask.datasets.clip_tables import ClipLine, ClipTable
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError, shortened_list

# The table of a collection, in its folder.
TABLE = "clips.csv"
MOST_FOLDS = 5
# Names of the parts of one fold in tables of other programs -> the part.
PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluate": "test",
    "evaluation": "test",
}
# Names of folders that have a part or a fold of a corpus in them: "fold1", "fold_2".
FOLD_FOLDER = re.compile(r"fold[-_]?\d+")
# Columns of a table.
NEEDED_COLUMNS = ("filename", "scene")
OPTIONAL_COLUMNS = ("location", "city", "device", "fold")
# Texts of missing values that pandas has made of numbers and writes instead of empty cells.
MISSING = ("nan", "NaN", "<NA>")


def read(data_dir: str | Path, need_audio: bool = True, name: str = "folder") -> Corpus:
    """Reads a collection of sound files.

    `data_dir` is one of
      * a folder with one sub-folder for each scene, which may contain further folders: each file
        is a location of its own. One log line counts the files that are left out;
      * a CSV, or a folder with a file clips.csv, with the columns `filename` (absolute, or relative
        to the CSV) and `scene`, and optionally `location`, `city`, `device` and `fold`.

    With a column `fold`, each fold is evaluated after training on the others. If it says train, val
    (optional) and test, there is one fold, called 1. Without the column, the locations of each
    scene are distributed over at most five folds, so that no two folds share a location.

    Args:
      data_dir: The folder or the CSV.
      need_audio: Whether the files that a CSV lists must exist.
      name: Name of the data set.

    Raises:
      DataError: There is no sound file, a column or a file is missing, a scene has fewer than two
        locations, or a location is in two folds.
    """
    clips, fold_of = read_clips(data_dir, need_audio)
    return corpus_of(clips, fold_of, name)


def table_of(path: Path) -> Path:
    """Returns the path of the table of a collection: a CSV, or clips.csv in its folder."""
    return path if path.is_file() else path / TABLE


def read_clips(data_dir: str | Path, need_audio: bool = True) -> tuple[list[Clip], dict[str, str]]:
    """Returns the clips of a collection, and {clip id: name of its fold} if a CSV has folds.

    Arguments and errors are those of `read`.
    """
    path = Path(data_dir)
    table_path = table_of(path)
    if table_path.is_file():
        table = _read_table(table_path)
        clips = _clips_of_table(table, need_audio)
        if not clips:
            raise DataError(f"{table_path} lists no clips.", "Add a line for each clip.")
        return clips, _folds_of_table(table)
    if path.is_dir():
        return _clips_of_folders(path), {}
    raise DataError(
        f"There is no folder or CSV {str(path)!r}.",
        "Point --data_dir at a folder with one sub-folder for each scene, or at a CSV.",
    )


def corpus_of(
    clips: Sequence[Clip], fold_of: Mapping[str, str] | None = None, name: str = "folder"
) -> Corpus:
    """Returns the corpus of some clips.

    Args:
      clips: The clips.
      fold_of: Clip id -> name of its fold, or of its part of the only fold (train, val, test);
        empty: the locations are distributed over folds.
      name: Name of the data set.

    Raises:
      DataError: A scene has fewer than two locations, or a location is in two folds.
    """
    clips = _with_sources(clips)
    scenes = sorted({clip.scene for clip in clips})
    folds = _folds(clips, fold_of or _distribute(clips))
    return Corpus(name, tuple(scenes), tuple(clips), folds)


def _with_sources(clips: Sequence[Clip]) -> list[Clip]:
    """Returns clips in which parts and variants of one recording share a location.

    Locations that a table gives stay as they are.
    """
    source_of = leaks.sources(clip.id for clip in clips)
    changed = []
    moved = 0
    for clip in clips:
        source = source_of.get(clip.id)
        if source is not None and text_tables.is_name_of_file(clip.location, clip.id):
            clip = dataclasses.replace(clip, location=source)
            moved += 1
        changed.append(clip)
    if moved:
        notices.log_once(
            f"{moved} parts and variants",
            logging.INFO,
            "%d recordings are parts or variants of others by their names (such as walk_part2 or "
            "walk_aug1); those of one recording stay on one side of a split.",
            moved,
        )
    return changed


def _clips_of_folders(folder: Path) -> list[Clip]:
    """Returns the sound files in the sub-folders, and logs how many files are left out."""
    clips = []
    searched = reading.FolderContent()
    outside = []
    without_target = []
    without_sound = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            if path.is_symlink() and not path.exists():
                # It may be meant as a scene, on a disk that is not there.
                without_target.append(path)
            elif reading.is_sound_file(path):
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
    if without_target:
        names = shortened_list([path.name for path in without_target])
        reasons.append(f"{len(without_target)} links without a target ({names})")
    if without_sound:
        # One of them may be meant as a scene.
        names = shortened_list([path.name for path in without_sound])
        reasons.append(f"{len(without_sound)} folders without sound files ({names})")
    if searched.left_out:
        reasons.append(searched.left_out)
    left_out = ", ".join(reasons)
    if not clips:
        found = f" It contains {left_out}." if left_out else ""
        raise DataError(
            f"{folder} contains no sound files in sub-folders.{found}",
            f"Put {' '.join(reading.SUFFIXES)} files into one sub-folder for each scene.",
        )
    _check_are_scenes({clip.scene for clip in clips}, folder)
    _log_deeper(clips, folder)
    if left_out:
        notices.log_once(
            f"left out of {folder}", logging.INFO, "Left out of %s: %s.", folder, left_out
        )
    return clips


def _check_are_scenes(names: Iterable[str], folder: Path) -> None:
    """Raises DataError if all folders are called as parts or folds of a corpus, such as train.

    A network would learn to distinguish the parts.
    """
    for name in names:
        key = text_tables.spelling_key(name)
        if key not in PARTS and not FOLD_FOLDER.fullmatch(key):
            return
    listed = shortened_list(sorted(names))
    raise DataError(
        f"{folder} has a sub-folder for each part or fold ({listed}), and not for each scene.",
        "Give a CSV with the columns filename, scene and fold, or a folder with one sub-folder for "
        "each scene.",
    )


def _log_deeper(clips: Sequence[Clip], folder: Path) -> None:
    """Logs once how many recordings are in folders below those of the scenes."""
    deeper = [clip for clip in clips if len(Path(clip.id).parts) > 2]
    if deeper:
        notices.log_once(
            f"deeper in {folder}",
            logging.WARNING,
            "%d recordings in %s are in folders below those of the scenes (%s), and each one "
            "counts as a location. If such a folder is one place, give a CSV with a column "
            "location, so that its recordings stay on one side of a split.",
            len(deeper),
            folder,
            shortened_list(sorted({clip.scene for clip in clips})),
        )


def _clip_in_folder(file: Path, folder: Path) -> Clip:
    """Returns a sound file in the folder of a scene, or in a folder below that."""
    name = file.relative_to(folder)
    location = name.with_suffix("").as_posix()
    return Clip(name.as_posix(), str(file), name.parts[0], location)


def _read_table(path: Path) -> ClipTable:
    """Returns the CSV; each line has a name of its own and a scene."""
    table = _without_missing(text_tables.read_csv(path))
    table.require(NEEDED_COLUMNS, "Give a header with filename and scene.")
    table.check_optional(OPTIONAL_COLUMNS)
    _log_others(table)
    filled = ["scene"]
    for column in ("location", "fold"):
        # Spreadsheets also write the header of an empty column.
        if column in table.columns and any(table.column(column)):
            filled.append(column)
    return ClipTable(table, filled)


def _log_others(table: text_tables.Table) -> None:
    """Logs once which columns are not read: one of them may be meant as location or fold."""
    known = (*NEEDED_COLUMNS, *OPTIONAL_COLUMNS)
    others = [repr(column) for column in table.columns if column and column not in known]
    if others:
        notices.log_once(
            f"columns of {table.path}",
            logging.INFO,
            "Columns of %s that are not read: %s. Read are %s.",
            table.path,
            shortened_list(others),
            ", ".join(known),
        )


def _without_missing(table: text_tables.Table) -> text_tables.Table:
    """Returns a table in which the cells of MISSING are empty."""
    rows = []
    for row in table.rows:
        rows.append({name: "" if cell in MISSING else cell for name, cell in row.items()})
    return dataclasses.replace(table, rows=tuple(rows))


def _clips_of_table(lines: ClipTable, need_audio: bool) -> list[Clip]:
    clips = []
    missing = []
    table = lines.table
    for line in lines:
        # An absolute path remains as it is.
        path = table.path.parent / line.name
        if need_audio and not os.path.isfile(path):
            missing.append(f"{line.name!r} in line {line.number}")
        clip = Clip(
            line.name,
            str(path),
            line.row["scene"],
            line.row.get("location") or line.name,
            city=line.row.get("city", ""),
            device=line.row.get("device", ""),
            origin=line.origin,
        )
        clips.append(clip)
    if missing:
        raise DataError(
            f"{len(missing)} of {len(table.rows)} files that {table.path} lists do not exist, the "
            f"first is {missing[0]}.",
            "Correct the paths (they start at the folder of the table) or remove the lines.",
        )
    _log_cities_of_one_location(clips, table.path)
    return clips


def _log_cities_of_one_location(clips: Iterable[Clip], table: Path) -> None:
    """Logs once if a location has several cities: it may be the same name of several places."""
    cities_of: dict[str, set[str]] = {}
    for clip in clips:
        if clip.city:
            cities_of.setdefault(clip.location, set()).add(clip.city)
    shared = sorted(location for location, cities in cities_of.items() if len(cities) > 1)
    if shared:
        location = shared[0]
        cities = sorted(cities_of[location])
        notices.log_once(
            f"cities of one location in {table}",
            logging.WARNING,
            "%d locations in %s have several cities, such as %r with %s. Each counts as one place, "
            "in folds and in intervals. If they are several, name them by their cities: %s-%s.",
            len(shared),
            table,
            location,
            " and ".join(cities),
            cities[0],
            location,
        )


def _folds_of_table(lines: ClipTable) -> dict[str, str]:
    """Returns {clip id: name of its fold} from the column `fold`; {} without it, or if it is empty.

    Raises:
      DataError: The name of one fold is written in two ways, such as 1 and 01.
    """
    fold_of = {}
    line_of: dict[str, ClipLine] = {}
    for line in lines:
        fold = line.row.get("fold", "")
        if not fold:
            return {}
        fold = text_tables.without_fraction(fold)
        fold_of[line.name] = fold
        first = line_of.setdefault(_fold_key(fold), line)
        if fold_of[first.name] != fold:
            raise lines.table.line_error(
                line.number,
                f"has the fold {line.row['fold']!r}, and line {first.number} the fold "
                f"{first.row['fold']!r}",
                "Write a fold in one way.",
            )
    return fold_of


def _fold_key(fold: str) -> str:
    """Returns what the names of a fold have in common, such as 1 and 01, or Test and test."""
    return text_tables.spelling_key(fold).lstrip("0") or "0"


def _distribute(clips: Iterable[Clip]) -> dict[str, str]:
    """Returns {clip id: name of its fold}: each scene's locations in turn, in a seeded order.

    A location that was recorded for several scenes counts as one of the first of them.
    """
    scenes_at: dict[str, set[str]] = {}
    for clip in clips:
        scenes_at.setdefault(clip.location, set()).add(clip.scene)
    locations_of: dict[str, list[str]] = {}
    # Locations of each scene, whichever scenes were recorded there, too.
    counts: collections.Counter[str] = collections.Counter()
    for location in sorted(scenes_at):
        first_scene = min(scenes_at[location])
        locations_of.setdefault(first_scene, []).append(location)
        counts.update(scenes_at[location])
    smallest = min(counts, key=lambda scene: (counts[scene], scene))
    fewest = counts[smallest]
    if fewest < 2:
        raise DataError(
            f"Scene {smallest!r} has {fewest} location, so it cannot be split into training and "
            "evaluation. Without given locations, each recording counts as a location, and those "
            "of one source by their names (such as walk_part2, walk_aug1 or walk-B) count as one.",
            "Add recordings from other places, or give locations in a CSV.",
        )
    folds = min(MOST_FOLDS, fewest)
    rng = np.random.default_rng(0)
    fold_at = {}
    for scene in sorted(locations_of):
        for position, location in enumerate(rng.permutation(locations_of[scene])):
            fold_at[location] = str(position % folds + 1)
    return {clip.id: fold_at[clip.location] for clip in clips}


def _folds(clips: Sequence[Clip], fold_of: Mapping[str, str]) -> tuple[Fold, ...]:
    """Returns the folds; see `read`."""
    part_of = {}
    for name in set(fold_of.values()):
        part_of[name] = PARTS.get(text_tables.spelling_key(name))
    if any(part_of.values()):
        return (_fold_of_parts(clips, fold_of, part_of),)
    if len(part_of) == 1:
        raise DataError(
            f"The column fold has one value only, {min(part_of)!r}, so no clips are left to train "
            "on.",
            "Number at least two folds, or write train, val (optional) and test for one fold.",
        )
    folds = []
    # Shorter names first, so that fold 10 follows fold 9.
    for name in sorted(part_of, key=lambda name: (len(name), name)):
        train = tuple(clip.id for clip in clips if fold_of[clip.id] != name)
        evaluation = tuple(clip.id for clip in clips if fold_of[clip.id] == name)
        folds.append(Fold(name, train, evaluation))
    return tuple(folds)


def _fold_of_parts(
    clips: Sequence[Clip], fold_of: Mapping[str, str], part_of: Mapping[str, str | None]
) -> Fold:
    """Returns the fold of a column `fold` with the names of parts, such as train and test."""
    others = [name for name, part in part_of.items() if part is None]
    missing = [part for part in ("train", "test") if part not in part_of.values()]
    if others or missing:
        found = ", ".join(repr(name) for name in sorted(part_of))
        raise DataError(
            f"The column fold has the values {found}.",
            "Write train, val (optional) and test for one fold, or number the folds: each is "
            "evaluated after training on the others.",
        )
    ids: dict[str | None, list[str]] = {"train": [], "val": [], "test": []}
    for clip in clips:
        ids[part_of[fold_of[clip.id]]].append(clip.id)
    return Fold(
        "1",
        train=tuple(ids["train"] + ids["val"]),
        evaluation=tuple(ids["test"]),
        validation=tuple(ids["val"]),
    )
