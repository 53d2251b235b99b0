"""TAU Urban Acoustic Scenes 2019, official fold: the rows of the paper's Table 3, at full size.

`paper_score` is the paper's macro accuracy in percent. The paper gives one number for each row,
without seeds or intervals, and leaves two strategies of VEM blank. The baseline has the features
and the training rules of the official one, but for the differences that docs/decisions.md, D10,
lists.
"""

from crossask.config import (
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    ModelConfig,
    TrainingConfig,
)

# The paper is of October 2019, when the published code of VGGish ended with a ReLU. Today's code
# and the TF-Hub module, which has the same weights, end without one.
VGGISH = EventModelConfig(
    name="vggish", weights="https://tfhub.dev/google/vggish/1", embedding_tap="relu"
)
COMMON = {
    "dataset": "tau2019",
    "features": FeatureConfig(sample_rate_hz=48000),
    "event_model": VGGISH,
}
# Rows that train VGGish share one rate, lower than that of the others. Of 3e-4, 1e-4 and 3e-5, the
# first leaves CMAM at chance on a task that its events alone can solve (docs/decisions.md D31).
TRAINS_VGGISH = {**COMMON, "training": TrainingConfig(learning_rate=1e-4)}

# The official baseline reads one channel, the mean of both, in 40 mel bands.
BASELINE_FEATURES = FeatureConfig(
    sample_rate_hz=48000,
    mono=True,
    log_mel=LogMelConfig(
        window_seconds=0.040,
        hop_seconds=0.020,
        mel_bins=40,
        spectrum="magnitude",
        log_offset=2.220446049250313e-16,
        mel_scale="slaney",
        window="hamming",
        centred=True,
    ),
)
BASELINE_TRAINING = TrainingConfig(
    epochs=200,
    batch_size=16,
    learning_rate=1e-3,
    validation_share=0.3,
    monitor="accuracy",
    # The official rule chooses among the epochs after index 50, counted from 0.
    keep_from=52,
    statistics_over="training_fold",
)

ROWS = (
    Experiment(
        "baseline",
        system="DCASE2019",
        dataset="tau2019",
        features=BASELINE_FEATURES,
        model=ModelConfig(batch_norm_momentum=0.99),
        training=BASELINE_TRAINING,
        paper_score=62.5,
    ),
    Experiment("fa", system="FA", strategy="from_scratch", paper_score=66.5, **COMMON),
    Experiment("vem_from_scratch", system="VEM", strategy="from_scratch", **TRAINS_VGGISH),
    Experiment(
        "vem_feature_based", system="VEM", strategy="feature_based", paper_score=57.3, **COMMON
    ),
    Experiment("vem_fine_tuning", system="VEM", strategy="fine_tuning", **TRAINS_VGGISH),
    Experiment(
        "jrm_from_scratch", system="JRM", strategy="from_scratch", paper_score=67.2, **TRAINS_VGGISH
    ),
    Experiment(
        "jrm_feature_based", system="JRM", strategy="feature_based", paper_score=63.4, **COMMON
    ),
    Experiment(
        "jrm_fine_tuning", system="JRM", strategy="fine_tuning", paper_score=66.8, **TRAINS_VGGISH
    ),
    Experiment(
        "cmam_from_scratch",
        system="CMAM",
        strategy="from_scratch",
        paper_score=65.1,
        **TRAINS_VGGISH,
    ),
    Experiment(
        "cmam_feature_based", system="CMAM", strategy="feature_based", paper_score=68.8, **COMMON
    ),
    Experiment(
        "cmam_fine_tuning", system="CMAM", strategy="fine_tuning", paper_score=65.3, **TRAINS_VGGISH
    ),
)
