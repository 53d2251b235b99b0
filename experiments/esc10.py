"""ESC-10 with the real YAMNet: a positive control of cross-task transfer on real recordings (events, not scenes).

5 s clips, five folds, intervals clustered by the recording's id. The scene branch has a quarter of the paper's channels and
half its frames, so that two cores train it; the event model is whole.
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

# clips decode to 3.6 to 7.2 s
FEATURES = FeatureConfig(
    sample_rate_hz=44100,
    clip_seconds=5.0,
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
YAMNET = EventModelConfig(name="yamnet", weights="yamnet.npz", activation="relu6")
TRAINING = TrainingConfig(epochs=20, batch_size=16, learning_rate=3e-4, validation_share=0.1)
COMMON = {
    "dataset": "folder",
    "folds": ("1", "2", "3", "4", "5"),
    "features": FEATURES,
    "model": QUARTER,
    "event_model": YAMNET,
    "training": TRAINING,
}

# YAMNet's backward pass is the cost of these rows: few epochs, one seed
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
