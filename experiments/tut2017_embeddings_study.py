"""Controls and open choices of VEM on precomputed VGGish embeddings of TUT 2017 clips.

The first row is evaluated on clips from other locations. Each other row changes one thing. The
study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

EMBEDDINGS = Path(__file__).with_name("tut2017_embeddings.py")
(UNSEEN_PLACES,) = config.read_experiments(f"{EMBEDDINGS}:vem_unseen_places")
VEM = config.override(UNSEEN_PLACES, {"note": ""})


def variant(name: str, changes: dict) -> config.Experiment:
    """Returns VEM with another name and with `changes`, {field: value}."""
    return config.override(VEM, {"name": name, **changes})


ROWS = (
    VEM,
    variant(
        "other_clips_events",
        {
            "event_control": "other_clip",
            "note": "The embeddings are those of other clips.",
        },
    ),
    variant(
        "events_out_of_order",
        {
            "event_control": "shuffled_in_time",
            "note": "The embeddings are shuffled in time within each clip.",
        },
    ),
    variant("pooling_tanh", {"model.pooling_activation": "tanh"}),
    variant("pooling_penalty", {"model.pooling_penalty": 1.0}),
)
