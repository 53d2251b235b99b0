"""Sound files to waveforms, at the file's own sample rate. Imports no TensorFlow.

libsndfile reads a file if it can, and PyAV (FFmpeg) reads the others; see `formats` for the
formats, `channels` for recordings of more than two channels.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from crossask.audio import channels, formats
from crossask.audio.formats import SUFFIXES, FolderContent, folder_content, is_sound_file
from crossask.audio.media import MediaFile
from crossask.config import FeatureConfig
from crossask.errors import AudioError

__all__ = [
    "LARGEST_SAMPLE",
    "SUFFIXES",
    "FileFacts",
    "FolderContent",
    "check_samples",
    "facts_of",
    "fit_length",
    "folder_content",
    "is_sound_file",
    "read_audio",
    "read_blocks",
    "read_part",
    "read_seconds",
    "seconds_of",
    "sound_files",
]

# Largest amplitude of a sample that is accepted. Full scale is 1, and processing may exceed it. An
# integer that was not divided by its full scale is larger in all but the quietest recordings.
LARGEST_SAMPLE = 8.0

AnyPath = str | os.PathLike[str]


def sound_files(folder: str | Path) -> list[Path]:
    """Returns the sound files below `folder`, sorted; see `folder_content` for what is left out."""
    return list(folder_content(folder).files)


def read_audio(path: AnyPath) -> tuple[np.ndarray, int]:
    """Reads a whole sound file, of any format in `formats.FORMATS`.

    Returns:
      The waveform, float32 [samples, channels] from -1 to 1 with 1 or 2 channels (see
      `channels.mono_or_stereo`), and its sample rate in Hz.

    Raises:
      AudioError: The file is missing, empty, damaged or not a sound file, needs PyAV, which is not
        installed, or has samples that `check_samples` rejects.
    """
    with _open(path) as file:
        check = channels.DeadChannelCheck(path)
        waveform = next(_checked_blocks(file, path, -1), None)
        if waveform is None:
            raise AudioError(f"{path} contains no samples.", "Record it again, or leave it out.")
        check.add(waveform)
        check.finish()
        return waveform, file.samplerate


def read_blocks(path: AnyPath, seconds: float) -> tuple[Iterator[np.ndarray], int]:
    """Reads a sound file piece by piece, so that memory does not grow with its length.

    Args:
      path: Path of the file.
      seconds: Length of a piece; the last one may be shorter.

    Returns:
      An iterator over waveforms, float32 [samples, channels], and the sample rate in Hz.

    Raises:
      AudioError: As `read_audio`; an error in later samples is raised when they are read.
    """
    file = _open(path)

    def blocks() -> Iterator[np.ndarray]:
        check = channels.DeadChannelCheck(path)
        with file:
            for block in _checked_blocks(file, path, max(1, round(seconds * file.samplerate))):
                check.add(block)
                yield block
        check.finish()

    return blocks(), file.samplerate


def read_part(path: AnyPath, start: int, end: int) -> np.ndarray:
    """Reads the samples from `start` to `end` of a file, float32 [samples, channels].

    Raises:
      AudioError: As `read_audio`; also if there are no samples after `start`.
    """
    with _open(path) as file:
        return _part(file, path, start, end)


def read_seconds(path: AnyPath, start: float, end: float) -> tuple[np.ndarray, int]:
    """Reads a file between two moments in seconds; results and errors as `read_part`.

    Returns:
      The waveform, float32 [samples, channels], and its sample rate in Hz.
    """
    with _open(path) as file:
        rate = file.samplerate
        return _part(file, path, round(start * rate), round(end * rate)), rate


@dataclasses.dataclass(frozen=True)
class FileFacts:
    """What the header of a sound file says.

    Attributes:
      seconds: Its length; an estimate for some formats.
      sample_rate_hz: Its sample rate.
      channels: Its number of channels.
    """

    seconds: float
    sample_rate_hz: int
    channels: int


def facts_of(path: AnyPath) -> FileFacts:
    """Returns the facts of a file's header; raises AudioError if it cannot be read."""
    with _open(path) as file:
        return FileFacts(_header_seconds(file), file.samplerate, file.channels)


