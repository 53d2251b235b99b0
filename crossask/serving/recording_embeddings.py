"""Embeddings of recordings from another toolkit, found by the paths of the recordings."""

import os
from pathlib import Path

import numpy as np

from crossask.config import EventModelConfig
from crossask.errors import AudioError, CrossaskError
from crossask.events.precomputed import Precomputed
from crossask.serving.recording import Recording


class RecordingEmbeddings:
    """Embeddings for a model of a row with event_model.name=precomputed."""

    def __init__(self, path: str | Path):
        """Reads the file.

        Args:
          path: .npz with the embeddings [n, width] of each recording, by its path or the end of it.

        Raises:
          DataError: The file cannot be used, see `Precomputed`.
        """
        self._table = Precomputed(EventModelConfig(name="precomputed", embeddings=str(path)))
        # Name of embeddings -> path of the recording for which they were read.
        self._recording_of: dict[str, str] = {}

    def check_shape(self, shape: list[int], model: str | Path) -> None:
        """Raises CrossaskError unless the embeddings have the shape that a model was trained with.

        Args:
          shape: Shape [n, width] of the embeddings of a clip.
          model: Path of the model, for the message.
        """
        found = list(self._table.shape)
        if found != list(shape):
            raise CrossaskError(
                f"The embeddings in {self._table.path} are {found}, but the model {model} was "
                f"trained with {list(shape)}.",
                "Compute them with the same model, from clips of the same length.",
            )

    def of(self, recording: Recording) -> np.ndarray:
        """Returns the embeddings [n, width] of a recording.

        Their name is the recording's path or the end of it, for example "audio/a.wav" or "a.wav".

        Raises:
          AudioError: There are none, they were read for another recording before, or the recording
            is an array, which has no path.
        """
        if recording.is_array:
            raise AudioError(
                "The model needs embeddings, which are found by the path of the recording, but it "
                "is an array.",
                "Write it to a file.",
            )
        name = self._name_of(recording.source)
        if name is None:
            raise AudioError(
                f"{self._table.path} has no embeddings of {recording.name}.",
                f"Add an array with the name {Path(recording.source).name!r}.",
            )
        self._check_one_recording(name, recording)
        return self._table.embedding_of(name)

    def digest_of(self, recording: str | os.PathLike) -> str | None:
        """Returns hexadecimal digits that change with the embeddings of a recording.

        Args:
          recording: Its path.

        Returns:
          The digits; None if there are no embeddings of it.
        """
        name = self._name_of(recording)
        return None if name is None else self._table.hash_of(name)

    def _name_of(self, recording: str | os.PathLike) -> str | None:
        """Returns the name of the embeddings of a recording; None if there are none."""
        parts = Path(recording).parts
        # The longest name counts: "day1/a.wav" before "a.wav".
        for start in range(len(parts)):
            name = Path(*parts[start:]).as_posix()
            if name in self._table:
                return name
        return None

    def _check_one_recording(self, name: str, recording: Recording) -> None:
        """Raises AudioError if embeddings have been read for another recording already."""
        path = os.path.realpath(recording.source)
        first = self._recording_of.setdefault(name, path)
        if first != path:
            raise AudioError(
                f"{first} and {path} would both have the embeddings {name!r} of "
                f"{self._table.path}.",
                "Name the embeddings by more of the paths of their recordings, such as "
                f"{'/'.join(Path(path).parts[-2:])!r}.",
            )
