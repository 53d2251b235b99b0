"""What a corpus is to the rest of the code: clips with one scene and one location each, and folds that share no location."""

import collections
import dataclasses
import functools
import hashlib
import json
import math
import os
import shlex
from pathlib import Path

import numpy as np

from crossask.config import catalogue
from crossask.errors import DataError
from crossask.evaluation.predictions import DESCRIBING

DRAWS = 100  # of a validation part, as the DCASE 2019 baseline
FINGERPRINT_BYTES = (
    65536  # read from either end of a file: enough to tell two recordings apart, cheap on 35 GB
)


@dataclasses.dataclass(frozen=True)
class Clip:
    """One audio file. `location` is the place recorded; clips of one location never stand on both sides of a split.

    A blank location is an unknown one: it is in no check, and no resampling goes by it.
    """

    id: str
    path: str
    scene: str
    location: str
    city: str = ""


@dataclasses.dataclass(frozen=True)
class Fold:
    """Clip ids to train on and to evaluate on; `validation` are those of `train` that the corpus itself sets aside, if it does."""

    name: str
    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    validation: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A checked corpus: every clip's scene is known, every fold's clips exist, no location stands on both sides.

    `unused`: clips of the metadata that are in no fold and left out. `faulty`: clips that the corpus marks as partly damaged, and
    that are kept. `official_folds`: the names of all folds of the release, where it fixes them; `folds` may be fewer.
    `ready_made`: the clips are no sounds but embeddings, in the .npz that their paths name.
    """

    name: str
    scenes: tuple[str, ...]
    clips: tuple[Clip, ...]
    folds: tuple[Fold, ...]
    unused: int = 0
    faulty: int = 0
    official_folds: tuple[str, ...] = ()
    ready_made: bool = False

    def __post_init__(self):
        if not self.clips:
            raise DataError(f"Corpus {self.name!r} holds no clips.", "Check --data_dir.")
        if wrong := [scene for scene in self.scenes if not scene.strip() or scene in DESCRIBING]:
            raise DataError(
                f"Corpus {self.name!r} has a scene called {wrong[0]!r}.",
                f"Rename it: {', '.join(DESCRIBING)} name columns of predictions.",
            )
        by_id = {clip.id: clip for clip in self.clips}
        if len(by_id) != len(self.clips):
            seen = set()
            twice = next(clip.id for clip in self.clips if clip.id in seen or seen.add(clip.id))
            raise DataError(
                f"Clip {twice!r} stands twice in corpus {self.name!r}.",
                "Remove one of the two lines from its metadata.",
            )
        for clip in self.clips:
            if clip.scene not in self.scenes:
                raise DataError(
                    f"Clip {clip.id!r} has the unknown scene {clip.scene!r}.",
                    f"Known scenes: {', '.join(self.scenes)}.",
                )
        for fold in self.folds:
            _check_fold(self.name, fold, by_id)

    def fold(self, name: str) -> Fold:
        for fold in self.folds:
            if fold.name == name:
                return fold
        here = [fold.name for fold in self.folds]
        missing = [official for official in self.official_folds if official not in here]
        if name in missing:
            raise DataError(
                f"Fold {name!r} of corpus {self.name!r} is not there: {len(self.official_folds)} folds are needed, the files of"
                f" {', '.join(missing)} are missing.",
                f"Add them to its evaluation_setup (crossask-prepare --dataset={self.name} --download fetches them), or name the"
                f" folds {', '.join(here)} alone.",
            )
        raise DataError(
            f"Corpus {self.name!r} has no fold {name!r}.", f"Its folds: {', '.join(here)}."
        )

    def training_cities(self, fold: str) -> list[str] | None:
        """The cities of the fold's training clips; None where one of them has no city, for then none is known to be unseen."""
        wanted = set(self.fold(fold).train)
        cities = {clip.city for clip in self.clips if clip.id in wanted}
        return None if "" in cities else sorted(cities)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits over every clip's id, scene, location, file size and both ends of its bytes.

        Raises:
          DataError: a file cannot be read; so it is with a corpus that was read without its audio.
        """
        lines, marks = [], functools.cache(_file_marks)
        for clip in sorted(self.clips, key=lambda c: c.id):
            lines.append([clip.id, clip.scene, clip.location, *marks(clip.path)])
        return hashlib.sha256(
            json.dumps([self.name, list(self.scenes), lines]).encode()
        ).hexdigest()[:16]


def training_parts(
    corpus: Corpus, fold: Fold, share: float, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(ids to train on, ids to validate on): the parts that the corpus fixes, else those of `validation_split`."""
    if not fold.validation:
        return validation_split(corpus, fold.train, share, seed)
    aside = set(fold.validation)
    return tuple(clip_id for clip_id in fold.train if clip_id not in aside), fold.validation


