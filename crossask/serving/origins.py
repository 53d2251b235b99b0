"""Which recording and model each prediction in an output is of, because names do not say so.

Relative paths mean other files in another folder, submissions to DCASE contain base names, and the
timelines of a.wav and a.flac have one name. Without this record, a recording would be skipped
because the output contains another one of its name. Imports no TensorFlow.
"""

import contextlib
import json
import os
from pathlib import Path

from crossask.errors import CrossaskError

SUFFIX = ".recordings"


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
          model: Digest of the model that predicts, see `model_digest`.

        Raises:
          CrossaskError: The output has predictions of another model.
        """
        self._out = Path(out)
        self._model = model
        self._path = self._out.with_name(f".{self._out.name}{SUFFIX}")
        if is_folder:
            self._path = self._out / SUFFIX
        # Name in the output -> absolute path of the recording, and format of the output.
        self._known: dict[str, tuple[str, str]] = {}
        if not self._out.exists():
            # The record of an output that was removed.
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                # A command that was killed may have written a part of a line.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    self._known[entry["name"]] = (entry["recording"], entry["format"])
                    self._check_model(entry["model"])

    def add(self, name: str, recording: str, file_format: str) -> None:
        """Records a recording before its prediction is written.

        Args:
          name: What the output calls it.
          recording: Its path.
          file_format: Format of the output.
        """
        found = (os.path.abspath(recording), file_format)
        if self._known.get(name) == found:
            return
        self._known[name] = found
        entry = {
            "name": name,
            "recording": found[0],
            "format": file_format,
            "model": self._model,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The line begins with a line break, which ends a line that was not written whole.
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(entry)}\n")

    def _check_model(self, model: str) -> None:
        if model != self._model:
            raise CrossaskError(
                f"{self._out} contains predictions of another model.",
                "Set another --out, or remove it to predict all recordings again.",
            )

    def check(self, name: str, recording: str, file_format: str) -> None:
        """Raises CrossaskError if a name in the output is that of another recording.

        A recording that is no longer where it was counts as moved. Arguments as for `add`.
        """
        if name not in self._known:
            return
        known, known_format = self._known[name]
        if known_format != file_format:
            raise CrossaskError(
                f"{name} in {self._out} has the format {known_format}.",
                f"Use another --out for the format {file_format}.",
            )
        found = os.path.abspath(recording)
        if found == known or not os.path.exists(known) or _are_one_file(found, known):
            return
        raise CrossaskError(
            f"{known} and {found} would both be {name} in {self._out}.",
            "Set another --out for one of them, or rename it.",
        )


def _are_one_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
