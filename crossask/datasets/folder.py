"""Any collection of sound files as a corpus: one sub-folder a scene, or a CSV of files and labels."""

from pathlib import Path

import numpy as np

from crossask.audio import reading
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MOST_FOLDS = 5


def read(data_dir, need_audio: bool = True, name: str = "folder") -> Corpus:
    """Reads a collection.

    `data_dir` is one of
      * a folder with one sub-folder a scene: each file is its own location;
      * a folder that holds `clips.csv`, or the path of such a CSV, with a header: `filename` (absolute, or relative to
        the CSV) and `scene`, and optionally `location`, `city`, `fold`.

    Folds: with a `fold` column, fold k is evaluated on after training on the others. Without one, the locations of each
    scene are dealt to at most five folds, so that no fold shares a location with another.

    Args:
      need_audio: False: the files that a CSV names need not be there.
      name: of the data set in the table.

    Raises:
      DataError: no audio, a missing column or files, fewer than two locations of a scene, a location in two folds.
    """
    path = Path(data_dir)
    table = path if path.is_file() else path / "clips.csv"
    if table.is_file():
        clips, fold_names = _from_table(table, need_audio)
    elif path.is_dir():
        clips, fold_names = _from_folders(path), {}
    else:
        raise DataError(
            f"There is no folder or CSV {str(path)!r}.",
            "Point --data_dir at a folder with one sub-folder a scene, or at a CSV.",
        )
    if not clips:
        raise DataError(
            f"{path} holds no sound files.",
            f"Put {', '.join(AUDIO_SUFFIXES)} files into one sub-folder a scene.",
        )
    scenes = tuple(sorted({clip.scene for clip in clips}))
    if not fold_names:
        fold_names = _deal_folds(clips)
    folds = tuple(
        Fold(
            fold,
            tuple(c.id for c in clips if fold_names[c.id] != fold),
            tuple(c.id for c in clips if fold_names[c.id] == fold),
        )
        for fold in sorted(set(fold_names.values()), key=lambda n: (len(n), n))
    )
    return Corpus(name, scenes, tuple(clips), folds)


def _from_folders(folder: Path) -> list[Clip]:
    files = [p for p in sorted(folder.glob("*/*")) if p.suffix.lower() in AUDIO_SUFFIXES]
    return [
        Clip(f"{p.parent.name}/{p.name}", str(p), p.parent.name, f"{p.parent.name}/{p.stem}")
        for p in files
    ]


def _from_table(table: Path, need_audio: bool) -> tuple[list[Clip], dict[str, str]]:
    columns, rows = reading.read_table(table)
    for needed in ("filename", "scene"):
        if needed not in columns:
            raise DataError(
                f"{table} has no column {needed!r}; its columns are {columns}.",
                "Give a header with filename and scene.",
            )
    clips, fold_names, missing = [], {}, []
    for number, row in enumerate(rows, start=2):
        if not row["filename"] or not row["scene"]:
            raise DataError(
                f"Line {number} of {table} lacks its filename or its scene.",
                "Complete the line, or remove it.",
            )
        audio = Path(row["filename"])
        audio = audio if audio.is_absolute() else table.parent / audio
        if need_audio and not audio.is_file():
            missing.append((number, row["filename"]))
        clips.append(
            Clip(
                row["filename"],
                str(audio),
                row["scene"],
                row.get("location") or row["filename"],
                row.get("city") or "",
            )
        )
        if "fold" in columns:
            if not row["fold"]:
                raise DataError(
                    f"Line {number} of {table} has no fold.",
                    "Fill the column for every file, or remove it.",
                )
            fold_names[row["filename"]] = row["fold"]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(rows)} files that {table} names do not exist, the first is {missing[0][1]!r} in line {missing[0][0]}.",
            "Mend the paths (they start at the folder of the table) or remove the lines.",
        )
    return clips, fold_names


def _deal_folds(clips: list[Clip]) -> dict[str, str]:
    """Locations of each scene dealt in a seeded order; a location with several scenes stays in one fold."""
    scenes_of = {}
    for clip in clips:
        scenes_of.setdefault(clip.location, set()).add(clip.scene)
    by_scene = {}
    for location in sorted(scenes_of):
        by_scene.setdefault(sorted(scenes_of[location])[0], []).append(location)
    fewest = min(by_scene, key=lambda scene: len(by_scene[scene]))
    if len(by_scene[fewest]) < 2:
        raise DataError(
            f"Scene {fewest!r} has {len(by_scene[fewest])} location: it cannot be split.",
            "Add recordings from other places.",
        )
    folds, rng, fold_of = min(MOST_FOLDS, len(by_scene[fewest])), np.random.default_rng(0), {}
    for scene in sorted(by_scene):
        for position, location in enumerate(rng.permutation(by_scene[scene])):
            fold_of[location] = str(position % folds + 1)
    return {clip.id: fold_of[clip.location] for clip in clips}
