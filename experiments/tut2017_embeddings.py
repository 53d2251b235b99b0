"""VEM on VGGish embeddings of TUT 2017 clips that are there already (data set "embeddings"), evaluated in two ways.

Half of the paper's channels, 15 epochs. Both rows train on the same part with the same seeds; what differs is what they are
asked: clips of the development set that were split at random, or clips of the evaluation set, from places never heard.
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
        note="Flatters: these clips were split at random from the training ones, so that pieces of one recording, of one place and "
        "one hour, stand on both sides. The network may know the recording again instead of the scene.",
        **COMMON,
    ),
    Experiment(
        "vem_unseen_places",
        folds=("eval",),
        note="Clips of the corpus's evaluation set: other places than the training ones. This is the honest figure of the two.",
        **COMMON,
    ),
)
