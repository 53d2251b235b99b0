"""Reads files with libsndfile, up to their end, whatever length is in their headers; writes WAV.

libsndfile stops at the length in the header, even if there is more sound. A damaged header may have
any length, so that memory is not reserved according to it.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from crossask.audio import caf, interruptions, mpeg, ogg, wav_header

# Layer of MPEG files by their encodings. "MP3" is libsndfile's format of all of them.
_LAYERS = {"MPEG_LAYER_I": 1, "MPEG_LAYER_II": 2, "MPEG_LAYER_III": 3}
# The length that libsndfile gives files without one in their header, such as FLAC from a pipe.
_UNKNOWN_FRAMES = 2**62
# Decoding starts this much before a wanted sample: MP3 needs earlier frames to decode one.
_SECONDS_BEFORE = 1
# Largest number of values that are read in one call, for any length in the header; 64 MB.
_MOST_VALUES = 2**24
# Number of samples that are requested beyond the length in the header, in case the file has more.
_SAMPLES_BEYOND = 4096
# The encoding that libsndfile gives any content whose name ends in .au or .snd, without a header.
_GUESS_FOR_AU = "ULAW"
# Programs that write to a pipe do not know the length, and write a very large one.
_LARGE_SIZES = range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000)
# A line in libsndfile's log of a file whose end is missing: the size in the header, and the size of
# what is present. They are those of the samples, or of the whole file for W64 and RF64.
_SHORT_SAMPLES = re.compile(r"(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)")
# Lines in libsndfile's log of WAV and W64: the bytes of a sample of all channels, and its bits.
_BLOCK_BYTES = re.compile(r"Block Align\s*: (\d+)")
_BITS = re.compile(r"Bit Width\s*: (\d+)")
# Formats in which libsndfile moves to a sample exactly, and up to the end.
_WITH_SEEK = ("WAV", "WAVEX", "W64", "RF64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
# An encoding in which it does not, although it reports that it can.
_WITHOUT_SEEK = "DWVW"


class HiddenSoundError(Exception):
    """A file may contain sound that libsndfile does not read, or reads wrongly."""


class NoHeaderError(Exception):
    """The suffix of a file is that of samples without a header, and there is none."""


# What opening or reading another file may raise.
ERRORS = (soundfile.LibsndfileError, RuntimeError, OSError, HiddenSoundError)


class SoundFile(soundfile.SoundFile):
    """A sound file that is read from its start, or from a sample, to its end.

    Attributes:
      remark: What is unusual about the header, as the end of a sentence about the file; or "".
      front_pair: Numbers of the channels front left and front right; None if they are unknown.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Opens a file.

        Args:
          path: Path of the file.

        Raises:
          Exception: One of ERRORS: libsndfile does not read the file, or not all of its sound; or
            NoHeaderError.
        """
        self.remark = ""
        self.front_pair: tuple[int, int] | None = None
        self._path = path
        # Number of the sample that is read next.
        self._place = 0
        # Length of an MP3 file that has none in a header; libsndfile estimates it.
        self._counted_seconds: float | None = None
        # libsndfile reads a repaired file through functions of Python.
        self._repaired = repaired = wav_header.repaired(path)
        if repaired is not None:
            with self._calling_python():
                super().__init__(repaired)
            self.remark = (
                "was not finished by the program that recorded it: its header says that it has "
                f"{repaired.written_bytes:,} bytes of sound. It is read to its end"
            )
            return
        try:
            super().__init__(os.fspath(path))
        except TypeError:
            # The name ends in .raw, so soundfile does not try to read a header.
            self._open_without_name(path)
        if self.format == "RAW" and self.subtype == _GUESS_FOR_AU:
            self.close()
            raise HiddenSoundError("it has no header")
        if self.format == "MP3":
            self._check_length(path)
        if self.format == "OGG" and ogg.is_chain(path):
            self.close()
            raise HiddenSoundError("it reads the first of several streams one after the other")

    def seekable(self) -> bool:
        """Returns False, so that soundfile does not request its position before it reads.

        The request would fail for encodings such as GSM 6.10, which libsndfile reads only forwards.
        """
        return False

    @property
    def seconds(self) -> float:
        """Length according to the header, or that of all frames of an MP3; 0 if it is unknown."""
        if self._counted_seconds is not None:
            return self._counted_seconds
        if self.frames > _UNKNOWN_FRAMES:
            return 0.0
        return self.frames / self.samplerate

    @property
    def has_exact_seconds(self) -> bool:
        """Whether the header has a length."""
        return self.frames <= _UNKNOWN_FRAMES

    @property
    def promised_seconds(self) -> float:
        """Length that the file should have, which is larger than `seconds` if its end is missing.

        It is 0 if it is unknown.
        """
        noted = _SHORT_SAMPLES.search(self.extra_info)
        if noted is None:
            return self.seconds
        promised = int(noted[1])
        present = int(noted[2])
        if present == 0 or any(promised in sizes for sizes in _LARGE_SIZES):
            return self.seconds
        return self.seconds * promised / present

    @property
    def has_gaps(self) -> bool:
        """Whether samples of 17 to 24 bits take 4 bytes each, in WAV, W64 or CAF.

        The header does not say in which of the bytes they are. libsndfile guesses it from
        the samples, or takes them for samples of 3 bytes, and then reads loud noise.
        """
        if self.format == "CAF":
            return caf.has_gaps(self._path)
        block_bytes = _BLOCK_BYTES.search(self.extra_info)
        bits = _BITS.search(self.extra_info)
        if block_bytes is None or bits is None:
            return False
        return 16 < int(bits[1]) <= 24 and int(block_bytes[1]) == 4 * self.channels

    def read(self, samples: int) -> np.ndarray:
        """Returns the next samples, float32 [samples, channels]; fewer at the end.

        Args:
          samples: Largest number of samples; fewer are also read if they need too much memory.
        """
        samples = min(samples, max(1, _MOST_VALUES // self.channels))
        # libsndfile writes zeros for samples that are not there, which takes time.
        samples = min(samples, max(_SAMPLES_BEYOND, self.frames - self._place))
        with self._calling_python():
            waveform = super().read(samples, dtype="float32", always_2d=True)
        self._place += len(waveform)
        if len(waveform) < samples:
            # The rest of the memory was reserved for nothing.
            return waveform.copy()
        return waveform

    def move_to(self, sample: int) -> None:
        """Moves to a sample; called before the first `read`."""
        start = 0
        can_move = self.format in _WITH_SEEK and not self.subtype.startswith(_WITHOUT_SEEK)
        if can_move and super().seekable() and self.has_exact_seconds:
            start = min(max(0, sample - _SECONDS_BEFORE * self.samplerate), self.frames)
            if self.format == "OGG":
                start = min(start, ogg.start_of_last_page(self._path))
            with self._calling_python():
                self.seek(start)
            self._place = start
        left = sample - start
        while left > 0:
            skipped = self.read(min(left, self.samplerate))
            if len(skipped) == 0:
                return
            left -= len(skipped)

    @contextlib.contextmanager
    def _calling_python(self) -> Iterator[None]:
        """Handles signals and raises errors of the disk at the end of a call of libsndfile."""
        if self._repaired is None:
            yield
            return
        with interruptions.deferred():
            yield
        if self._repaired.error is not None:
            raise self._repaired.error

    def _open_without_name(self, path: str | os.PathLike[str]) -> None:
        """Opens a file whatever its suffix is."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            super().__init__(descriptor, closefd=True)
        except soundfile.LibsndfileError as error:
            raise NoHeaderError from error

    def _check_length(self, path: str | os.PathLike[str]) -> None:
        """Raises HiddenSoundError if an MP3 file is longer than libsndfile would read, or is none.

        In a file whose name ends in .mp3, libsndfile searches for anything that looks like a frame:
        of m4a by another name, it may read hundredths of a second of noise.

        Without a Xing header, libsndfile computes the length from the bit rate of the first frame.
        Of files that were joined, it reads the first, or those of one format.
        """
        layer = _LAYERS[self.subtype]
        if not mpeg.is_sound(Path(path), layer):
            self.close()
            raise HiddenSoundError("it is no MPEG file, whatever its name is")
        seconds_of = mpeg.seconds_of(Path(path), layer)
        seconds = sum(seconds_of.values())
        long = [part for part in seconds_of.values() if part > mpeg.MOST_DELAY_SECONDS]
        if len(long) > 1:
            self.close()
            raise HiddenSoundError("it reads up to a change of the sample rate or the channels")
        if seconds > self.seconds + mpeg.MOST_DELAY_SECONDS:
            self.close()
            raise HiddenSoundError(
                f"it reads {self.seconds:.1f} s of {seconds:.1f} s, because the file has no index, "
                "or consists of several files"
            )
        # Where the first frame has a low bit rate, libsndfile's estimate is too long.
        if seconds and not mpeg.has_index(Path(path), layer):
            self._counted_seconds = seconds


def write_wav(path: str | Path, waveform: np.ndarray, sample_rate_hz: int, encoding: str) -> None:
    """Writes a waveform as a WAV file.

    Args:
      path: The file.
      waveform: Samples, [samples] or [samples, channels].
      sample_rate_hz: Sample rate in Hz.
      encoding: Encoding in the names of libsndfile, such as "PCM_16".

    Raises:
      OSError: The file cannot be written; it has the path and the number of the error.
    """
    # Of a full disk, libsndfile would report "System error" alone.
    content = io.BytesIO()
    with interruptions.deferred():
        soundfile.write(content, waveform, sample_rate_hz, encoding, format="WAV")
    try:
        Path(path).write_bytes(content.getbuffer())
    except OSError as error:
        # Python adds no path if a file was opened and cannot be written.
        error.filename = os.fspath(path)
        raise
