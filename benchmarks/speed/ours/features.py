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


def triangles(log_mel: Mapping[str, Any]) -> np.ndarray:
    """Returns the mel filter bank [fft_size / 2 + 1, mels] of a log-mel."""
    matrix = tf.signal.linear_to_mel_weight_matrix(
        log_mel["mel_bins"],
        log_mel["fft_size"] // 2 + 1,
        log_mel["rate_hz"],
        log_mel["min_hz"],
        log_mel["max_hz"],
        dtype=tf.float64,
    )
    return matrix.numpy().astype(np.float32)
