"""Appends predictions to a file, which may have been written by an earlier command.

The lines of an existing file are read again, to skip recordings that are in it already, and to
refuse a file of another format or model.
"""

import contextlib
import csv
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossask import files
from crossask.errors import CrossaskError
from crossask.serving import prediction_lines
from crossask.text_tables import name_of

if TYPE_CHECKING:
    from crossask.serving.results import Prediction


# Keys of a JSON line.
KEYS = frozenset(("file", "scene", "probabilities", "filled_seconds", "sure", "warnings"))
# Errors of reading a line that is no prediction. Deeply nested JSON raises RecursionError.
NO_PREDICTION = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
# Probabilities are rounded to six digits.
SUM_TOLERANCE = 1e-3
ROUNDING = 1e-6


class PredictionFile:
    """A file with one line for each recording, to which predictions are appended.

    A file that exists already is continued.
    """

    def __init__(self, path: str | Path, file_format: str, scenes: Sequence[str]):
        """Opens the file, and creates it if necessary.

        Args:
          path: The file.
          file_format: One of FORMATS without "audacity".
          scenes: Names of the scenes in the order of the model's outputs.

        Raises:
          CrossaskError: The file exists with another format or other scenes, or it cannot be
            written.
        """
        self.path = Path(path)
        # A link stays one when its file is written anew.
        self._written_path = Path(os.path.realpath(path))
        self.file_format = file_format
        self._scenes = tuple(scenes)
        self._text_line = _text_line(scenes)
        self._header = prediction_lines.header_line(file_format, scenes, has_timeline=False)
        try:
            self._names = self._begin(self._header)
            # Closed by `close`.
            self._file = open(self.path, "a", encoding="utf-8", newline="")  # noqa: SIM115
        except (OSError, UnicodeDecodeError) as error:
            raise CrossaskError(
                f"{self.path} cannot be used as output file ({error}).",
                "Set --out to another file.",
            ) from error

    def append(
        self, prediction: "Prediction", top: int = 3, other_names: Iterable[str] = ()
    ) -> None:
        """Writes the line of one recording, in place of its earlier ones.

        Args:
          prediction: The prediction.
          top: As in `prediction_line`.
          other_names: Other names of the recording in the file.

        Raises:
          CrossaskError: The file was removed or replaced since it was opened.
        """
        self._check_is_in_place()
        name = self.name_of(prediction.source)
        for earlier in self._names.intersection([name, *other_names]):
            self._remove(earlier)
            self._names.remove(earlier)
        self._names.add(name)
        self._file.write(prediction_lines.prediction_line(prediction, self.file_format, top))
        self._file.flush()

    def _check_is_in_place(self) -> None:
        """Raises CrossaskError if the opened file is no longer the one at its path.

        The lines would be written to a file without a name, and be lost when it is closed.
        """
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                return
        raise CrossaskError(
            f"{self.path} was removed, renamed or replaced while predictions were written to it.",
            "Run the same command again. If the file was removed, all recordings are predicted "
            "again; if it was moved, move it back first to keep its lines.",
        )

    def contains(self, source: str | os.PathLike) -> bool:
        """Returns whether the file has a line for a recording."""
        return self.name_of(source) in self._names

    def name_of(self, source: str | os.PathLike) -> str:
        """Returns the name of a recording in the lines of the file."""
        if self.file_format.startswith("dcase"):
            return prediction_lines.dcase_name(source)
        if self.file_format == "text":
            return prediction_lines.in_one_line(str(source))
        return str(source)

    def _remove(self, name: str) -> None:
        """Removes the line of a recording that has changed."""
        with open(self.path, encoding="utf-8", newline="") as file:
            content = file.read()
        kept = [self._header]
        for line in self._lines(content[len(self._header) :]):
            if self._name_in(line) != name:
                kept.append(line)
        self._file.close()
        with files.writing(self._written_path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8", newline="")
        self._file = open(self.path, "a", encoding="utf-8", newline="")  # noqa: SIM115

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _begin(self, header: str) -> set[str]:
        """Writes the header of a new file, or removes an incomplete last line of an old one.

        Returns:
          The names of the recordings in the file.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = ""
        if self.path.exists():
            # Names may contain line breaks, which remain as they are.
            with open(self.path, encoding="utf-8", newline="") as file:
                content = file.read()
        written = content
        if header and content.startswith(header.replace("\n", "\r\n")):
            # An editor has saved the file with line ends of its own.
            content = content.replace("\r\n", "\n")
        # A program that was stopped may have written a part of the last line.
        complete = "".join(self._lines(content))
        if complete:
            is_continued = complete.startswith(header)
        else:
            is_continued = self._is_start(content)
        if not is_continued:
            raise CrossaskError(
                f"{self.path} exists with another format, or with the scenes of another model.",
                "Use another --out, or remove it.",
            )
        if not complete:
            self.path.write_text(header, encoding="utf-8", newline="")
        elif complete != written:
            with files.writing(self._written_path) as temporary:
                temporary.write_text(complete, encoding="utf-8", newline="")
        return {self._name_in(line) for line in self._lines(complete[len(header) :])}

    @property
    def _delimiter(self) -> str:
        """The delimiter of the file's cells; "" in formats without cells."""
        if self.file_format.startswith("dcase"):
            return "\t"
        if self.file_format == "csv":
            return ","
        return ""

    def _lines(self, content: str) -> list[str]:
        """Returns the complete lines of a file with their line breaks.

        In tables, a line is a row, whose quoted cells may contain line breaks.
        """
        if not self._delimiter:
            return re.findall(r"[^\n]*\n", content)
        complete = content[: content.rfind("\n") + 1]
        parts = list(io.StringIO(complete, newline=""))
        reader = csv.reader(iter(parts), delimiter=self._delimiter, strict=True)
        lines = []
        start = 0
        try:
            for _ in reader:
                lines.append("".join(parts[start : reader.line_num]))
                start = reader.line_num
        except csv.Error as error:
            # A quoted cell that has no end is that of a line that was not written whole.
            if "end of data" not in str(error):
                raise self._no_prediction("".join(parts[start : reader.line_num])) from error
        return lines

    def _is_start(self, content: str) -> bool:
        """Returns whether a file without a complete line may be one that was not written whole."""
        # After a power loss, zeros may be where nothing was written.
        written = content.rstrip("\0")
        start = self._header
        if self.file_format == "json":
            start = '{"file": '
        elif self.file_format == "dcase2019":
            written = written.removeprefix('"')
            start = prediction_lines.DCASE_FOLDER
        if not start:
            return written.isprintable()
        return written.startswith(start) or start.startswith(written)

    def _name_in(self, line: str) -> str:
        """Returns the name of the recording in a line of the file, after checking the line."""
        try:
            if self.file_format == "text":
                return self._text_line.fullmatch(line)["name"]
            if self.file_format == "json":
                return _name_in_json(line, self._scenes)
            (cells,) = csv.reader(io.StringIO(line, newline=""), delimiter=self._delimiter)
            return _name_in_cells(cells, self.file_format, self._scenes)
        except NO_PREDICTION as error:
            raise self._no_prediction(line) from error

    def _no_prediction(self, line: str) -> CrossaskError:
        return CrossaskError(
            f"{self.path} contains the line {line.rstrip()!r}, which is not a prediction in the "
            f"format {self.file_format}.",
            "Use another --out.",
        )


def _text_line(scenes: Iterable[str]) -> re.Pattern[str]:
    """Returns the pattern of a recording's line in the format "text"."""
    scene = "|".join(re.escape(prediction_lines.in_one_line(scene)) for scene in scenes)
    percent = rf"(?:{scene}) \d+\.\d %"
    scenes_text = rf"(?:not sure; perhaps )?{percent}(?:, {percent})*"
    filled = r"(?: \(filled with [^()]* s\))?"
    return re.compile(rf"(?P<name>.*?): (?:silent|{scenes_text}){filled}\n")


def _name_in_json(line: str, scenes: Sequence[str]) -> str:
    """Returns the name of the recording in a JSON line.

    Raises:
      Exception: One of NO_PREDICTION.
    """
    values = json.loads(line)
    found = values["probabilities"]
    if not isinstance(values["file"], str) or not KEYS.issuperset(values):
        raise ValueError("The name is no text, or there are other keys.")
    if list(found) != list(scenes):
        raise ValueError("The scenes are others.")
    _check_line(values["scene"], list(found.values()), scenes)
    return values["file"]


def _name_in_cells(cells: Sequence[str], file_format: str, scenes: Sequence[str]) -> str:
    """Returns the name of the recording in a line of a table.

    Raises:
      Exception: One of NO_PREDICTION.
    """
    name, scene, *numbers = cells
    if file_format == "csv":
        # The last cell has the filled seconds. Names may be marked as text, see `cell_of`.
        if not float(numbers.pop()) >= 0:
            raise ValueError("The seconds are negative.")
        name = name_of(name)
        scene = name_of(scene)
    elif not name.startswith(prediction_lines.DCASE_FOLDER):
        raise ValueError("The name is that of no submission.")
    if file_format == "dcase2019":
        if numbers or scene not in scenes:
            raise ValueError("The scene is none of the model's.")
    else:
        _check_line(scene, [float(number) for number in numbers], scenes)
    return name


def _check_line(scene: str, probabilities: Sequence[float], scenes: Sequence[str]) -> None:
    """Raises ValueError unless these are probabilities, and that of `scene` is the largest."""
    of_scene = dict(zip(scenes, probabilities, strict=True))
    # A comparison with NaN is false.
    if not all(0 <= probability <= 1 for probability in probabilities):
        raise ValueError("A probability is not from 0 to 1.")
    if abs(sum(probabilities) - 1) > SUM_TOLERANCE:
        raise ValueError("The probabilities do not sum to 1.")
    if of_scene[scene] < max(probabilities) - ROUNDING:
        raise ValueError("Another scene is more probable.")
