"""Ten real ambiences with the published YAMNet: the paper's question on real scenes.

The corpus has some seventy recordings, cut into clips of 10 s; no fold shares a recording with
another. The scene branch has a quarter of the paper's channels, reads one channel and a quarter of
the frames, so that two CPU cores can train it. The event model has its full size.

There are too few recordings to hold some out for validation: every row trains a fixed number of
epochs on the whole training fold. The scenes have 3 to 12 locations, so each counts the same in the
loss. Settings were chosen with one seed on validation parts of a quarter of the locations of each
training fold; `ambience_choices.py` has rows with other choices.
"""

import dataclasses
from pathlib import Path

from crossask.config import (
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    ModelConfig,
    TrainingConfig,
    override,
    read_experiments,
)

FEATURES = FeatureConfig(
    sample_rate_hz=32000,
    clip_seconds=10.0,
    mono=True,
    log_mel=LogMelConfig(hop_seconds=0.040),
)
(ESC10_FA,) = read_experiments(f"{Path(__file__).with_name('esc10.py')}:fa")
YAMNET = EventModelConfig(name="yamnet", weights="https://tfhub.dev/google/yamnet/1")
# On the validation parts, CMAM feature-based had 47 % after 8 epochs with this schedule and 47 %
# after 40 epochs with a constant rate: the loss on the training clips is below 0.2 after 3 epochs.
TRAINING = TrainingConfig(
    epochs=8,
    batch_size=16,
    learning_rate=3e-4,
    schedule="cosine",
    warmup_epochs=1,
    validation_share=0.0,
    keep="last",
    class_weights="balanced",
)
COMMON = {
    "dataset": "folder",
    "folds": ("1", "2", "3", "4", "5"),
    "features": FEATURES,
    # A quarter of the paper's channels.
    "model": ESC10_FA.model,
    "event_model": YAMNET,
    "training": TRAINING,
}
FROZEN = {**COMMON, "strategy": "feature_based"}

# The shallow head. Its inputs are standardised, so that one penalty fits all dimensions. On
# validation parts of a quarter of the locations, penalties of 0.1, 1 and 10 gave 55, 59 and 61 %;
# 53, 52 and 43 % with equal weights of the clips.
LINEAR_HEAD = ModelConfig(standardise_embedding=True, linear_penalty=3.0)
LINEAR_TRAINING = dataclasses.replace(
    TRAINING, epochs=30, learning_rate=1e-3, schedule="constant", warmup_epochs=0
)

FA = Experiment("fa", system="FA", strategy="from_scratch", **COMMON)
CMAM = Experiment("cmam_feature_based", system="CMAM", **FROZEN)


def control(name: str, note: str, changes: dict) -> Experiment:
    """Returns CMAM feature-based with another name, a note and `changes`, {field: value}."""
    return override(CMAM, {"name": name, "note": note, **changes})


ROWS = (
    FA,
    Experiment("vem_feature_based", system="VEM", **FROZEN),
    Experiment("jrm_feature_based", system="JRM", **FROZEN),
    CMAM,
    Experiment(
        "linear",
        system="LINEAR",
        note="Mean and deviation of the embeddings, and one dense layer.",
        **{**FROZEN, "model": LINEAR_HEAD, "training": LINEAR_TRAINING},
    ),
    control(
        "other_clips_events",
        "The embeddings are those of other clips.",
        {"event_control": "other_clip"},
    ),
    control(
        "events_out_of_order",
        "The embeddings are shuffled in time within each clip.",
        {"event_control": "shuffled_in_time"},
    ),
    control(
        "events_alone",
        "The scene features are left out.",
        {"model.cross_attention": "events_alone"},
    ),
    control(
        "random_events",
        "The frozen event model has random weights.",
        {"event_model.weights": ""},
    ),
)
