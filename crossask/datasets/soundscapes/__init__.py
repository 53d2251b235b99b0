"""Synthetic city scenes, binaural and deterministic: the corpus that comes with the package. NumPy, SciPy, soundfile.

The ten scenes of the TAU corpus, told apart by what happens in them rather than by the colour of their background.
"""

from crossask.datasets.soundscapes.events import EVENT_KINDS
from crossask.datasets.soundscapes.rendering import render_event, render_scene_clip
from crossask.datasets.soundscapes.scenes import GENERATOR_VERSION, SCENES
from crossask.datasets.soundscapes.writing import (
    SoundscapesConfig,
    recorded_config,
    write_events,
    write_soundscapes,
)

__all__ = [
    "EVENT_KINDS",
    "GENERATOR_VERSION",
    "SCENES",
    "SoundscapesConfig",
    "recorded_config",
    "render_event",
    "render_scene_clip",
    "write_events",
    "write_soundscapes",
]
