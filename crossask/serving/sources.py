"""Finds the recordings to predict on: files, folders, standard input, or a stream of samples."""

import contextlib
import dataclasses
import glob
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from crossask import files
from crossask.audio import reading
from crossask.audio.folder_walk import FolderWalk
from crossask.errors import AudioError, CrossaskError

# Word on the command line for a sound file on standard input.
STANDARD_INPUT = "-"
# Seconds between two looks at a watched folder.
SECONDS_BETWEEN_LOOKS = 1.0
# A 16-bit sample is at most this large.
FULL_SCALE = 32768
# How files of sound begin: WAV, Wave64, FLAC, Ogg, AIFF, Core Audio, AU, VOC, MP3 with a title,
# Matroska and WebM. arecord writes AU and VOC, too.
STARTS_OF_FILES = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"riff",
    b"fLaC",
    b"OggS",
    b"FORM",
    b"caff",
    b".snd",
    b"Creative Voice File",
    b"ID3",
    b"\x1a\x45\xdf\xa3",
)
# A pattern with a part ** between its slashes, or between backslashes on Windows.
_SLASH = f"[{re.escape(os.sep + (os.altsep or ''))}]"
ANY_FOLDERS = re.compile(rf"(?P<before>(?:.*?{_SLASH})??)\*\*(?:{_SLASH}(?P<after>.*))?", re.DOTALL)
LOG = logging.getLogger("crossask")


@dataclasses.dataclass(frozen=True)
class RecordingFile(os.PathLike):
    """A sound file.

    Attributes:
      path: Its path.
      name: Its path below the folder in which it was found.
      title: Its name in messages and tables; "" is its path.
      is_changed: Whether it was found before, and has changed since.
      is_piped: Whether it came through a pipe, so that its name says nothing about its content.
    """

    path: str
    name: str
    title: str = ""
    is_changed: bool = False
    is_piped: bool = False

    def __str__(self) -> str:
        """Returns the name of the file in messages and tables."""
        return self.title or self.path

    def __fspath__(self) -> str:
        """Returns the path, so that the file can be passed to open()."""
        return self.path

    @property
    def seconds(self) -> float:
        """Length according to the file's header, or an estimate; 0 if it is unknown."""
        return reading.seconds_of(self.path)


def find_recordings(words: Iterable[str | Path]) -> list[RecordingFile]:
    """Returns the recordings that the words of a command line select, each once.

    One log line counts the files in folders that are left out, by the reason.

    Args:
      words: Paths of files, patterns such as 'day1/*.wav', or folders, which are searched with
        their subfolders.

    Raises:
      CrossaskError: A folder contains no sound files, a pattern matches no file, or none of the
        files exists. A missing file among others is an error where it is read.
    """
    found = {}
    searched = reading.FolderContent()
    for word in words:
        if Path(word).is_dir():
            content = _folder_content(word)
            searched += content
            recordings = [_in_folder(file, word) for file in content.files]
        else:
            recordings = _matches(str(word))
        for recording in recordings:
            found.setdefault(files.place_of(recording.path), recording)
    if searched.left_out:
        LOG.info("Files in folders that are left out: %s.", searched.left_out)
    if found and not any(os.path.lexists(place) for place in found):
        listed = ", ".join(repr(recording.path) for recording in found.values())
        raise CrossaskError(f"There is no file {listed}.", "Check the path.")
    return list(found.values())


def _never() -> bool:
    return False


def watch_folder(
    folder: str | Path, is_over: Callable[[], bool] = _never
) -> Iterator[list[RecordingFile]]:
    """Yields lists of new and changed recordings in a folder and its subfolders, once complete.

    A file counts as complete when two looks, a second apart, find the same size and time of change.
    Files that cannot be read, and those whose names are not in UTF-8, are logged once.

    Args:
      folder: The folder.
      is_over: Called before each look; the generator ends when it returns True.

    Raises:
      CrossaskError: There is no such folder, or it is there no more.
    """
    yielded: dict[Path, tuple[int, int]] = {}
    before: dict[Path, tuple[int, int]] = {}
    logged: set[Path] = set()
    while not is_over():
        # In a folder that was removed since the last look, such as a card, nothing would be found.
        if not Path(folder).is_dir():
            raise CrossaskError(
                f"There is no folder {str(folder)!r}.", "Create it, or watch another folder."
            )
        content = reading.folder_content(folder)
        _log_left_out(content, logged)
        now = _file_states(content.files)
        # Since then, a file may have grown.
        looked = time.monotonic()
        complete = []
        for file, state in now.items():
            if before.get(file) == state and yielded.get(file) != state:
                recording = _in_folder(file, folder)
                complete.append(dataclasses.replace(recording, is_changed=file in yielded))
                yielded[file] = state
        before = now
        if complete:
            yield complete
        # The recordings may have been predicted, or skipped, in less than a second.
        time.sleep(max(0.0, looked + SECONDS_BETWEEN_LOOKS - time.monotonic()))


@contextlib.contextmanager
def standard_input(stream: BinaryIO | None = None) -> Iterator[RecordingFile]:
    """Yields the sound file that arrives on standard input.

    It is copied to a temporary file, because reading a header requires seeking.

    Args:
      stream: Stream to read instead of standard input.
    """
    with files.working_folder("crossask-standard-input") as folder:
        path = folder / "recording.sound"
        with open(path, "wb") as file:
            shutil.copyfileobj(stream or _standard_input(), file)
        yield RecordingFile(str(path), "standard_input", "standard input", is_piped=True)


