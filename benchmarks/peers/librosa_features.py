"""Features by librosa and soxr."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
from speed.task import Arrays, Task, of_files


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`."""
    folder = Path(options["folder"])
    scene = {**options["scene"], "triangles": np.load(folder / "scene.npy").T}
    event = {**options["event"], "triangles": np.load(folder / "event.npy").T}
    patch_frames = options["patch_frames"]

    def features(path: str) -> Arrays:
        waveform, rate_hz = soundfile.read(path, dtype="float32")
        mono = librosa.resample(
            waveform.mean(axis=1), orig_sr=rate_hz, target_sr=event["rate_hz"], res_type="soxr_hq"
        )
        log_mel = _log_mel(waveform.T, scene)  # [2, mels, frames]
        frames = _log_mel(mono, event).T
        patches = frames[: len(frames) // patch_frames * patch_frames]
        return {
            "log_mel": np.ascontiguousarray(log_mel.transpose(2, 1, 0)),
            "patches": patches.reshape(-1, patch_frames, event["mel_bins"]),
        }

    return of_files(features, options["paths"])


def _log_mel(waveform: np.ndarray, log_mel: Mapping[str, Any]) -> np.ndarray:
    """Returns the log-mel [..., mels, frames] of waveforms [..., samples]."""
    window = log_mel["window"]
    # librosa centres a window that is shorter than the transform; frames that begin where ours
    # begin need half of the difference in silence before the waveform.
    excess = log_mel["fft_size"] - window
    before = excess // 2
    padded = np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(before, excess - before)])
    transform = librosa.stft(
        padded,
        n_fft=log_mel["fft_size"],
        hop_length=log_mel["hop"],
        win_length=window,
        window="hann",
        center=False,
    )
    spectrum = np.abs(transform)
    if log_mel["spectrum"] == "power":
        spectrum = np.square(spectrum)
    return np.log(log_mel["triangles"] @ spectrum + np.float32(log_mel["log_offset"]))
