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

EVENT_RATE_HZ = 16000
PATCH_FRAMES = 96


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; for `options` see `parts.features`."""
    torch.set_num_threads(options["cores"])
    folder = Path(options["folder"])
    scene = LogMel(options["scene"], folder / "scene.npy")
    event = LogMel(options["event"], folder / "event.npy")

    @torch.inference_mode()
    def features(path: str) -> Arrays:
        waveform, rate_hz = soundfile.read(path, dtype="float32")
        mono = soxr.resample(waveform.mean(axis=1), rate_hz, EVENT_RATE_HZ)
        log_mel = scene(torch.from_numpy(waveform).T)  # [2, frames, mels]
        frames = event(torch.from_numpy(mono))
        patches = frames[: len(frames) // PATCH_FRAMES * PATCH_FRAMES]
        return {
            "log_mel": log_mel.permute(1, 2, 0).contiguous().numpy(),
            "patches": patches.reshape(-1, PATCH_FRAMES, frames.shape[-1]).numpy(),
        }

    return of_files(features, options["paths"])
