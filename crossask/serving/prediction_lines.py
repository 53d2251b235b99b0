"""Formats predictions as text, CSV, JSON lines, Audacity labels or DCASE submissions.

In every format a recording is one line, or with a timeline one line for each of its windows. The
functions return these lines with their line ends. Text, CSV and JSON show by how many seconds a
short recording was filled up to the length of a window (`Prediction.filled_seconds`). In a CSV, an
apostrophe precedes names that a spreadsheet would read as formulas (`text_tables.cell_of`).
"""

import csv
import dataclasses
import io
import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossask.text_tables import cell_of

if TYPE_CHECKING:
    from crossask.serving.results import Prediction, Segment

FORMATS = ("text", "csv", "json", "audacity", "dcase2019", "dcase2024")
TIMELINE_FORMATS = ("text", "csv", "json", "audacity")
# Suffix of a timeline's file.
SUFFIX = {"text": ".txt", "csv": ".csv", "json": ".jsonl", "audacity": ".txt"}

# In place of the scenes of a silent recording or window.
SILENT = "silent"
# How the line of a window begins in the format "text".
WINDOW = re.compile(r"\d+:\d\d:\d\d to \d+:\d\d:\d\d ")
# Where one program or another ends a line.
LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Where the recordings of a DCASE submission are.
DCASE_FOLDER = "audio/"


@dataclasses.dataclass(frozen=True)
class Label:
    """A label of Audacity: a stretch of the recording with one scene, or SILENT in its place."""

    start_seconds: float
    end_seconds: float
    scene: str


def header_line(file_format: str, scenes: Sequence[str], has_timeline: bool) -> str:
    """Returns the first line of a file, or "" if the format has no header.

    Args:
      file_format: One of FORMATS.
      scenes: Names of the scenes in the order of the model's outputs.
      has_timeline: Whether the file contains timelines.
    """
    if file_format == "csv":
        window = ["start_seconds", "end_seconds"] if has_timeline else []
        return csv_line(["file", *window, "scene", *scenes, "filled_seconds"])
    if file_format == "dcase2024":
        return _delimited(["filename", "scene_label", *scenes], "\t")
    return ""


def prediction_line(prediction: "Prediction", file_format: str, top: int = 3) -> str:
    """Returns the line of one recording.

    A DCASE submission names the file as audio/NAME. "dcase2019" has file and scene, "dcase2024"
    also the probability of each scene.

    Args:
      prediction: The prediction.
      file_format: One of FORMATS.
      top: Number of scenes in the format "text".
    """
    if file_format == "dcase2019":
        return _delimited([dcase_name(prediction.source), prediction.scene], "\t")
    if file_format == "dcase2024":
        cells = [dcase_name(prediction.source), prediction.scene, *_probabilities(prediction)]
        return _delimited(cells, "\t")
    if file_format == "csv":
        cells = [prediction.source, prediction.scene, *_probabilities(prediction)]
        return csv_line([*cells, f"{prediction.filled_seconds:.3f}"])
    if file_format == "json":
        values = {
            "file": prediction.source,
            "scene": prediction.scene,
            "probabilities": prediction.probabilities,
            "filled_seconds": prediction.filled_seconds,
            "sure": prediction.is_sure,
            "warnings": list(prediction.warnings),
        }
        return json.dumps(values) + "\n"
    source = in_one_line(prediction.source)
    return f"{source}: {_scenes_text(prediction, prediction, top)}\n"


def timeline_lines(prediction: "Prediction", file_format: str, top: int = 3) -> str:
    """Returns the lines of one recording's windows.

    In the format "audacity", consecutive windows of one scene are one label. In text and labels,
    silent windows have no scene.

    Args:
      prediction: The prediction.
      file_format: One of TIMELINE_FORMATS.
      top: Number of scenes in the format "text".
    """
    if file_format == "audacity":
        lines = [_label_line(label) for label in labels(prediction.timeline)]
    else:
        lines = [
            _window_line(prediction, segment, file_format, top) for segment in prediction.timeline
        ]
    return "".join(lines)


def is_timeline(content: str, file_format: str, scenes: Sequence[str]) -> bool:
    """Returns whether a text seems to be what `timeline_lines` returns for a model.

    Args:
      content: The text, with the header of its format.
      file_format: One of TIMELINE_FORMATS.
      scenes: Names of the model's scenes in the order of its outputs.
    """
    header = header_line(file_format, scenes, has_timeline=True)
    if not content.startswith(header):
        return False
    first_line = content.removeprefix(header).partition("\n")[0]
    if file_format == "json":
        try:
            return list(json.loads(first_line)["probabilities"]) == list(scenes)
        except (ValueError, LookupError, TypeError, RecursionError):
            return False
    if file_format == "text":
        return WINDOW.match(first_line) is not None
    if file_format == "audacity":
        # A person may have labelled the recording, too, with other names.
        found = {line.rpartition("\t")[2] for line in content.splitlines()}
        return bool(found) and found <= {SILENT, *map(in_one_line, scenes)}
    return True


