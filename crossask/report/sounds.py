"""The sound files of clips, as addresses relative to the folder of a report."""

import os
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

from crossask import datasets
from crossask.errors import CrossaskError, DataError
from crossask.report.rows import Row

# Formats that browsers play.
PLAYED = {".aac", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}


class Sounds:
    """The sound files that are on the computer on which a report is written.

    Args:
      out_dir: Folder of the report.
      data_dir: Folder (or CSV) of the data set; "": that on which each row was trained, without
        players if it is no longer there.
    """

    def __init__(self, out_dir: str | Path, data_dir: str = ""):
        self._out_dir = os.path.abspath(out_dir)
        self._data_dir = data_dir
        # (data set, its folder) -> clip -> its file.
        self._corpora: dict[tuple[str, str], dict[str, str]] = {}

    def addresses(self, row: Row, clips: Iterable[str]) -> list[str]:
        """Returns the address of each clip for a player on the page; "" where there is no file.

        Args:
          row: The row that predicted the clips.
          clips: Names of the clips.

        Raises:
          DataError: The data set that was given cannot be read, or has none of the clips.
        """
        files = self._files(row)
        clip_seconds = row.fields["features.clip_seconds"]
        addresses = []
        missing = []
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
                missing.append(clip)
        if self._data_dir and missing and len(missing) == len(addresses):
            raise DataError(
                f"{self._data_dir} has none of the clips of {row.name}, such as {missing[0]!r}.",
                "Set --data_dir to the data set of these runs, or leave it out.",
            )
        return addresses

    def _files(self, row: Row) -> dict[str, str]:
        """Returns clip -> its file; {} if the corpus is no longer where the row was trained."""
        name = str(row.experiment.get("dataset", ""))
        trained_on = str(row.runs[0].config.get("paths", {}).get("data_dir", ""))
        data_dir = self._data_dir or trained_on
        key = (name, data_dir)
        if key not in self._corpora:
            self._corpora[key] = _files_of_corpus(name, data_dir, bool(self._data_dir))
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


def _files_of_corpus(name: str, data_dir: str, is_given: bool) -> dict[str, str]:
    """Returns clip -> its file; {} if the corpus cannot be read, unless its folder was given."""
    if not is_given and not os.path.exists(data_dir):
        return {}
    try:
        corpus = datasets.read_corpus(name, data_dir, need_audio=False)
    except (CrossaskError, OSError):
        if is_given:
            raise
        # There is another corpus now, or it may not be read. The report needs only predictions.
        return {}
    return {clip.id: clip.path for clip in corpus.clips}
