"""How much do choices that the paper does not state move the score?

The first row is CMAM feature-based of the demo. Each other row changes one open choice of it. The
study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

DEMO = Path(__file__).with_name("demo.py")
(CMAM,) = config.read_experiments(f"{DEMO}:cmam_feature_based")


def variant(name: str, changes: dict) -> config.Experiment:
    """Returns CMAM feature-based with another name and with `changes`, {field: value}."""
    return config.override(CMAM, {"name": name, **changes})


ROWS = (
    CMAM,
    # The scene features are the queries of the cross-attention, instead of the embeddings.
    variant("scene_asks_events", {"model.cross_attention": "scene_queries_event"}),
    # d of equation 4 is the query dimension of all heads, instead of one head.
    variant("scale_of_all_heads", {"model.attention_scale": "query_dim"}),
    variant("tap_relu", {"event_model.embedding_tap": "relu"}),
    variant(
        "tap_pca",
        {
            "event_model.embedding_tap": "pca",
            "event_model.pca": "demo_output/event_model_pca.npz",
        },
    ),
    variant("pooling_tanh", {"model.pooling_activation": "tanh"}),
    variant("pooling_penalty", {"model.pooling_penalty": 1.0}),
    variant("magnitude_log_mel", {"features.log_mel.spectrum": "magnitude"}),
    variant("validation_10", {"training.validation_share": 0.1}),
    variant("validation_30", {"training.validation_share": 0.3}),
)
