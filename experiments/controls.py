"""Does the gain of CMAM come from the events? Control experiments at the demo's scale.

The rows are FA and CMAM feature-based of the demo, and variants of CMAM in which one source of
information is removed or replaced. All rows have the demo's epochs, batch size and learning rate.
For trained CMAM runs, `crossask-evaluate --swap_events` also combines the log-mel of one clip with
the embedding of a clip of another scene, and records whether the scene of the log-mel, that of the
embedding or neither is predicted. The study is not part of the reproduction.
"""

import dataclasses
from pathlib import Path

from crossask import config

DEMO = Path(__file__).with_name("demo.py")
FA, CMAM = config.read_experiments(f"{DEMO}:fa,cmam_feature_based")


def control(name: str, note: str, changes: dict) -> config.Experiment:
    """Returns CMAM feature-based with another name, a note and `changes`, {field: value}."""
    return config.override(CMAM, {"name": name, "note": note, **changes})


# FA with as many parameters as CMAM: 626,726; CMAM has 626,682.
WIDE_FA = dataclasses.replace(
    FA,
    name="wide_fa",
    note="FA with as many parameters as CMAM.",
    model=dataclasses.replace(CMAM.model, encoder_channels=(34, 68, 136, 274)),
)

ROWS = (
    FA,
    CMAM,
    control(
        "random_events",
        "The frozen event model has random weights.",
        {"event_model.weights": ""},
    ),
    control(
        "other_clips_events",
        "The embeddings are those of other clips.",
        {"event_control": "other_clip"},
    ),
    control(
        "shuffled_in_time",
        "The patches' embeddings are in random order within each clip.",
        {"event_control": "shuffled_in_time"},
    ),
    WIDE_FA,
    control(
        "attends_itself",
        "The scene features replace the embeddings.",
        {"model.cross_attention": "scene_queries_scene"},
    ),
    control(
        "events_alone",
        "The scene features are left out.",
        {"model.cross_attention": "events_alone"},
    ),
    control(
        "true_events",
        "The true events and their times replace the embeddings.",
        {"event_control": "true_events"},
    ),
)
