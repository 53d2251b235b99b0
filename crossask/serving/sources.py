"""Where recordings come from: files, folders, patterns, standard input, a folder that fills, a stream of raw samples."""

import contextlib
import dataclasses
import glob
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from crossask.audio import reading
from crossask.errors import AudioError, CrossaskError

STANDARD_INPUT = "-"
SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(frozen=True)
class Source:
    """A recording to be heard: its path, its name below the folder it was found in, and what to call it where not by its path."""

    path: str
    name: str
    shown: str = ""

    def __str__(self):
        return self.shown or self.path

    def __fspath__(self):
        return self.path

    @property
    def seconds(self) -> float:
        """Its length as the header tells it; 0 where that cannot be read."""
        with contextlib.suppress(soundfile.LibsndfileError, RuntimeError, OSError):
            return soundfile.info(self.path).duration
        return 0.0


def find(words) -> list[Source]:
    """The recordings that `words` name, each once: files, patterns such as 'day1/*.wav', all sound files below folders.

    Raises:
      CrossaskError: a folder without sound files, a pattern that nothing fits. A file that is not there is told when it is heard.
    """
    found = {}
    for word in map(str, words):
        path = Path(word)
        if path.is_dir():
            inside = reading.sound_files(path)
            if not inside:
                raise CrossaskError(
                    f"{word} holds no sound files.",
                    f"Sound files end in {' '.join(reading.SUFFIXES)}.",
                )
            sources = [Source(str(file), str(file.relative_to(path))) for file in inside]
        elif glob.has_magic(word) and not path.exists():
            sources = [
                Source(file, Path(file).name)
                for file in sorted(glob.glob(word, recursive=True))
                if Path(file).is_file()
            ]
            if not sources:
                raise CrossaskError(
                    f"No file fits {word!r}.", "Mend the pattern; ** stands for any folders."
                )
        else:
            sources = [Source(word, path.name)]
        for source in sources:
            found.setdefault(source.path, source)
    return list(found.values())


def watch(folder, ended=lambda: False):
    """Lists of recordings below `folder` as they appear and stop growing; goes on until `ended`.

    A file is handed on when two looks, a second apart, see the same size and time of change: who copies it has finished.
    """
    if not Path(folder).is_dir():
        raise CrossaskError(
            f"There is no folder {str(folder)!r}.", "Make it, or give another one to watch."
        )
    seen, told = {}, set()
    while not ended():
        now = {}
        for file in reading.sound_files(folder):
            if file not in told:
                with contextlib.suppress(OSError):  # gone again
                    state = file.stat()
                    now[file] = (state.st_size, state.st_mtime_ns)
        ready = [file for file, state in now.items() if seen.get(file) == state]
        seen = now
        if ready:
            told.update(ready)
            yield [Source(str(file), str(file.relative_to(folder))) for file in ready]
        else:
            time.sleep(SECONDS_BETWEEN_LOOKS)


@contextlib.contextmanager
def standard_input(stream=None):
    """A sound file that comes through a pipe, as a Source: kept in a temporary file, for headers and footers want seeking."""
    with tempfile.NamedTemporaryFile(suffix=".sound") as file:
        shutil.copyfileobj(stream or sys.stdin.buffer, file)
        file.flush()
        yield Source(file.name, "standard_input", "standard input")


def pcm_stream(rate: int, channels: int, seconds: float, stream=None):
    """Raw samples (16 bits, little endian, channels interleaved) a second at a time: (seconds so far, the last `seconds` of waveform).

    The waveform is float32 [samples, channels], shorter at the start. What remains at the end is less than a second and unheard.
    """
    stream = stream or sys.stdin.buffer
    if channels not in (1, 2):
        raise AudioError(f"The stream has {channels} channels.", "Give one or two.")
    kept, heard = np.zeros((0, channels), np.float32), 0
    while len(piece := stream.read(rate * channels * 2)) == rate * channels * 2:
        samples = np.frombuffer(piece, "<i2").reshape(-1, channels).astype(np.float32) / 32768
        kept, heard = np.concatenate([kept, samples])[-round(seconds * rate) :], heard + 1
        yield heard, kept
