"""TAU Urban Acoustic Scenes 2019, official fold: rows of the paper's Table 3, at full size.

The scores are the paper's macro accuracies in percent; it gives one number a row, no seeds and no intervals.
"""

from crossask.config import EventModelConfig, Experiment, FeatureConfig

FEATURES = FeatureConfig(sample_rate_hz=48000)
VGGISH = EventModelConfig(name="vggish", weights="https://tfhub.dev/google/vggish/1")
COMMON = {"dataset": "tau2019", "features": FEATURES, "event_model": VGGISH}

ROWS = (
    Experiment("fa", system="FA", strategy="from_scratch", paper_score=66.5, **COMMON),
    Experiment("cmam_from_scratch", system="CMAM", strategy="from_scratch", paper_score=65.1, **COMMON),
    Experiment("cmam_feature_based", system="CMAM", strategy="feature_based", paper_score=68.8, **COMMON),
)
