"""The demo: the paper's main comparison at small scale, on generated soundscapes.

The networks have one eighth of the paper's channels and read a quarter of its frames. Two CPU cores
train the seven runs in minutes.
"""

from crossask.config import (
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    ModelConfig,
    TrainingConfig,
)

NARROW = ModelConfig(encoder_channels=(8, 16, 32, 64), pooling_dim=128, attention_dim=256)
# demo_files.sh trains this event model on isolated events.
EVENTS = EventModelConfig(name="vggish", width=0.125, weights="demo_output/event_model.npz")
FEATURES = FeatureConfig(log_mel=LogMelConfig(hop_seconds=0.040))
TRAINING = TrainingConfig(epochs=10, batch_size=16, learning_rate=1e-3, validation_share=0.25)
COMMON = {
    "dataset": "soundscapes",
    "features": FEATURES,
    "model": NARROW,
    "event_model": EVENTS,
    "training": TRAINING,
}

ROWS = (
    Experiment("fa", system="FA", strategy="from_scratch", **COMMON),
    Experiment("cmam_from_scratch", system="CMAM", strategy="from_scratch", **COMMON),
    Experiment("cmam_feature_based", system="CMAM", strategy="feature_based", **COMMON),
)
