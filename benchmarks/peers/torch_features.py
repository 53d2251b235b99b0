"""Features by PyTorch, with soxr as the resampler.

torchaudio is not measured: its transforms call the same functions of torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile
import soxr
import torch
from speed.task import Arrays, Task, of_files

from peers.networks import LogMel


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`."""
    torch.set_num_threads(options["cores"])
    folder = Path(options["folder"])
    scene = LogMel(options["scene"], folder / "scene.npy")
    event = LogMel(options["event"], folder / "event.npy")
    event_rate_hz = options["event"]["rate_hz"]
    patch_frames = options["patch_frames"]

    @torch.inference_mode()
    def features(path: str) -> Arrays:
        waveform, rate_hz = soundfile.read(path, dtype="float32")
        mono = soxr.resample(waveform.mean(axis=1), rate_hz, event_rate_hz)
        log_mel = scene(torch.from_numpy(waveform).T)  # [2, frames, mels]
        frames = event(torch.from_numpy(mono))
        patches = frames[: len(frames) // patch_frames * patch_frames]
        return {
            "log_mel": log_mel.permute(1, 2, 0).contiguous().numpy(),
            "patches": patches.reshape(-1, patch_frames, frames.shape[-1]).numpy(),
        }

    return of_files(features, options["paths"])
