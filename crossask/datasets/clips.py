"""Clips, folds and the corpus that contains them; a corpus checks itself when it is created."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable

from crossask.datasets import checks, file_hashes, leaks
from crossask.errors import DataError

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
      origin: Where the clip was read, such as "line 3 of meta.csv", for messages; "" if its id says
        so.
    """

    id: str
    path: str
    scene: str
    location: str
    city: str = ""
    recording: str = ""
    start_seconds: float | None = None
    device: str = ""
    origin: str = dataclasses.field(default="", compare=False)


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

    It is checked when it is created: clip ids are unique, no two clips are one file, all scenes are
    known, no scene has the name of a column of predictions, no two names of scenes, locations,
    cities or devices differ only in blanks or case, the clips of all folds exist, no side of a fold
    is empty or lists a clip twice, no clip or location is on both sides, nor parts or variants of
    one recording, and the validation part is a proper part of the training clips, which shares no
    location with the rest.

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
        checks.check(self)
        leaks.check_sources(self)

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
          DataError: A file cannot be read; also if the corpus was read without its audio, or if two
            files with the same bytes have two scenes or are on both sides of a fold.
        """
        contents = file_hashes.contents(clip.path for clip in self.clips)
        hash_of = {path: content.sha256 for path, content in contents.items()}
        leaks.check_content(self, hash_of)
        return contents

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