def labels(timeline: Iterable["Segment"]) -> list[Label]:
    """Returns one label for each group of consecutive windows with the same scene.

    The label of silent windows is SILENT.
    """
    groups = []
    for _, group in itertools.groupby(timeline, key=label_text):
        groups.append(list(group))
    # Windows overlap, so two labels meet in the middle of what both groups cover.
    borders = [groups[0][0].start_seconds]
    for before, after in itertools.pairwise(groups):
        borders.append((before[-1].end_seconds + after[0].start_seconds) / 2)
    borders.append(groups[-1][-1].end_seconds)
    return [
        Label(start, end, label_text(group[0]))
        for group, start, end in zip(groups, borders[:-1], borders[1:], strict=True)
    ]


def label_text(segment: "Segment") -> str:
    """Returns the scene of a window, or SILENT."""
    return SILENT if segment.is_silent else segment.scene


def top_scenes_text(prediction: "Prediction | Segment", top: int) -> str:
    """Returns the most probable scenes as text, such as "park 71.3 %, bus 12.0 %"."""
    scenes = []
    for scene, probability in prediction.top(top):
        scenes.append(f"{in_one_line(scene)} {100 * probability:.1f} %")
    text = ", ".join(scenes)
    # Windows of a timeline have no such attribute.
    if getattr(prediction, "is_sure", True):
        return text
    return f"not sure; perhaps {text}"


def filled_text(prediction: "Prediction") -> str:
    """Returns by how much a recording was filled, such as " (filled with 4 s)", or ""."""
    if not prediction.filled_seconds:
        return ""
    return f" (filled with {prediction.filled_seconds:.3g} s)"


def clock_text(seconds: float) -> str:
    """Returns a time as hours:minutes:seconds."""
    whole = round(seconds)
    hours = whole // 3600
    minutes = whole // 60 % 60
    return f"{hours:02d}:{minutes:02d}:{whole % 60:02d}"


def csv_line(cells: Iterable[str]) -> str:
    """Returns a line of a CSV in which no name is a formula."""
    return _delimited([cell_of(cell) for cell in cells], ",")


def _label_line(label: Label) -> str:
    # Audacity reads no quotation marks: all behind the second tab is the text.
    scene = in_one_line(label.scene)
    return f"{label.start_seconds:.6f}\t{label.end_seconds:.6f}\t{scene}\n"


def _window_line(prediction: "Prediction", segment: "Segment", file_format: str, top: int) -> str:
    """Returns the line of one window; arguments as in `timeline_lines`."""
    start = segment.start_seconds
    end = segment.end_seconds
    if file_format == "csv":
        window = [f"{start:.3f}", f"{end:.3f}"]
        cells = [prediction.source, *window, segment.scene, *_probabilities(segment)]
        return csv_line([*cells, f"{prediction.filled_seconds:.3f}"])
    if file_format == "json":
        values = {
            "file": prediction.source,
            "start_seconds": start,
            "end_seconds": end,
            "scene": segment.scene,
            "probabilities": segment.probabilities,
            "silent": segment.is_silent,
            "filled_seconds": prediction.filled_seconds,
        }
        return json.dumps(values) + "\n"
    scenes = _scenes_text(prediction, segment, top)
    return f"{clock_text(start)} to {clock_text(end)} {scenes}\n"


def _scenes_text(prediction: "Prediction", part: "Prediction | Segment", top: int) -> str:
    """Returns the scenes of a recording, or of one of its windows, and by how much it was filled.

    Args:
      prediction: The prediction for the recording.
      part: The same prediction, or one of its windows.
      top: As in `prediction_line`.
    """
    # The scene that the model computes for silence means nothing.
    scenes = SILENT if part.is_silent else top_scenes_text(part, top)
    return f"{scenes}{filled_text(prediction)}"


def _probabilities(prediction: "Prediction | Segment") -> list[str]:
    return [f"{probability:.6f}" for probability in prediction.probabilities.values()]


def dcase_name(source: str | os.PathLike) -> str:
    """Returns the name of a recording in a DCASE submission."""
    return f"{DCASE_FOLDER}{Path(source).name}"


def in_one_line(name: str) -> str:
    """Returns a name with escapes in place of its line breaks."""
    return LINE_BREAK.sub(_escape, name)


def _escape(line_break: re.Match[str]) -> str:
    """Returns the escape of a line break: its representation without the quotation marks."""
    return ascii(line_break.group())[1:-1]


def _delimited(cells: Sequence[str], delimiter: str) -> str:
    text = io.StringIO()
    # The module quotes a line feed, but not a carriage return, where readers also end a line.
    has_return = any("\r" in cell for cell in cells)
    quoting = csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerow(cells)
    return text.getvalue()
