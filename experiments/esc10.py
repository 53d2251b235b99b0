"""ESC-10 with the published YAMNet: a positive control of the transfer on real recordings.

The classes are events, not scenes. Clips have 5 s, there are five folds, and clips of one source
recording share a location. The scene branch has a quarter of the paper's channels and reads half of
its frames, so that two CPU cores can train it. The event model has its full size.
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
    sample_rate_hz=44100,
    clip_seconds=5.0,
    # The decoded files have 3.6 to 7.2 s.
    max_padding_seconds=2.0,
    max_cut_seconds=3.0,
    log_mel=LogMelConfig(hop_seconds=0.020),
)
QUARTER = ModelConfig(
    encoder_channels=(16, 32, 64, 128),
    pooling_dim=256,
    attention_dim=512,
    event_encoder_channels=(16, 32, 64, 128, 256, 256, 512),
)
# The module computes with ReLU. Rows from scratch start with Keras' default distribution, as in the
# controls and the remedies, so that all rows on ESC-10 can be compared.
YAMNET = EventModelConfig(
    name="yamnet", weights="https://tfhub.dev/google/yamnet/1", initialisation="glorot"
)
TRAINING = TrainingConfig(epochs=20, batch_size=16, learning_rate=3e-4, validation_share=0.1)
COMMON = {
    "dataset": "folder",
    "folds": ("1", "2", "3", "4", "5"),
    "features": FEATURES,
    "model": QUARTER,
    "event_model": YAMNET,
    "training": TRAINING,
}

# Rows that train YAMNet have few epochs, because its backward pass takes most of their time.
SHORT = {**COMMON, "training": dataclasses.replace(TRAINING, epochs=3)}

ROWS = (
    Experiment("fa", system="FA", strategy="from_scratch", **COMMON),
    Experiment("vem_from_scratch", system="VEM", strategy="from_scratch", **SHORT),
    Experiment("vem_feature_based", system="VEM", strategy="feature_based", **COMMON),
    Experiment("vem_fine_tuning", system="VEM", strategy="fine_tuning", **SHORT),
    Experiment("jrm_from_scratch", system="JRM", strategy="from_scratch", **SHORT),
    Experiment("jrm_feature_based", system="JRM", strategy="feature_based", **COMMON),
    Experiment("jrm_fine_tuning", system="JRM", strategy="fine_tuning", **SHORT),
    Experiment("cmam_from_scratch", system="CMAM", strategy="from_scratch", **SHORT),
    Experiment("cmam_feature_based", system="CMAM", strategy="feature_based", **COMMON),
    Experiment("cmam_fine_tuning", system="CMAM", strategy="fine_tuning", **SHORT),
)
