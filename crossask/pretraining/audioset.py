"""AudioSet's own files: a CSV of segments of videos, and the names of its labels.

A line of the segments is `YTID, start_seconds, end_seconds, "/m/09x0r,/m/05zppz"`, after lines of
comments that begin with #. The sound of a segment is a file of its own, for which several names are
in use: YTID.wav, YYTID.wav (with the letter Y, because some identifiers begin with a hyphen),
YTID_30000_40000.flac and so on. An identifier has eleven characters.
"""

import dataclasses
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from crossask import text_tables
from crossask.audio import reading
from crossask.errors import DataError
from crossask.pretraining.labels import LabelledClip

LOG = logging.getLogger("crossask")
ID_LENGTH = 11
# Start of a line that every list of segments has.
HEADER = "# YTID"
COLUMNS = 4
NUMBER = re.compile(r"\d+(\.\d+)?")
# Start and end of a segment at the end of a file's name, in milliseconds or seconds.
TIMES = re.compile(r"_(?P<start>\d+(\.\d+)?)_\d+(\.\d+)?$")


def is_segments_file(path: str | Path) -> bool:
    """Returns whether a file is a CSV of segments: one of its first lines is AudioSet's header."""
    with open(path, "rb") as file:
        start = file.read(4096).decode("utf-8", "replace")
    return any(line.startswith(HEADER) for line in start.splitlines())


def read_segments(
    path: str | Path, audio_dir: str | Path, names: str | Path
) -> tuple[LabelledClip, ...]:
    """Returns the segments whose sound is present, with the names of their labels.

    Many videos of AudioSet are no longer published, so segments without sound are counted in the
    log and left out.

    Args:
      path: The CSV of segments.
      audio_dir: Folder of the sound files, one for each segment, in any sub-folders.
      names: class_labels_indices.csv, with the columns mid and display_name.

    Raises:
      DataError: A file is missing or no such table, a label has no name, a segment is listed twice,
        a segment has several sound files, or no segment has one.
    """
    path = Path(path)
    segments = _segments(path, Path(names))
    sounds_of = _sounds_by_id(audio_dir)
    clips = []
    of_other_segments: list[Path] = []
    for segment in segments:
        sounds = sounds_of.get(segment.identifier)
        if sounds is None:
            continue
        sound = _sound_of_segment(segment.identifier, segment.start_seconds, sounds)
        if sound is None:
            of_other_segments += sounds
            continue
        clips.append(LabelledClip(str(sound), segment.labels))
    if of_other_segments:
        LOG.warning(
            "%d sound files begin at another time than the segment of their video in %s, by their "
            "names, and are left out, such as %s.",
            len(of_other_segments),
            path,
            of_other_segments[0],
        )
    if not clips:
        raise DataError(
            f"{audio_dir} contains the sound of none of the {len(segments)} segments of {path}.",
            "Give the folder whose files are named after the segments, such as YTID.wav.",
        )
    LOG.info("%s: %d of %d segments have a sound file.", path, len(clips), len(segments))
    return tuple(clips)


@dataclasses.dataclass(frozen=True)
class _Segment:
    """A line of the CSV of segments.

    Attributes:
      identifier: Identifier of the video.
      start_seconds: Start of the segment in the video, as it is written.
      labels: Names of its labels, each once.
    """

    identifier: str
    start_seconds: str
    labels: tuple[str, ...]


def _segments(path: Path, names: Path) -> list[_Segment]:
    """Returns the segments of a CSV; see `read_segments` for the arguments and errors."""
    name_of = _names_of_labels(names)
    segments = []
    line_of: dict[str, int] = {}
    for number, cells in text_tables.read_csv_lines(path):
        if cells[0].startswith("#"):
            continue
        if len(cells) != COLUMNS:
            raise DataError(
                f"Line {number} of {path} has {len(cells)} cells instead of {COLUMNS}.",
                "Give AudioSet's CSV as it is published: YTID, start, end, labels.",
            )
        identifier, start_seconds, _, labels_text = cells
        if identifier in line_of:
            raise DataError(
                f"{identifier!r} is in line {line_of[identifier]} and in line {number} of {path}.",
                "Remove one of them.",
            )
        line_of[identifier] = number
        if not NUMBER.fullmatch(start_seconds):
            raise DataError(
                f"Line {number} of {path} has the start {start_seconds!r}.", "Give it in seconds."
            )
        labels = [label.strip() for label in labels_text.split(",")]
        unknown = [label for label in labels if label not in name_of]
        if unknown:
            raise DataError(
                f"Line {number} of {path} has the label {unknown[0]!r}, which is not in {names}.",
                "Give the class_labels_indices.csv of the same AudioSet.",
            )
        # A dictionary keeps the order and drops repetitions.
        distinct = dict.fromkeys(name_of[label] for label in labels)
        segments.append(_Segment(identifier, start_seconds, tuple(distinct)))
    return segments


def _names_of_labels(path: Path) -> dict[str, str]:
    """Returns {identifier of a label, such as /m/09x0r: its name}."""
    table = text_tables.read_csv(path)
    table.require(("mid", "display_name"), "Give AudioSet's class_labels_indices.csv.")
    return {row["mid"]: row["display_name"] for row in table.rows}


def _sound_of_segment(identifier: str, start_seconds: str, paths: Sequence[Path]) -> Path | None:
    """Returns the sound file of a segment; None if all are of other segments, by their names.

    Args:
      identifier: Identifier of the video.
      start_seconds: Start of the segment in the video, as the CSV has it.
      paths: Files that begin with the identifier: of several segments, or formats, of the video.

    Raises:
      DataError: Several have the start of the segment in their names, or several have no start.
    """
    seconds = float(start_seconds)
    matching = []
    without_times = []
    for path in paths:
        # The identifier may end like times, too.
        times = TIMES.search(path.stem.partition(identifier)[2])
        if times is None:
            without_times.append(path)
        elif float(times["start"]) in (seconds, 1000 * seconds):
            matching.append(path)
    candidates = matching or without_times
    if not candidates:
        return None
    if len(candidates) > 1:
        raise DataError(
            f"{candidates[0]} and {candidates[1]} both may be the segment of {identifier!r} that "
            f"begins at {start_seconds} s.",
            "Remove one of them, or name both after their segments, such as YTID_30000_40000.wav.",
        )
    return candidates[0]


def _sounds_by_id(folder: str | Path) -> dict[str, list[Path]]:
    """Returns {identifier of a video: its sound files}."""
    found: dict[str, list[Path]] = {}
    for path in reading.sound_files(folder):
        # The Y before an identifier may be a part of it, so the name is read in both ways.
        names = [path.stem]
        if path.stem.startswith("Y"):
            names.append(path.stem[1:])
        for name in names:
            identifier = name[:ID_LENGTH]
            rest = name[ID_LENGTH:]
            if len(identifier) == ID_LENGTH and (not rest or rest.startswith("_")):
                found.setdefault(identifier, []).append(path)
    return found
