"""Reads the recordings that calibrate an int8 model.

The converter runs the model on them to measure the range of values of each tensor.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossask import config, text_tables
from crossask.audio import fill_window, rates, reading, resampling
from crossask.audio.remarks import SILENCE_DBFS, level_dbfs
from crossask.errors import DataError

LEAST_CLIPS = 5
MOST_CLIPS = 100


def calibration_clips(source: str | Path, features: config.FeatureConfig) -> list[np.ndarray]:
    """Returns the first clip of each recording, of at most MOST_CLIPS recordings.

    If there are more, a seeded random choice of them is used.

    Args:
      source: A folder, which is searched with its subfolders, or a CSV with a column `filename`
        (absolute, or relative to the CSV).
      features: Sample rate, length and channels of a clip.

    Returns:
      Waveforms as `first_clip` returns them.

    Raises:
      DataError: There are fewer than LEAST_CLIPS different recordings with sound, there is no such
        folder or CSV, or the CSV lists no files.
      AudioError: A file cannot be read.
    """
    paths = _paths(Path(source))
    if len(paths) < LEAST_CLIPS:
        raise DataError(
            f"{str(source)!r} contains {len(paths)} sound files; calibration needs at least "
            f"{LEAST_CLIPS}, better {MOST_CLIPS}.",
            "Use recordings of every scene, for example clips of the training part.",
        )
    if len(paths) > MOST_CLIPS:
        chosen = np.random.default_rng(0).choice(len(paths), MOST_CLIPS, replace=False)
        paths = [paths[number] for number in sorted(chosen)]
    clips = [first_clip(path, features) for path in paths]
    _check_differences(source, clips)
    return clips


def _check_differences(source: str | Path, clips: Sequence[np.ndarray]) -> None:
    """Raises DataError if too few of the clips differ and have sound.

    From silence, or from one clip in several files, the converter measures ranges of values that
    other recordings exceed. The model would then predict one scene for all of them, and agree
    with the run's model on the calibration clips.
    """
    silent = 0
    different = set()
    for clip in clips:
        power = float(np.mean(np.square(clip, dtype=np.float64)))
        if level_dbfs(power) < SILENCE_DBFS:
            silent += 1
        else:
            different.add(clip.tobytes())
    if len(different) < LEAST_CLIPS:
        repeated = len(clips) - silent - len(different)
        raise DataError(
            f"{str(source)!r} contains {len(different)} different clips with sound (silent: "
            f"{silent}, repetitions of another one: {repeated}); calibration needs at least "
            f"{LEAST_CLIPS}.",
            "Use recordings of every scene, for example clips of the training part.",
        )


def first_clip(path: str | Path, features: config.FeatureConfig) -> np.ndarray:
    """Returns the first clip_seconds of a sound file at the row's sample rate.

    Args:
      path: The file. A shorter one is filled as `fill_window` does, with silence of at most
        features.max_padding_seconds.
      features: Sample rate, length and channels of the clip.

    Returns:
      Waveform float32 [samples, channels] with 2 channels, or 1 if features.mono.

    Raises:
      AudioError: The file cannot be read.
    """
    blocks, rate = reading.read_blocks(path, features.clip_seconds)
    wanted = max(1, round(features.clip_seconds * rate))
    pieces = []
    count = 0
    # Files with many channels are read in blocks that are shorter than a clip.
    for block in blocks:
        pieces.append(block)
        count += len(block)
        if count >= wanted:
            break
    # A file without samples becomes a clip of silence.
    waveform = np.concatenate(pieces or [np.zeros((1, 1), np.float32)])[:wanted]
    waveform, rate = rates.to_graph_rate(waveform, rate, features.sample_rate_hz)
    if features.mono:
        waveform = waveform.mean(axis=1, keepdims=True)
    elif waveform.shape[1] == 1:
        waveform = np.repeat(waveform, 2, axis=1)
    waveform = resampling.resample(waveform.T, rate, features.sample_rate_hz).numpy().T
    samples = round(features.clip_seconds * features.sample_rate_hz)
    most_silence = round(features.max_padding_seconds * features.sample_rate_hz)
    return fill_window(waveform, samples, most_silence)[:samples]


def _paths(source: Path) -> list[Path]:
    """Returns the sound files in a folder, or those listed in a CSV."""
    if source.is_dir():
        return reading.sound_files(source)
    if not source.is_file():
        raise DataError(
            f"There is no folder or CSV {str(source)!r}.",
            "Set --calibration to a folder of sound files, or to a CSV that lists them.",
        )
    table = text_tables.read_csv(source)
    table.require(["filename"], "Add a header with this column.")
    paths = []
    for line_number, row in table.numbered_rows():
        if not row["filename"]:
            raise table.line_error(
                line_number,
                "has no file in the column filename",
                "Fill in the file, or remove the line.",
            )
        # An absolute path replaces the folder.
        name = text_tables.file_name(row["filename"], source.parent)
        paths.append(source.parent / name)
    return paths
