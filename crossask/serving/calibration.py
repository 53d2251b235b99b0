"""Recordings that show an integer model which values its network meets."""

import csv
from pathlib import Path

import numpy as np

from crossask import config
from crossask.audio import reading, resampling
from crossask.errors import DataError

LEAST_CLIPS, MOST_CLIPS = 5, 100


def calibration_clips(source, features: config.FeatureConfig) -> list[np.ndarray]:
    """The first clip_seconds of each of at most MOST_CLIPS recordings, a seeded choice.

    Args:
      source: a folder, searched with all below it, or a CSV with a column `filename` (absolute, or relative to the CSV).
      features: of the row: rate, length, channels.

    Returns:
      waveforms float32 [samples, channels], 2 channels (1 where features.mono); what is shorter is padded with silence.

    Raises:
      DataError: fewer than LEAST_CLIPS recordings, or no such folder or CSV.
      AudioError: a file cannot be read, or has a rate that stands not in resampling.SAMPLE_RATES_HZ.
    """
    paths = _paths(Path(source))
    if len(paths) < LEAST_CLIPS:
        raise DataError(
            f"{str(source)!r} holds {len(paths)} sound files; calibration needs {LEAST_CLIPS}, better {MOST_CLIPS}.",
            "Give recordings of every scene, for example clips of the training part.",
        )
    if len(paths) > MOST_CLIPS:
        paths = [
            paths[number]
            for number in sorted(
                np.random.default_rng(0).choice(len(paths), MOST_CLIPS, replace=False)
            )
        ]
    return [clip_at(path, features) for path in paths]


def _paths(source: Path) -> list[Path]:
    if source.is_dir():
        return reading.sound_files(source)
    if not source.is_file():
        raise DataError(
            f"There is no folder or CSV {str(source)!r}.",
            "Give --calibration a folder of sound files, or a CSV that names them.",
        )
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
        table = csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
        if "filename" not in (table.fieldnames or ()):
            raise DataError(
                f"{source} has no column 'filename'.", "Give a CSV whose header names it."
            )
        rows = list(table)
        if blank := [str(number) for number, row in enumerate(rows, 2) if not row["filename"]]:
            raise DataError(
                f"{source} names no file in line {', '.join(blank[:10])}.",
                "Fill the column filename, or remove the line.",
            )
        return [source.parent / row["filename"] for row in rows]  # an absolute path stays itself
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is no CSV.", "Give a folder of sound files, or a CSV with a column filename."
        ) from error


def clip_at(path, features: config.FeatureConfig) -> np.ndarray:
    """The first clip_seconds of a file [samples, channels], at the row's rate; silence where it is shorter. Errors: calibration_clips."""
    blocks, rate = reading.read_blocks(path, features.clip_seconds)
    resampling.check_rate(rate, path)
    waveform = next(blocks, np.zeros((1, 1), np.float32))
    if features.mono:
        waveform = waveform.mean(axis=1, keepdims=True)
    elif waveform.shape[1] == 1:
        waveform = np.repeat(waveform, 2, axis=1)
    waveform = resampling.resample(waveform.T, rate, features.sample_rate_hz).numpy().T
    samples = round(features.clip_seconds * features.sample_rate_hz)
    return np.pad(waveform, ((0, max(0, samples - len(waveform))), (0, 0)))[:samples]
