"""Sounds to try: recordings of generated places that no corpus of the default seed holds."""

from pathlib import Path

import numpy as np
import soundfile

from crossask.datasets import soundscapes

SEED, CITY, RATE_HZ = 2019, "milan", 48000
# name, and the scenes one after the other, 10 s each
EXAMPLES = (
    ("park", ("park",)),
    ("airport", ("airport",)),
    ("street traffic", ("street_traffic",)),
    ("metro station, then metro", ("metro_station", "metro")),
    ("public square, then bus, then park", ("public_square", "bus", "park")),
)


def write_examples(folder: Path, examples=EXAMPLES) -> list[tuple[str, Path]]:
    """Renders `examples` into `folder`, made if need be: (name, stereo WAV at 48 kHz) each."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, scenes in examples:
        parts = [
            soundscapes.render_scene_clip(SEED, scene, CITY, 0, 0, sample_rate_hz=RATE_HZ)[0]
            for scene in scenes
        ]
        path = folder / f"{name.replace(',', '').replace(' ', '_')}.wav"
        soundfile.write(path, np.concatenate(parts), RATE_HZ, "PCM_16")
        written.append((name, path))
    return written
