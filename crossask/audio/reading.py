"""Reads sound files as waveforms at their own sample rates. Imports no TensorFlow.

libsndfile reads a file if it can, and PyAV (FFmpeg) reads the others; see `formats` for the
formats, `channels` for recordings of more than two channels.
"""

import contextlib
import dataclasses
import errno
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from crossask.audio import amplitudes, channels, flac, formats, ogg, sndfile, wav_header
from crossask.audio.formats import SUFFIXES, FolderContent, folder_content, is_sound_file
from crossask.audio.media import MediaFile
from crossask.audio.remarks import Remarks
from crossask.audio.sndfile import SoundFile
from crossask.config import FeatureConfig
from crossask.errors import AudioError

__all__ = [
    "SUFFIXES",
    "FileFacts",
    "FolderContent",
    "facts_of",
    "fit_length",
    "folder_content",
    "is_sound_file",
    "read_audio",
    "read_blocks",
    "read_clip",
    "read_part",
    "read_seconds",
    "read_start",
    "seconds_of",
    "sound_files",
]

# Sample rates of recordings that are read. Another one is in the header of a damaged file;
# recorders of bats have up to 500 kHz.
LEAST_RATE_HZ = 1000
MOST_RATE_HZ = 1_000_000
# Length of the pieces in which a whole file is read.
_BLOCK_SECONDS = 10.0
# A file is too long if it has so much more than may be cut; the rest is not read.
_SPARE_SECONDS = 1.0

# As features.max_cut_seconds: recordings of any length are cut. The field has to be finite.
ANY_CUT_SECONDS = 1e9

# A longer recording would need less than a byte for each second. Its header is damaged.
_MOST_SECONDS_OF_A_BYTE = 1.0

# Numbers of errors for a path at which there is no file, or none any more.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ESTALE)

# Encoding of a file, as libsndfile names it.
OPUS = "OPUS"

AnyPath = str | os.PathLike[str]


def sound_files(folder: str | Path) -> list[Path]:
    """Returns the sound files below `folder`, sorted; see `folder_content` for what is left out."""
    return list(folder_content(folder).files)


def read_audio(path: AnyPath) -> tuple[np.ndarray, int]:
    """Reads a whole sound file, of any format in `formats.FORMATS`.

    What is unusual about the recording (see `remarks.Remarks`) is logged once.

    Returns:
      The waveform, float32 [samples, channels] from -1 to 1 with 1 or 2 channels (see
      `channels.mono_or_stereo`), and its sample rate in Hz.

    Raises:
      AudioError: The file is missing, empty, damaged or not a sound file, needs PyAV, which is not
        installed, or has samples that `amplitudes.check` rejects.
    """
    return read_start(path, math.inf)


def read_start(path: AnyPath, seconds: float) -> tuple[np.ndarray, int]:
    """Reads the start of a sound file: at least so many seconds, or all of a shorter file.

    Memory does not grow with the length, which may be hours in a small file of silence. Results and
    errors are those of `read_audio`.
    """
    blocks, rate = read_blocks(path, _BLOCK_SECONDS)
    pieces = []
    samples = 0
    for block in blocks:
        pieces.append(block)
        samples += len(block)
        if samples > seconds * rate:
            break
    if not pieces:
        raise AudioError(*_no_samples(path))
    if len(pieces) == 1:
        return pieces[0], rate
    return np.concatenate(pieces), rate


def read_clip(path: AnyPath, features: FeatureConfig) -> tuple[np.ndarray, int]:
    """Reads a whole sound file that has about the length of a clip; results as `read_audio`.

    From `features.max_cut_seconds` = ANY_CUT_SECONDS on, the file may have any length, and what it
    contains long after the clip is not read.

    Raises:
      AudioError: As `read_audio`, or the file is longer than `fit_length` allows.
    """
    is_cut = features.max_cut_seconds >= ANY_CUT_SECONDS
    allowed_seconds = 0.0 if is_cut else features.max_cut_seconds
    # `fit_length` compares exactly, at the rate at which the features are computed.
    most_seconds = features.clip_seconds + allowed_seconds + _SPARE_SECONDS
    waveform, rate = read_start(path, most_seconds)
    if len(waveform) > most_seconds * rate and not is_cut:
        raise _too_long(path, f"more than {len(waveform) / rate:.0f}", features)
    return waveform, rate


