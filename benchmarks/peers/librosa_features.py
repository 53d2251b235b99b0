"""Features by librosa and soxr."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
from speed.task import Arrays, Task, of_files

EVENT_RATE_HZ = 16000
PATCH_FRAMES = 96


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`."""
    scene = dict(options["scene"])
    event = dict(options["event"])
    for name, of in (("scene", scene), ("event", event)):
        of["triangles"] = np.load(Path(options["folder"]) / f"{name}.npy").T

    def features(path: str) -> Arrays:
        waveform, rate_hz = soundfile.read(path, dtype="float32")
        mono = librosa.resample(
            waveform.mean(axis=1), orig_sr=rate_hz, target_sr=EVENT_RATE_HZ, res_type="soxr_hq"
        )
        log_mel = _log_mel(waveform.T, scene)  # [2, mels, frames]
        frames = _log_mel(mono, event).T
        patches = frames[: len(frames) // PATCH_FRAMES * PATCH_FRAMES]
        return {
            "log_mel": np.ascontiguousarray(log_mel.transpose(2, 1, 0)),
            "patches": patches.reshape(-1, PATCH_FRAMES, event["mel_bins"]),
        }

    return of_files(features, options["paths"])


def _log_mel(waveform: np.ndarray, of: Mapping[str, Any]) -> np.ndarray:
    """Returns the log-mel [..., mels, frames] of waveforms [..., samples]."""
    window = of["window"]
    # librosa centres a window that is shorter than the transform; frames that begin where ours
    # begin need half of the difference in silence before the waveform.
    excess = of["fft_size"] - window
    before = excess // 2
    padded = np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(before, excess - before)])
    transform = librosa.stft(
        padded,
        n_fft=of["fft_size"],
        hop_length=of["hop"],
        win_length=window,
        window="hann",
        center=False,
    )
    spectrum = np.abs(transform)
    if of["spectrum"] == "power":
        spectrum = np.square(spectrum)
    return np.log(of["triangles"] @ spectrum + np.float32(of["log_offset"]))
