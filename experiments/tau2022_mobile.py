"""TAU Urban Acoustic Scenes 2022 Mobile, official fold: FA, a linear row and CMAM, on clips of 1 s.

A clip of 1 s is one patch of the event model, so CMAM has one event embedding, which attends to
the frames of the scene branch. The fold has ten times as many clips as that of 2020, and each a
tenth of the sound: the networks have a quarter of the paper's channels, and YAMNet, the smaller
event model, takes the place of VGGish. The report shows the scores of devices with and without
training clips. The rows have not been run.
"""

from crossask.config import EventModelConfig, Experiment, FeatureConfig, ModelConfig, TrainingConfig

COMMON = {
    "dataset": "tau2022_mobile",
    "features": FeatureConfig(sample_rate_hz=44100, clip_seconds=1.0, mono=True),
    "event_model": EventModelConfig(name="yamnet", weights="https://tfhub.dev/google/yamnet/1"),
}
# A quarter of the paper's channels.
NETWORK = ModelConfig(encoder_channels=(16, 32, 64, 128), pooling_dim=256, attention_dim=512)
# The share of 0.1 is a quarter of the clips; see tau2020_mobile.py.
TRAINING = TrainingConfig(
    epochs=20,
    batch_size=128,
    learning_rate=1e-3,
    schedule="cosine",
    warmup_epochs=1,
    validation_share=0.1,
)
# The inputs of the linear layer are standardised, so that one learning rate fits all dimensions.
# With one patch, their deviation over patches is always 0, and only their mean counts.
LINEAR_HEAD = ModelConfig(standardise_embedding=True)

ROWS = (
    Experiment(
        "fa", system="FA", strategy="from_scratch", model=NETWORK, training=TRAINING, **COMMON
    ),
    Experiment(
        "linear",
        system="LINEAR",
        strategy="feature_based",
        note="The event embedding and one dense layer.",
        model=LINEAR_HEAD,
        training=TRAINING,
        **COMMON,
    ),
    Experiment(
        "cmam_feature_based",
        system="CMAM",
        strategy="feature_based",
        model=NETWORK,
        training=TRAINING,
        **COMMON,
    ),
)
