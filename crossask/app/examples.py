"""Example recordings for the page, rendered from generated soundscapes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossask.audio import sndfile
from crossask.datasets import soundscapes

# Generated data sets have the seed 0 by default, so they do not contain these locations.
SEED = 2019
CITY = "milan"
RATE_HZ = 48000
# Name of each example, and its scenes one after the other, 10 s each.
EXAMPLES = (
    ("park", ("park",)),
    ("airport", ("airport",)),
    ("street traffic", ("street_traffic",)),
    ("metro station, then metro", ("metro_station", "metro")),
    ("public square, then bus, then park", ("public_square", "bus", "park")),
)


def write_examples(
    folder: Path, examples: Sequence[tuple[str, Sequence[str]]] = EXAMPLES
) -> list[tuple[str, Path]]:
    """Renders examples as stereo WAV files at 48 kHz.

    Args:
      folder: Folder to write to; it is created if necessary.
      examples: Name and scenes of each example, as in EXAMPLES.

    Returns:
      Name and path of each example.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, scenes in examples:
        clips = []
        for scene in scenes:
            key = soundscapes.ClipKey(SEED, scene, CITY, location_number=0, clip_number=0)
            clip, _ = soundscapes.render_scene_clip(key, sample_rate_hz=RATE_HZ)
            clips.append(clip)
        path = folder / f"{name.replace(',', '').replace(' ', '_')}.wav"
        sndfile.write_wav(path, np.concatenate(clips), RATE_HZ, "PCM_16")
        written.append((name, path))
    return written