def validation_split(
    corpus: Corpus, train_ids, share: float, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cuts a validation part from a training fold, disjoint by location, balanced by class and city.

    Per class and city, ceil(share * locations) of the locations go to validation, as in the DCASE 2019 baseline, but
    never all of a city's, so that no class and no city leaves the training part. Of 100 such draws a class's is the one whose
    share of clips is nearest to `share`, as there.

    Returns:
      (training ids, validation ids), in the order of `train_ids`.
    """
    if not 0 < share < 1:
        raise DataError(
            f"The validation share is {share}.", "Set training.validation_share between 0 and 1."
        )
    clips = {clip.id: clip for clip in corpus.clips}
    groups = {}
    for clip_id in train_ids:
        clip = clips[clip_id]
        groups.setdefault(clip.scene, {}).setdefault(clip.city, set()).add(clip.location)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5EED]))
    chosen = set()
    for scene in sorted(groups):
        cities = groups[scene]
        places = sorted(set().union(*cities.values()))
        if len(places) < 2:
            raise DataError(
                f"Scene {scene!r} has one location in the training fold: nothing is left to validate on.",
                "Record more locations of it, or leave the scene out.",
            )
        sizes = collections.Counter(clips[i].location for i in train_ids if clips[i].scene == scene)
        # a city's only location cannot stand on both sides: such cities are drawn together
        single = set().union(*(places for places in cities.values() if len(places) == 1))
        pools = sorted(
            sorted(places)
            for places in [*(p for p in cities.values() if len(p) > 1), single]
            if places
        )
        draws = [_draw(rng, pools, share) for _ in range(DRAWS)]
        chosen |= min(
            draws,
            key=lambda drawn: abs(sum(sizes[place] for place in drawn) / sizes.total() - share),
        )
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


def _draw(rng, pools, share: float) -> set[str]:
    """ceil(share * n) of each pool's n locations, but never all."""
    counts = [min(math.ceil(share * len(pool)), len(pool) - 1) for pool in pools]
    return {
        place
        for pool, count in zip(pools, counts, strict=True)
        for place in rng.permutation(pool)[:count].tolist()
    }


def read_table(path, columns: tuple[str, ...] | None, minimum: int = 1) -> list[dict]:
    """Rows of a tab-separated file as dictionaries; with `columns` given the file has no header."""
    path = Path(path)
    lines = [
        line.split("\t")
        for line in path.read_text(encoding="utf-8-sig").splitlines()
        if line.strip()
    ]
    names = list(columns) if columns else lines[0] if lines else []
    rows = []
    for number, cells in enumerate(lines[0 if columns else 1 :], start=1 if columns else 2):
        if len(cells) < minimum or len(cells) > len(names):
            raise DataError(
                f"Line {number} of {path} has {len(cells)} columns.",
                f"Expected tab-separated {', '.join(names)}.",
            )
        rows.append(dict(zip(names, (cell.strip() for cell in cells), strict=False)))
    return rows


def how_to_get(name: str, data_dir) -> str:
    """What to do where files of the data set `name` are missing: one sentence."""
    command = f"crossask-prepare --dataset={name} --data_dir={shlex.quote(str(data_dir))}"
    if catalogue.dataset(name).is_rendered:
        return f"Render them: {command}"
    return f"Fetch them: {command} --download"


def require(folder: Path, names, what: str, fix: str):
    """One DataError for all of `names` that are not files below `folder`."""
    _complain_of(
        [name for name in names if not (folder / name).is_file()], folder, len(names), what, fix
    )


def audio_paths(folder: Path, names: list[str], fix: str | None) -> list[str]:
    """The path of each of `names` below `folder`, also where the corpus was re-packed as FLAC.

    Args:
      fix: what to do where some are missing; None: nothing, they are not needed.

    Raises:
      DataError: some are missing: how many, the first, where.
    """
    paths, missing = [], []
    for name in names:
        path = folder / name
        if not path.is_file():
            flac = path.with_suffix(".flac")
            if flac.is_file():
                path = flac
            else:
                missing.append(name)
        paths.append(str(path))
    if fix is not None:
        _complain_of(
            missing,
            folder,
            len(names),
            "sound files that the metadata names (as they stand, or as .flac)",
            fix,
        )
    return paths


def _complain_of(missing: list, folder: Path, count: int, what: str, fix: str):
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise DataError(
            f"{len(missing)} of {count} {what} {verb} missing below {folder}, the first is {missing[0]!r}.",
            fix,
        )


def _check_fold(corpus_name: str, fold: Fold, by_id: dict):
    for side, ids in (("train", fold.train), ("evaluation", fold.evaluation)):
        if not ids:
            raise DataError(
                f"Fold {fold.name!r} of {corpus_name!r} has no {side} clips.",
                "Check the fold files.",
            )
        unknown = next((i for i in ids if i not in by_id), None)
        if unknown is not None:
            raise DataError(
                f"Fold {fold.name!r} names {unknown!r}, which the metadata lacks.",
                "Use metadata and folds of one release.",
            )
    if fold.validation and not set(fold.validation) < set(fold.train):
        raise DataError(
            f"The validation part of fold {fold.name!r} is not a part of its training clips.",
            "Check the fold files.",
        )
    shared = (
        {by_id[i].location for i in fold.train} & {by_id[i].location for i in fold.evaluation}
    ) - {""}
    if shared:
        raise DataError(
            f"Location {sorted(shared)[0]!r} stands on both sides of fold {fold.name!r} ({len(shared)} locations do).",
            "Move all clips of a location to one side: scores on places already heard mean nothing.",
        )


def _file_marks(path: str) -> list:
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            ends = file.read(FINGERPRINT_BYTES)
            file.seek(max(0, size - FINGERPRINT_BYTES))
            ends += file.read(FINGERPRINT_BYTES)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}).",
            "Complete the corpus: its features go by its audio.",
        ) from error
    return [size, hashlib.sha256(ends).hexdigest()[:16]]
