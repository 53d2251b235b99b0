"""Is it really the events? CMAM feature-based of the demo, and rows that each take one thing away from it, or add the truth.

Every row has the same budget. `crossask-evaluate --swap_events` asks trained CMAMs whose scene they name when log-mel and
embedding are of different clips. Not a part of the reproduction.
"""

import dataclasses
from pathlib import Path

from crossask import config

_demo = {row.name: row for row in config.read_experiments(str(Path(__file__).with_name("demo.py")))}
CMAM = _demo["cmam_feature_based"]


def control(name: str, note: str, **changes) -> config.Experiment:
    return dataclasses.replace(CMAM, name=name, note=note, **changes)


def attending(name: str, note: str, cross_attention: str) -> config.Experiment:
    return control(
        name, note, model=dataclasses.replace(CMAM.model, cross_attention=cross_attention)
    )


ROWS = (
    _demo["fa"],
    CMAM,
    control(
        "random_events",
        "the frozen event model has random weights",
        event_model=dataclasses.replace(CMAM.event_model, weights=""),
    ),
    control(
        "other_clips_events", "embeddings are those of other clips", event_control="other_clip"
    ),
    control(
        "events_out_of_order",
        "embeddings are shuffled in time within a clip",
        event_control="shuffled_in_time",
    ),
    # FA with as many parameters as CMAM (626,726 of 626,682)
    dataclasses.replace(
        _demo["fa"],
        name="wide_fa",
        note="FA as large as CMAM",
        model=dataclasses.replace(CMAM.model, encoder_channels=(34, 68, 136, 274)),
    ),
    attending(
        "attends_itself",
        "the scene's features stand in place of the embedding",
        "scene_queries_scene",
    ),
    attending("events_alone", "the scene's features are left out", "events_alone"),
    control(
        "true_events",
        "the truth of what sounds when stands in place of the embedding",
        event_control="true_events",
    ),
)
