"""VEM's trunk pre-trained on AudioSet's events, on VGGish embeddings of TUT 2017 clips.

The paper's cross-task pre-training, applied to VEM's own layers: encoder and attention pooling
are trained to predict AudioSet's events from published VGGish embeddings (crossask-pretrain
--embeddings), and then frozen, or fine-tuned with one learning rate or with a remedy. The row from
scratch has random weights instead. All rows are trained as the row vem_unseen_places of
tut2017_embeddings.py, and evaluated on clips from other locations than the training clips. Rows
with a pre-trained trunk need model.trunk, such as "trunk_{seed}.npz" with the trunks of
audioset_trunks.sh: one for each seed, so that the intervals include the randomness of pre-training.
"""

from pathlib import Path

from crossask import config

EMBEDDINGS = Path(__file__).with_name("tut2017_embeddings.py")
(UNSEEN_PLACES,) = config.read_experiments(f"{EMBEDDINGS}:vem_unseen_places")
FROM_SCRATCH = config.override(UNSEEN_PLACES, {"name": "vem_from_scratch", "note": ""})
FROZEN = {"model.trunk_training": "frozen"}


def variant(name: str, changes: dict) -> config.Experiment:
    """Returns the row from scratch with another name and with `changes`, {field: value}."""
    return config.override(FROM_SCRATCH, {"name": name, **changes})


ROWS = (
    FROM_SCRATCH,
    variant("vem_feature_based", FROZEN),
    variant("vem_fine_tuning", {}),
    variant("event_rate", {"fine_tuning.event_rate": 0.1}),
    variant("layer_decay", {"fine_tuning.layer_decay": 0.5}),
    variant("probe_first", {"fine_tuning.probe_epochs": 5}),
    variant("l2_to_start", {"fine_tuning.l2_to_start": 10.0}),
    variant(
        "random_trunk",
        {**FROZEN, "note": "The trunk has random weights and is frozen."},
    ),
    variant(
        "linear",
        {
            "system": "LINEAR",
            "training.learning_rate": 3e-3,
            "training.epochs": 60,
            "note": "One dense layer on mean and deviation of the embeddings.",
        },
    ),
)
