"""Synthetic city scenes, binaural and reproducible: the corpus that comes with the package.

The ten scenes are those of TAU Urban Acoustic Scenes 2019. They differ in the events that happen in
them, and hardly in the colour of their background. Needs NumPy, SciPy and soundfile.
"""

from crossask.datasets.soundscapes.composition import GENERATOR_VERSION, ClipKey
from crossask.datasets.soundscapes.design import IsolatedEventsConfig, SoundscapesConfig
from crossask.datasets.soundscapes.event_kinds import EVENT_KINDS
from crossask.datasets.soundscapes.recipe import recorded_config
from crossask.datasets.soundscapes.rendering import render_event, render_scene_clip
from crossask.datasets.soundscapes.scenes import SCENES
from crossask.datasets.soundscapes.writing import write_events, write_soundscapes

__all__ = [
    "EVENT_KINDS",
    "GENERATOR_VERSION",
    "SCENES",
    "ClipKey",
    "IsolatedEventsConfig",
    "SoundscapesConfig",
    "recorded_config",
    "render_event",
    "render_scene_clip",
    "write_events",
    "write_soundscapes",
]
