"""crossask's features: sound files to the log-mel and the patches of VGGish, as `prepare` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask.datasets import Clip
from crossask.features.computation import ClipFeatures
from speed import rows
from speed.task import Arrays, Task

KINDS = ("log_mel", "patches")


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`.

    It writes the mel filter banks into files, for the peers: librosa's triangles are linear in Hz.
    """
    experiment = rows.read(options)
    for name in ("scene", "event"):
        np.save(Path(options["folder"]) / f"{name}.npy", triangles(options[name]))
    compute = ClipFeatures(experiment, None)
    clips = [Clip(path, path, "scene", "") for path in options["paths"]]

    def repeat() -> int:
        for clip in clips:
            compute(clip, KINDS)
        return len(clips)

    def outputs() -> Arrays:
        return compute(clips[0], KINDS).values

    return Task(repeat, outputs)


def triangles(of: Mapping[str, Any]) -> np.ndarray:
    """Returns a mel filter bank [fft_size / 2 + 1, mels]."""
    matrix = tf.signal.linear_to_mel_weight_matrix(
        of["mel_bins"],
        of["fft_size"] // 2 + 1,
        of["rate_hz"],
        of["min_hz"],
        of["max_hz"],
        dtype=tf.float64,
    )
    return matrix.numpy().astype(np.float32)
