"""Records the recording and the model of each prediction in an output.

The names in an output do not identify recordings: relative paths are those of other files in
another folder, submissions to DCASE contain base names, and the timelines of a.wav and a.flac have
one name. Without this record, a recording would be skipped because the output contains another one
of its name, or an earlier recording of the same path. Imports no TensorFlow.
"""

import contextlib
import dataclasses
import json
import os
from pathlib import Path

from crossask import files
from crossask.errors import CrossaskError

SUFFIX = ".recordings"
# Some disks store times of change in steps of two seconds, so that a moved file gets another one.
MOST_MOVED_NANOSECONDS = 2_000_000_000
# The state of no file.
NO_STATE = (-1, -1)


class NameTakenError(CrossaskError):
    """A recording has a name in the output that is, or may be, that of another one."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """A recording as it was when it was predicted.

    Attributes:
      recording: Its absolute path.
      format: Format of the output.
      state: Its size, and its time of change in nanoseconds; None if they are not known.
      embedding: Digest of the embeddings with which it was predicted; None if the model computes
        them itself, or if they are not known.
    """

    recording: str
    format: str
    state: tuple[int, int] | None = None
    embedding: str | None = None


def origin_of(recording: str, file_format: str, embedding: str | None = None) -> Origin:
    """Returns the origin of a prediction that is written now, in a format."""
    return Origin(os.path.abspath(recording), file_format, files.state_of(recording), embedding)


class Origins:
    """The recordings of an output, in a hidden file in it or beside it.

    The file has a JSON object on each line; of one name, the last line counts. An output of an
    earlier version has no such file, and its names are trusted.
    """

    def __init__(self, out: str | Path, is_folder: bool, model: str):
        """Reads the file.

        Args:
          out: The output: a table, or a folder of timelines.
          is_folder: Whether it is a folder.
          model: Digest of the model that predicts, see `model_digest`, and of its hop.

        Raises:
          CrossaskError: The output has predictions of another model, or with another hop.
        """
        self._out = Path(out)
        self._model = model
        if is_folder:
            self._path = self._out / SUFFIX
        else:
            # Two names of one table have one record.
            table = Path(os.path.realpath(self._out))
            self._path = table.with_name(f".{table.name}{SUFFIX}")
        # Name in the output -> its origin.
        self._known: dict[str, Origin] = {}
        # Place of a recording -> its names in the output.
        self._names: dict[str, set[str]] = {}
        if not self._out.exists():
            # The record of an output that was removed.
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                # A command that was killed may have written a part of a line.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    name = entry["name"]
                    # Earlier versions recorded no state.
                    state = entry.get("state")
                    if state is not None:
                        state = tuple(state)
                    embedding = entry.get("embedding")
                    self._know(name, Origin(entry["recording"], entry["format"], state, embedding))
                    self._check_model(entry["model"])

    def begin(self, name: str, origin: Origin) -> None:
        """Records a recording before its prediction is written; `add` does afterwards.

        Args:
          name: Its name in the output.
          origin: The recording, as it was before it was read.
        """
        known = self._known.get(name)
        if known is not None and (
            known.state != origin.state or known.embedding != origin.embedding
        ):
            # If the command is killed now, the output has the earlier prediction.
            origin = dataclasses.replace(origin, state=NO_STATE)
        self.add(name, origin)

    def add(self, name: str, origin: Origin) -> None:
        """Records a recording whose prediction is written; arguments as for `begin`."""
        if self._known.get(name) == origin:
            return
        self._know(name, origin)
        entry = {"name": name, **dataclasses.asdict(origin), "model": self._model}
        if origin.embedding is None:
            del entry["embedding"]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The line begins with a line break, which ends a line that was not written whole.
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(entry)}\n")

    def names_of(self, origin: Origin) -> set[str]:
        """Returns the names in the output that are those of a recording, in any spelling."""
        place = files.place_of(origin.recording)
        # Another recording may have this name now.
        names = self._names.get(place, set())
        return {name for name in names if files.place_of(self._known[name].recording) == place}

    def _know(self, name: str, origin: Origin) -> None:
        self._known[name] = origin
        self._names.setdefault(files.place_of(origin.recording), set()).add(name)

    def _check_model(self, model: str) -> None:
        if model != self._model:
            raise CrossaskError(
                f"{self._out} contains predictions of another model, or with another --hop.",
                "Set another --out, or remove it to predict all recordings again.",
            )

    def has(self, name: str) -> bool:
        """Returns whether it is known to which recording a name in the output belongs."""
        return name in self._known

    def is_same(self, name: str, origin: Origin) -> bool:
        """Returns whether the output has the prediction of a recording as it is now.

        It is False if the file at this path, or its embeddings, have changed since. A recording
        that is no longer where it was counts as moved if its size and its time of change are those
        of this one.

        Raises:
          NameTakenError: The name in the output is that of another recording.
          CrossaskError: The output has another format.
        """
        if name not in self._known:
            return True
        known = self._known[name]
        if known.format != origin.format:
            raise CrossaskError(
                f"{name} in {self._out} has the format {known.format}.",
                f"Use another --out for the format {origin.format}.",
            )
        has_states = known.state is not None and origin.state is not None
        digests = {known.embedding, origin.embedding}
        has_same_embedding = None in digests or len(digests) == 1
        if not os.path.exists(known.recording):
            if not has_states or _may_be_moved(known.state, origin.state):
                return has_same_embedding
            # Another disk, such as the next card of a recorder, has a recording of this name.
            raise NameTakenError(
                f"{known.recording}, which is no longer there, and {origin.recording} would both "
                f"be {name} in {self._out}, and they differ in size or time of change.",
                "Set another --out, or rename this recording.",
            )
        self.check_owner(name, origin)
        return has_same_embedding and (not has_states or known.state == origin.state)

    def check_owner(self, name: str, origin: Origin) -> None:
        """Raises NameTakenError if a name in the output is that of another recording.

        A recording that is no longer where it was keeps no name from others.
        """
        known = self._known.get(name)
        if known is None or not os.path.exists(known.recording):
            return
        if not _are_one_file(origin.recording, known.recording):
            raise NameTakenError(
                f"{known.recording} and {origin.recording} would both be {name} in {self._out}.",
                "Set another --out for one of them, or rename it.",
            )


def _may_be_moved(before: tuple[int, int], now: tuple[int, int]) -> bool:
    """Returns whether two states may be those of one file, the second one on another disk."""
    size_before, time_before = before
    size, time = now
    return size_before == size and abs(time_before - time) <= MOST_MOVED_NANOSECONDS


def _are_one_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
