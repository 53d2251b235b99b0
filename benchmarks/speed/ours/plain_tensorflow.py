"""Features by tf.signal as its documentation shows, with soxr as the resampler."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile
import soxr
import tensorflow as tf

from speed.task import Arrays, Task, of_files


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`."""
    scene = options["scene"]
    event = options["event"]
    patch_frames = options["patch_frames"]

    @tf.function
    def compute(waveform: tf.Tensor, mono: tf.Tensor) -> dict[str, tf.Tensor]:
        log_mel = _log_mel(tf.transpose(waveform), scene)  # [2, frames, mels]
        frames = _log_mel(mono, event)
        patches = tf.signal.frame(frames, patch_frames, patch_frames, axis=0)
        return {"log_mel": tf.transpose(log_mel, [1, 2, 0]), "patches": patches}

    def features(path: str) -> Arrays:
        waveform, rate_hz = soundfile.read(path, dtype="float32")
        mono = soxr.resample(waveform.mean(axis=1), rate_hz, event["rate_hz"])
        return {name: value.numpy() for name, value in compute(waveform, mono).items()}

    return of_files(features, options["paths"])


def _log_mel(waveform: tf.Tensor, log_mel: Mapping[str, Any]) -> tf.Tensor:
    """Returns the log-mel [..., frames, mels] of waveforms [..., samples]."""
    transform = tf.signal.stft(waveform, log_mel["window"], log_mel["hop"], log_mel["fft_size"])
    spectrum = tf.abs(transform)
    if log_mel["spectrum"] == "power":
        spectrum = tf.square(spectrum)
    triangles = tf.signal.linear_to_mel_weight_matrix(
        log_mel["mel_bins"],
        log_mel["fft_size"] // 2 + 1,
        log_mel["rate_hz"],
        log_mel["min_hz"],
        log_mel["max_hz"],
    )
    return tf.math.log(tf.tensordot(spectrum, triangles, 1) + np.float32(log_mel["log_offset"]))
