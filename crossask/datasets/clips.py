"""Clips, folds and the corpus that contains them; a corpus checks itself when it is created."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence

from crossask.errors import DataError
from crossask.evaluation.predictions import CLIP_COLUMNS

# Bytes that a fingerprint reads from either end of a file: enough to distinguish two recordings,
# and quick for 35 GB.
FINGERPRINT_BYTES = 65536


@dataclasses.dataclass(frozen=True)
class Clip:
    """One audio file.

    Attributes:
      id: Name of the clip, unique in its corpus.
      path: Path of the file.
      scene: Name of the scene.
      location: Place of the recording. Clips of one location are never on both sides of a split. ""
        is an unknown location, which no check and no resampling by location considers.
      city: City of the location; "" is unknown.
    """

    id: str
    path: str
    scene: str
    location: str
    city: str = ""


@dataclasses.dataclass(frozen=True)
class Fold:
    """Clips to train on and clips to evaluate on.

    Attributes:
      name: Name of the fold.
      train: Ids of the clips to train on.
      evaluation: Ids of the clips to evaluate on.
      validation: Those of `train` that the corpus itself sets aside for validation; () if it
        does not.
    """

    name: str
    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    validation: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A data set: its clips, their scenes and its folds.

    It is checked when it is created: clip ids are unique, all scenes are known, the clips of all
    folds exist, and no location is on both sides of a fold.

    Attributes:
      name: Name of the data set.
      scenes: Names of the scenes; their order is that of a model's outputs.
      clips: The clips.
      folds: The folds.
      unused: Number of clips that the metadata lists but no fold contains; they are left out.
      faulty: Number of clips that the corpus marks as partly damaged; they are kept.
      official_folds: Names of all folds of the release, if it fixes them; `folds` may be fewer.
      ready_made: Whether the clips are embeddings, in the .npz file of their paths, and not sound.

    Raises:
      DataError: The parts of the corpus contradict each other.
    """

    name: str
    scenes: tuple[str, ...]
    clips: tuple[Clip, ...]
    folds: tuple[Fold, ...]
    unused: int = 0
    faulty: int = 0
    official_folds: tuple[str, ...] = ()
    ready_made: bool = False

    def __post_init__(self) -> None:
        """Checks the corpus."""
        if not self.clips:
            raise DataError(f"Corpus {self.name!r} contains no clips.", "Check --data_dir.")
        _check_names_of_scenes(self)
        _check_clips(self)
        clip_of = {clip.id: clip for clip in self.clips}
        for fold in self.folds:
            _check_fold(self.name, fold, clip_of)

    def fold(self, name: str) -> Fold:
        """Returns the fold called `name`.

        Raises:
          DataError: There is no such fold, or its files are missing.
        """
        for fold in self.folds:
            if fold.name == name:
                return fold
        present = [fold.name for fold in self.folds]
        missing = [official for official in self.official_folds if official not in present]
        if name in missing:
            raise DataError(
                f"Fold {name!r} of corpus {self.name!r} is missing: of its "
                f"{len(self.official_folds)} folds, the files of {', '.join(missing)} are missing.",
                f"Add them to its evaluation_setup (crossask-prepare --dataset={self.name} "
                f"--download fetches them), or use only the folds {', '.join(present)}.",
            )
        raise DataError(
            f"Corpus {self.name!r} has no fold {name!r}.", f"Its folds: {', '.join(present)}."
        )

    def training_cities(self, fold: str) -> list[str] | None:
        """Returns the cities of a fold's training clips.

        It is None if one of these clips has no city, because no city is then certain to be unseen.
        """
        train = set(self.fold(fold).train)
        cities = {clip.city for clip in self.clips if clip.id in train}
        if "" in cities:
            return None
        return sorted(cities)

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the clips and the content of their files.

        They depend on each clip's id, scene and location, and on the size and both ends of its
        file.

        Raises:
          DataError: A file cannot be read; also if the corpus was read without its audio.
        """
        # Many clips may be in one file.
        file_digest = functools.cache(_file_digest)
        entries = []
        for clip in sorted(self.clips, key=lambda clip: clip.id):
            size, digest = file_digest(clip.path)
            entries.append([clip.id, clip.scene, clip.location, size, digest])
        content = json.dumps([self.name, list(self.scenes), entries])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def _check_names_of_scenes(corpus: Corpus) -> None:
    for scene in corpus.scenes:
        if not scene.strip() or scene in CLIP_COLUMNS:
            raise DataError(
                f"Corpus {corpus.name!r} has a scene called {scene!r}.",
                f"Rename it: {', '.join(CLIP_COLUMNS)} are other columns of predictions.",
            )


def _check_clips(corpus: Corpus) -> None:
    """Raises DataError for an id that is not unique, or an unknown scene."""
    seen = set()
    for clip in corpus.clips:
        if clip.id in seen:
            raise DataError(
                f"Corpus {corpus.name!r} lists clip {clip.id!r} twice.",
                "Remove one of the two lines from its metadata.",
            )
        seen.add(clip.id)
    for clip in corpus.clips:
        if clip.scene not in corpus.scenes:
            raise DataError(
                f"Clip {clip.id!r} has the unknown scene {clip.scene!r}.",
                f"Known scenes: {', '.join(corpus.scenes)}.",
            )


def _check_fold(corpus_name: str, fold: Fold, clip_of: Mapping[str, Clip]) -> None:
    """Raises DataError for an empty side, an unknown clip, or a clip or location on both sides."""
    _check_side(corpus_name, fold.name, "train", fold.train, clip_of)
    _check_side(corpus_name, fold.name, "evaluation", fold.evaluation, clip_of)
    if fold.validation and not set(fold.validation) < set(fold.train):
        raise DataError(
            f"The validation part of fold {fold.name!r} is not a part of its training clips.",
            "Check the fold files.",
        )
    # Locations may be unknown, and then only the clips themselves show an overlap.
    both_sides = set(fold.train) & set(fold.evaluation)
    if both_sides:
        raise DataError(
            f"Clip {min(both_sides)!r} is on both sides of fold {fold.name!r} "
            f"({len(both_sides)} such clips).",
            "Remove it from one side: scores on training clips mean nothing.",
        )
    trained = {clip_of[clip_id].location for clip_id in fold.train}
    evaluated = {clip_of[clip_id].location for clip_id in fold.evaluation}
    shared = (trained & evaluated) - {""}
    if shared:
        raise DataError(
            f"Location {min(shared)!r} is on both sides of fold {fold.name!r} "
            f"({len(shared)} such locations).",
            "Move all clips of a location to one side: scores on places of the training clips "
            "mean nothing.",
        )


def _check_side(
    corpus_name: str,
    fold_name: str,
    side: str,
    clip_ids: Sequence[str],
    clip_of: Mapping[str, Clip],
) -> None:
    if not clip_ids:
        raise DataError(
            f"Fold {fold_name!r} of {corpus_name!r} has no {side} clips.", "Check the fold files."
        )
    for clip_id in clip_ids:
        if clip_id not in clip_of:
            raise DataError(
                f"Fold {fold_name!r} of {corpus_name!r} lists {clip_id!r}, which is not in the "
                "metadata.",
                "Use metadata and folds of one release.",
            )


def _file_digest(path: str) -> tuple[int, str]:
    """Returns the size of a file, and 16 hexadecimal digits of both of its ends."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            ends = file.read(FINGERPRINT_BYTES)
            file.seek(max(0, size - FINGERPRINT_BYTES))
            ends += file.read(FINGERPRINT_BYTES)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}).",
            "Complete the corpus: the keys of its features depend on its files.",
        ) from error
    return size, hashlib.sha256(ends).hexdigest()[:16]
