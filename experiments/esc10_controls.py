"""Is it really the events? The best-powered controls of experiments/controls.py on real recordings with the published YAMNet.

Rows of esc10.py whose YAMNet is frozen; not a part of the reproduction.
"""

import dataclasses
from pathlib import Path

from crossask import config

_rows = {
    row.name: row for row in config.read_experiments(str(Path(__file__).with_name("esc10.py")))
}
CMAM = _rows["cmam_feature_based"]


def control(name: str, note: str, **changes) -> config.Experiment:
    return dataclasses.replace(CMAM, name=name, note=note, **changes)


ROWS = (
    _rows["fa"],
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
    control(
        "events_alone",
        "the scene's features are left out",
        model=dataclasses.replace(CMAM.model, cross_attention="events_alone"),
    ),
)
