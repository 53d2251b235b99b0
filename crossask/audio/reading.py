"""Sound files to waveforms, at the file's own rate. Imports no TensorFlow."""

import csv
import os
from pathlib import Path

import numpy as np
import soundfile

from crossask.config import FeatureConfig
from crossask.errors import AudioError, DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".w64", ".rf64", ".au")


def sound_files(folder) -> list[Path]:
    """All files below `folder` that end like sound, in order."""
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def read_table(path) -> tuple[list[str], list[dict]]:
    """(columns, rows) of a CSV that names sound files; a cell that a row lacks is None.

    Raises:
      DataError: it is no CSV in UTF-8.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or []), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV in UTF-8 ({error}).", "Save it as such.") from error


def read_audio(path) -> tuple[np.ndarray, int]:
    """Reads WAV (16, 24, 32 bit, float), FLAC, OGG or MP3.

    Returns:
      (waveform float32 [samples, channels] in -1..1, sample rate in Hz); 1 or 2 channels.

    Raises:
      AudioError: the file is missing, empty, not a sound file, has more than two channels or samples that are no numbers.
    """
    with _opened(path) as file:
        waveform = next(_checked_blocks(file, path, -1), None)
        if waveform is None:
            raise AudioError(f"{path} holds no samples.", "Record it again, or leave it out.")
        return waveform, file.samplerate


def read_blocks(path, seconds: float):
    """The same a piece at a time, so that memory does not grow with the recording's length.

    Returns:
      (iterator over waveforms [samples, channels] of `seconds`, the last one shorter; sample rate in Hz).

    Raises:
      AudioError: as `read_audio`; what is wrong with later samples is told when they are reached.
    """
    file = _opened(path)

    def blocks():
        with file:
            yield from _checked_blocks(file, path, max(1, round(seconds * file.samplerate)))

    return blocks(), file.samplerate


def read_part(path, start: int, end: int) -> np.ndarray:
    """The samples from `start` to `end` of a file, float32 [samples, channels]; errors: `read_audio`."""
    with _opened(path) as file:
        file.seek(start)
        return next(_checked_blocks(file, path, end - start))


def sliding_windows(blocks, length: int, hop: int):
    """Windows of a stream, `hop` apart and the last one up to its end: (first sample, waveform [length, channels]).

    A stream shorter than `length` is one window as short as itself; an empty one has none. The stream's blocks may have any
    length; one window and one block are held.
    """
    kept, start, heard = None, 0, False
    for block in blocks:
        kept = block if kept is None else np.concatenate([kept, block])
        while len(kept) >= length + hop * heard:
            if heard:
                kept, start = kept[hop:], start + hop
            heard = True
            yield start, kept[:length]
    if kept is not None and len(kept) and (not heard or len(kept) > length):
        beyond = max(0, len(kept) - length)
        yield start + beyond, kept[beyond:]


def _opened(path) -> soundfile.SoundFile:
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


def _checked_blocks(file: soundfile.SoundFile, path, samples: int):
    """Waveforms of `samples` (-1: all at once) up to the file's end."""
    while True:
        try:
            waveform = file.read(samples, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable(path, error) from error
        if not len(waveform):
            return
        if not np.isfinite(waveform).all():
            raise AudioError(
                f"{path} holds samples that are no finite numbers.", "Write the file again."
            )
        yield waveform
        if len(waveform) < samples or samples < 0:
            return


def _unreadable(path, error) -> AudioError:
    return AudioError(f"{path} cannot be read as sound ({error}).", "Give WAV, FLAC, OGG or MP3.")


def fit_length(
    waveform: np.ndarray, sample_rate_hz: int, features: FeatureConfig, path="the waveform"
) -> tuple[np.ndarray, str]:
    """The waveform [samples, channels] at exactly clip_seconds: silence added or samples cut at its end.

    Returns:
      (waveform, what was done: "", "padded" or "cut").

    Raises:
      AudioError: it is shorter or longer by more than the configuration allows.
    """
    wanted = round(features.clip_seconds * sample_rate_hz)
    missing = wanted - len(waveform)
    allowed = features.max_padding_seconds if missing > 0 else features.max_cut_seconds
    if abs(missing) > allowed * sample_rate_hz:
        field = "features.max_padding_seconds" if missing > 0 else "features.max_cut_seconds"
        raise AudioError(
            f"{path} lasts {len(waveform) / sample_rate_hz:.3f} s instead of {features.clip_seconds:g} s.",
            f"Mend the file, or raise {field} (now {allowed:g}).",
        )
    if missing > 0:
        return np.pad(waveform, ((0, missing), (0, 0))), "padded"
    return waveform[:wanted], "cut" if missing else ""
