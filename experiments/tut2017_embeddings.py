"""VEM on precomputed VGGish embeddings of TUT 2017 clips (data set "embeddings"), in two rows.

Both rows have half of the paper's channels, 15 epochs, the same training part and the same seeds.
They differ in the clips on which they are evaluated: clips of the development set that were split
from the training clips at random, or clips of the evaluation set, from other locations.
"""

from crossask.config import EventModelConfig, Experiment, ModelConfig, TrainingConfig

COMMON = {
    "system": "VEM",
    "strategy": "feature_based",
    "dataset": "embeddings",
    "event_model": EventModelConfig(
        name="vggish", weights="https://tfhub.dev/google/vggish/1", embedding_tap="relu"
    ),
    "model": ModelConfig(encoder_channels=(32, 64, 128, 256), pooling_dim=512),
    "training": TrainingConfig(epochs=15),
}

ROWS = (
    Experiment(
        "vem_random_split",
        folds=("test",),
        note=(
            "This score is too optimistic. The clips were split from the training clips at random, "
            "so pieces of one recording, from one location and one hour, are on both sides. The "
            "network may recognise the recording instead of the scene."
        ),
        **COMMON,
    ),
    Experiment(
        "vem_unseen_places",
        folds=("eval",),
        note=(
            "The clips are from the corpus's evaluation set, and so from other locations than the "
            "training clips. Of the two scores, this is the one to quote."
        ),
        **COMMON,
    ),
)