def read_blocks(
    path: AnyPath, seconds: float, remarks: Remarks | None = None
) -> tuple[Iterator[np.ndarray], int]:
    """Reads a sound file piece by piece, so that memory does not grow with its length.

    Args:
      path: Path of the file.
      seconds: Length of a piece; the last one may be shorter, and all if they have many channels.
      remarks: What is unusual about the recording is added to it. None: it is logged once.

    Returns:
      An iterator over waveforms, float32 [samples, channels], and the sample rate in Hz.

    Raises:
      AudioError: As `read_audio`; an error in later samples is raised when they are read.
    """
    file = _open(path)
    samples = max(1, round(seconds * file.samplerate))
    found = Remarks() if remarks is None else remarks

    def blocks() -> Iterator[np.ndarray]:
        with file:
            found.set_header(file.remark, file.promised_seconds, file.samplerate)
            yield from found.add_each(_checked_blocks(file, path, samples))
            # This looks through the whole file, which is read to its end here.
            remark = _remark_of_whole(file, path)
            found.set_header(remark, file.promised_seconds, file.samplerate)
        if remarks is None:
            found.log_once(path)

    return blocks(), file.samplerate


def _remark_of_whole(file: SoundFile | MediaFile, path: AnyPath) -> str:
    """Returns what is unusual about a file's header, or about what follows in the file; or ""."""
    return file.remark or flac.remark_of(path)


def read_part(path: AnyPath, start: int, end: int) -> np.ndarray:
    """Reads the samples from `start` to `end` of a file, float32 [samples, channels].

    Raises:
      AudioError: As `read_audio`; also if there are no samples after `start`.
    """
    with _open(path) as file:
        return _part(file, path, start, end)


def read_seconds(path: AnyPath, start: float, end: float) -> tuple[np.ndarray, int]:
    """Reads a file between two moments in seconds; results and errors as `read_part`.

    What is unusual is logged once; with the start of a file, also what is unusual about its header.

    Returns:
      The waveform, float32 [samples, channels], and its sample rate in Hz.
    """
    with _open(path) as file:
        rate = file.samplerate
        waveform = _part(file, path, round(start * rate), round(end * rate))
        if start == 0:
            # Once for each recording that is cut into clips.
            of_header = Remarks()
            remark = _remark_of_whole(file, path)
            of_header.set_header(remark, file.promised_seconds, rate, file.seconds)
            of_header.log_once(path)
    found = Remarks()
    found.add(waveform)
    found.log_once(f"{path} (from {start:g} s)")
    return waveform, rate


@dataclasses.dataclass(frozen=True)
class FileFacts:
    """Facts in the header of a sound file.

    Attributes:
      seconds: Its length; an estimate for some formats, and 0 if the header has none, or one that
        cannot be true.
      sample_rate_hz: Its sample rate.
      channels: Its number of channels.
      has_exact_seconds: Whether its length is no estimate, and known.
    """

    seconds: float
    sample_rate_hz: int
    channels: int
    has_exact_seconds: bool


def facts_of(path: AnyPath) -> FileFacts:
    """Returns the facts of a file's header; raises AudioError if it cannot be read."""
    with _open(path) as file:
        seconds = _header_seconds(file, path)
        is_exact = file.has_exact_seconds and seconds > 0
        return FileFacts(seconds, file.samplerate, file.channels, is_exact)


def seconds_of(path: AnyPath, decodes: bool = False) -> float:
    """Returns the length of a file in seconds; 0 if the file cannot be read.

    Args:
      path: Path of the file.
      decodes: Whether a file without an exact length in its header, or with one that cannot be
        true, is decoded to count its samples. Otherwise its length is an estimate, or 0.
    """
    try:
        with _open(path) as file:
            seconds = _header_seconds(file, path)
            is_exact = file.has_exact_seconds and seconds > 0
            if is_exact or not decodes:
                return seconds
            samples = 0
            while len(block := file.read(file.samplerate)):
                samples += len(block)
            return samples / file.samplerate
    except (AudioError, *sndfile.ERRORS):
        return 0.0


