"""What the paper leaves open, as a study: CMAM feature-based of the demo, and rows that each move one choice.

Not a part of the reproduction: it tells how much a choice that the paper does not state can move a score.
"""

import dataclasses
from pathlib import Path

from crossask import config

_demo = {row.name: row for row in config.read_experiments(str(Path(__file__).with_name("demo.py")))}
CMAM = _demo["cmam_feature_based"]


def moved(name: str, **changes) -> config.Experiment:
    """The row with fields of its model, event model, log-mel or training replaced."""
    parts = {
        part: dataclasses.replace(getattr(CMAM, part), **values) for part, values in changes.items()
    }
    return dataclasses.replace(CMAM, name=name, **parts)


ROWS = (
    CMAM,
    moved("scene_asks_events", model={"cross_attention": "scene_queries_event"}),
    moved("scale_of_all_heads", model={"attention_scale": "query_dim"}),
    moved("tap_relu", event_model={"embedding_tap": "relu"}),
    moved(
        "tap_pca", event_model={"embedding_tap": "pca", "pca": "demo_output/event_model_pca.npz"}
    ),
    moved("pooling_tanh", model={"pooling_activation": "tanh"}),
    moved("pooling_penalty", model={"pooling_penalty": 1.0}),
    moved(
        "magnitude_log_mel",
        features={"log_mel": dataclasses.replace(CMAM.features.log_mel, spectrum="magnitude")},
    ),
    moved("validation_10", training={"validation_share": 0.1}),
    moved("validation_30", training={"validation_share": 0.3}),
)
