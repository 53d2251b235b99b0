"""Does the gain of CMAM come from the events? Controls on ESC-10 with the published YAMNet.

These are the controls of controls.py with the largest statistical power, applied to rows of
esc10.py whose YAMNet is frozen. The study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

ESC10 = Path(__file__).with_name("esc10.py")
FA, CMAM = config.read_experiments(f"{ESC10}:fa,cmam_feature_based")


def control(name: str, note: str, changes: dict) -> config.Experiment:
    """Returns CMAM feature-based with another name, a note and `changes`, {field: value}."""
    return config.override(CMAM, {"name": name, "note": note, **changes})


ROWS = (
    FA,
    CMAM,
    control(
        "random_events",
        "The frozen event model has random weights.",
        # Without training, Glorot's distribution halves the variance of the signal in each layer.
        {"event_model.weights": "", "event_model.initialisation": "he"},
    ),
    control(
        "other_clips_events",
        "The embeddings are those of other clips.",
        {"event_control": "other_clip"},
    ),
    control(
        "events_out_of_order",
        "The embeddings are shuffled in time within each clip.",
        {"event_control": "shuffled_in_time"},
    ),
    control(
        "events_alone",
        "The scene features are left out.",
        {"model.cross_attention": "events_alone"},
    ),
)