def _header_seconds(file: SoundFile | MediaFile, path: AnyPath) -> float:
    """Returns the length in a file's header; 0 if there is none, or one that cannot be true.

    With a damaged length, a recording would be cut into more clips than fit into memory.
    """
    if file.seconds > _MOST_SECONDS_OF_A_BYTE * os.path.getsize(path):
        return 0.0
    return file.seconds


def fit_length(
    waveform: np.ndarray,
    sample_rate_hz: int,
    features: FeatureConfig,
    name: AnyPath = "the waveform",
) -> tuple[np.ndarray, Literal["", "padded", "cut"]]:
    """Pads a waveform with silence, or cuts it, at its end, to exactly `features.clip_seconds`.

    Args:
      waveform: Waveform [samples, channels].
      sample_rate_hz: Sample rate in Hz.
      features: Length of a clip, and the largest allowed differences from it.
      name: Name of the recording in error messages.

    Returns:
      The waveform, and what was done to it.

    Raises:
      AudioError: The difference in length is larger than the configuration allows.
    """
    wanted = round(features.clip_seconds * sample_rate_hz)
    missing = wanted - len(waveform)
    seconds = f"{len(waveform) / sample_rate_hz:.3f}"
    if missing > features.max_padding_seconds * sample_rate_hz:
        raise AudioError(
            f"{name} lasts {seconds} s instead of {features.clip_seconds:g} s.",
            "Correct the file, or raise features.max_padding_seconds (now "
            f"{features.max_padding_seconds:g}).",
        )
    if -missing > features.max_cut_seconds * sample_rate_hz:
        raise _too_long(name, seconds, features)
    if missing > 0:
        return np.pad(waveform, ((0, missing), (0, 0))), "padded"
    if missing < 0:
        return waveform[:wanted], "cut"
    return waveform, ""


def _open(path: AnyPath) -> SoundFile | MediaFile:
    """Opens a sound file with libsndfile, or with PyAV if libsndfile does not read it all."""
    try:
        return _opened(path)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        # It may have been removed or renamed since it was found.
        raise AudioError(f"There is no file {os.fspath(path)!r}.", "Check the path.") from error


def _opened(path: AnyPath) -> SoundFile | MediaFile:
    """Opens a sound file as `_open`; an OSError says that it was removed meanwhile."""
    _check_file(path)
    try:
        file: SoundFile | MediaFile = SoundFile(path)
    except sndfile.NoHeaderError:
        raise AudioError(
            f"{path} has no header, so its sample rate, channels and encoding are unknown.",
            "Convert it, for example with ffmpeg -f s16le -ar 48000 -ac 2 -i X.raw X.wav.",
        ) from None
    except sndfile.ERRORS as error:
        problem = getattr(error, "error_string", str(error))
        try:
            file = MediaFile(path)
        except ImportError:
            raise _needs_pyav(path, problem) from None
    if isinstance(file, SoundFile) and file.subtype == OPUS:
        # libsndfile 1.2 calls some Opus files damaged that other decoders read to their end.
        with contextlib.suppress(ImportError, AudioError):
            media = MediaFile(path)
            file.close()
            file = media
    if file.has_gaps:
        file.close()
        raise AudioError(
            f"{path} has samples of up to 24 bits in 4 bytes each, which has several meanings.",
            "Write it again with samples of 24 bits in 3 bytes, or of 32 bits.",
        )
    if isinstance(file, SoundFile) and file.channels > 2:
        file.front_pair = channels.front_pair_of_wav(path)
    if not file.remark:
        file.remark = ogg.remark_of(path) or wav_header.remark_of(path)
    if not LEAST_RATE_HZ <= file.samplerate <= MOST_RATE_HZ:
        file.close()
        raise AudioError(
            f"{path} has a sample rate of {file.samplerate} Hz according to its header.",
            f"Its header is damaged, or convert it to {LEAST_RATE_HZ}..{MOST_RATE_HZ} Hz.",
        )
    return file


