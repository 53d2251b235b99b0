"""Features by tf.signal as its documentation shows, with soxr as the resampler."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile
import soxr
import tensorflow as tf

from speed.task import Arrays, Task, of_files

EVENT_RATE_HZ = 16000
PATCH_FRAMES = 96


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`."""
    scene = options["scene"]
    event = options["event"]

    @tf.function
    def compute(waveform: tf.Tensor, mono: tf.Tensor) -> dict[str, tf.Tensor]:
        log_mel = _log_mel(tf.transpose(waveform), scene)  # [2, frames, mels]
        frames = _log_mel(mono, event)
        patches = tf.signal.frame(frames, PATCH_FRAMES, PATCH_FRAMES, axis=0)
        return {"log_mel": tf.transpose(log_mel, [1, 2, 0]), "patches": patches}

    def features(path: str) -> Arrays:
        waveform, rate_hz = soundfile.read(path, dtype="float32")
        mono = soxr.resample(waveform.mean(axis=1), rate_hz, EVENT_RATE_HZ)
        return {name: value.numpy() for name, value in compute(waveform, mono).items()}

    return of_files(features, options["paths"])


def _log_mel(waveform: tf.Tensor, of: Mapping[str, Any]) -> tf.Tensor:
    """Returns the log-mel [..., frames, mels] of waveforms [..., samples]."""
    transform = tf.signal.stft(waveform, of["window"], of["hop"], of["fft_size"])
    spectrum = tf.abs(transform)
    if of["spectrum"] == "power":
        spectrum = tf.square(spectrum)
    triangles = tf.signal.linear_to_mel_weight_matrix(
        of["mel_bins"], of["fft_size"] // 2 + 1, of["rate_hz"], of["min_hz"], of["max_hz"]
    )
    return tf.math.log(tf.tensordot(spectrum, triangles, 1) + np.float32(of["log_offset"]))
