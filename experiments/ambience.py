"""Ten real ambiences with the published YAMNet: the paper's question on real scenes.

The corpus has some seventy recordings, cut into clips of 10 s; no fold shares a recording with
another. The scene branch has a quarter of the paper's channels, reads one channel and a quarter of the
frames, so that two CPU cores can train it. The event model has its full size. There are too few
recordings to hold some out for validation: every row trains a fixed number of epochs on the whole
training fold.
"""

import dataclasses

from crossask.config import (
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    ModelConfig,
    TrainingConfig,
)

FEATURES = FeatureConfig(
    sample_rate_hz=32000,
    clip_seconds=10.0,
    mono=True,
    log_mel=LogMelConfig(hop_seconds=0.040),
)
QUARTER = ModelConfig(
    encoder_channels=(16, 32, 64, 128),
    pooling_dim=256,
    attention_dim=512,
    event_encoder_channels=(16, 32, 64, 128, 256, 256, 512),
)
YAMNET = EventModelConfig(name="yamnet", weights="https://tfhub.dev/google/yamnet/1")
RANDOM = dataclasses.replace(YAMNET, weights="")
TRAINING = TrainingConfig(
    epochs=20, batch_size=16, learning_rate=3e-4, validation_share=0.0, keep="last"
)
COMMON = {
    "dataset": "folder",
    "folds": ("1", "2", "3", "4", "5"),
    "features": FEATURES,
    "model": QUARTER,
    "event_model": YAMNET,
    "training": TRAINING,
}
FROZEN = {**COMMON, "strategy": "feature_based"}

# Rows that train YAMNet have few epochs: its backward pass takes most of their time.
SHORT = {**COMMON, "training": dataclasses.replace(TRAINING, epochs=3)}

# The shallow head. Its inputs are standardised, so that one penalty fits all dimensions.
LINEAR_HEAD = ModelConfig(standardise_embedding=True, linear_penalty=0.03)
LINEAR_TRAINING = dataclasses.replace(TRAINING, epochs=60, learning_rate=1e-3)

ROWS = (
    Experiment("fa", system="FA", strategy="from_scratch", **COMMON),
    Experiment("vem_feature_based", system="VEM", **FROZEN),
    Experiment("jrm_feature_based", system="JRM", **FROZEN),
    Experiment("cmam_feature_based", system="CMAM", **FROZEN),
    Experiment(
        "linear",
        system="LINEAR",
        note="Mean and deviation of the embeddings, and one dense layer.",
        **{**FROZEN, "model": LINEAR_HEAD, "training": LINEAR_TRAINING},
    ),
)
