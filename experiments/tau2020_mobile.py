"""TAU Urban Acoustic Scenes 2020 Mobile, official fold: FA, a linear row and CMAM, on nine devices.

FA and CMAM have the paper's size and its VGGish, so they need a GPU; the clips are mono, as they
were published. The report shows the scores of devices with and without training clips. The rows
have not been run.
"""

from crossask.config import EventModelConfig, Experiment, FeatureConfig, ModelConfig, TrainingConfig

COMMON = {
    "dataset": "tau2020_mobile",
    "features": FeatureConfig(sample_rate_hz=44100, mono=True),
    "event_model": EventModelConfig(
        name="vggish", weights="https://tfhub.dev/google/vggish/1", embedding_tap="relu"
    ),
}
# At least one location of each scene and city is drawn for validation, so that a share of 0.1 is a
# quarter of the clips. Three quarters of the training clips are of device a, and so the epoch is
# chosen mostly by that device.
TRAINING = TrainingConfig(validation_share=0.1)
# The inputs of the linear layer are standardised, so that one learning rate fits all dimensions.
LINEAR_HEAD = ModelConfig(standardise_embedding=True)
LINEAR_TRAINING = TrainingConfig(epochs=30, learning_rate=1e-3, validation_share=0.1)

ROWS = (
    Experiment("fa", system="FA", strategy="from_scratch", training=TRAINING, **COMMON),
    Experiment(
        "linear",
        system="LINEAR",
        strategy="feature_based",
        note="Mean and deviation of the embeddings, and one dense layer.",
        model=LINEAR_HEAD,
        training=LINEAR_TRAINING,
        **COMMON,
    ),
    Experiment(
        "cmam_feature_based", system="CMAM", strategy="feature_based", training=TRAINING, **COMMON
    ),
)
