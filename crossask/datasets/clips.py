"""What a corpus is to the rest of the code: clips with one scene and one location each, and folds that share no location."""

import dataclasses
import functools
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from crossask.errors import DataError

FINGERPRINT_BYTES = 65536  # read from either end of a file: enough to tell two recordings apart, cheap on 35 GB


@dataclasses.dataclass(frozen=True)
class Clip:
    """One audio file. `location` is the place recorded; clips of one location never stand on both sides of a split."""

    id: str
    path: str
    scene: str
    location: str
    city: str = ""


@dataclasses.dataclass(frozen=True)
class Fold:
    """Clip ids to train on and to evaluate on."""

    name: str
    train: tuple[str, ...]
    evaluation: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A checked corpus: every clip's scene is known, every fold's clips exist, no location stands on both sides."""

    name: str
    scenes: tuple[str, ...]
    clips: tuple[Clip, ...]
    folds: tuple[Fold, ...]

    def __post_init__(self):
        if not self.clips:
            raise DataError(f"Corpus {self.name!r} holds no clips.", "Check --data_dir.")
        by_id = {clip.id: clip for clip in self.clips}
        if len(by_id) != len(self.clips):
            seen = set()
            twice = next(clip.id for clip in self.clips if clip.id in seen or seen.add(clip.id))
            raise DataError(f"Clip {twice!r} stands twice in corpus {self.name!r}.", "Remove one of the two lines from its metadata.")
        for clip in self.clips:
            if clip.scene not in self.scenes:
                raise DataError(f"Clip {clip.id!r} has the unknown scene {clip.scene!r}.", f"Known scenes: {', '.join(self.scenes)}.")
        for fold in self.folds:
            _check_fold(self.name, fold, by_id)

    def fold(self, name: str) -> Fold:
        for fold in self.folds:
            if fold.name == name:
                return fold
        raise DataError(f"Corpus {self.name!r} has no fold {name!r}.", f"Its folds: {', '.join(f.name for f in self.folds)}.")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits over every clip's id, scene, location, file size and both ends of its bytes."""
        lines = []
        for clip in sorted(self.clips, key=lambda c: c.id):
            lines.append([clip.id, clip.scene, clip.location, *_file_marks(clip.path)])
        return hashlib.sha256(json.dumps([self.name, list(self.scenes), lines]).encode()).hexdigest()[:16]


def validation_split(corpus: Corpus, train_ids, share: float, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cuts a validation part from a training fold, disjoint by location, balanced by class and city.

    Per class and city, ceil(share * locations) of the locations go to validation, as in the DCASE 2019 baseline, but
    never all of a city's, so that no class and no city leaves the training part.

    Returns:
      (training ids, validation ids), in the order of `train_ids`.
    """
    if not 0 < share < 1:
        raise DataError(f"The validation share is {share}.", "Set training.validation_share between 0 and 1.")
    clips = {clip.id: clip for clip in corpus.clips}
    groups = {}
    for clip_id in train_ids:
        clip = clips[clip_id]
        groups.setdefault(clip.scene, {}).setdefault(clip.city, set()).add(clip.location)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5EED]))
    chosen = set()
    for scene in sorted(groups):
        cities = groups[scene]
        if len(set().union(*cities.values())) < 2:
            raise DataError(
                f"Scene {scene!r} has one location in the training fold: nothing is left to validate on.",
                "Record more locations of it, or leave the scene out.",
            )
        # a city's only location cannot stand on both sides: such cities are drawn together
        single = set().union(*(places for places in cities.values() if len(places) == 1))
        pools = [places for places in cities.values() if len(places) > 1] + ([single] if single else [])
        for pool in sorted(sorted(places) for places in pools):
            count = min(math.ceil(share * len(pool)), len(pool) - 1)
            chosen |= set(rng.permutation(pool)[:count].tolist())
    # a location recorded for two scenes goes to validation with both, or it would stand on both sides
    validation = tuple(i for i in train_ids if clips[i].location in chosen)
    training = tuple(i for i in train_ids if clips[i].location not in chosen)
    missing = {clips[i].scene for i in train_ids} - {clips[i].scene for i in training}
    if missing:
        raise DataError(
            f"No training clip of {', '.join(sorted(missing))} is left after the validation split.",
            "Lower training.validation_share, or add locations of these scenes.",
        )
    return training, validation


def read_table(path, columns: tuple[str, ...] | None, minimum: int = 1) -> list[dict]:
    """Rows of a tab-separated file as dictionaries; with `columns` given the file has no header."""
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"There is no file {str(path)!r}.", "Point --data_dir at the folder that holds the corpus's own files, or prepare it first."
        )
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    names = list(columns) if columns else lines[0] if lines else []
    rows = []
    for number, cells in enumerate(lines[0 if columns else 1 :], start=1 if columns else 2):
        if len(cells) < minimum or len(cells) > len(names):
            raise DataError(f"Line {number} of {path} has {len(cells)} columns.", f"Expected tab-separated {', '.join(names)}.")
        rows.append(dict(zip(names, (cell.strip() for cell in cells), strict=False)))
    return rows


def existing_audio(folder: Path, name: str) -> str:
    """The path of `name` below `folder`, also where the corpus was re-packed as FLAC."""
    path = folder / name
    if path.is_file():
        return str(path)
    flac = path.with_suffix(".flac")
    if flac.is_file():
        return str(flac)
    raise DataError(f"The metadata names {name!r}, but {path} does not exist (nor as .flac).", "Complete the corpus, or mend --data_dir.")


def _check_fold(corpus_name: str, fold: Fold, by_id: dict):
    for side, ids in (("train", fold.train), ("evaluation", fold.evaluation)):
        if not ids:
            raise DataError(f"Fold {fold.name!r} of {corpus_name!r} has no {side} clips.", "Check the fold files.")
        unknown = next((i for i in ids if i not in by_id), None)
        if unknown is not None:
            raise DataError(f"Fold {fold.name!r} names {unknown!r}, which the metadata lacks.", "Use metadata and folds of one release.")
    shared = {by_id[i].location for i in fold.train} & {by_id[i].location for i in fold.evaluation}
    if shared:
        raise DataError(
            f"Location {sorted(shared)[0]!r} stands on both sides of fold {fold.name!r} ({len(shared)} locations do).",
            "Move all clips of a location to one side: scores on places already heard mean nothing.",
        )


def _file_marks(path: str) -> list:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        ends = file.read(FINGERPRINT_BYTES)
        file.seek(max(0, size - FINGERPRINT_BYTES))
        ends += file.read(FINGERPRINT_BYTES)
    return [size, hashlib.sha256(ends).hexdigest()[:16]]