def seconds_of(path: AnyPath, decodes: bool = False) -> float:
    """Returns the length of a file in seconds; 0 if the file cannot be read.

    Args:
      path: Path of the file.
      decodes: Whether a file without an exact length in its header is decoded to count its
        samples. Otherwise its length is an estimate, or 0.
    """
    try:
        with _open(path) as file:
            is_exact = not isinstance(file, MediaFile) or file.has_exact_seconds
            if is_exact or not decodes:
                return _header_seconds(file)
            samples = 0
            while len(block := file.read(file.samplerate)):
                samples += len(block)
            return samples / file.samplerate
    except AudioError:
        return 0.0


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
    if missing > 0:
        field = "features.max_padding_seconds"
        allowed_seconds = features.max_padding_seconds
    else:
        field = "features.max_cut_seconds"
        allowed_seconds = features.max_cut_seconds
    if abs(missing) > allowed_seconds * sample_rate_hz:
        seconds = len(waveform) / sample_rate_hz
        raise AudioError(
            f"{name} lasts {seconds:.3f} s instead of {features.clip_seconds:g} s.",
            f"Correct the file, or raise {field} (now {allowed_seconds:g}).",
        )
    if missing > 0:
        return np.pad(waveform, ((0, missing), (0, 0))), "padded"
    if missing < 0:
        return waveform[:wanted], "cut"
    return waveform, ""


def check_samples(waveform: np.ndarray, name: AnyPath) -> None:
    """Raises AudioError unless all samples are finite and at most LARGEST_SAMPLE in amplitude.

    Args:
      waveform: Waveform of any shape.
      name: Name of the recording in the error message.
    """
    if not np.isfinite(waveform).all():
        raise AudioError(
            f"{name} contains samples that are not finite numbers.", "Write or compute it again."
        )
    amplitudes = np.abs(waveform)
    if (amplitudes > LARGEST_SAMPLE).any():
        raise AudioError(
            f"{name} has a sample of amplitude {amplitudes.max():g}.",
            "Scale the samples to -1..1; divide 16-bit integers by 32768.",
        )


def _open(path: AnyPath) -> soundfile.SoundFile | MediaFile:
    """Opens a sound file with libsndfile, or with PyAV if libsndfile does not read it."""
    _check_file(path)
    try:
        return soundfile.SoundFile(os.fspath(path))
    # A TypeError means that the suffix is that of samples without a header.
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        problem = getattr(error, "error_string", str(error))
    try:
        return MediaFile(path)
    except ImportError:
        raise _needs_pyav(path, problem) from None


def _check_file(path: AnyPath) -> None:
    file = Path(path)
    if not formats.is_text(path):
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise AudioError(f"The name of {shown} is not in UTF-8.", "Rename the file.")
    if file.is_dir():
        raise AudioError(f"{os.fspath(path)!r} is a folder.", "Give the path of a sound file.")
    if not file.is_file():
        raise AudioError(f"There is no file {os.fspath(path)!r}.", "Check the path.")
    if file.stat().st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes).", "Record it again, or leave it out.")


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


def _header_seconds(file: soundfile.SoundFile | MediaFile) -> float:
    """Returns the length according to a file's header; an estimate for some formats."""
    if isinstance(file, MediaFile):
        return file.seconds
    return file.frames / file.samplerate


def _part(file: soundfile.SoundFile | MediaFile, path: AnyPath, start: int, end: int) -> np.ndarray:
    """Returns the samples from `start` to `end` of an open file; see `read_part`."""
    if isinstance(file, MediaFile) or start < file.frames:
        file.seek(start)
        waveform = next(_checked_blocks(file, path, end - start), None)
        if waveform is not None:
            return waveform
    raise AudioError(
        f"{path} ends before {start / file.samplerate:.1f} s.",
        "Copy or record it again: it is shorter than its header says.",
    )


def _front_pair(file: soundfile.SoundFile | MediaFile, path: AnyPath) -> tuple[int, int] | None:
    """Returns the numbers of the channels front left and front right; None if unknown."""
    if file.channels <= 2:
        return None
    if isinstance(file, MediaFile):
        return file.front_pair
    return channels.front_pair_of_wav(path)


def _checked_blocks(
    file: soundfile.SoundFile | MediaFile, path: AnyPath, samples: int
) -> Iterator[np.ndarray]:
    """Yields mono or stereo of `samples` samples up to the end of the file; -1 is all in one."""
    front_pair = _front_pair(file, path)
    while True:
        try:
            waveform = file.read(samples, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(
                f"{path} cannot be read as sound ({error}).",
                "Copy or record it again: it is damaged.",
            ) from error
        if len(waveform) == 0:
            return
        check_samples(waveform, path)
        yield channels.mono_or_stereo(waveform, front_pair, path)
        is_last = len(waveform) < samples or samples < 0
        if is_last:
            return
