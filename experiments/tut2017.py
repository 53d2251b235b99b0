"""TUT Acoustic Scenes 2017, official four folds, pooled: the rows of the paper's Table 3, at full size.

The scores are the paper's macro accuracies in percent; it gives one number a row, no seeds and no intervals, and leaves two
of VEM's strategies blank. The baseline has the features and training rules of the official one.
"""

from crossask.config import (
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    TrainingConfig,
)

VGGISH = EventModelConfig(name="vggish", weights="https://tfhub.dev/google/vggish/1")
FOLDS = ("1", "2", "3", "4")
COMMON = {
    "dataset": "tut2017",
    "folds": FOLDS,
    "features": FeatureConfig(sample_rate_hz=44100),
    "event_model": VGGISH,
    "training": TrainingConfig(
        batch_size=16
    ),  # paper silent; ours: a third of the other corpus's clips
}

# the official baseline: 40 bands of 40 ms windows every 20 ms, magnitude, Slaney's mel scale, both channels averaged
BASELINE_FEATURES = FeatureConfig(
    sample_rate_hz=44100,
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
    batch_size=256,  # contexts of five frames
    context_frames=5,
    learning_rate=1e-3,
    validation_share=0.1,
    monitor="accuracy",
    keep="last",  # the official rule stops and restores nothing
    patience=10,
    patience_from=101,
    statistics_over="training_fold",
)

ROWS = (
    # the official score is 74.8, see the report's errata
    Experiment(
        "baseline",
        system="DCASE2017",
        dataset="tut2017",
        folds=FOLDS,
        features=BASELINE_FEATURES,
        training=BASELINE_TRAINING,
        paper_score=78.4,
    ),
    Experiment("fa", system="FA", strategy="from_scratch", paper_score=81.7, **COMMON),
    Experiment("vem_from_scratch", system="VEM", strategy="from_scratch", **COMMON),
    Experiment(
        "vem_feature_based", system="VEM", strategy="feature_based", paper_score=72.1, **COMMON
    ),
    Experiment("vem_fine_tuning", system="VEM", strategy="fine_tuning", **COMMON),
    Experiment(
        "jrm_from_scratch", system="JRM", strategy="from_scratch", paper_score=83.0, **COMMON
    ),
    Experiment(
        "jrm_feature_based", system="JRM", strategy="feature_based", paper_score=83.7, **COMMON
    ),
    Experiment("jrm_fine_tuning", system="JRM", strategy="fine_tuning", paper_score=83.2, **COMMON),
    Experiment(
        "cmam_from_scratch", system="CMAM", strategy="from_scratch", paper_score=83.2, **COMMON
    ),
    Experiment(
        "cmam_feature_based", system="CMAM", strategy="feature_based", paper_score=85.8, **COMMON
    ),
    Experiment(
        "cmam_fine_tuning", system="CMAM", strategy="fine_tuning", paper_score=83.1, **COMMON
    ),
)