def _check_file(path: AnyPath) -> None:
    """Raises AudioError unless a path is that of a regular file with at least one byte."""
    file = Path(path)
    if not formats.is_text(path):
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise AudioError(f"The name of {shown} is not in UTF-8.", "Rename the file.")
    if not os.fspath(path):
        # Path("") is the working folder.
        raise AudioError("The name of a file is empty.", "Give the path of a sound file.")
    if file.is_dir():
        raise AudioError(f"{os.fspath(path)!r} is a folder.", "Give the path of a sound file.")
    if file.exists() and not file.is_file():
        raise AudioError(
            f"{os.fspath(path)!r} is a pipe or a device, which is not read here.",
            "Write its sound to a file first; crossask-predict reads pipes.",
        )
    if not file.is_file():
        raise AudioError(f"There is no file {os.fspath(path)!r}.", "Check the path.")
    if file.stat().st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes).", "Record it again, or leave it out.")
    # The libraries that decode would report the file as damaged.
    if not os.access(path, os.R_OK):
        raise AudioError(
            f"{path} cannot be read: permission is denied.", "Change the permissions of the file."
        )


def _needs_pyav(path: AnyPath, problem: str) -> AudioError:
    """Returns the error for a file that libsndfile does not read, where PyAV is not installed."""
    install = "pip install 'crossask[media]'"
    title = formats.PYAV_FORMATS.get(Path(path).suffix.lower())
    if title is not None:
        return AudioError(
            f"{path} is {title}, which is read by PyAV only, and PyAV is not installed.",
            f"Install it ({install}), or convert the file to WAV or FLAC.",
        )
    return AudioError(
        f"{path} cannot be read as sound (libsndfile: {problem.rstrip('.')}).",
        f"Convert it to WAV or FLAC, or install PyAV, which reads more formats ({install}).",
    )


def _no_samples(path: AnyPath) -> tuple[str, str]:
    """Returns the problem and the fix of an error for a file without samples."""
    size = os.stat(path).st_size
    return (
        f"{path} contains no samples, according to its header, and has {size:,} bytes.",
        "Record or copy it again, or leave it out. If it has sound, convert it to WAV or FLAC.",
    )


def _too_long(name: AnyPath, seconds: str, features: FeatureConfig) -> AudioError:
    return AudioError(
        f"{name} lasts {seconds} s instead of {features.clip_seconds:g} s.",
        f"Correct the file, or raise features.max_cut_seconds (now {features.max_cut_seconds:g}).",
    )


def _part(file: SoundFile | MediaFile, path: AnyPath, start: int, end: int) -> np.ndarray:
    """Returns the samples from `start` to `end` of an open file; see `read_part`."""
    try:
        file.move_to(start)
    except sndfile.ERRORS as error:
        raise _damaged(file, path, error) from error
    left = end - start
    pieces = []
    for piece in _checked_blocks(file, path, left):
        pieces.append(piece[:left])
        left -= len(pieces[-1])
        if left == 0:
            break
    if not pieces and start == 0:
        raise AudioError(*_no_samples(path))
    if not pieces:
        raise AudioError(
            f"{path} ends before {start / file.samplerate:.1f} s.",
            "Copy or record it again: it is shorter than its header says.",
        )
    return np.concatenate(pieces)


def _checked_blocks(
    file: SoundFile | MediaFile, path: AnyPath, samples: int
) -> Iterator[np.ndarray]:
    """Yields mono or stereo of at most `samples` samples up to the end of the file."""
    while True:
        try:
            waveform = file.read(samples)
        except sndfile.ERRORS as error:
            raise _damaged(file, path, error) from error
        if len(waveform) == 0:
            return
        amplitudes.check(waveform, path)
        yield channels.mono_or_stereo(waveform, file.front_pair, path)


def _damaged(file: SoundFile | MediaFile, path: AnyPath, error: Exception) -> AudioError:
    """Returns the error for a file that libsndfile cannot read to its end."""
    reason = getattr(error, "error_string", str(error)).rstrip(".") or "unknown error"
    problem = f"{path} cannot be read as sound (libsndfile: {reason})."
    if isinstance(file, SoundFile) and file.subtype == OPUS:
        return AudioError(
            problem,
            "Install PyAV, which reads more Opus files (pip install 'crossask[media]'), or convert "
            "the file to WAV or FLAC. If neither helps, it is damaged.",
        )
    return AudioError(problem, "Copy or record it again: it is damaged, or its end is missing.")
