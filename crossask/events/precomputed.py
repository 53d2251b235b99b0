"""Embeddings that another toolkit has computed of a corpus's clips, in place of an event model."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from crossask.config import EventModelConfig
from crossask.errors import DataError, WeightsError, shortened_list
from crossask.events import weights

FORMAT_HELP = (
    "Give an .npz with one array of floats [n, width] for each clip, whose name is the id of the "
    "clip (the name of its sound file)."
)


class Precomputed:
    """The embeddings of the clips of a corpus, float32 [n, width] each, by the ids of the clips.

    Attributes:
      path: The .npz file.
      shape: Shape (n, width) of each clip's embeddings.
    """

    def __init__(self, config: EventModelConfig):
        """Reads and checks the file.

        Args:
          config: `embeddings` is used.

        Raises:
          DataError: The file is missing or unreadable, or some arrays are not embeddings of one
            shape with finite values.
        """
        self.path = config.embeddings
        self._arrays = _read(config.embeddings)
        self.shape: tuple[int, int] = next(iter(self._arrays.values())).shape

    def __contains__(self, clip_id: str) -> bool:
        """Returns whether the file has embeddings of a clip."""
        return clip_id in self._arrays

    def embedding_of(self, clip_id: str) -> np.ndarray:
        """Returns the embeddings of a clip, float32 [n, width].

        Raises:
          DataError: The file has none of this clip.
        """
        self.check([clip_id])
        return self._arrays[clip_id]

    def hash_of(self, clip_id: str) -> str:
        """Returns hexadecimal digits that change with the embeddings of a clip of the file."""
        return hashlib.sha256(np.ascontiguousarray(self._arrays[clip_id]).tobytes()).hexdigest()

    def check(self, clip_ids: Iterable[str]) -> None:
        """Raises DataError unless the file has embeddings of all these clips."""
        clip_ids = list(clip_ids)
        missing = [clip_id for clip_id in clip_ids if clip_id not in self._arrays]
        if not missing:
            return
        example = next(iter(self._arrays))
        raise DataError(
            f"{self.path} has no embeddings of {len(missing)} of {len(clip_ids)} clips: "
            f"{shortened_list(missing)}. "
            f"It has {len(self._arrays)} arrays, the first for {example!r}.",
            FORMAT_HELP,
        )

    def weights_digest(self) -> str:
        """Returns hexadecimal digits that change with any name or value of the file."""
        return weights.digest([], self._arrays)


def _read(path: str) -> weights.Arrays:
    """Returns the arrays of the file, float32 [n, width], by name.

    Raises:
      DataError: See `Precomputed`.
    """
    if not path:
        raise DataError(
            "event_model.name is 'precomputed', but event_model.embeddings is empty.",
            f"Set event_model.embeddings to a file. {FORMAT_HELP}",
        )
    if not Path(path).is_file():
        raise DataError(f"There is no file {path!r}.", f"Set event_model.embeddings. {FORMAT_HELP}")
    try:
        found, _ = weights.from_npz(path)
    except WeightsError as error:
        raise DataError(error.problem, FORMAT_HELP) from error
    arrays = {}
    first = ""
    for name, array in found.items():
        # A single embedding is a sequence of one.
        value = array[np.newaxis] if array.ndim == 1 else array
        if value.ndim != 2 or 0 in value.shape or not np.issubdtype(value.dtype, np.floating):
            raise DataError(
                f"The array {name!r} of {path} is {array.dtype} {list(array.shape)}.", FORMAT_HELP
            )
        # A number may be too large for the type in which it is stored.
        with np.errstate(over="ignore"):
            value = value.astype(np.float32)
        if not np.isfinite(value).all():
            raise DataError(
                f"The array {name!r} of {path} contains values that are not finite.",
                "Compute these embeddings again.",
            )
        if first and value.shape != arrays[first].shape:
            raise DataError(
                f"In {path}, the embeddings of {name!r} are {list(value.shape)}, but those of "
                f"{first!r} are {list(arrays[first].shape)}.",
                "Compute embeddings of one shape [n, width] from clips of equal length.",
            )
        first = first or name
        arrays[name] = value
    if not arrays:
        raise DataError(f"{path} contains no arrays.", FORMAT_HELP)
    return arrays
