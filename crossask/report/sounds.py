"""The sound files of clips, as addresses relative to the folder of a report."""

import os
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

from crossask import datasets
from crossask.errors import CrossaskError
from crossask.report.rows import Row

# Formats that browsers play.
PLAYED = {".aac", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}


class Sounds:
    """The sound files that are on the computer on which a report is written.

    Args:
      out_dir: Folder of the report.
    """

    def __init__(self, out_dir: str | Path):
        self._out_dir = os.path.abspath(out_dir)
        # (data set, its folder) -> clip -> its file.
        self._corpora: dict[tuple[str, str], dict[str, str]] = {}

    def addresses(self, row: Row, clips: Iterable[str]) -> list[str]:
        """Returns the address of each clip for a player on the page; "" where there is no file.

        Args:
          row: The row that predicted the clips.
          clips: Names of the clips.
        """
        files = self._files(row)
        clip_seconds = row.fields["features.clip_seconds"]
        addresses = []
        for clip in clips:
            part = datasets.recording_and_start(clip)
            if clip in files:
                addresses.append(self._address(files[clip]))
            elif part and part[0] in files:
                recording, start = part
                address = self._address(files[recording])
                # A browser plays this part of the file alone.
                times = f"#t={start:g},{start + clip_seconds:g}"
                addresses.append(f"{address}{times}" if address else "")
            else:
                addresses.append("")
        return addresses

    def _files(self, row: Row) -> dict[str, str]:
        """Returns clip -> its file; {} if the corpus is no longer where the row was trained."""
        name = str(row.experiment.get("dataset", ""))
        data_dir = str(row.runs[0].config.get("paths", {}).get("data_dir", ""))
        key = (name, data_dir)
        if key not in self._corpora:
            self._corpora[key] = _files_of_corpus(name, data_dir)
        return self._corpora[key]

    def _address(self, file: str) -> str:
        """Returns the address of a file relative to the report; "" if a browser cannot play it."""
        if Path(file).suffix.lower() not in PLAYED or not os.path.isfile(file):
            return ""
        try:
            relative = os.path.relpath(file, self._out_dir)
        except ValueError:
            # On Windows, there is no relative path to another drive.
            return ""
        return urllib.parse.quote(Path(relative).as_posix())


def _files_of_corpus(name: str, data_dir: str) -> dict[str, str]:
    """Returns clip -> its file; {} if the corpus cannot be read."""
    if not data_dir or not os.path.exists(data_dir):
        return {}
    try:
        corpus = datasets.read_corpus(name, data_dir, need_audio=False)
    except (CrossaskError, OSError):
        # There is another corpus now, or it may not be read. The report needs only predictions.
        return {}
    return {clip.id: clip.path for clip in corpus.clips}
