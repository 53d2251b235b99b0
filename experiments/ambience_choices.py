"""Why is CMAM below a linear classifier on ambience.py's recordings?

CMAM and VEM feature-based of ambience.py with one choice changed in each row: standardised
embeddings, a lower learning rate, random changes of the batches, a smaller network, more dropout.
"""

from pathlib import Path

from crossask import config

AMBIENCE = Path(__file__).with_name("ambience.py")
CMAM, VEM = config.read_experiments(f"{AMBIENCE}:cmam_feature_based,vem_feature_based")


def changed(row: config.Experiment, name: str, changes: dict) -> config.Experiment:
    """Returns a row with another name and with `changes`, {field: value}."""
    return config.override(row, {"name": name, **changes})


ROWS = (
    CMAM,
    VEM,
    changed(CMAM, "cmam_standardised", {"model.standardise_embedding": True}),
    changed(VEM, "vem_standardised", {"model.standardise_embedding": True}),
    changed(CMAM, "cmam_lower_rate", {"training.learning_rate": 1e-4}),
    changed(CMAM, "cmam_dropout", {"model.attention_dropout": 0.5}),
    changed(
        CMAM,
        "cmam_augmented",
        {
            # The loss falls more slowly.
            "training.epochs": 16,
            "augmentation.mixup_alpha": 0.3,
            "augmentation.time_masks": 2,
            "augmentation.frequency_masks": 2,
            "augmentation.time_roll": True,
            "augmentation.label_smoothing": 0.1,
        },
    ),
    changed(
        CMAM,
        "cmam_small",
        {
            "model.encoder_channels": (8, 16, 32, 64),
            "model.pooling_dim": 64,
            "model.attention_heads": 4,
            "model.attention_dim": 128,
        },
    ),
)