@contextlib.contextmanager
def copied_pipes(recordings: Iterable[RecordingFile]) -> Iterator[list[RecordingFile]]:
    """Yields the recordings; those that are pipes are copied to temporary files.

    A pipe such as `<(command)` of a shell can be read only once, and has no end to seek.
    """
    with contextlib.ExitStack() as stack:
        copied = []
        for recording in recordings:
            if Path(recording.path).is_fifo():
                pipe = stack.enter_context(open(recording.path, "rb"))
                file = stack.enter_context(standard_input(pipe))
                recording = dataclasses.replace(file, name=recording.name, title=str(recording))
            copied.append(recording)
        yield copied


def pcm_stream(
    rate: int, channels: int, seconds: float, stream: BinaryIO | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads raw samples from standard input, one second at a time.

    The samples are 16-bit integers, little endian, with interleaved channels. A last piece of less
    than a second is dropped.

    Args:
      rate: Sample rate in Hz.
      channels: 1 or 2.
      seconds: Longest waveform to yield.
      stream: Stream to read instead of standard input.

    Yields:
      After each second, the number of seconds read so far, and the last `seconds` of the stream as
      waveform [samples, channels] in -1..1, which is shorter at the start.

    Raises:
      AudioError: The number of channels is not 1 or 2, or the stream begins as a sound file does.
    """
    if channels not in (1, 2):
        raise AudioError(f"The stream has {channels} channels.", "Set --channels to 1 or 2.")
    stream = stream or _standard_input()
    bytes_per_second = rate * channels * 2
    longest = round(seconds * rate)
    waveform = np.zeros((0, channels), np.float32)
    seconds_read = 0
    while True:
        piece = stream.read(bytes_per_second)
        if not seconds_read and piece.startswith(STARTS_OF_FILES):
            # Its header would be read as sound, and its samples may be of another kind and rate.
            raise AudioError(
                f"The stream begins with {piece[:4]!r}, as a sound file does, and not with raw "
                "samples.",
                "Send raw 16-bit samples (arecord -t raw, ffmpeg -f s16le), or use - in place of "
                "--stream for a whole file.",
            )
        if len(piece) < bytes_per_second:
            return
        samples = np.frombuffer(piece, "<i2").reshape(-1, channels)
        samples = samples.astype(np.float32) / FULL_SCALE
        waveform = np.concatenate([waveform, samples])[-longest:]
        seconds_read += 1
        yield seconds_read, waveform


def _standard_input() -> BinaryIO:
    """Returns standard input, whose reads wait until there is something.

    A program that shares it, such as the shell's terminal, may have made it non-blocking. Reads
    then return nothing before the end, and the rest would be lost.
    """
    # Text in place of standard input has no descriptor; not every system has the function.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.set_blocking(sys.stdin.fileno(), True)
    return sys.stdin.buffer


def _folder_content(folder: str | Path) -> reading.FolderContent:
    """Returns the content of a folder, in which there must be sound files."""
    content = reading.folder_content(folder)
    if not content.files:
        raise CrossaskError(*content.nothing_found(folder))
    return content


def _matches(word: str) -> list[RecordingFile]:
    """Returns the recordings that a path or a pattern on the command line selects."""
    path = Path(word)
    if glob.has_magic(word) and not path.exists():
        # Links may lead to one file by several paths; the shortest one is kept.
        matches: dict[str, str] = {}
        for file in sorted(_expanded(word), key=len):
            if os.path.isfile(file):
                matches.setdefault(files.place_of(file), file)
        recordings = [RecordingFile(file, Path(file).name) for file in sorted(matches.values())]
        if not recordings:
            raise CrossaskError(
                f"No file matches {word!r}.", "Check the pattern; ** matches any subfolders."
            )
        return recordings
    return [RecordingFile(word, path.name)]


def _expanded(pattern: str) -> list[str]:
    """Returns the files and folders that match a pattern, some of them more than once.

    Python's `glob` searches links that form circles along each of their ways, which has no end.
    """
    parts = ANY_FOLDERS.fullmatch(pattern)
    if parts is None:
        return glob.glob(pattern)
    found = []
    # "*" matches what "**" at the end does.
    rest = "*" if parts["after"] is None else parts["after"]
    for top in glob.glob(parts["before"]) if parts["before"] else [""]:
        for folder, _ in FolderWalk(top or os.curdir):
            if not top:
                # The current folder has no name in paths.
                folder = os.path.relpath(folder).removeprefix(os.curdir)
            found += _expanded(os.path.join(glob.escape(folder), rest))
    return found


def _in_folder(file: Path, folder: str | Path) -> RecordingFile:
    """Returns a sound file that was found in a folder or its subfolders."""
    return RecordingFile(path=str(file), name=str(file.relative_to(folder)))


def _log_left_out(content: reading.FolderContent, logged: set[Path]) -> None:
    """Logs each file of a watched folder that will never be predicted.

    Args:
      content: The content of the folder.
      logged: Files that were logged; those of this call are added.
    """
    reasons = (
        ("it cannot be read (permission is denied)", content.unreadable),
        ("its name is not in UTF-8", content.unnameable),
    )
    for reason, paths in reasons:
        for path in paths:
            if path not in logged:
                logged.add(path)
                shown = os.fsencode(path).decode("utf-8", "backslashreplace")
                LOG.warning("%s is left out: %s.", shown, reason)


def _file_states(paths: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Returns the size and time of change of each file."""
    states = {}
    for file in paths:
        state = files.state_of(file)
        # The file may have been removed since it was listed.
        if state is not None:
            states[file] = state
    return states
