"""Clips, folds and the corpus that contains them; a corpus checks itself when it is created."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence

from crossask.datasets import file_hashes
from crossask.errors import DataError
from crossask.evaluation.predictions import CLIP_COLUMNS

# Bytes that earlier versions read at the start and again at the end of each file.
END_BYTES = 65536
FINGERPRINT_DIGITS = 32
DIGITS_OF_ENDS = 16


@dataclasses.dataclass(frozen=True)
class Clip:
    """One audio file, or a part of one.

    Attributes:
      id: Name of the clip, unique in its corpus.
      path: Path of the file.
      scene: Name of the scene.
      location: Place of the recording. Clips of one location are never on both sides of a split. It
        is "" if unknown. Unknown locations are not checked; if a run evaluates a clip without a
        location, its intervals are computed over clips instead of locations.
      city: City of the location; "" if unknown.
      recording: Id of the recording from which the clip was cut; "" if it is a whole file.
      start_seconds: Start of the clip in the file; None if it is the whole file.
      device: Name of the device that recorded it; "" if it is unknown, or the corpus has only one.
    """

    id: str
    path: str
    scene: str
    location: str
    city: str = ""
    recording: str = ""
    start_seconds: float | None = None
    device: str = ""


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

    It is checked when it is created: clip ids are unique, all scenes are known, no scene has the
    name of a column of predictions, the clips of all folds exist, no side of a fold is empty, no
    clip or location is on both sides, and the validation part is a proper part of the training
    clips.

    Attributes:
      name: Name of the data set.
      scenes: Names of the scenes; their order is that of a model's outputs.
      clips: The clips.
      folds: The folds.
      unused: Number of clips that the metadata lists but no fold contains; they are left out.
      faulty: Number of clips that the corpus marks as partly damaged; they are kept.
      official_folds: Names of all folds that the published corpus defines; () if it defines none.
        `folds` contains those whose files are present.
      ready_made: Whether the clips are precomputed embeddings instead of sound files; `Clip.path`
        is then the .npz file that contains them.

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
                f"The files of fold {name!r} of corpus {self.name!r} are missing (missing of its "
                f"{len(self.official_folds)} folds: {', '.join(missing)}).",
                "Add the files to the corpus's folder evaluation_setup (crossask-prepare "
                f"--dataset={self.name} --download fetches them), or use only the folds "
                f"{', '.join(present)}.",
            )
        raise DataError(
            f"Corpus {self.name!r} has no fold {name!r}.", f"Its folds: {', '.join(present)}."
        )

    def training_cities(self, fold: str) -> list[str] | None:
        """Returns the cities of a fold's training clips.

        It is None if one of these clips has no city, because no city is then certain to be unseen.
        """
        return self._of_training_clips(fold, "city")

    def training_devices(self, fold: str) -> list[str] | None:
        """Returns the devices of a fold's training clips; None if one has none, as for cities."""
        return self._of_training_clips(fold, "device")

    def _of_training_clips(self, fold: str, attribute: str) -> list[str] | None:
        train = set(self.fold(fold).train)
        values = {getattr(clip, attribute) for clip in self.clips if clip.id in train}
        if "" in values:
            return None
        return sorted(values)

    @functools.cached_property
    def contents(self) -> dict[str, file_hashes.Content]:
        """Path of each file -> its content.

        Raises:
          DataError: A file cannot be read; also if the corpus was read without its audio.
        """
        return file_hashes.contents(clip.path for clip in self.clips)

    @functools.cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the clips and any byte of their files.

        They depend on each clip's id, scene and location, and on its file.

        Raises:
          DataError: See `contents`.
        """
        content = {path: (found.size, found.sha256) for path, found in self.contents.items()}
        return self._digest(content.__getitem__)[:FINGERPRINT_DIGITS]

    @functools.cached_property
    def fingerprint_of_ends(self) -> str:
        """16 hexadecimal digits: the fingerprint of earlier versions, of the ends of the files.

        Raises:
          DataError: See `contents`.
        """
        # Precomputed embeddings of all clips are in one file, which is then read only once.
        return self._digest(functools.cache(_digest_of_ends))[:DIGITS_OF_ENDS]

    def same_as(self, fingerprint: str) -> bool:
        """Returns whether a fingerprint, or one of an earlier version, is that of this corpus."""
        if len(fingerprint) == DIGITS_OF_ENDS:
            return fingerprint == self.fingerprint_of_ends
        return fingerprint == self.fingerprint

    def _digest(self, content_of: Callable[[str], tuple[int, str]]) -> str:
        entries = []
        for clip in sorted(self.clips, key=lambda clip: clip.id):
            entries.append([clip.id, clip.scene, clip.location, *content_of(clip.path)])
        content = json.dumps([self.name, list(self.scenes), entries])
        return hashlib.sha256(content.encode()).hexdigest()


def _check_names_of_scenes(corpus: Corpus) -> None:
    for scene in corpus.scenes:
        if not scene.strip():
            raise DataError(f"Corpus {corpus.name!r} has a scene without a name.", "Name it.")
        # A table of predictions has a column for each scene beside these columns.
        if scene in CLIP_COLUMNS:
            raise DataError(
                f"Corpus {corpus.name!r} has a scene called {scene!r}.",
                "Rename it: tables of predictions already have the columns "
                f"{', '.join(CLIP_COLUMNS)}.",
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
            f"The validation part of fold {fold.name!r} contains all of its training clips, or "
            "clips that are not among them.",
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
    train_locations = {clip_of[clip_id].location for clip_id in fold.train}
    evaluation_locations = {clip_of[clip_id].location for clip_id in fold.evaluation}
    shared = (train_locations & evaluation_locations) - {""}
    if shared:
        raise DataError(
            f"Location {min(shared)!r} is on both sides of fold {fold.name!r} "
            f"({len(shared)} such locations).",
            "Move all clips of a location to one side: scores on locations of the training clips "
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


def _digest_of_ends(path: str) -> tuple[int, str]:
    """Returns the size of a file in bytes, and the first 16 digits of the SHA-256 of its ends.

    The ends are its first and its last END_BYTES bytes.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            ends = file.read(END_BYTES)
            file.seek(max(0, size - END_BYTES))
            ends += file.read(END_BYTES)
    except OSError as error:
        raise file_hashes.unreadable(path, error) from error
    return size, hashlib.sha256(ends).hexdigest()[:16]
