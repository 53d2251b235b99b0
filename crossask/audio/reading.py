"""Sound files to waveforms, at the file's own sample rate. Imports no TensorFlow."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from crossask.config import FeatureConfig
from crossask.errors import AudioError

# Ends of the names of sound files, in lower case.
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".w64", ".rf64", ".au")

# Largest amplitude of a sample that is accepted. Full scale is 1, and processing may exceed it. An
# integer that was not divided by its full scale is larger in all but the quietest recordings.
LARGEST_SAMPLE = 8.0

AnyPath = str | os.PathLike[str]


def sound_files(folder: str | Path) -> list[Path]:
    """Returns all files below `folder` with a suffix of sound files, sorted."""
    files = []
    for path in Path(folder).rglob("*"):
        if is_sound_file(path) and path.is_file():
            files.append(path)
    return sorted(files)


def is_sound_file(path: Path) -> bool:
    """Returns whether a file has a suffix of sound files, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


def read_audio(path: AnyPath) -> tuple[np.ndarray, int]:
    """Reads a whole sound file: WAV (16, 24 or 32 bit, or float), FLAC, OGG, MP3.

    Returns:
      The waveform, float32 [samples, channels] from -1 to 1 with 1 or 2 channels, and its sample
      rate in Hz.

    Raises:
      AudioError: The file is missing, empty or not a sound file, has more than two channels, or
        has samples that `check_samples` rejects.
    """
    with _open(path) as file:
        waveform = next(_checked_blocks(file, path, -1), None)
        if waveform is None:
            raise AudioError(f"{path} contains no samples.", "Record it again, or leave it out.")
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
        with file:
            yield from _checked_blocks(file, path, max(1, round(seconds * file.samplerate)))

    return blocks(), file.samplerate


def read_part(path: AnyPath, start: int, end: int) -> np.ndarray:
    """Reads the samples from `start` to `end` of a file, float32 [samples, channels].

    Raises:
      AudioError: As `read_audio`.
    """
    with _open(path) as file:
        file.seek(start)
        return next(_checked_blocks(file, path, end - start))


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


def _open(path: AnyPath) -> soundfile.SoundFile:
    if not Path(path).is_file():
        raise AudioError(f"There is no file {os.fspath(path)!r}.", "Check the path.")
    try:
        file = soundfile.SoundFile(os.fspath(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    if file.channels > 2:
        file.close()
        raise AudioError(f"{path} has {file.channels} channels.", "Mix it down to one or two.")
    return file


def _checked_blocks(file: soundfile.SoundFile, path: AnyPath, samples: int) -> Iterator[np.ndarray]:
    """Yields waveforms of `samples` samples up to the end of the file; -1 is all in one."""
    while True:
        try:
            waveform = file.read(samples, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable(path, error) from error
        if len(waveform) == 0:
            return
        check_samples(waveform, path)
        yield waveform
        is_last = len(waveform) < samples or samples < 0
        if is_last:
            return


def _unreadable(path: AnyPath, error: Exception) -> AudioError:
    return AudioError(f"{path} cannot be read as sound ({error}).", "Give WAV, FLAC, OGG or MP3.")
